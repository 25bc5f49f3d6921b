"""What a run measures, held against decisions that are reckoned by hand."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from engine.network_document import Capacity
from engine.simulation.figures import Figures, kpis, utilisation
from engine.simulation.running import Watch, run
from tests.engine.making import MONDAY
from tests.engine.simulation.worlds import WEST, order, outcomes_of, setting, with_policy, world


async def test_figures_are_the_sums_of_the_rows():
    """The KPIs and the table of decisions tell one story."""
    stock = {("E", "P"): 6, ("W", "P"): 6, ("E", "Q"): 3, ("M", "R"): 4}
    orders = [order(str(k), k, {"P": 1, "Q": 2} if k % 2 else {"P": 1, "R": 1}) for k in range(12)]
    found = []
    figures = await run(setting(world(stock), window_ms=4_000), orders, Watch(settled=found.extend))
    for name in ("units", "units_shipped", "lines", "lines_filled", "parcels", "total", "shipping", "unfilled"):
        assert getattr(figures, name) == sum(getattr(each, name) for each in found)
    assert figures.distance_m == sum(each.distance_m for each in found)
    assert figures.orders_split == sum(each.parcels > 1 for each in found) > 0
    assert figures.parcels_per_order == {k: sum(each.parcels == k for each in found) for k in figures.parcels_per_order}
    assert sum(load.parcels for days in figures.loads.values() for load in days.values()) == figures.parcels
    assert sum(flow.mills for to in figures.flows.values() for flow in to.values()) == (
        figures.shipping + figures.handling
    )
    assert sum(day.orders for day in figures.days.values()) == 12
    assert sum(short.units for short in figures.short.values()) == figures.units - figures.units_shipped


async def test_an_order_costs_and_goes_as_far_as_its_parcels():
    """One order from the western node to the west: 5.00 to the nearest zone, some 100 km, nothing late or split."""
    found = await outcomes_of(setting(world()), [order("1", 0, ship_to=WEST)])
    outcome = found["1"]
    assert (outcome.nodes, outcome.parcels, outcome.total, outcome.split) == ("W", 1, 5_000, 0)
    assert outcome.distance_m == pytest.approx(111_000, rel=0.05)


async def test_lateness_counts_the_days_after_the_date_where_the_order_goes():
    """Two days of transit from the middle against a date of tomorrow: one order late by a day or more, one in time."""
    base = with_policy(world({("M", "P"): 10}))
    late = order("late", 0, deliver_by=MONDAY + timedelta(days=1))
    early = order("early", 1, deliver_by=MONDAY + timedelta(days=20))
    found = []
    figures = await run(setting(base), [late, early, order("free", 2)], Watch(settled=found.extend))
    days = {each.order_id: each.late_days for each in found}
    assert days["late"] > 0 == days["early"] == days["free"]
    assert figures.late == days["late"] * 5_000
    assert (figures.orders_dated, figures.orders_late, figures.late_days) == (2, 1, days["late"])


async def test_parts_of_a_demand_add_up_to_the_whole():
    """Figures can be merged: those of two halves that do not touch each other are those of both."""
    east = [order(f"e{k}", k) for k in range(5)]
    west = [order(f"w{k}", 100 + k, {"Q": 1}, ship_to=WEST) for k in range(7)]
    merged = Figures()
    for part in (east, west):
        merged.merge(await run(setting(world()), part))
    assert merged == await run(setting(world()), [*east, *west])


async def test_utilisation_is_what_a_day_ships_of_what_it_may():
    """The fuller of parcels and units; None where a node has no limit."""
    figures = await run(setting(world({("E", "P"): 10, ("W", "P"): 0})), [order(str(k), k, {"P": 2}) for k in range(4)])
    [full] = utilisation(figures, {"E": Capacity(parcels_per_day=8, units_per_day=10)})
    [free] = utilisation(figures, {})
    assert (full.node_id, full.parcels, full.units, full.used) == ("E", 4, 8, 0.8)
    assert free.used is None


def test_indicators_of_nothing_are_zero():
    """A run in which nothing came divides by nothing."""
    told = msgspec.structs.asdict(kpis(Figures(), 0.2))
    assert set(told.values()) == {0, None}
