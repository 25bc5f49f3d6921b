"""Whole windows: the ladder, joint decisions, flows, rules and one-by-one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers import brute, choose, flow
from solvers.choose import Budget, solve
from solvers.fill import targets
from solvers.menu import Supply
from solvers.problem import UNLIMITED, Mode, Objective, Problem
from solvers.purse import Purse
from solvers.simple import simple_orders
from solvers.solution import Solution, check
from tests.solvers.worlds import Want, Way, World, random_world


def judged(problem: Problem, solution: Solution) -> tuple[int, ...]:
    """Units by descending priority (negative, if fill comes first), then money: smaller is better."""
    assert check(problem, solution) == []
    filled = dict.fromkeys(sorted(set(problem.priority.tolist()), reverse=True), 0)
    for order, plan in enumerate(solution.plans):
        filled[int(problem.priority[order])] += sum(int(shipment.units.sum()) for shipment in plan)
    fill = [-units for units in filled.values()] if problem.objective.fill_always else []
    return (*fill, solution.total)


def tiny(seed: int, stock: int) -> Problem:
    """Two to four orders over two nodes, small enough for the referee."""
    many = seed % 3 == 0
    return random_world(
        seed,
        orders=3 if many else 2 + seed % 2,
        items=2,
        nodes=2,
        lines=1 if many else 2,
        quantity=1 if seed % 2 else 2,
        stock=stock,
        per_node=1 if seed % 4 else 2,
        priorities=1 + seed % 3,
        capacity=seed % 5 < 2,
    )


def contested(seed: int, **size: int) -> Problem:
    """A window with too little of everything."""
    given = {"orders": 12, "items": 4, "nodes": 4, "stock": 2, "priorities": 2, **size}
    return random_world(seed, fill_always=bool(seed % 3), capacity=seed % 2 == 0, **given)


@pytest.mark.parametrize(("start", "stock"), [(start, stock) for stock in (1, 2) for start in range(0, 240, 40)])
def test_every_tiny_window_is_decided_as_well_as_the_referee_does(start: int, stock: int) -> None:
    """Fill by priority first, then money: asked for the best, the ladder finds it, and says so."""
    for seed in range(start, start + 40):
        problem = tiny(seed, stock)
        try:
            best = brute.solve(problem)
        except brute.TooLargeError:
            continue
        answer = solve(problem, Budget(gap=0))
        assert judged(problem, answer) == judged(problem, best), seed
        assert answer.bound in (None, answer.total), seed


def test_three_orders_for_the_same_last_units_are_decided_together() -> None:
    """One by one, the first takes the unit that the last cannot do without; together that is seen."""
    world = World([[1, 1, 1]])
    for near, other in ((0, 10), (0, 300), (0, 900)):
        world.order(
            [Want(0)], [Way(0, ship_parcel=100 + near), Way(1, ship_parcel=100 + other), Way(2, ship_parcel=5000)]
        )
    problem = world.problem()
    together, apart = solve(problem), solve(problem, Budget(floor=True))
    # Apart: 100 + 400 + 5000. Together someone pays 5000, but the first moves: 5000 + 400 + 100 or 110 + 100 + 5000.
    assert apart.total == 100 + 400 + 5000
    assert together.total == 110 + 100 + 5000
    assert (together.solver, together.gap) == ("flow", 0)


def test_a_multi_line_window_is_decided_together_too() -> None:
    """The same with two lines per order, where no flow is exact."""
    world = World([[1, 9], [1, 9]])
    world.order([Want(0), Want(1)], [Way(0, ship_parcel=100), Way(1, ship_parcel=110)])
    world.order([Want(0), Want(1)], [Way(0, ship_parcel=100), Way(1, ship_parcel=900)])
    problem = world.problem()
    together = solve(problem)
    assert (together.solver, together.total, together.gap) == ("joint", 210, 0)


def test_one_by_one_who_has_most_to_lose_goes_first() -> None:
    """The last unit goes to the order for which the way round is longest, not to the one that came first."""
    world = World([[1, 9], [1, 9]])
    world.order([Want(0), Want(1)], [Way(0, ship_parcel=100), Way(1, ship_parcel=110)])
    world.order([Want(0), Want(1)], [Way(0, ship_parcel=100), Way(1, ship_parcel=900)])
    answer = solve(world.problem(), Budget(floor=True))
    assert (answer.solver, answer.total) == ("greedy", 110 + 100)


def test_the_higher_priority_gets_the_last_unit_whatever_it_costs() -> None:
    """Units by descending priority come before money."""
    world = World([[1]])
    world.order([Want(0)], [Way(0, ship_parcel=1)], priority=0)
    world.order([Want(0)], [Way(0, ship_parcel=9999)], priority=1)
    assert [len(plan) for plan in solve(world.problem()).plans] == [0, 1]


@pytest.mark.parametrize("seed", range(40))
def test_it_is_never_worse_than_one_by_one_and_repeats_itself(seed: int) -> None:
    """The joint answer keeps one-by-one as its incumbent, and the same window gives the same answer."""
    problem = contested(seed)
    answer, again, floor = solve(problem), solve(problem), solve(problem, Budget(floor=True))
    assert judged(problem, answer) <= judged(problem, floor)
    assert floor.solver in ("greedy", "alone")
    assert (answer.total, answer.bound, answer.work) == (again.total, again.bound, again.work)
    assert repr(answer.plans) == repr(again.plans)


def test_out_of_work_or_time_it_answers_one_by_one_and_says_so() -> None:
    """The budget ends the search, never the answer."""
    problem = next(p for p in map(contested, range(40)) if solve(p).solver == "joint")
    assert (solve(problem, Budget(work=1)).solver, solve(problem, Budget(work=1)).cut) == ("greedy", True)
    ticks = iter(range(1000))
    late = solve(problem, Budget(seconds=2.5, now=lambda: float(next(ticks))))
    assert late.cut
    assert check(problem, late) == []


@pytest.mark.parametrize("seed", range(60))
def test_the_flow_is_the_optimum_of_single_units(seed: int) -> None:
    """Where the flow speaks it is exact: same fill, same money as the referee, bound equal to the total."""
    problem = random_world(seed, orders=4, items=1, nodes=3, lines=1, quantity=1, stock=1, per_node=1, priorities=2)
    answer = flow.solve(problem)
    if answer is not None:
        settled = choose.settle(problem, answer.plans, solver="flow", work=0, bound=answer.bound, cut=False)
        assert judged(problem, settled) == judged(problem, brute.solve(problem))
        assert answer.bound == settled.total


def test_the_flow_declines_what_it_cannot_price() -> None:
    """Two units pay one parcel: not linear, so no claim."""
    assert flow.solve(World([[2]]).order([Want(0, 2)], [Way(0)]).problem()) is None


@pytest.mark.parametrize(
    "problem",
    [
        World([[1]]).problem(),
        World([[0]]).order([Want(0)], [Way(0)]).problem(),
        World([[5]]).order([Want(0)], []).problem(),
        World([[1]]).order([Want(0, 9)], [Way(0)]).order([Want(0, 9)], [Way(0)]).problem(),
        World([[2**31]]).order([Want(0, 2**31 - 1, 1)], [Way(0)]).order([Want(0, 2**31 - 1, 1)], [Way(0)]).problem(),
    ],
    ids=["no orders", "no stock", "no options", "free and scarce", "huge and scarce"],
)
def test_degenerate_windows_are_decided(problem: Problem) -> None:
    """Empty, all-scarce, one-node, zero-cost and huge windows have answers like any other."""
    answer = solve(problem)
    assert check(problem, answer) == []
    shipped = sum(int(shipment.units.sum()) for plan in answer.plans for shipment in plan)
    demand = int(problem.lines.quantity.sum())
    assert shipped == (min(demand, int(problem.stock.sum())) if len(problem.options.node) else 0)


def test_fill_targets_follow_priority_and_eligibility() -> None:
    """The most that stock allows, by SKU and class: a flow where lines may not all ship from everywhere."""
    world = World([[1, 1]])
    world.order([Want(0, 1, nodes=[0])], [Way(0), Way(1)], priority=0)
    world.order([Want(0, 2)], [Way(0), Way(1)], priority=1)
    problem = world.problem()
    supply = Supply.of(problem)
    simple, _ = simple_orders(problem, np.arange(problem.orders), supply, Purse(UNLIMITED), work=10**6)
    found = targets(problem, supply, simple)
    # The higher class can have both units, so the lower one gets none.
    assert (found.row.tolist(), found.units.tolist()) == ([0, -1], [0])


@pytest.mark.parametrize(("mode", "nodes"), [(Mode.SEQUENCE, [2, 1]), (Mode.NEAREST, [1, 0]), (Mode.MOST_STOCK, [0])])
def test_rules_visit_nodes_in_their_order_and_take_all_they_can(mode: Mode, nodes: list[int]) -> None:
    """Each rule's own order of nodes, and the cheapest option at each."""
    world = World(
        [[5, 3, 2]], mode=mode, node_rank=[3, 2, 1], distance_m=[[20, 10, 30]], objective=Objective(fill_always=True)
    )
    world.order([Want(0, 4)], [Way(k, ship_parcel=price) for k in range(3) for price in (9, 7, 8)])
    problem = world.problem()
    answer = solve(problem)
    assert check(problem, answer) == []
    taken = [int(problem.options.node[shipment.option]) for shipment in answer.plans[0]]
    assert sorted(taken) == sorted(nodes)
    assert all(problem.options.ship_parcel[shipment.option] == 7 for shipment in answer.plans[0])


