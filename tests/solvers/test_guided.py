"""What steers the choice beside money, and windows whose orders go by different modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers import brute, flow
from solvers.choose import Budget, solve
from solvers.guided import guidance, guided
from solvers.menu import Supply
from solvers.part import part
from solvers.problem import Guide, Ints, Mode, Objective, Problem
from solvers.solution import check, settle
from tests.solvers.worlds import Want, Way, World, random_world


def steered(problem: Problem, seed: int, shipping: int = 1000, handling: int = 1000) -> Problem:
    """The window with random money on its options."""
    rng = np.random.default_rng(seed)
    size = len(problem.options.node)
    rules, balance = rng.integers(0, 3, size) * 300, rng.integers(0, 4, size) * 70
    return replace(problem, guide=_guide(problem, shipping, handling, rules, balance))


def _guide(problem: Problem, shipping: int, handling: int, rules: Ints, balance: Ints) -> Guide:
    """A guide without shadow prices."""
    return Guide(
        shipping, handling, rules, balance, np.zeros_like(problem.stock), np.zeros_like(problem.bucket_parcels)
    )


def test_a_guide_that_steers_nothing_is_the_very_same_problem() -> None:
    """Weights of one and no money cost nothing, not even a copy."""
    problem = random_world(1, orders=3)
    none = np.zeros(len(problem.options.node), np.int64)
    for guide in (None, _guide(problem, 1000, 1000, none, none)):
        neutral = replace(problem, guide=guide)
        assert guided(neutral).problem is neutral


@pytest.mark.parametrize(("shipping", "handling"), [(1000, 1000), (2000, 500), (0, 1000), (1370, 910), (250, 0)])
def test_the_guided_optimum_is_chosen_and_the_true_cost_told(shipping: int, handling: int) -> None:
    """Weights and money decide, fill still first; costs, total and judge know nothing of them, gap and bound do."""
    for seed in range(25):
        problem = random_world(seed, orders=2, items=2, nodes=2, lines=2, stock=2, priorities=2)
        problem = steered(problem, seed, shipping, handling)
        answer = solve(problem)
        assert check(problem, answer) == []
        best = brute.solve(guided(problem).problem)
        assert answer.guided_total == guided(problem).mills(best.total), seed
        assert answer.bound in (None, answer.guided_total)
        plain = settle(problem, answer.plans, solver="", work=0, bound=None, cut=False)
        assert plain.total == answer.total


def test_the_guided_price_of_a_parcel_is_exact() -> None:
    """Weights multiply shipping and handling apart, money comes once per box; nothing else changes."""
    world = World([[9]], objective=Objective(split_parcel=50))
    world.order([Want(0, 3, weight_g=100)], [Way(0, ship_parcel=333, ship_unit=7, handle_line=21, max_weight_g=100)])
    size = np.ones(1, np.int64)
    problem = world.problem()
    problem = replace(problem, guide=_guide(problem, 1001, 499, 10 * size, 5 * size))
    answer = solve(problem)
    assert answer.total == 3 * (333 + 7 + 21) + 2 * 50
    exact = 1.001 * 3 * 340 + 0.499 * 3 * 21 + 3 * 15 + 2 * 50
    assert answer.guided_total == np.ceil(exact)
    assert [one.tolist() for one in guidance(problem, answer)] == [[30], [15], [0]]


def test_money_of_a_rule_moves_an_order_and_is_no_part_of_its_cost() -> None:
    """The dearer node is chosen where a rule makes the cheaper one seem dearer still."""
    world = World([[9, 9]]).order([Want(0)], [Way(0, ship_parcel=100), Way(1, ship_parcel=150)])
    problem = world.problem()
    away = replace(problem, guide=_guide(problem, 1000, 1000, np.array([60, 0]), np.array([0, 5])))
    assert (solve(problem).total, solve(away).total, solve(away).guided_total) == (100, 150, 155)
    assert solve(away).gap == 0


def test_a_part_of_a_window_is_decided_as_the_window_would_be() -> None:
    """Orders cut out keep their rows and options, and their plans come back under the window's numbers."""
    for seed in range(40):
        problem = steered(random_world(seed, orders=5, lines=3, nodes=3), seed, 1500, 700)
        orders = np.array([1, 3, 4])
        some = part(problem, orders, Supply.of(problem))
        some.problem.validate()
        plans = some.plans_of_window(solve(some.problem).plans)
        assert sorted(plans) == orders.tolist()
        whole = [plans.get(order, ()) for order in range(problem.orders)]
        settled = settle(problem, whole, solver="", work=0, bound=None, cut=False)
        assert check(replace(problem, guide=None), settled) == []
        assert settled.costs.total[orders].tolist() == solve(some.problem).costs.total.tolist()


def test_in_a_mixed_window_rules_go_before_the_optimised_of_their_class() -> None:
    """Priority decides first, then rule before optimised; each order is routed in its own way."""
    world = World([[1, 1, 1]], node_rank=[2, 1, 0])
    for priority in (0, 0, 1):
        world.order([Want(0)], [Way(k, ship_parcel=100 + k) for k in range(3)], priority)
    problem = replace(world.problem(), modes=(Mode.OPTIMISE, Mode.SEQUENCE, Mode.OPTIMISE))
    answer = solve(problem)
    # The third order is first and takes its cheapest node, the second the node of best rank, the first the rest.
    nodes = [int(problem.options.node[plan[0].option]) for plan in answer.plans]
    assert (nodes, answer.solver, answer.bound) == ([1, 2, 0], "mixed", None)


@pytest.mark.parametrize("seed", range(30))
def test_mixed_windows_are_feasible_and_repeat_themselves(seed: int) -> None:
    """Whatever the mixture, nothing is taken twice; the budget ends the search, never the answer."""
    problem = random_world(seed, orders=8, items=4, nodes=4, stock=2, priorities=2)
    rng = np.random.default_rng(seed)
    modes = tuple(list(Mode)[i] for i in rng.integers(0, 4, problem.orders))
    problem = steered(replace(problem, modes=modes), seed)
    for budget in (Budget(), Budget(work=1), Budget(floor=True)):
        answer, again = solve(problem, budget), solve(problem, budget)
        assert check(problem, answer) == []
        assert repr(answer.plans) == repr(again.plans)


@pytest.mark.parametrize("always", [True, False])
def test_the_flow_charges_nothing_for_a_unit_that_may_wait(always: bool) -> None:
    """A dated unit that stays costs nothing, so economic windows leave it and the flow's total says so."""
    world = World([[1]], objective=Objective(fill_always=always, unfilled_per_unit=1000))
    for _ in range(2):
        world.order([Want(0)], [Way(0, ship_parcel=300)])
    problem = world.problem()
    problem = replace(problem, lines=replace(problem.lines, dated=np.array([0, 1])))
    flown = flow.solve(problem)
    assert flown is not None
    assert flown.bound == 300
    assert [len(plan) for plan in flown.plans] == [1, 0]
