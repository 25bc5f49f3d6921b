"""Docks: several nodes, one origin."""

from __future__ import annotations

import random
from datetime import date

import pytest

from engine.domain import Component, Sku
from engine.ledger.port import LoadTake, Take
from engine.lowering import days_of, lower, rows
from engine.promise import to_day
from solvers.choose import Budget, solve
from tests.engine.making import column, compiled, document, node, order, window
from tests.engine.reading import decided, said, where, why

MON, TUE = to_day(date(2026, 11, 23)), to_day(date(2026, 11, 24))


def dock(**fields):
    """Nodes A (the dock's first) and B at one dock, C for itself; B is far away on paper, which must not matter."""
    costs = {"A": {"per_parcel": "0.90", "per_line": "0.20", "per_unit": "0.05"}, "B": {"per_line": "0.30"}}
    nodes = [
        node("A", dock="d", priority=1, costs=costs["A"], **fields.get("A", {})),
        node("B", dock="d", priority=2, costs=costs["B"], lon=-60.0, **fields.get("B", {})),
        node("C", priority=3, **fields.get("C", {})),
    ]
    return compiled(document(nodes))


def test_one_parcel_takes_from_several_nodes_of_a_dock():
    """X at A, Y at B: one parcel from A, priced from A; lines and units at each node's own rate."""
    asked = window(dock(), [order("O", ("X", 2), ("Y", 3))], {"X": {"A": 2}, "Y": {"B": 3}})
    (proposal,) = decided(asked)
    (parcel,) = said(proposal)["parcels"]
    assert parcel["node_id"] == "A"
    assert parcel["lines"] == [
        {"line_id": "1", "sku": "X", "quantity": 2},
        {"line_id": "2", "sku": "Y", "quantity": 3, "node_id": "B"},
    ]
    # A: 0.90 + 0.20 + 2 * 0.05, B: 0.30. Zone of A, 54 miles.
    assert parcel["cost"] == {"shipping": "5.00", "handling": "1.50"}
    assert proposal.takes == (Take(0, 0, 3, 2, 0), Take(1, 0, 13, 3, 0))
    # The parcel counts where it leaves, units where they are.
    assert proposal.loads == (LoadTake(MON, 3, 1, 2, -1, -1), LoadTake(MON, 13, 0, 3, -1, -1))


def test_one_line_may_come_from_both():
    """3 at A and 4 at B, 6 wanted: one parcel, the line counted where each part of it is drawn."""
    (proposal,) = decided(window(dock(), [order("O", ("X", 6))], {"X": {"A": 3, "B": 4}}))
    (parcel,) = said(proposal)["parcels"]
    assert sum(line["quantity"] for line in parcel["lines"]) == 6
    assert {line.get("node_id", "A") for line in parcel["lines"]} == {"A", "B"}
    assert proposal.state == "allocated"


def test_the_first_that_may_serve_leads():
    """A excluded for the order: its parcels leave from B, with B's own place and rates, and A's stock stays."""
    stock = {"X": {"A": 5, "B": 5}}
    (proposal,) = decided(window(dock(), [order("O", ("X", 6), limits={"except_nodes": ["A", "C"]})], stock))
    (parcel,) = said(proposal)["parcels"]
    assert parcel["node_id"] == "B"
    assert parcel["lines"] == [{"line_id": "1", "sku": "X", "quantity": 5}]
    assert why(proposal) == [("X", 1, "out_of_stock", 5, 0, 0)]


def test_an_inactive_node_leads_nothing():
    """A inactive: the dock is B alone."""
    (proposal,) = decided(window(dock(A={"active": False}), [order("O", ("X", 1))], {"X": {"A": 5, "B": 5}}))
    assert said(proposal)["parcels"][0]["node_id"] == "B"


def test_what_a_member_cannot_handle_is_not_drawn_from_it():
    """Capabilities belong to the node that has the goods."""
    network = dock(A={"capabilities": ["hazmat"]})
    lines = lower(
        window(network, [order("O", ("X", 1))], {"X": {"A": 1, "B": 1}}, skus=[Sku(sku="X", requires=["hazmat"])])
    ).problem.lines
    assert column(lines.eligible) == [[True, False, False]]