@pytest.mark.parametrize("mode", [Mode.SEQUENCE, Mode.NEAREST, Mode.MOST_STOCK])
def test_rules_are_feasible_on_random_windows(mode: Mode) -> None:
    """Capacity, weight limits and eligibility bind the rules as they bind everyone."""
    for seed in range(60):
        problem = contested(seed)
        problem = replace(problem, modes=(mode,) * problem.orders)
        answer = solve(problem)
        assert check(problem, answer) == [], seed
        assert answer.solver == mode.value


def test_orders_of_equal_cost_do_not_confuse_the_search() -> None:
    """Thirty identical orders for ten identical units: ten ship, the rest wait, proven."""
    world = World([[2] * 5] * 2, objective=Objective(unfilled_per_unit=10))
    for _ in range(30):
        world.order([Want(0), Want(1)], [Way(k, ship_parcel=50) for k in range(5)])
    problem = world.problem()
    answer = solve(problem)
    # 20 units ship in 10 parcels of two at 50; 40 stay at 10.
    assert judged(problem, answer) == (-20, 10 * 50 + 40 * 10)
    assert answer.gap == 0


def test_a_large_order_and_small_ones_share_a_window() -> None:
    """Orders beyond the subset DP are priced by the cover method and still decided with the others."""
    rng = np.random.default_rng(3)
    world = World(rng.integers(0, 2, (20, 4)).tolist(), objective=Objective(unfilled_per_unit=500))
    ways = [Way(k, ship_parcel=900 + 10 * k, ship_unit=20) for k in range(4)]
    world.order([Want(i) for i in range(20)], ways).order([Want(0), Want(1)], ways).order([Want(2)], ways)
    problem = world.problem()
    assert judged(problem, solve(problem)) <= judged(problem, solve(problem, Budget(floor=True)))


@pytest.mark.parametrize("times", [10_000, 300_000_000])
@pytest.mark.parametrize("whole", [False, True])
def test_huge_quantities_overflow_no_price(times: int, whole: bool) -> None:
    """Contested windows of two priorities with up to a billion units a line: no crash, lawful, no false bound."""
    for seed in (1, 9, 13):
        small = random_world(seed, orders=5, items=2, nodes=3, lines=2, stock=4, priorities=2)
        limits = replace(small.limits, whole_lines=np.full(small.orders, whole))
        lines = replace(small.lines, quantity=small.lines.quantity * times)
        stock = np.minimum(small.stock * times, 2**31 - 1)
        problem = replace(small, lines=lines, stock=stock, limits=limits)
        answer = solve(problem, Budget(work=5_000_000))
        assert check(problem, answer) == [], seed
