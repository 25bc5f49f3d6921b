"""The ladder: which method decides a window, by its mode, size, structure and budget. Start here.

1. A rule mode: `rules`.
2. Every order alone (`alone`); if nothing is overdrawn that is the optimum.
3. One by one (`greedy`), at once where the caller asks for the floor or the budget is spent.
4. Every order has one line and a flow is exact: `flow`.
5. Otherwise `joint`, never worse than 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from solvers import flow, joint, rules
from solvers.alone import plans_alone
from solvers.greedy import one_by_one, sequence
from solvers.menu import Supply
from solvers.plan import Priced
from solvers.problem import Mode, Problem
from solvers.solution import Solution, settle


def _never() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a window may be thought about.

    `work`: menu cells priced (about 50 million a second): decides, so that runs repeat. `seconds` on the clock `now` is
    only a safety cut. `order_work` bounds one order's search. `floor`: the cheapest rung at once, one by one.
    """

    work: int = 30_000_000
    seconds: float = float("inf")
    now: Callable[[], float] = _never
    order_work: int = 3_000_000
    floor: bool = False


def solve(problem: Problem, budget: Budget | None = None) -> Solution:
    """Decide one window. Always a feasible answer; `cut` says that the budget ended the search."""
    limits = budget or Budget()
    started = limits.now()

    def expired() -> bool:
        return limits.now() - started >= limits.seconds

    if problem.mode is not Mode.OPTIMISE:
        return rules.solve(problem)
    orders = np.arange(problem.orders, dtype=np.int64)
    alone = plans_alone(problem, orders, Supply.of(problem), work=limits.order_work)
    spent = sum(one.work for one in alone)
    if not joint.contested(problem, [one.plan for one in alone]):
        return _settled(problem, alone, "alone", spent, _sum_bounds(alone), cut=False)
    filled = one_by_one(problem, alone, sequence(problem), Supply.of(problem).copy(), work=limits.order_work)
    spent += filled.work
    over = spent >= limits.work or expired()
    if limits.floor or over:
        floor = _floor_bound(problem, alone, filled.plans)
        return _settled(problem, filled.plans, "greedy", spent, floor, cut=over and not limits.floor)
    flown = flow.solve(problem)
    if flown is not None:
        return settle(problem, flown.plans, solver="flow", work=spent + flown.work, bound=flown.bound, cut=False)
    joined = joint.solve(problem, alone, filled.plans, work=limits.work - spent, expired=expired)
    bound = joined.bound if joined.bound is not None else None
    return settle(problem, joined.plans, solver="joint", work=spent + joined.work, bound=bound, cut=joined.cut)


def _settled(
    problem: Problem, plans: Sequence[Priced], solver: str, work: int, bound: int | None, *, cut: bool
) -> Solution:
    return settle(problem, [one.plan for one in plans], solver=solver, work=work, bound=bound, cut=cut)


def _sum_bounds(plans: Sequence[Priced]) -> int | None:
    bounds = [one.bound for one in plans]
    return sum(one for one in bounds if one is not None) if None not in bounds else None


def _floor_bound(problem: Problem, alone: Sequence[Priced], chosen: Sequence[Priced]) -> int | None:
    """The orders' own best plans bound the window as long as nobody ships less than alone (or may choose to)."""
    same_fill = all(one.filled == two.filled for one, two in zip(alone, chosen, strict=True))
    return _sum_bounds(alone) if same_fill or not problem.objective.fill_always else None
