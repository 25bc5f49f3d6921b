"""The cheapest cover on the odd orders: huge, empty, scarce, heavy, late, crowded, repeated, free."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.choose import Budget, solve
from solvers.cover import cheapest_cover
from solvers.cover_bound import cover_bound
from solvers.plan import fits, plan_cost, use_of
from solvers.problem import UNLIMITED, Objective, Problem
from solvers.solution import check
from tests.solvers.test_cover_gap import answer, parcel_curve, realistic
from tests.solvers.worlds import Want, Way, World, random_world

MOST = 2**31 - 1


def lane(node: int, parcel: int = 5000, **more: int) -> Way:
    """An option priced without a weight curve."""
    return Way(node, ship_parcel=parcel, **more)


def test_one_node_ships_everything_it_has() -> None:
    """The smallest network: one node, one parcel, and what is out of stock stays."""
    world = World(stock=[[5], [0], [2]]).order([Want(0, 3), Want(1, 1), Want(2, 4)], [lane(0, ship_unit=10)])
    priced = answer(world.problem())
    # 3 + 0 + 2 units: 5000 + 5 * 10
    assert (priced.filled, priced.cost) == (5, 5050)


def test_no_stock_gives_the_empty_plan_and_its_penalty() -> None:
    """Nothing to ship is an answer, not a fault: the cost is the penalty of what stays."""
    world = World(stock=[[0, 0]] * 13, objective=Objective(True, 0, 0, 700))
    problem = world.order([Want(item, 2) for item in range(13)], [lane(0), lane(1)]).problem()
    priced = answer(problem)
    assert (priced.plan, priced.filled, priced.cost) == ((), 0, 26 * 700)
    assert cover_bound(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units, priced) <= priced.cost


def test_an_order_without_options_or_lines_ships_nothing() -> None:
    """Empty arrays are legal windows: no way to ship, or nothing ordered."""
    assert answer(World(stock=[[5]]).order([Want(0, 1)], []).problem()).plan == ()
    assert answer(World(stock=[[5]]).order([], [lane(0)]).problem()).cost == 0


def test_every_line_scarce_is_gathered_from_every_node() -> None:
    """Fill before money: one unit of each SKU at each node makes every node ship, whatever it costs."""
    world = World(stock=[[1, 1, 1]] * 14)
    priced = answer(world.order([Want(item, 3) for item in range(14)], [lane(n) for n in range(3)]).problem())
    assert (priced.filled, priced.cost, len(priced.plan)) == (42, 15_000, 3)


def test_quantities_to_the_limit_do_not_wrap() -> None:
    """Fifteen lines of 2**31 - 1 units: sums beyond 32 bits stay exact."""
    world = World(stock=[[MOST, UNLIMITED]] * 15)
    wants = [Want(item, MOST, weight_g=0, volume_mm3=0) for item in range(15)]
    priced = answer(world.order(wants, [lane(0, ship_unit=2), lane(1, 9000, ship_unit=1)]).problem())
    assert (priced.filled, priced.cost) == (15 * MOST, 9000 + 15 * MOST)


def test_quantities_that_need_too_many_boxes_ship_what_can_go() -> None:
    """A weighty order of 2**31 - 1 units stops at the most boxes a shipment may have instead of failing."""
    world = World(stock=[[MOST]] * 13)
    wants = [Want(item, MOST, weight_g=1000) for item in range(13)]
    priced = answer(world.order(wants, [lane(0, max_weight_g=10_000)]).problem())
    assert 0 < priced.filled <= 100_000


@pytest.mark.parametrize("seed", range(6))
def test_heavy_orders_pack_into_several_boxes_at_a_feasible_price(seed: int) -> None:
    """Wholesale orders over the box limit are priced by the exact packing and bounded from below."""
    rng = np.random.default_rng(seed)
    world = World(
        stock=rng.integers(0, 400, (15, 5)).tolist(),
        curves=[parcel_curve(zone) for zone in range(8)],
        objective=Objective(True, 300, 0, 0),
    )
    wants = [Want(item, int(rng.integers(20, 300)), int(rng.integers(50, 2000))) for item in range(15)]
    ways = [Way(n, curve=int(rng.integers(0, 8)), handle_parcel=900, max_weight_g=31_751) for n in range(5)]
    problem = world.order(wants, ways).problem()
    priced = answer(problem)
    fillable = np.minimum(problem.stock.sum(axis=1), problem.lines.quantity).sum()
    assert priced.filled == fillable
    bound = cover_bound(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units, priced)
    assert 0 < bound <= priced.cost


def test_a_late_parcel_is_avoided_only_while_that_is_cheaper() -> None:
    """Lateness is priced once, by the latest parcel: one dear day is worth a dear node, a cheap day is not."""
    for late_per_day, node in ((8000, 1), (1000, 0)):
        world = World(stock=[[9, 9]] * 13, objective=Objective(True, 0, late_per_day, 0))
        ways = [lane(0, 5000, late_days=1), lane(1, 9000)]
        problem = world.order([Want(item) for item in range(13)], ways).problem()
        assert [int(problem.options.node[s.option]) for s in answer(problem).plan] == [node]


def test_once_one_parcel_is_late_the_others_may_be() -> None:
    """The maximum counts, not the sum: where one SKU can only come late, the cheap late services are taken for all."""
    stock = [[9, 9]] * 12 + [[9, 0]]
    world = World(stock=stock, objective=Objective(True, 0, 8000, 0))
    ways = [lane(0, 5000, late_days=2), lane(1, 4000, late_days=2), lane(1, 6000)]
    priced = answer(world.order([Want(item) for item in range(13)], ways).problem())
    assert priced.cost == 5000 + 16_000


def test_the_split_penalty_decides_between_one_parcel_and_two() -> None:
    """A penalty per further parcel turns two cheap parcels into one dear one."""
    stock = [[9, 0, 9]] * 7 + [[0, 9, 9]] * 7
    for split, cost in ((0, 4000), (9000, 7000)):
        world = World(stock=stock, objective=Objective(True, split, 0, 0))
        ways = [lane(0, 2000), lane(1, 2000), lane(2, 7000)]
        assert answer(world.order([Want(item) for item in range(14)], ways).problem()).cost == cost


def test_units_dearer_to_ship_than_to_leave_stay_in_economic_mode() -> None:
    """Economic mode: the lone line at the far node stays for its penalty; fill-always fetches it."""
    stock = [[9, 0]] * 13 + [[0, 9]]
    for always, cost, filled in ((False, 3000 + 1000, 13), (True, 6000, 14)):
        world = World(stock=stock, objective=Objective(always, 0, 0, 1000))
        priced = answer(world.order([Want(item) for item in range(14)], [lane(0, 3000), lane(1, 3000)]).problem())
        assert (priced.cost, priced.filled) == (cost, filled)


def test_lines_of_one_sku_share_its_stock() -> None:
    """Three lines of one SKU never take more than its cell holds, also where the nodes they may use differ."""
    wants = [Want(0, 4), Want(0, 4, nodes=[1]), Want(0, 4), *(Want(item, 1) for item in range(1, 12))]
    world = World(stock=[[3, 5], *[[9, 9]] * 11])
    priced = answer(world.order(wants, [lane(0), lane(1)]).problem())
    assert priced.filled == 8 + 11


def test_everything_free_still_ships() -> None:
    """All prices zero: ties are broken, nothing divides by zero, and every unit goes."""
    world = World(stock=[[2, 2, 2]] * 13)
    wants = [Want(item, 2, weight_g=0, volume_mm3=0) for item in range(13)]
    priced = answer(world.order(wants, [lane(n, 0) for n in range(3)]).problem())
    assert (priced.filled, priced.cost) == (26, 0)


def test_a_full_bucket_closes_its_node_and_a_small_one_limits_it() -> None:
    """Rooms left, not rooms at the start, decide; a node without room is not used."""
    world = World(stock=[[9, 9, 9]] * 13, rooms=[(0, 99), (9, 5), (9, 99)])
    ways = [lane(0, 10, bucket=0), lane(1, 20, bucket=1), lane(2, 9000, bucket=2)]
    problem = world.order([Want(item) for item in range(13)], ways).problem()
    priced = answer(problem)
    assert priced.filled == 13
    assert 0 not in {int(problem.options.node[s.option]) for s in priced.plan}
    none = cheapest_cover(problem, 0, problem.stock, problem.bucket_parcels * 0, problem.bucket_units)
    assert none.filled == 0


def test_work_bounds_the_search_and_repeats_exactly() -> None:
    """Work, never time, ends a search: the same work gives the same plan, less work a feasible one."""
    problem = realistic(3, lines=25, nodes=10, cover=0.5)
    args = (problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units)
    first, again = cheapest_cover(*args), cheapest_cover(*args)
    assert first.cost == again.cost
    assert first.work == again.work
    for one, other in zip(first.plan, again.plan, strict=True):
        assert one.option == other.option
        assert (one.units == other.units).all()
    hasty = cheapest_cover(*args, work=1)
    assert hasty.filled == first.filled
    assert hasty.cost >= first.cost
    assert hasty.work < first.work


def checked(problem: Problem, order: int) -> None:
    """One order of a window alone: feasible, exactly priced, bounded from below."""
    rooms = problem.bucket_parcels, problem.bucket_units
    priced = cheapest_cover(problem, order, problem.stock, *rooms)
    assert fits(use_of(problem, order, priced.plan), problem.stock, *rooms)
    assert plan_cost(problem, order, priced.plan).total == priced.cost
    shipped = sum(units for _, units in priced.plan)
    if len(priced.plan):
        assert (shipped <= problem.lines.quantity[problem.lines_of(order)]).all()
        assert int(shipped.sum()) == priced.filled
    for option, units in priced.plan:
        assert problem.options_of(order).start <= option < problem.options_of(order).stop
        node = problem.options.node[option]
        assert problem.lines.eligible[problem.lines_of(order)][units > 0, node].all()
    assert len({shipment.option for shipment in priced.plan}) == len(priced.plan)
    assert cover_bound(problem, order, problem.stock, *rooms, priced) <= priced.cost


@pytest.mark.parametrize("seed", range(60))
def test_any_window_of_odd_orders_is_served_feasibly(seed: int) -> None:
    """Never a violated constraint: weight limits, lanes, volumes, late days, rooms, repeated and barred lines mixed."""
    problem = random_world(seed, orders=2, items=14, nodes=5, lines=18, quantity=5, stock=6)
    for order in range(problem.orders):
        checked(problem, order)


@pytest.mark.parametrize("seed", range(4))
def test_a_window_of_a_large_order_says_how_far_from_the_optimum_it_may_be(seed: int) -> None:
    """The gap of a decision is proven for large orders too, where a window holds few of them."""
    problem = realistic(seed, lines=20 + 5 * seed, nodes=8, cover=0.6)
    solution = solve(problem, Budget(work=20_000_000))
    assert check(problem, solution) == []
    assert solution.solver == "alone"
    assert solution.gap is not None
    assert 0 <= solution.gap < 0.5
    assert solution.bound is not None
    assert solution.bound <= solution.total
