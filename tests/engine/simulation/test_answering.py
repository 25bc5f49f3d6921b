"""What a simulation answers, held against what its runs measured and what can be reckoned by hand."""

from __future__ import annotations

import msgspec
import pytest

from engine.policy.document import Policy, Rule, Then
from engine.pricing.sheet import Keep
from engine.simulation.answering import Answer, answered
from engine.simulation.measuring import Meter
from engine.simulation.questions import asked
from engine.simulation.scenario import BASELINE, Run, Simulation, runs_of
from engine.simulation.simulating import Result, performed, prepared
from engine.simulation.trail import Trail
from engine.simulation.world import World
from tests.engine.making import compiled, document, node
from tests.engine.sheets import price_sheet
from tests.engine.simulation.worlds import EAST, simulation, with_policy, world

DEMAND = {
    "generator": {
        "since": "2026-11-23T00:00:00Z",
        "days": 1,
        "orders_per_day": 40,
        "lines": [1],
        "quantities": [1],
        "destinations": [
            {"ship_to": msgspec.to_builtins(EAST) | {"timezone": None, "zone": None, "postal_code": None}}
        ],
    }
}


async def run_all(of: Simulation, base: World) -> tuple[Simulation, World, list[Result]]:
    of = asked(of, base)
    begin = prepared(of, base)
    return of, begin, [await performed(of, begin, one) for one in runs_of(of)]


def asking(**fields) -> Simulation:
    """Orders of one unit to the east, no prices, two seeds unless told otherwise."""
    return simulation(**({"demand": DEMAND, "scenarios": [], "seeds": [1, 2], "pricing": {"on": False}} | fields))


async def test_a_rule_costs_what_its_orders_pay_more():
    """All go to the east: from the middle, as a rule demands, each costs 2.00 more than from the east."""
    base = with_policy(world(1_000), rules=[Rule(name="middle only", then=Then(nodes=["M"]))])
    of, begin, results = await run_all(asking(questions={"price_of_policy": {}}), base)
    found = answered(of, begin, results).price_of_policy
    orders = [result.figures.orders for result in results if result.run.scenario == BASELINE]
    [part] = found.parts
    assert found.together is None
    assert (found.policy_id, part.what, part.scenario) == ("default", "rule middle only", "without rule middle only")
    assert part.cost.value == pytest.approx(2.00 * sum(orders) / 2)
    assert part.cost.low <= part.cost.value <= part.cost.high


async def test_the_parts_of_a_policy_stand_beside_the_whole():
    """Two rules that force the same: dropping either saves nothing, dropping both does. The dearest part is first."""
    rules = [Rule(name=name, then=Then(nodes=["M"])) for name in ("one", "two")]
    base = msgspec.structs.replace(world(1_000), policies={"default": Policy(rules=rules)})
    of, begin, results = await run_all(asking(questions={"price_of_policy": {}}), base)
    found = answered(of, begin, results).price_of_policy
    assert [part.cost.value for part in found.parts] == [0.0, 0.0]
    assert found.together.cost.value > 0


async def test_nodes_are_ranked_by_what_closing_them_costs():
    """Only the eastern node serves the east: closing it costs 2.00 an order, closing another nothing."""
    of, begin, results = await run_all(asking(questions={"closings": True}), world(1_000))
    found = answered(of, begin, results).closings
    orders = sum(result.figures.orders for result in results if result.run.scenario == BASELINE) / 2
    assert [(closing.node_id, closing.parcels) for closing in found] == [("M", 0), ("W", 0), ("E", orders)]
    assert [closing.cost.value for closing in found] == [0, 0, pytest.approx(2.00 * orders)]
    assert found[-1].cost.low <= found[-1].cost.value <= found[-1].cost.high


async def test_a_curve_has_its_points_by_value_with_every_indicator():
    """Whatever sequence the values were written in; at each value the differences of that scenario's report."""
    sweep = {"name": "kept", "parameter": "safety_stock", "values": [100, 0]}
    of, begin, results = await run_all(asking(questions={"sweeps": [sweep]}), world(100))
    answer = answered(of, begin, results)
    [curve] = answer.curves
    reports = {report.scenario: report for report in answer.reports}
    assert [(point.value, point.scenario) for point in curve.points] == [(0, "kept 0"), (100, "kept 100")]
    assert all(point.indicators == reports[point.scenario].differences for point in curve.points)
    assert curve.points[1].indicators["fill_units"].difference == -1


