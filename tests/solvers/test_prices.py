"""Shadow prices of stock and room: every method counts them, none refuses a unit for them unless it is told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers import brute, cover, flow
from solvers.choose import Budget, solve
from solvers.cover_bound import cover_bound, is_bounded
from solvers.guided import guidance, guided, shipping_as, unpriced
from solvers.judge import faults
from solvers.problem import DEAREST, InvalidProblemError, Mode, Objective, Problem
from solvers.solution import check, settle
from tests.solvers.worlds import FEATURES, Made, Want, Way, World, random_limited_world, random_world, with_prices


def _told(problem: Problem) -> None:
    """The answer is what the referee finds, and the judge agrees with every number."""
    answer, best = solve(problem), brute.solve(problem)
    assert check(problem, answer) == []
    assert brute.key_of(problem, answer.plans)[:-1] == brute.key_of(problem, best.plans)[:-1]
    assert answer.guided_total == best.guided_total
    assert answer.bound is None or answer.bound <= answer.guided_total
    steered = guided(problem)
    own = settle(steered.problem, answer.plans, solver="", work=0, bound=None, cut=False)
    assert check(steered.problem, own) == []
    assert steered.mills(own.total) == answer.guided_total


@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_at_prices_is_chosen(seed: int) -> None:
    """Plain windows with prices are decided as the referee decides them, whatever the fill."""
    _told(with_prices(random_world(seed, orders=2, items=2, nodes=3, lines=2, stock=2, priorities=2), seed))


@pytest.mark.parametrize("seed", range(80))
def test_prices_count_beside_limits_kits_docks_and_weights(seed: int) -> None:
    """What is drawn elsewhere, or as parts, is priced where it is drawn; limits and weights change nothing in that."""
    problem = random_limited_world(seed, features=None if seed % 2 else FEATURES, stock=2)
    try:
        _told(with_prices(problem, seed))
    except brute.TooLargeError:
        pytest.skip("more plans than the referee looks at")


@pytest.mark.parametrize("seed", range(40))
def test_single_line_windows_flow_at_prices(seed: int) -> None:
    """Arcs of the flow carry the prices of their cells and rooms."""
    problem = random_world(seed, orders=4, items=2, nodes=3, lines=1, quantity=1, stock=1, per_node=1)
    problem = with_prices(problem, seed)
    flown = flow.solve(guided(problem).problem)
    assert flown is None or guided(problem).mills(flown.bound) == brute.solve(problem).guided_total


@pytest.mark.parametrize("seed", range(60))
def test_a_large_order_is_planned_and_bounded_at_prices(seed: int) -> None:
    """The method for large orders finds the referee's plan of small ones, and its bound stays below it."""
    problem = random_world(seed, items=4, nodes=4, lines=4, quantity=2, stock=2, capacity=seed % 2 == 0)
    problem = guided(with_prices(problem, seed)).problem
    supply = problem.stock, problem.bucket_parcels, problem.bucket_units
    found, best = cover.cheapest_cover(problem, 0, *supply), brute.best_plan(problem, 0, *supply)
    if problem.objective.fill_always:
        assert found.filled <= best.filled
    if found.filled == best.filled or not problem.objective.fill_always:
        assert best.cost <= found.cost <= 1.2 * best.cost + 500
        if is_bounded(problem, 0):
            assert cover_bound(problem, 0, *supply, found) <= best.cost


@pytest.mark.parametrize("seed", range(30))
def test_prices_of_nothing_change_nothing(seed: int) -> None:
    """A guide whose prices are all 0 leads to the same plans, costs and bound as no guide."""
    plain = random_world(seed, orders=4, items=3, nodes=3)
    priced = with_prices(plain, seed, most=0)
    assert guided(priced).problem is priced
    assert repr(solve(plain)) == repr(solve(priced))


@pytest.mark.parametrize("seed", range(60))
def test_a_price_refuses_no_unit_of_an_always_filled_window(seed: int) -> None:
    """Where units come first, as many ship at any prices as at none."""
    problem = random_limited_world(seed, fill_always=True)
    dear = with_prices(problem, seed, most=DEAREST)
    try:
        assert brute.key_of(problem, solve(dear).plans)[:-1] == brute.key_of(problem, brute.solve(problem).plans)[:-1]
    except brute.TooLargeError:
        pytest.skip("more plans than the referee looks at")


