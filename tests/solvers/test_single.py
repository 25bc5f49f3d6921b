"""The cheapest plan of one order, against the exhaustive referee."""

from __future__ import annotations

import numpy as np
import pytest

from solvers import brute
from solvers.guided import guided
from solvers.limits import broken
from solvers.plan import Priced, fits, plan_cost, use_of
from solvers.problem import Objective, Problem
from solvers.single import cheapest_plan
from tests.solvers.worlds import Want, Way, World, random_limited_world, random_world


def priced(problem: Problem, work: int = 10**6) -> Priced:
    """The plan of order 0 on all the stock, checked for feasibility and for the cost it claims."""
    free = (problem.stock, problem.bucket_parcels, problem.bucket_units)
    found = cheapest_plan(problem, 0, *free, work=work)
    assert plan_cost(problem, 0, found.plan).total == found.cost
    assert fits(use_of(problem, 0, found.plan), *free)
    assert sum(int(s.units.sum()) for s in found.plan) == found.filled
    return found


@pytest.mark.parametrize("start", range(0, 600, 60))
def test_no_plan_beats_it_on_random_orders(start: int) -> None:
    """Weight limits, lanes, late days, split cost, capacity, repeated SKUs: nothing may be missed by the DP."""
    for seed in range(start, start + 60):
        size = {"nodes": 2 if seed % 2 else 3, "lines": 2 if seed % 5 else 3, "quantity": 2 if seed % 3 else 3}
        problem = random_world(seed, **size)
        try:
            best = brute.best_plan(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units)
        except brute.TooLargeError:
            continue
        found = priced(problem)
        assert found.cost == found.bound == best.cost, seed
        assert found.filled == best.filled or not problem.objective.fill_always, seed


@pytest.mark.parametrize("start", range(0, 400, 50))
def test_no_lawful_plan_beats_it_under_any_limits(start: int) -> None:
    """Limits, groups, alternatives, kits, docks, lone and dated units: the DP keeps them all and stays optimal."""
    for seed in range(start, start + 50):
        problem = guided(random_limited_world(seed)).problem
        free = (problem.stock, problem.bucket_parcels, problem.bucket_units)
        for order in range(problem.orders):
            try:
                best = brute.best_plan(problem, order, *free)
            except brute.TooLargeError:
                continue
            found = cheapest_plan(problem, order, *free, work=10**6)
            assert broken(problem, order, found.plan) is None, seed
            assert fits(use_of(problem, order, found.plan), *free), seed
            assert found.cost == found.bound == best.cost == plan_cost(problem, order, found.plan).total, seed
            assert found.filled == best.filled or not problem.objective.fill_always, seed


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_whole_lines_fill_as_much_as_the_exact_method(start: int) -> None:
    """Large quantities take the unproven way, which must stay feasible and, with one line per SKU, full."""
    for seed in range(start, start + 50):
        problem = random_world(seed, quantity=3, capacity=False, fill_always=True)
        exact, rough = priced(problem), priced(problem, work=1)
        assert rough.cost >= exact.cost or rough.filled < exact.filled
        if len(set(problem.lines.item.tolist())) == len(problem.lines.item):
            assert rough.filled == exact.filled, seed


def test_one_parcel_of_both_lines_beats_two_cheap_ones() -> None:
    """The DP weighs one dearer parcel against the sum of two cheap ones, split penalty included."""
    world = World([[1, 0, 1], [0, 1, 1]], objective=Objective(split_parcel=100))
    world.order([Want(0), Want(1)], [Way(0, ship_parcel=500), Way(1, ship_parcel=500), Way(2, ship_parcel=1099)])
    # 500 + 500 + split 100 = 1100 against 1099
    found = priced(world.problem())
    assert (found.cost, [s.option for s in found.plan]) == (1099, [2])


def test_a_line_is_split_over_nodes_when_no_node_has_it_all() -> None:
    """Fill comes first: three units from two nodes rather than two units from one."""
    world = World([[2, 1]]).order([Want(0, 3)], [Way(0, ship_parcel=100), Way(1, ship_parcel=999)])
    found = priced(world.problem())
    assert (found.filled, found.cost) == (3, 1099)


def test_with_economic_fill_a_unit_stays_when_shipping_is_dearer() -> None:
    """`fill_always` false lets money alone decide."""
    ways = [Way(0, ship_parcel=1000)]
    for penalty, filled in ((999, 0), (1001, 1)):
        objective = Objective(fill_always=False, unfilled_per_unit=penalty)
        assert priced(World([[1]], objective=objective).order([Want(0)], ways).problem()).filled == filled


def test_equal_prices_go_to_the_lower_node() -> None:
    """Ties are broken the same way every time: lower node, then earlier option."""
    world = World([[1, 1, 1]]).order([Want(0)], [Way(2), Way(1), Way(1)])
    assert [s.option for s in priced(world.problem()).plan] == [0]


def test_two_billion_units_are_priced_at_once() -> None:
    """The largest quantity an order line can hold neither overflows nor takes long."""
    most = 2**31 - 1
    world = World([[most - 5, 2**40]]).order([Want(0, most, weight_g=0)], [Way(0, ship_unit=1), Way(1, ship_unit=2)])
    found = priced(world.problem())
    assert found.filled == most
    assert found.cost <= 2 * most


def test_twelve_lines_are_exact_and_work_bounds_the_search() -> None:
    """Twelve single lines are within the DP; a smaller work bound falls back to an unproven plan."""
    rng = np.random.default_rng(1)
    world = World(rng.integers(0, 2, (12, 8)).tolist())
    world.order(
        [Want(i) for i in range(12)], [Way(k, ship_parcel=1000 + k, ship_unit=int(rng.integers(9))) for k in range(8)]
    )
    exact, rough = priced(world.problem()), priced(world.problem(), work=1000)
    assert exact.bound == exact.cost <= rough.cost
    assert rough.bound is None
    assert exact.filled == rough.filled
