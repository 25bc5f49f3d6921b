"""Scenarios beside the baseline: intervals, and who moved where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.simulation.comparing import Shift, compared, moves, paired, shifted_flows
from engine.simulation.figures import kpis
from engine.simulation.running import Watch, run
from engine.simulation.trail import Trail, load, save
from tests.engine.simulation.worlds import WEST, order, setting, world


def test_paired_differences_have_the_interval_of_students_t():
    """The textbook's interval of a mean of differences, here reckoned by SciPy's t-test."""
    base, other = [10.0, 12.0, 9.0, 11.0], [11.0, 14.5, 9.5, 13.0]
    found = paired(base, other)
    expected = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert found.difference == pytest.approx(1.5)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_one_seed_says_nothing_of_chance():
    """There is no interval where there is nothing to take it from."""
    found = paired([1.0], [2.5])
    assert (found.difference, found.low, found.high) == (1.5, None, None)


async def trail_of(of, orders):
    trail = Trail()
    figures = await run(of, orders, Watch(settled=trail.add))
    return figures, trail.columns()


async def test_orders_that_move_are_told_by_where_from_and_where_to():
    """Without stock in the east its orders ship from the middle at 2.00 more; those to the west stay as they are."""
    orders = [*(order(f"e{k}", k) for k in range(3)), *(order(f"w{k}", 9 + k, ship_to=WEST) for k in range(2))]
    before, base = await trail_of(setting(world()), orders)
    after, other = await trail_of(setting(world({("M", "P"): 9, ("W", "P"): 9})), [*orders, order("new", 20)])
    found = moves(base, other)
    assert (found.orders, found.moved, found.only_baseline, found.only_scenario) == (5, 3, 0, 1)
    assert found.shifts == (Shift("E", "M", 3, 3 * 2_000),)
    assert {move.order_id for move in found.dearest} == {"e0", "e1", "e2"}
    assert found.cheapest == ()
    assert moves(other, base).shifts == (Shift("M", "E", 3, -3 * 2_000),)
    flows = {
        (each.node_id, each.region): (each.parcels, each.mills) for each in shifted_flows(before.flows, after.flows)
    }
    assert flows == {("E", "US-NY"): (-3, -15_000), ("M", "US-NY"): (4, 28_000)}
    assert compared([kpis(before, 0.2)], [kpis(after, 0.2)])["orders"].difference == 1


async def test_trails_pass_from_process_to_process(tmp_path):
    """What one process wrote another reads, names and all; also of a run in which nothing shipped."""
    for orders in ([order("1", 0), order("2", 1, {"X": 1})], []):
        _, columns = await trail_of(setting(world()), orders)
        save(columns, tmp_path / "trail")
        read = load(tmp_path / "trail")
        assert read.names == columns.names
        assert all(np.array_equal(a, b) for a, b in zip(read[:4], columns[:4], strict=True))
