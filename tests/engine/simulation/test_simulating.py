"""A whole simulation as a job does it: prepared, performed run by run, reported."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from engine.domain import Limits
from engine.errors import InvalidInputError
from engine.policy.document import Policy, Rule, Then
from engine.simulation.patching import setting_of
from engine.simulation.questions import closings, price_of_policy, sweep
from engine.simulation.questions_document import Sweep
from engine.simulation.recorded import spooled
from engine.simulation.scenario import BASELINE, Simulation, runs_of
from engine.simulation.simulating import Report, expected_orders, performed, prepared, reported
from engine.simulation.world import World, packed, unpacked
from tests.engine.making import MONDAY
from tests.engine.simulation.worlds import order, patched, simulation, with_policy, world


async def reports_of(of: Simulation, base: World) -> list[Report]:
    begin = prepared(of, base)
    return reported(of, begin, [await performed(of, begin, one) for one in runs_of(of)])


async def test_closing_a_node_is_told_beside_the_baseline_with_intervals_over_seeds():
    """The whole way: three seeds, a baseline that nobody asked for, paired differences, moves and flows."""
    of = simulation(
        seeds=[1, 2, 3],
        pricing={"on": False},
        scenarios=[{"name": "no east", "patches": [{"close_node": {"node_id": "E"}}]}],
    )
    base, closed = await reports_of(of, world(1_000))
    assert (base.scenario, closed.scenario) == (BASELINE, "no east")
    assert base.differences == {} == dict.fromkeys(base.moves)
    dearer = closed.differences["cost"]
    assert dearer.low is not None
    assert dearer.high is not None
    assert 0 < dearer.low < dearer.difference < dearer.high
    assert closed.differences["orders"].difference == 0
    assert "E" in base.figures.loads
    assert "E" not in closed.figures.loads
    assert len(closed.moves) == 3
    assert all("E" in shift.before for told in closed.moves for shift in told.shifts)
    assert sum(flow.parcels for flow in closed.flows if flow.node_id == "E") < 0
    assert len(base.kpis) == 3


async def test_a_scenario_that_changes_nothing_differs_in_nothing():
    """Common random numbers: the same orders meet the same stock, so every difference is exactly 0."""
    of = simulation(pricing={"on": False}, scenarios=[{"name": "same", "patches": [{"safety_stock": {"units": 0}}]}])
    _, same = await reports_of(of, world(3))
    assert {each.difference for each in same.differences.values()} == {0}
    assert same.moves[0].moved == 0
    assert same.flows == ()


async def test_recorded_orders_are_simulated_from_what_was_written_down(tmp_path):
    """An upload or a period of history: the same orders in every scenario, and its factor counts."""
    history = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}
    of = simulation(demand={"history": history}, pricing={"on": False})
    spool = spooled([order(str(k), k) for k in range(40)], tmp_path / "orders", of.orders_max)
    begin = prepared(of, world(), spool)
    base, more = [await performed(of, begin, one, spool.path) for one in runs_of(of)]
    assert base.figures.orders == 40
    assert more.figures.orders == pytest.approx(expected_orders(of, begin, more.run, spool), abs=10)
    with pytest.raises(InvalidInputError):
        prepared(of, world(), spooled([], tmp_path / "none", 10))


def test_generated_stock_covers_the_days_it_is_to_and_is_the_same_for_all():
    """So many days of each SKU's demand, to a unit, at some of the nodes; by its own seed."""
    generator = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 1_000, "skus": {"P": 3, "Q": 1}}
    of = simulation(
        demand={"generator": generator | {"lines": [1], "quantities": [1]}}, stock={"generator": {"cover_days": 2}}
    )
    begin = prepared(of, world())
    assert begin == prepared(of, world())
    units = {sku: sum(row.on_hand for row in begin.stock if row.sku == sku) for sku in "PQ"}
    assert units == {"P": 1_500, "Q": 500}


def test_a_world_passes_from_process_to_process():
    """A worker gets the very documents that were checked."""
    base = with_policy(world(), limits=Limits(max_parcels=2), rules=[Rule(name="east", then=Then(nodes=["E"]))])
    assert unpacked(packed(base)) == base


