"""Simple orders in compiled loops answer as the menus do: the same exact method, written twice on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers.alone import plans_alone
from solvers.guided import guided
from solvers.master import FINE, Prices
from solvers.menu import Supply
from solvers.plan import Priced, fits, plan_cost, take, use_of
from solvers.pricing import Pricer
from solvers.problem import UNLIMITED, Objective, Problem
from solvers.purse import Purse
from solvers.simple import Simple, simple_orders
from solvers.simple_kernel_tables import FAR
from solvers.single import cheapest_plan, menus
from tests.solvers.worlds import Want, Way, World, random_world, with_prices

WORK = 10**7


def simple_of(problem: Problem) -> Simple:
    return simple_orders(problem, np.arange(problem.orders), Supply.of(problem), Purse(UNLIMITED), work=WORK)[0]


def worlds(seed: int, orders: int = 3) -> Problem:
    """Orders of up to four lines and units, with every feature of plain windows now and then."""
    return random_world(seed, orders=orders, items=5, nodes=4, lines=4, quantity=1 + seed % 4, stock=1 + seed % 5)


def by_menu(problem: Problem, order: int, supply: Supply) -> Priced:
    return cheapest_plan(problem, order, supply.stock, supply.parcels, supply.units, work=WORK)


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_simple_orders_cost_and_fill_what_their_menus_say(start: int) -> None:
    """Money, units and lawfulness of the compiled plan: equal to the plan of the order's menu, and priced exactly."""
    seen = several = 0
    for seed in range(start, start + 100):
        problem, supply = worlds(seed), Supply.of(worlds(seed))
        simple = simple_of(problem)
        which = np.arange(len(simple.table.order))
        answers = simple.answers(which)
        for at, one in enumerate(simple.priced(answers)):
            if answers.found.coupled[at]:
                continue
            order = int(simple.table.order[at])
            other = by_menu(problem, order, supply)
            assert (one.cost, one.filled) == (other.cost, other.filled), (seed, order)
            assert plan_cost(problem, order, one.plan).total == one.cost, (seed, order)
            assert fits(use_of(problem, order, one.plan), supply.stock, supply.parcels, supply.units), (seed, order)
            seen, several = seen + 1, several + (len(one.plan) > 1)
    assert seen > 100
    assert several > 10


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_simple_orders_served_in_turn_take_what_one_by_one_takes(start: int) -> None:
    """Each keeps its own plan while that is there, else has its cheapest on what is left, as looked at by itself."""
    moved = 0
    for seed in range(start, start + 100):
        problem = worlds(seed, orders=7)
        simple = simple_of(problem)
        which = np.flatnonzero(simple.place >= 0)
        turns, left, reference = simple.place[which], Supply.of(problem).copy(), Supply.of(problem).copy()
        own = simple.answers(np.arange(len(simple.table.order)))
        served, again, done = simple.served(turns, own, left)
        plans = simple.priced(own.some(turns))
        for slot in np.flatnonzero(again[:done]).tolist():
            plans[slot] = simple.priced(served.some(np.array([slot])))[0]
            moved += 1
        for order, one in list(zip(which.tolist(), plans, strict=True))[:done]:
            best = by_menu(problem, order, reference)
            assert (one.cost, one.filled) == (best.cost, best.filled), (seed, order)
            use = use_of(problem, order, one.plan)
            assert fits(use, reference.stock, reference.parcels, reference.units)
            take(problem, use, reference.stock, reference.parcels, reference.units)
        assert all((one == other).all() for one, other in zip(_arrays(left), _arrays(reference), strict=True)), seed
    assert moved > 5


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_offers_at_prices_are_those_of_the_menus(start: int) -> None:
    """With any prices of cells and rooms, the values that bound a window are the same by either method."""
    seen = 0
    for seed in range(start, start + 100):
        problem, rng = worlds(seed), np.random.default_rng(seed)
        whole = plans_alone(problem, np.arange(problem.orders), Supply.of(problem), Purse(UNLIMITED), work=WORK)
        resources = problem.stock.size + 2 * len(problem.bucket_parcels)
        prices = Prices(rng.integers(0, 3, resources) * rng.integers(0, 900 * FINE, resources), np.zeros(0, np.int64))
        pricer = Pricer(problem, whole, None)
        pricer.take_in(set(range(problem.orders)))
        below = np.full(problem.orders, FAR, np.int64)
        by_loop = pricer.offers(prices, below)
        count = len(by_loop.simple.which)
        coupled = by_loop.simple.found.coupled > 0
        orders, values = (column[:count][~coupled].tolist() for column in (by_loop.order, by_loop.value))
        for order, value in zip(orders, values, strict=True):
            alone = Pricer(problem, whole._replace(simple=_none(whole.simple), menus=[_menu(problem, order)]), None)
            alone.take_in({order})
            assert alone.offers(prices, below).value.tolist() == [value], (seed, order)
            seen += 1
    assert seen > 100


