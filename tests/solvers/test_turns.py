"""Windows of large orders: what the compiled search and other turns promise, on orders that want the same stock."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.alone import plans_alone
from solvers.choose import Budget, solve
from solvers.column import key_of
from solvers.cover import LEAST, plain_plan
from solvers.greedy import one_by_one, sequence
from solvers.menu import Supply
from solvers.plan import Priced, fits, plan_cost, use_of
from solvers.problem import Objective, Problem
from solvers.purse import Purse
from solvers.single import cheapest_plan
from solvers.solution import check
from solvers.turns import in_other_turns
from tests.solvers.test_cover_gap import BOX_G, parcel_curve, realistic
from tests.solvers.worlds import Want, Way, World

WORK = 3_000_000


def crowd(seed: int, *, orders: int = 5, lines: int = 14, nodes: int = 6, stock: int = 8) -> Problem:
    """Large orders over the same few SKUs, a tariff by weight and zone, too little stock near by."""
    rng = np.random.default_rng(seed)
    items = 2 * lines
    table = np.where(rng.random((items, nodes)) < 0.5, rng.integers(1, stock, (items, nodes)), 0)
    weight = np.maximum(5, 60 * np.exp(0.6 * rng.standard_normal(items))).astype(int)
    curves = [parcel_curve(zone) for zone in range(8)]
    world = World(stock=table.tolist(), curves=curves, objective=Objective(True, 0, 0, 25_000))
    for _ in range(orders):
        wanted = rng.choice(items, lines, replace=False).tolist()
        wants = [Want(item, int(rng.integers(1, 7)), int(weight[item])) for item in wanted]
        zones = rng.integers(1, 8, nodes).tolist()
        world.order(
            wants,
            [
                Way(node, curve=zone, handle_parcel=900, handle_line=250, handle_unit=50, max_weight_g=BOX_G)
                for node, zone in enumerate(zones)
            ],
        )
    return world.problem()


def _plain(problem: Problem, work: int = WORK) -> Priced:
    found = plain_plan(problem, 0, Supply.of(problem), work=work)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(30))
def test_the_compiled_search_is_exact_for_small_orders(seed: int) -> None:
    """Protects orders without a menu: where the optimum can be proven the search is within half a per cent of it."""
    problem = realistic(seed, lines=4, nodes=6, cover=0.5, tolls=400 if seed % 2 else 0)
    exact = cheapest_plan(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units, work=10**9)
    found = _plain(problem)
    assert found.filled == exact.filled
    assert found.cost == plan_cost(problem, 0, found.plan).total
    assert fits(use_of(problem, 0, found.plan), problem.stock, problem.bucket_parcels, problem.bucket_units)
    if exact.bound == exact.cost:
        assert exact.cost <= found.cost <= exact.cost * 1.005


@pytest.mark.parametrize("seed", range(10))
def test_little_work_still_fills_all_there_is(seed: int) -> None:
    """Protects windows whose budget is spent: the least search ships as much, little dearer, and counts its work."""
    problem = realistic(seed, lines=30, nodes=10, cover=0.5)
    whole, hasty = _plain(problem), _plain(problem, 1)
    assert hasty.filled == whole.filled
    assert hasty.cost <= whole.cost * 1.05
    assert hasty.work <= max(whole.work, 2 * LEAST)


@pytest.mark.parametrize("seed", range(12))
def test_curves_of_sites_that_are_left_out_are_in_nobodys_way(seed: int) -> None:
    """A wide network: only the promising sites are searched, whatever curves the others have."""
    rng, nodes = np.random.default_rng(seed), 30
    world = World(
        stock=rng.integers(0, 6, (8, nodes)).tolist(),
        curves=[[(900, 500 + 400 * zone), (BOX_G, 900 + 900 * zone)] for zone in range(nodes)],
        objective=Objective(True, 0, 0, 25_000),
    )
    wants = [Want(item, int(rng.integers(2, 7)), 100) for item in range(8)]
    ways = [Way(node, curve=node, handle_parcel=900, max_weight_g=BOX_G) for node in range(nodes)]
    problem = world.order(wants, ways).problem()
    found, supply = _plain(problem), Supply.of(problem)
    assert fits(use_of(problem, 0, found.plan), supply.stock, supply.parcels, supply.units)
    assert plan_cost(problem, 0, found.plan).total == found.cost
    assert found.filled == problem.demand_of(0)


def test_money_decides_what_ships_where_units_may_stay() -> None:
    """Protects economic fill in the compiled search: a unit dearer to ship than to leave stays."""
    world = World(stock=[[1, 0], [0, 1]], objective=Objective(False, 0, 0, 1_000))
    problem = world.order([Want(0, 1), Want(1, 1)], [Way(0, ship_parcel=300), Way(1, ship_parcel=5_000)]).problem()
    found = _plain(problem)
    assert (found.filled, found.cost) == (1, 1_300)


@pytest.mark.parametrize("seed", range(8))
def test_other_turns_never_cost_more(seed: int) -> None:
    """Protects the incumbent: whatever is tried, the plans are possible together and not worse than one by one."""
    problem = crowd(seed)
    purse = Purse(200_000_000)
    alone = plans_alone(problem, np.arange(problem.orders), Supply.of(problem), purse, work=WORK)
    filled = one_by_one(problem, alone, sequence(problem), Supply.of(problem).copy(), purse, work=WORK)
    found = in_other_turns(problem, alone, filled, purse, work=WORK)
    assert key_of(problem, found) <= key_of(problem, filled)
    taken = np.zeros_like(problem.stock)
    for order, one in enumerate(found):
        for cell, units in use_of(problem, order, one.plan).cells.items():
            taken[cell] += units
    assert (taken <= problem.stock).all()


@pytest.mark.parametrize("work", [1, 3_000_000, 200_000_000])
def test_a_window_of_large_orders_is_lawful_and_repeats(work: int) -> None:
    """Protects replay: with any budget the window is decided lawfully, never above the floor, and the same again."""
    problem = crowd(3, orders=8)
    found, floor = solve(problem, Budget(work=work)), solve(problem, Budget(work=work, floor=True))
    assert check(problem, found) == []
    assert found.total <= floor.total
    again = solve(problem, Budget(work=work))
    assert (again.total, again.work) == (found.total, found.work)