def test_every_patch_changes_what_it_says_and_nothing_else():
    """Each of the ways to ask "what if", looked at in the world that it makes."""
    until = (MONDAY + timedelta(days=1)).isoformat()
    of = patched(
        {"capacity": {"node_id": "E", "parcels_per_day": 7}},
        {"cutoff": {"node_id": "E", "cutoff": "12:00"}},
        {"surcharge": {"carrier": "usps", "surcharge_percent": "10"}},
        {"safety_stock": {"units": 2, "node_id": "W", "skus": ["P"]}},
        {"policy": {"merge": {"objective": {"split_parcel": "1.50"}, "limits": {"max_parcels": 2}}}},
        {"window": {"seconds": 600, "max_orders": 50}},
        {"hold": {"hours": 4}},
        {"prices": {"on": False}},
        {"strike": {"carrier": "usps", "since": MONDAY.isoformat(), "until": until}},
        {"demand_factor": 1.3},
        {"move_stock": {"from_node": "E", "to_node": "M", "share": 0.25, "skus": ["P"]}},
        {"add_stock": {"node_id": "W", "sku": "Q", "units": 11}},
    )
    before, after = (setting_of(of, name, world()) for name in (BASELINE, "other"))
    east = after.world.network.nodes[0]
    assert (east.capacity.parcels_per_day, east.capacity.units_per_day, east.cutoff) == (7, None, "12:00")
    assert after.world.network.carriers[0].surcharge_percent == "10"
    policy = after.world.policies["default"]
    assert (policy.objective.split_parcel, policy.objective.late_per_day) == ("1.50", "5.00")
    assert (policy.limits.max_parcels, policy.window.max_orders, policy.reoptimise.mode) == (2, 50, "on")
    assert (after.window_ms, after.hold_ms, after.pricing.on, after.demand_factor) == (
        600_000,
        4 * 3_600_000,
        False,
        1.3,
    )
    changed = {
        (row.node_id, row.sku): (row.on_hand, row.safety) for row in after.world.stock if row not in before.world.stock
    }
    assert changed == {
        ("W", "P"): (100, 2),
        ("W", "Q"): (111, None),
        ("E", "P"): (75, None),
        ("M", "P"): (125, None),
    }
    assert before == setting_of(simulation(), BASELINE, world())


def test_nodes_and_cards_are_added_and_the_baseline_can_be_patched_itself():
    """Patches of the baseline are under those of every scenario."""
    new = {"node_id": "N", "country": "US", "lat": 30.0, "lon": -90.0}
    of = simulation(
        baseline=[{"window": {"seconds": 5}}, {"add_node": {"node": new, "stock": [{"sku": "P", "on_hand": 9}]}}],
        scenarios=[{"name": "closed", "patches": [{"close_node": {"node_id": "N"}}]}],
    )
    base, closed = (setting_of(of, name, world()) for name in (BASELINE, "closed"))
    assert base.window_ms == closed.window_ms == 5_000
    assert [node.active for node in base.world.network.nodes if node.node_id == "N"] == [True]
    assert [node.active for node in closed.world.network.nodes if node.node_id == "N"] == [False]
    assert [row.on_hand for row in base.world.stock if row.node_id == "N"] == [9]


def test_questions_make_one_scenario_for_each_answer():
    """Each rule and limit dropped alone and all together; each node closed; each value of a number."""
    policy = Policy(limits=Limits(max_parcels=1), rules=[Rule(name="east", then=Then(nodes=["E"]))])
    base = msgspec.structs.replace(world(), policies={"default": policy})
    drops = price_of_policy("default", policy)
    assert [drop.scenario.name for drop in drops] == [
        "without rule east",
        "without limit max_parcels",
        "without rules and limits",
    ]
    of = msgspec.structs.replace(simulation(), scenarios=[drop.scenario for drop in drops])
    rule, limit, both = (setting_of(of, each.scenario.name, base).world.policies["default"] for each in drops)
    assert (rule.rules, rule.limits) == ([], policy.limits)
    assert (limit.rules, limit.limits) == (policy.rules, Limits())
    assert both == Policy()
    assert price_of_policy("default", Policy()) == []
    assert [each.name for each in closings(base).values()] == ["close E", "close M", "close W"]
    curve = sweep(Sweep(name="held", parameter="hold", values=[0, 1, 4.5]))
    assert [each.name for each in curve] == ["held 0", "held 1", "held 4.5"]
