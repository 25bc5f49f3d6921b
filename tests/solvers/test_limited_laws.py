"""What must hold of the best decision of any window: more helps, empty limits and twins of goods change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from solvers import brute, choose
from solvers.plan import charged, derive
from solvers.problem import Derived, Limits, Lines, Problem
from solvers.solution import Solution, check
from tests.solvers.worlds import random_limited_world, random_world

SOLVERS = [brute.solve, choose.solve]


def worth(problem: Problem, solve: Callable[[Problem], Solution]) -> brute.Key:
    """The key of a solver's decision, which must hold before the judge."""
    answer = solve(problem)
    assert check(problem, answer) == []
    return brute.key_of(problem, answer.plans)


@cache
def decided(make: Callable[[int], Problem], seed: int, solve: Callable[[Problem], Solution]) -> Solution:
    """The decision of the window of a seed, which must hold before the judge; several laws look at the same windows."""
    problem = make(seed)
    answer = solve(problem)
    assert check(problem, answer) == []
    return answer


def worth_of(make: Callable[[int], Problem], seed: int, solve: Callable[[Problem], Solution]) -> brute.Key:
    """The key of the decision of the window of a seed."""
    return brute.key_of(make(seed), decided(make, seed, solve).plans)


def plain(seed: int) -> Problem:
    """A tiny window of two orders without limits."""
    return random_world(seed, orders=2, items=2, nodes=2, lines=2, stock=2, priorities=2, capacity=seed % 2 == 0)


@pytest.mark.parametrize("solve", SOLVERS, ids=["referee", "ladder"])
def test_more_stock_never_makes_the_best_decision_worse(solve: Callable[[Problem], Solution]) -> None:
    """Every plan of before is still one."""
    for seed in range(120):
        problem, dice = random_limited_world(seed), np.random.default_rng(seed)
        fewer = problem.stock.copy()
        real = np.setdiff1d(np.arange(len(fewer)), problem.derived.item)
        cell = dice.choice(real), dice.integers(problem.nodes)
        fewer[cell] = max(0, fewer[cell] - int(dice.integers(1, 3)))
        less = replace(problem, stock=fewer)
        derive(less, less.stock)
        assert worth_of(random_limited_world, seed, solve) <= worth(less, solve), seed


@pytest.mark.parametrize("solve", SOLVERS, ids=["referee", "ladder"])
def test_fewer_limits_never_make_the_best_decision_worse(solve: Callable[[Problem], Solution]) -> None:
    """Every plan that kept them all keeps what is left of them."""
    for seed in range(120):
        problem, dice = random_limited_world(seed), np.random.default_rng(seed)
        none, limits = Limits.none(problem.orders), problem.limits
        name = list(Limits.__slots__)[dice.integers(len(Limits.__slots__))]
        looser = replace(problem, limits=replace(limits, **{name: getattr(none, name)}))
        assert worth(looser, solve) <= worth_of(random_limited_world, seed, solve), seed


def many_parcels(problem: Problem) -> Problem:
    """More boxes than there are units."""
    return replace(problem, limits=replace(problem.limits, max_parcels=np.full(problem.orders, 99, np.int64)))


def cheap_splits(problem: Problem) -> Problem:
    """Every unit is worth as much as a shipment must be."""
    lines = replace(problem.lines, value=np.full(len(problem.lines.item), 7, np.int64))
    limits = replace(problem.limits, min_split_value=np.full(problem.orders, 7, np.int64))
    return replace(problem, lines=lines, limits=limits)


def one_each(problem: Problem) -> Problem:
    """Of every line one unit."""
    return replace(problem, lines=replace(problem.lines, quantity=np.ones(len(problem.lines.item), np.int64)))


def single_units(seed: int) -> Problem:
    """`plain`, of every line one unit."""
    return one_each(plain(seed))


def unsplit(problem: Problem) -> Problem:
    """No line in two shipments: of one unit, none can be."""
    return replace(problem, limits=replace(problem.limits, whole_lines=np.ones(problem.orders, np.bool_)))


def groups_of_one(problem: Problem) -> Problem:
    """Each line a group of its own: one unit is always whole, and its box can be a shipment."""
    return replace(problem, lines=replace(problem.lines, group=problem.lines.line.copy()))


def made_of_itself(problem: Problem) -> Problem:
    """Item 0 is asked for as a kit of one unit of it."""
    twin = len(problem.stock)
    item = np.where(problem.lines.item == 0, twin, problem.lines.item)
    one = np.ones(1, np.int64)
    derived = Derived(twin * one, np.array([0, 1]), 0 * one, one, -one)
    stock = np.vstack([problem.stock, problem.stock[:1]])
    return replace(problem, lines=replace(problem.lines, item=item), stock=stock, derived=derived)


def its_own_substitute(problem: Problem) -> Problem:
    """The last line may be supplied in two ways, which are the same."""
    lines, last = problem.lines, len(problem.lines.item) - 1
    rows = np.append(np.arange(last + 1), last)
    start = lines.start.copy()
    start[-1] += 1
    columns = {name: getattr(lines, name)[rows] for name in Lines.__slots__ if name != "start"}
    return replace(problem, lines=Lines(start=start, **columns))


@pytest.mark.parametrize("solve", SOLVERS, ids=["referee", "ladder"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (plain, many_parcels),
        (plain, cheap_splits),
        (single_units, unsplit),
        (single_units, groups_of_one),
        (plain, made_of_itself),
        (plain, its_own_substitute),
        (random_limited_world, its_own_substitute),
    ],
    ids=["many_parcels", "cheap_splits", "unsplit", "groups_of_one", "made_of_itself", "own_substitute", "limited"],
)
def test_what_excludes_nothing_and_adds_nothing_changes_nothing(
    before: Callable[[int], Problem], after: Callable[[Problem], Problem], solve: Callable[[Problem], Solution]
) -> None:
    """An empty limit, a kit of the thing itself, a substitute that is the thing itself: the best is worth the same."""
    for seed in range(60):
        changed = after(before(seed))
        changed.validate()
        assert worth(changed, solve) == worth_of(before, seed, solve), seed


@pytest.mark.parametrize("solve", SOLVERS, ids=["referee", "ladder"])
def test_what_ships_and_what_is_missing_is_what_was_asked_for(solve: Callable[[Problem], Solution]) -> None:
    """By line, over its alternatives; and only what is missing without a date is charged."""
    for seed in range(150):
        problem = random_limited_world(seed)
        answer = decided(random_limited_world, seed, solve)
        for order, plan in enumerate(answer.plans):
            at, missing, uncharged = problem.lines_of(order), 0, 0
            for line in np.unique(problem.lines.line[at]).tolist():
                rows = np.flatnonzero(problem.lines.line[at] == line)
                shipped = sum(int(shipment.units[rows].sum()) for shipment in plan)
                left = int(problem.lines.quantity[at][rows[0]]) - shipped
                assert left >= 0, seed
                missing += left
                uncharged += min(left, int(problem.lines.dated[at][rows[0]]))
            filled = sum(int(shipment.units.sum()) for shipment in plan)
            assert filled + missing == problem.demand_of(order), seed
            assert charged(problem, order, tuple(plan)) == missing - uncharged, seed
            owed = (missing - uncharged) * problem.objective.unfilled_per_unit
            assert int(answer.costs.unfilled[order]) == owed, seed