@pytest.mark.parametrize("seed", range(60))
def test_where_money_decides_prices_say_only_from_where(seed: int) -> None:
    """Unless prices may refuse, the units that ship cost least without them, and then go from where they cost least."""
    problem = with_prices(random_limited_world(seed, fill_always=False), seed, refuse=False)
    answer = solve(problem)
    assert check(problem, answer) == []
    try:
        plain, priced = unpriced(problem), guided(problem).problem
        free = brute.solve(plain)
        stays = [
            brute.guided(plain, o, plan) for o, plan in enumerate(brute.solve(shipping_as(plain, answer.plans)).plans)
        ]
        assert -(-sum(stays) // 1000) == free.guided_total
        best = brute.solve(shipping_as(priced, answer.plans))
        told = settle(priced, best.plans, solver="", work=0, bound=None, cut=False)
        assert answer.guided_total == guided(problem).mills(told.total)
        assert answer.bound is None or answer.bound <= answer.guided_total
    except brute.TooLargeError:
        pytest.skip("more plans than the referee looks at")


@pytest.mark.parametrize("refuse", [False, True])
def test_a_unit_worth_more_elsewhere_stays_only_if_prices_may_refuse(refuse: bool) -> None:
    """Shipping costs less than leaving, but the unit is worth more to orders to come: the guide says who wins."""
    world = World([[1]], objective=Objective(fill_always=False, unfilled_per_unit=500))
    problem = world.order([Want(0)], [Way(0, ship_parcel=300)]).problem()
    problem = with_prices(problem, 0, refuse=refuse)
    assert problem.guide is not None
    problem = replace(problem, guide=replace(problem.guide, stock=np.full((1, 1), 400)))
    answer = solve(problem)
    assert (answer.total, answer.guided_total) == ((500, 500) if refuse else (300, 700))
    assert guidance(problem, answer).stock_price.tolist() == ([0] if refuse else [400])


def test_what_prices_came_to_is_told_by_order() -> None:
    """A kit's parts, a unit from another place of the dock and a box's room are each priced where they are taken."""
    world = World([[9, 9], [9, 9]], rooms=[(9, 9)], made=[Made([(0, 2), (1, 1)]), Made([(1, 1)], source=1, node=0)])
    world.source_rooms = [[-1, -1]]
    world.order([Want(2), Want(3), Want(0, 3)], [Way(0, max_weight_g=200, bucket=0)])
    problem = with_prices(world.problem(), 0)
    assert problem.guide is not None
    prices = np.array([[7, 1000], [11, 13], [0, 0], [0, 0]])
    problem = replace(problem, guide=replace(problem.guide, stock=prices, room=np.array([100])))
    answer = solve(problem)
    assert len(answer.boxes.order) == 3
    assert guidance(problem, answer).stock_price.tolist() == [(2 * 7 + 11) + 13 + 3 * 7 + 3 * 100]


@pytest.mark.parametrize("seed", range(30))
def test_mixed_windows_at_prices_are_feasible(seed: int) -> None:
    """Rules, prices, limits and a budget of nothing together still answer with what holds."""
    problem = with_prices(random_limited_world(seed, orders=3, modes=True), seed, refuse=seed % 2 == 0)
    for budget in (Budget(), Budget(work=1), Budget(floor=True)):
        answer = solve(problem, budget)
        assert check(problem, answer) == []
        assert repr(answer.plans) == repr(solve(problem, budget).plans)


def test_the_judge_notices_a_price_left_out() -> None:
    """The judge adds up prices by itself: a total that forgot them is a fault."""
    problem = World([[5]]).order([Want(0, 3)], [Way(0, ship_parcel=300)]).problem()
    problem = with_prices(problem, 0)
    assert problem.guide is not None
    problem = replace(problem, guide=replace(problem.guide, stock=np.full((1, 1), 400)))
    answer = solve(problem)
    assert answer.guided_total == 300 + 3 * 400
    assert faults(problem, replace(answer, guided_total=300)) != []


def test_prices_that_cannot_be_are_refused() -> None:
    """Negative prices, prices without measure and prices of what has no stock of its own are a caller's mistake."""
    problem = with_prices(random_world(1), 1)
    assert problem.guide is not None
    for cell in (-1, DEAREST + 1):
        stock = problem.guide.stock.copy()
        stock[0, 0] = cell
        with pytest.raises(InvalidProblemError):
            replace(problem, guide=replace(problem.guide, stock=stock)).validate()


def test_the_rules_of_others_know_no_prices_of_stock() -> None:
    """The nearest node ships, however much its stock is worth elsewhere."""
    world = World([[1, 1]], mode=Mode.NEAREST, distance_m=[[1, 2]])
    problem = world.order([Want(0)], [Way(0, ship_parcel=300), Way(1, ship_parcel=300)]).problem()
    problem = with_prices(problem, 0)
    assert problem.guide is not None
    problem = replace(problem, guide=replace(problem.guide, stock=np.array([[400, 0]])))
    assert solve(problem).plans[0][0].option == 0
