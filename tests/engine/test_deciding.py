"""A window's question to its answer: joint, judged, repeatable, recorded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.deciding import UnsoundError, decide
from engine.domain import mills
from engine.ledger.journal import summary
from engine.lowering import WindowInput, lower
from solvers import brute, choose
from tests.engine.making import compiled, document, node, order, window


def ticking() -> Callable[[], float]:
    """A clock that moves a millisecond with every reading."""
    readings = count()
    return lambda: next(readings) / 1000


def total(window_decided) -> int:
    """What the decisions of a window cost together, in mills, as callers read it."""
    return sum(mills(json.loads(p.decision)["cost"]["total"]) for p in window_decided.proposals)


def lanes(**prices: dict[str, str]) -> list[dict]:
    """Lanes {zone: {node_id: price of a parcel}}."""
    return [
        {"node_id": node_id, "to": zone, "service": "post", "parcel": price}
        for zone, by_node in prices.items()
        for node_id, price in by_node.items()
    ]


def contested() -> WindowInput:
    """Three orders that all want the last unit at A; first come, first served would cost 3.00 + 9.00 + 30.00."""
    prices = lanes(z1={"A": "3.00", "B": "4.00"}, z2={"A": "3.00", "B": "9.00"}, z3={"A": "3.00", "B": "30.00"})
    network = compiled(document([node("A"), node("B")], [], prices))
    orders = [order(f"O{i}", ("X", 1), ship_to={"zone": f"z{i}"}) for i in (1, 2, 3)]
    return window(network, orders, {"X": {"A": 1, "B": 2}})


def test_a_window_is_decided_jointly():
    """The last unit at A goes to the order that would pay most elsewhere: 4.00 + 9.00 + 3.00 = 16.00."""
    decided = decide(contested(), now=ticking())
    assert [json.loads(p.decision)["parcels"][0]["node_id"] for p in decided.proposals] == ["B", "B", "A"]
    assert total(decided) == 16_000
    assert decided.gap == 0


def test_the_floor_is_feasible_and_says_so():
    """The rung for a window that a worker gave up on: one after another, and the decision names the solver.

    Who has most to lose goes first, which is the best here, though nobody knows.
    """
    decided = decide(replace(contested(), floor=True), now=ticking())
    assert total(decided) == 16_000
    assert decided.gap > 0
    assert {json.loads(p.decision)["window"]["solver"] for p in decided.proposals} == {"greedy"}


def test_higher_priority_is_served_first():
    """Case 40: supply 10, orders of 6 with priority 0 and 5 in one window: the higher one is filled."""
    network = compiled(document([node("A")]))
    orders = [order("low", ("X", 6)), order("high", ("X", 6), priority=5)]
    decided = decide(window(network, orders, {"X": {"A": 10}}), now=ticking())
    assert [proposal.state for proposal in decided.proposals] == ["partially_allocated", "allocated"]


def test_equal_questions_get_equal_answers():
    """Replay rests on this: the same window on the same clock decides the same, byte for byte."""
    asked = contested()
    first = decide(asked, now=ticking())
    again = decide(pickle.loads(pickle.dumps(asked)), now=ticking())
    assert first == again


def test_the_record_tells_what_the_decision_rests_on():
    """Order ids in sequence, versions, store time, method, proof and totals: what a replay compares with."""
    asked = contested()
    decided = decide(asked, now=ticking())
    record = json.loads(summary(decided.record))
    assert record["order_ids"] == ["O1", "O2", "O3"]
    assert record["states"] == ["allocated"] * 3
    assert (record["at_ms"], record["network_version"], record["policy_version"]) == (asked.snapshot.at_ms, 7, 1)
    assert record["cost"]["total"] == total(decided) == record["bound"]
    assert record["units"] == {"ordered": 3, "allocated": 3}
    assert (record["parcels"], record["cut"], record["violations"]) == (3, False, [])
    assert record["solve_ms"] > 0
    assert decided.solve_seconds > 0


def test_a_batch_carries_versions_and_gains_of_the_snapshot():
    """The ledger judges claims of shortage by these; others would make it believe a stale claim."""
    network = compiled(document([node("A", capacity={"parcels_per_day": 3})]))
    asked = window(network, [order("O", ("X", 1), ("Y", 1))], {"X": {"A": 1}}, loads={20780: {"A": (1, 1)}})
    rows = tuple(row._replace(gain=gain) for row, gain in zip(asked.snapshot.rows, (5, 9), strict=True))
    asked = replace(asked, snapshot=replace(asked.snapshot, rows=rows))
    batch = decide(asked, now=ticking()).batch(asked)
    assert (batch.window_id, batch.skus, batch.gains, batch.day_gains) == ("w-1", ("X", "Y"), (5, 9), {20780: 1})
    assert batch.versions == asked.snapshot.versions
    assert [proposal.short_skus for proposal in batch.proposals] == [(1,)]
    assert json.loads(summary(batch.record))["window_id"] == "w-1"


def broken(solution):
    """A solution that undercharges its first order."""
    costs = replace(
        solution.costs, total=solution.costs.total - np.eye(1, len(solution.costs.total), dtype=np.int64)[0]
    )
    return replace(solution, costs=costs, solver="broken")


def test_a_solution_that_breaks_a_rule_never_leaves(monkeypatch):
    """The judge works in production: what it refuses is decided again on the cheapest rung, and the record tells."""
    honest = choose.solve
    monkeypatch.setattr(
        choose,
        "solve",
        lambda problem, budget: honest(problem, budget) if budget.floor else broken(honest(problem, budget)),
    )
    decided = decide(contested(), now=ticking())
    record = json.loads(summary(decided.record))
    assert record["solver"] == "greedy"
    assert record["violations"]
    assert total(decided) == 16_000


def test_when_even_the_floor_is_broken_nothing_is_proposed(monkeypatch):
    """A wrong answer is worse than none: the window fails loudly, and nothing was taken."""
    honest = choose.solve
    monkeypatch.setattr(choose, "solve", lambda problem, budget: broken(honest(problem, budget)))
    with pytest.raises(UnsoundError, match="total"):
        decide(contested(), now=ticking())


@pytest.mark.parametrize("mode", ["sequence", "nearest", "most_stock"])
def test_the_rule_based_modes_route_by_their_rule(mode):
    """Baselines use the same path: only the choice of nodes differs."""
    # The order is nearest to C, most stock is at B, first by priority is A.
    nodes = [node("A", priority=1, lon=-90.0), node("B", priority=2, lon=-80.0), node("C", priority=3, lon=-99.0)]
    asked = window(
        compiled(document(nodes)), [order("O", ("X", 1))], {"X": {"A": 1, "B": 5, "C": 1}}, policy={"mode": mode}
    )
    (proposal,) = decide(asked, now=ticking()).proposals
    expected = {"sequence": "A", "nearest": "C", "most_stock": "B"}[mode]
    decision = json.loads(proposal.decision)
    assert decision["parcels"][0]["node_id"] == expected
    assert decision["window"]["solver"] == mode


prices = st.sampled_from(["1.00", "2.50", "4.00", "7.00"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 2), prices, prices), min_size=1, max_size=3),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from(["0", "1.25"]),
)
def test_small_windows_are_decided_as_well_as_possible(orders, of_x, of_y, split):
    """Through the whole middle, fill by priority and then cost equal those of the exhaustive referee."""
    written = lanes(**{f"z{i}": {"A": a, "B": b} for i, (_, _, a, b) in enumerate(orders)})
    network = compiled(document([node("A"), node("B")], [], written))
    made = [
        order(f"O{i}", ("X", quantity), ("Y", 1), priority=priority, ship_to={"zone": f"z{i}"})
        for i, (quantity, priority, _, _) in enumerate(orders)
    ]
    stock = {"X": dict(zip("AB", of_x, strict=True)), "Y": dict(zip("AB", of_y, strict=True))}
    asked = window(network, made, stock, policy={"objective": {"split_parcel": split}})
    decided = decide(asked, now=ticking())
    lowered = lower(asked)
    best = brute.solve(lowered.problem)

    def units_by_priority(counts: list[tuple[int, int]]) -> dict[int, int]:
        found: dict[int, int] = {}
        for priority, units in counts:
            found[priority] = found.get(priority, 0) + units
        return found

    ours = [(o.priority, sum(take.units for take in p.takes)) for o, p in zip(made, decided.proposals, strict=True)]
    theirs = [(o.priority, sum(int(s.units.sum()) for s in plan)) for o, plan in zip(made, best.plans, strict=True)]
    assert units_by_priority(ours) == units_by_priority(theirs)
    assert total(decided) == best.total
