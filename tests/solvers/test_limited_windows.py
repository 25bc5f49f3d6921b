"""Windows with limits, groups, alternatives, kits, docks and guidance: the solver against the exhaustive referee."""

from __future__ import annotations

import pytest

from solvers import brute
from solvers.choose import Budget, solve
from solvers.problem import Problem
from solvers.solution import Solution, check
from tests.solvers.worlds import FEATURES, random_limited_world

WINDOWS, PARTS = 1000, 20


def faults(problem: Problem, answer: Solution) -> str:
    """What is wrong with an answer: a rule it breaks, or a better one; empty if nothing."""
    violations = check(problem, answer)
    if violations:
        return violations[0].rule
    got, best = brute.key_of(problem, answer.plans), brute.key_of(problem, brute.solve(problem).plans)
    if answer.bound is not None and got[:-1] == best[:-1] and 1000 * answer.bound > best[-1] + 999:
        return f"bound {answer.bound} above {best[-1]}"
    return "" if got == best else f"{got} where {best} is possible"


@pytest.mark.parametrize("part", range(PARTS))
def test_every_limited_window_is_decided_as_well_as_the_referee_does(part: int) -> None:
    """The solver reaches the best fill and money of every tiny window, whatever limits it has."""
    wrong = {}
    for seed in range(part, WINDOWS, PARTS):
        problem = random_limited_world(seed)
        found = faults(problem, solve(problem))
        if found:
            wrong[seed] = found
    assert wrong == {}


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_by_itself_is_decided_as_well_as_the_referee_does(feature: str) -> None:
    """A fault in one feature is named by the test that fails."""
    wrong = {}
    for seed in range(2000, 2025):
        problem = random_limited_world(seed, features={feature})
        found = faults(problem, solve(problem))
        if found:
            wrong[seed] = found
    assert wrong == {}


@pytest.mark.parametrize("seed", range(3000, 3060))
def test_mixed_modes_and_small_budgets_keep_every_limit(seed: int) -> None:
    """Rules, the floor and a spent budget may cost more, but break nothing and repeat themselves."""
    problem = random_limited_world(seed, modes=True)
    for budget in (Budget(), Budget(work=1), Budget(floor=True)):
        answer, again = solve(problem, budget), solve(problem, budget)
        assert check(problem, answer) == []
        assert repr(answer.plans) == repr(again.plans)