async def test_what_more_stock_saves_is_measured_by_runs_that_have_it():
    """No unit anywhere: prices say nothing, for nothing lies there, but a run with units ships them all."""
    of = asking(
        pricing={"on": True}, questions={"worth": {"skus": ["P"], "units": 500, "measured": True, "nodes": ["E", "M"]}}
    )
    of, begin, results = await run_all(of, world({("E", "P"): 0, ("M", "P"): 0}))
    [worth] = answered(of, begin, results).worth
    orders = sum(result.figures.short["P"].units for result in results if result.run.scenario == BASELINE) / 2
    assert (worth.sku, worth.units, worth.short) == ("P", 500, orders)
    east, middle = worth.cells
    assert (east.node_id, middle.node_id) == ("E", "M")
    assert east.measured.value - middle.measured.value == pytest.approx(2.00 * orders)
    assert (east.price.value, east.by_price, east.priced) == (0, 0, 0)


def test_prices_are_means_over_the_sheets_that_have_them():
    """Two of four sheets price the cell, at 0.10 and 0.30: 0.20 in the mean, half of the time, 200 for 1,000 units."""
    of = asking(pricing={"on": True}, seeds=[1], questions={"worth": {"skus": ["P"]}})
    meter, network = Meter(), compiled(document([node("E")]))
    for mills in (100, 300, None, None):
        east = network.numbers["E"]
        stock = {} if mills is None else {"P": [Keep(east, mills), Keep(99, 9)], "Q": [Keep(east, 9)]}
        meter.sheet("lp")
        meter.prices(price_sheet(stock), ["P"], network)
    results = [Result(Run(BASELINE, 1), meter.figures, Trail().columns())]
    [worth] = answered(of, world(), results).worth
    [cell] = worth.cells
    assert (cell.node_id, cell.price.value, cell.priced, cell.by_price) == ("E", pytest.approx(0.2), 0.5, 200)
    assert cell.measured is None


async def test_a_run_tells_the_prices_of_what_was_asked_about():
    """Scarce stock in the east has a price there while orders come; other SKUs are left out."""
    generator = DEMAND["generator"] | {"orders_per_day": 300, "destinations": []}
    of = asking(
        demand={"generator": generator},
        seeds=[1],
        pricing={"orders_min": 20, "programme_hours": 2, "minutes": 9},
        questions={"worth": {"skus": ["P"], "units": 10}},
    )
    of, begin, results = await run_all(of, world(40))
    [base] = [result for result in results if result.run.scenario == BASELINE]
    assert base.figures.prices.keys() == {"P"}
    [worth] = answered(of, begin, results).worth
    assert worth.cells[0].price.value > 0
    assert worth.cells[0].by_price == pytest.approx(10 * worth.cells[0].price.value)


async def test_the_same_results_give_the_same_bytes():
    """An answer can be made again anywhere, from results in whatever sequence they came; it is plain JSON."""
    of, begin, results = await run_all(asking(questions={"closings": ["E"]}), world(5))
    body = msgspec.json.encode(answered(of, begin, results))
    assert msgspec.json.encode(answered(of, begin, results[::-1])) == body
    assert msgspec.json.encode(msgspec.json.decode(body, type=Answer)) == body


async def test_nodes_and_regions_have_their_places():
    """What a map needs: every node that some scenario has, and each region in the middle of its parcels."""
    new = {"node_id": "N", "country": "US", "lat": 30.0, "lon": -90.0}
    of = asking(scenarios=[{"name": "new", "patches": [{"add_node": {"node": new}}]}])
    of, begin, results = await run_all(of, world(100))
    answer = answered(of, begin, results)
    assert {place.name: (place.lat, place.lon) for place in answer.nodes} == {
        "E": (40.0, -75.0),
        "M": (38.5, -98.0),
        "N": (30.0, -90.0),
        "W": (34.0, -117.0),
    }
    [region] = answer.regions
    assert (region.name, region.lat, region.lon) == ("US-NY", pytest.approx(40.7), pytest.approx(-74.0))


async def test_questions_are_answered_as_far_as_their_runs_go():
    """A job that lost a run still answers what the others say."""
    of, begin, results = await run_all(asking(questions={"closings": True}), world(100))
    left = [result for result in results if result.run.scenario != "close M"]
    assert [closing.node_id for closing in answered(of, begin, left).closings] == ["W", "E"]
