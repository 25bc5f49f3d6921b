"""The budget of a window: counted work decides, the clock only cuts, and the answer always stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers import choose
from solvers.choose import Budget, solve
from solvers.menu import Supply
from solvers.plan import fits, plan_cost, use_of
from solvers.problem import InvalidProblemError, Objective, Problem
from solvers.quick import STEP, quick_plan
from solvers.solution import check
from tests.solvers.worlds import Want, Way, World, random_world


def hostile(orders: int, lines: int, quantity: int, nodes: int = 12) -> Problem:
    """Every order wants much of the same few SKUs, and there is half of it, spread over all nodes."""
    rng = np.random.default_rng(orders + lines + quantity)
    items = 2 * lines
    stock = rng.integers(0, 1 + orders * quantity // nodes // 2, (items, nodes)) * (rng.random((items, nodes)) < 0.5)
    world = World(
        stock.tolist(),
        curves=[[(1000 * (b + 1), 700 + 300 * b) for b in range(6)]],
        rooms=[(2 * orders, orders * lines)] * nodes,
        objective=Objective(split_parcel=300, late_per_day=200, unfilled_per_unit=5000),
    )
    for _ in range(orders):
        chosen = rng.choice(items, lines, replace=False).tolist()
        wants = [Want(i, int(rng.integers(1, quantity + 1)), int(rng.integers(50, 900))) for i in chosen]
        ways = [
            Way(k, 0, handle_unit=int(rng.integers(99)), max_weight_g=6000, late_days=int(rng.integers(2)), bucket=k)
            for k in range(nodes)
        ]
        world.order(wants, ways, int(rng.integers(2)))
    return world.problem()


@pytest.mark.parametrize(("lines", "quantity"), [(3, 3), (4, 12), (16, 4)])
@pytest.mark.parametrize("work", [1, 500_000, 4_000_000])
def test_a_hostile_window_keeps_to_its_work(lines: int, quantity: int, work: int) -> None:
    """What is spent beyond the budget is one step under way and a quick look or two per order, whatever was asked."""
    problem = hostile(24, lines, quantity)
    answer = solve(problem, Budget(work=work))
    assert check(problem, answer) == []
    assert answer.cut
    most_shipments = 12 + lines
    last_resort = 2 * problem.orders * STEP * most_shipments
    assert answer.work <= work + choose.OVERRUN + last_resort
    again = solve(problem, Budget(work=work))
    assert (again.total, again.work) == (answer.total, answer.work)


def test_out_of_time_at_once_every_order_still_has_a_plan() -> None:
    """The clock may run out before the first order is priced: all are planned by the quick method, one look each."""
    problem = hostile(24, 16, 4)
    answer = solve(problem, Budget(seconds=0.0, now=lambda: 1.0))
    assert (answer.solver, answer.cut, check(problem, answer)) == ("greedy", True, [])
    shipped = sum(int(shipment.units.sum()) for plan in answer.plans for shipment in plan)
    assert shipped > 0


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_the_quick_plan_fits_and_costs_what_it_says(start: int) -> None:
    """Weight limits, late days, capacity, repeated SKUs and economic fill: always feasible, priced exactly."""
    for seed in range(start, start + 100):
        problem = random_world(seed, lines=4, quantity=4, items=4)
        found, supply = quick_plan(problem, 0, Supply.of(problem)), Supply.of(problem)
        assert fits(use_of(problem, 0, found.plan), supply.stock, supply.parcels, supply.units), seed
        assert plan_cost(problem, 0, found.plan).total == found.cost
        assert len({shipment.option for shipment in found.plan}) == len(found.plan)
        if not problem.objective.fill_always:
            assert found.cost <= plan_cost(problem, 0, ()).total, seed


@pytest.mark.parametrize("limit", [30_000, 2**31 - 1, 2**62])
@pytest.mark.parametrize("lines", [1, 3, 14])
def test_absurd_weights_are_answered_and_never_raise(lines: int, limit: int) -> None:
    """Units of two thousand tonnes by the billion: they stay, and where no box holds one the rest ships without."""
    for bucket in (-1, 0):
        world = World([[2**40]] * (lines + 1), rooms=[(2**31, 2**40)], objective=Objective(unfilled_per_unit=1))
        wants = [Want(i, 2**31, 2**31, 2**31) for i in range(lines)]
        ways = [Way(0, ship_parcel=100, ship_per_kg=50, max_weight_g=limit, dim_divisor=5000, bucket=bucket)]
        world.order([*wants, Want(lines, 1, 100)], ways).order(wants, ways)
        problem = world.problem()
        for budget in (Budget(), Budget(work=1), Budget(floor=True)):
            answer = solve(problem, budget)
            assert check(problem, answer) == []
            if limit < 2**31:
                assert sum(int(shipment.units[-1]) for shipment in answer.plans[0]) == 1
                assert answer.plans[1] == ()


def test_a_bucket_belongs_to_one_node() -> None:
    """Room is a node's own: a window whose bucket serves two nodes is refused."""
    problem = World([[1, 1]], rooms=[(1, 1)]).order([Want(0)], [Way(0, bucket=0), Way(1)]).problem()
    shared = replace(problem, options=replace(problem.options, bucket=np.array([0, 0], np.int64)))
    with pytest.raises(InvalidProblemError, match="every bucket at one node"):
        shared.validate()


def test_a_gap_that_is_good_enough_saves_work() -> None:
    """Whoever is content with less than the best gets it sooner, proven to be within what was asked."""
    problem = hostile(12, 2, 2, nodes=4)
    exact, content = (solve(problem, Budget(work=100_000_000, gap=gap)) for gap in (0.0, 0.05))
    assert exact.gap == 0
    assert content.gap is not None
    assert 0 < content.gap <= 0.05
    assert content.work < exact.work
    assert check(problem, content) == []