def test_a_kit_is_whole_at_one_node():
    """Its parts come from one node of the dock, or there is no kit."""
    skus = [Sku(sku="K", components=[Component(sku="P", quantity=1), Component(sku="Q", quantity=2)])]
    asked = window(dock(), [order("O", ("K", 3))], {"P": {"A": 9, "B": 2}, "Q": {"A": 1, "B": 5}}, skus=skus)
    (proposal,) = decided(asked)
    assert where(proposal) == {("B", "K"): 2}
    assert said(proposal)["parcels"][0]["node_id"] == "A"
    assert [(take.sku, take.node, take.units) for take in proposal.takes] == [(1, 13, 2), (2, 13, 4)]
    assert why(proposal) == [("K", 1, "out_of_stock", 2, 0, 0)]


def test_held_units_along_the_dock_are_told():
    """All of B's are held by others: the reason is `held`, as if they stood at the first."""
    (proposal,) = decided(window(dock(), [order("O", ("X", 2))], {"X": {"B": {"on_hand": 3, "held": 3}}}))
    assert why(proposal) == [("X", 2, "held", 0, 3, 0)]


def test_units_count_at_each_node_and_parcels_at_the_first():
    """B may ship 2 units a day and A 1 parcel: 2 of 5 go; the second order finds no parcel left."""
    network = dock(A={"capacity": {"parcels_per_day": 1}}, B={"capacity": {"units_per_day": 2}})
    first, second = order("O1", ("X", 5), priority=1), order("O2", ("Y", 1))
    proposals = decided(window(network, [first, second], {"X": {"B": 5}, "Y": {"A": 1}}))
    assert [where(proposal) for proposal in proposals] == [{("B", "X"): 2}, {}]
    assert why(proposals[0]) == [("X", 3, "capacity", 5, 0, 0)]
    assert why(proposals[1]) == [("Y", 1, "capacity", 1, 0, 0)]
    assert [proposal.short_days for proposal in proposals] == [(MON,), (MON,)]


def test_the_snapshot_brings_the_days_of_the_whole_dock():
    """B's load on A's ship days bears on what A sends, though A has no limit of its own."""
    network = dock(B={"capacity": {"units_per_day": 2}})
    lowered = lower(window(network, [order("O", ("X", 5))], {"X": {"B": 5}}))
    assert days_of([order("O", ("X", 1))], network, lowered.window.snapshot.at_ms) == {MON, TUE}


def test_pickup_is_from_the_one_node():
    """Whoever fetches at B gets what B has, though B is not the dock's first."""
    asked = order("O", ("X", 3), pickup_node="B")
    (proposal,) = decided(window(dock(), [asked], {"X": {"A": 5, "B": 2}}))
    assert where(proposal) == {("B", "X"): 2}
    assert said(proposal)["parcels"][0]["node_id"] == "B"


def test_a_member_that_cannot_help_is_no_row():
    """B has all that the window can want and is no dearer than C: C is left out. A leads and stays."""
    costs = {"A": "0.20", "B": "0.10", "C": "0.10", "D": "0.05"}
    nodes = [node(n, dock="d", priority=i, costs={"per_line": costs[n]}) for i, n in enumerate(costs)]
    asked = window(compiled(document(nodes)), [order("O", ("X", 3))], {"X": {"A": 9, "B": 3, "C": 9, "D": 2}})
    lowered = lower(asked)
    assert column(lowered.rows.source) == [-1, 1, 3]
    assert column(lowered.problem.lines.more_line) == [0, -100, -150]
    assert where(decided(asked)[0]) == {("B", "X"): 3}


@pytest.mark.parametrize("seed", range(40))
def test_leaving_members_out_costs_nothing(seed, monkeypatch):
    """Whatever stock and prices: the same units ship at the same cost as with every node of the dock as a way."""
    rng = random.Random(seed)
    nodes = []
    for n in "ABCD":
        costs = {"per_line": rng.choice(["0.10", "0.20"]), "per_unit": rng.choice(["0", "0.05"])}
        limit = {"capacity": {"units_per_day": rng.randrange(1, 6)}} if rng.random() < 0.3 else {}
        nodes.append(node(n, dock="d", costs=costs, **limit))
    orders = [order(f"O{i}", ("X", rng.randrange(1, 4)), ("Y", 1)) for i in range(2)]
    stock = {sku: {n: rng.randrange(9) for n in "ABCD"} for sku in "XY"}
    asked = window(compiled(document(nodes)), orders, stock)
    lean = lower(asked)
    monkeypatch.setattr(rows, "useful", lambda *given: given[-1])
    full = lower(asked)
    assert len(lean.rows.line) <= len(full.rows.line)
    one, other = solve(lean.problem, Budget()), solve(full.problem, Budget())
    assert (one.boxes.take_units.sum(), one.total) == (other.boxes.take_units.sum(), other.total)