def test_units_of_one_cell_are_not_promised_twice_to_boxes_of_one_order() -> None:
    """Two light boxes from a node with two units would be cheapest for three; the third comes from elsewhere."""
    world = World([[2, 3]], curves=[[(100, 100), (200, 900), (300, 2000)]])
    near, far = Way(0, 0), Way(1, 0, handle_parcel=50)
    problem = world.order([Want(0, 3, weight_g=100)], [near, far]).problem()
    simple = simple_of(problem)
    answers = simple.answers(simple.place[:1])
    one = simple.priced(answers)[0]
    assert answers.found.coupled.tolist() == [0]
    assert (one.cost, one.filled) == (350, 3)
    assert fits(use_of(problem, 0, one.plan), problem.stock, problem.bucket_parcels, problem.bucket_units)


@pytest.mark.parametrize(
    ("wants", "limits"),
    [
        ([Want(0, 1), Want(0, 1)], {}),
        ([Want(0, 2, weight_g=700)], {}),
        ([Want(0, 2)], {"max_parcels": 1}),
        ([Want(0, 1)], {"complete": 1}),
        ([Want(0, 2)], {"whole_lines": 1}),
    ],
)
def test_what_is_not_simple_is_left_to_others(wants: list[Want], limits: dict[str, int]) -> None:
    """A good on two lines, more than one box may carry, or a limit: the loops know nothing of them."""
    problem = World([[3]]).order(wants, [Way(0, max_weight_g=1000)], **limits).problem()
    assert simple_of(problem).place.tolist() == [-1]


def test_money_that_could_overflow_is_left_to_others() -> None:
    """Prices beyond what fits the loops' numbers go by the menus, which hold them."""
    problem = World([[3]]).order([Want(0, 1)], [Way(0, handle_parcel=2**46)]).problem()
    dear = replace(problem, objective=Objective(unfilled_per_unit=2**47))
    cheap = World([[3]]).order([Want(0, 1)], [Way(0, handle_parcel=2**40)]).problem()
    assert simple_of(problem).place.tolist() == [-1]
    assert simple_of(dear).place.tolist() == [-1]
    assert simple_of(cheap).place.tolist() == [0]


@pytest.mark.parametrize("seed", range(60))
def test_tolls_of_the_window_are_part_of_the_price(seed: int) -> None:
    """Shadow prices reach the loops as tolls: the guided window's plan costs what its menu says."""
    problem = guided(with_prices(worlds(seed), seed)).problem
    simple, supply = simple_of(problem), Supply.of(problem)
    for order in np.flatnonzero(simple.place >= 0).tolist():
        answers = simple.answers(simple.place[order : order + 1])
        if not answers.found.coupled[0]:
            one, other = simple.priced(answers)[0], by_menu(problem, order, supply)
            assert (one.cost, one.filled) == (other.cost, other.filled)


def _arrays(supply: Supply) -> tuple[np.ndarray, ...]:
    return supply.stock, supply.parcels, supply.units


def _none(simple: Simple) -> Simple:
    return replace(simple, place=np.full_like(simple.place, -1))


def _menu(problem: Problem, order: int):
    made = menus(problem, np.array([order]), Supply.of(problem), Purse(UNLIMITED), set(), work=UNLIMITED)
    return next(made)
