"""Fill before money on large orders: as many units as stock holds, whatever the work, the services and the limits."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.cover import cheapest_cover
from solvers.fill import targets
from solvers.menu import Supply
from solvers.plan import Priced, fits, plan_cost, use_of
from solvers.problem import UNLIMITED, Objective, Problem
from solvers.purse import Purse
from solvers.quick import quick_plan
from solvers.simple import simple_orders
from tests.solvers.worlds import Want, Way, World


def scarce(seed: int, *, end_g: int = 70_000, divisor: int = 0, limits: tuple[int, ...] = ()) -> Problem:
    """One large order over thin stock; limits, services, repeated SKUs, barred nodes, ample rooms as the seed has it.

    Curves end at `end_g`, beyond every weight limit unless the test says otherwise.
    """
    rng = np.random.default_rng(seed)
    lines, nodes = int(rng.choice([13, 16, 20, 40])), int(rng.choice([3, 10, 20, 50]))
    most, services = int(rng.choice([3, 12, 100])), int(rng.integers(1, 4))
    items = lines if rng.random() < 0.4 else lines - 3
    held = rng.random((items, nodes)) < rng.choice([0.03, 0.1, 0.3])
    limits = limits or [(30_000,), (UNLIMITED,), (30_000, 15_000), (30_000, 68_000, 5_000)][int(rng.integers(4))]
    end_g = 10**8 if UNLIMITED in limits else end_g
    curves = [[(end_g * (b + 1) // 10, 700 + 300 * b * (c + 1)) for b in range(10)] for c in range(3)]
    late, split = int(rng.choice([0, 200])), int(rng.choice([0, 300]))
    world = World(
        (rng.integers(1, most + 1, (items, nodes)) * held).tolist(),
        curves=curves,
        rooms=[(10**5, 10**7)] * nodes,
        objective=Objective(split_parcel=split, late_per_day=late, unfilled_per_unit=500),
    )
    weight = rng.integers(0, int(rng.choice([200, 3_000, 20_000])), items).tolist()
    volume = (rng.integers(1, 9, items) * 100_000).tolist()
    barred = rng.random() < 0.6
    wants = [
        Want(
            line % items,
            int(rng.integers(1, most + 1)),
            weight[line % items],
            volume[line % items],
            np.flatnonzero(rng.random(nodes) < 0.6).tolist() if barred and rng.random() < 0.5 else None,
        )
        for line in range(lines)
    ]
    ways = [
        Way(
            node,
            int(rng.integers(3)),
            handle_unit=int(rng.integers(99)),
            max_weight_g=int(rng.choice(limits)),
            dim_divisor=divisor,
            late_days=int(rng.integers(3)),
            bucket=node if seed % 2 else -1,
        )
        for node in range(nodes)
        for _ in range(services)
    ]
    return world.order(wants, ways).problem()


def most_units(problem: Problem) -> int:
    """The units that stock can serve, SKU by SKU, by a flow that shares no code with the cover."""
    supply = Supply.of(problem)
    simple, _ = simple_orders(problem, np.arange(problem.orders), supply, Purse(UNLIMITED), work=10**6)
    fill = targets(problem, supply, simple)
    return int(problem.lines.quantity[fill.row < 0].sum() + fill.units.sum())


def covered(problem: Problem, work: int) -> Priced:
    """The cover on all there is, checked to be feasible and priced exactly."""
    rooms = problem.bucket_parcels, problem.bucket_units
    found = cheapest_cover(problem, 0, problem.stock, *rooms, work=work)
    assert fits(use_of(problem, 0, found.plan), problem.stock, *rooms)
    assert plan_cost(problem, 0, found.plan).total == found.cost
    assert sum(int(shipment.units.sum()) for shipment in found.plan) == found.filled
    shipped = sum((units for _, units in found.plan), np.zeros(len(problem.lines.item), np.int64))
    assert (shipped <= problem.lines.quantity).all()
    assert len({shipment.option for shipment in found.plan}) == len(found.plan)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_everything_that_stock_can_serve_ships_whatever_the_work(seed: int) -> None:
    """Where no room binds fill is exact: several services, limits, repeated SKUs barred from some nodes, any work."""
    problem = scarce(seed)
    for work in (1, 1_000_000):
        assert covered(problem, work).filled == most_units(problem)


@pytest.mark.parametrize("seed", range(64, 76))
def test_a_curve_that_ends_below_the_box_limit_never_costs_fill_against_the_quick_plan(seed: int) -> None:
    """Where one shipment cannot carry what a node holds, the rest goes by its other services and from other nodes."""
    problem = scarce(seed, end_g=12_000, limits=(30_000,))
    quick = quick_plan(problem, 0, Supply.of(problem))
    for work in (1, 1_000_000):
        assert covered(problem, work).filled >= quick.filled


@pytest.mark.parametrize("seed", range(76, 88))
def test_bulky_goods_never_leave_an_order_empty(seed: int) -> None:
    """Dimensional weight beyond the curve forbids full boxes, not the order: at least what the quick plan ships."""
    problem = scarce(seed, divisor=100, limits=(30_000,))
    quick = quick_plan(problem, 0, Supply.of(problem))
    for work in (1, 1_000_000):
        assert covered(problem, work).filled >= quick.filled


def test_one_unit_too_bulky_for_any_box_stays_and_the_rest_ships() -> None:
    """The first line has no price by its volume: it is not what the other lines are cut down for."""
    world = World([[9, 9]] * 14, curves=[[(30_000, 900)]])
    wants = [Want(0, 1, 100, 50_000_000), *(Want(item, 2, 100) for item in range(1, 14))]
    problem = world.order(wants, [Way(k, 0, dim_divisor=1000, max_weight_g=30_000) for k in (0, 1)]).problem()
    found = covered(problem, 1)
    assert (found.filled, found.cost) == (26, 900)
