"""The ladder: which method decides a window, by its mode, size, structure and budget. Start here.

0. What steers beside money becomes money: `guided`. Where units may stay, what ships is decided without shadow prices
   first (`_from_where`). A window of several modes is decided class by class.
1. A rule mode: `rules`.
2. Every order of several has one line and a flow is exact: `flow`.
3. Every order alone (`alone`); if nothing is overdrawn that is the optimum.
4. One by one (`greedy`), at once where the caller asks for the floor or the budget is spent; with large orders among
   them in other `turns` too.
5. Otherwise `joint`, never worse than 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from solvers import flow, joint, rules
from solvers.alone import bound_of, plans_alone
from solvers.budget import Budget
from solvers.greedy import by_regret, one_by_one, without
from solvers.guided import guided, shipping_as, unpriced
from solvers.menu import Supply
from solvers.part import part
from solvers.plan import Priced, take, use_of
from solvers.problem import Mode, Problem
from solvers.purse import Purse
from solvers.resources import contested
from solvers.solution import Plan, Solution, settle
from solvers.turns import in_other_turns

ALONE, GREEDY = 50, 75
"""Per cent of the work that may be spent once every order has its own plan, and once all are feasible together.

Beyond it orders are planned by the least search or by `quick`, a few milliseconds each whatever they hold."""


OVERRUN = 4_000_000
"""Work by which a step under way may end beyond the budget; orders planned by `quick` or by the least search come on
top, and the other `turns` of large orders."""


def solve(problem: Problem, budget: Budget | None = None) -> Solution:
    """Decide one window. Always a feasible answer; `cut` says that the budget ended the search."""
    steered, limits, guide = guided(problem), budget or Budget(), problem.guide
    if guide is None or steered.problem is problem:
        return _decided(problem, limits)
    if problem.objective.fill_always or guide.prices_refuse or not guide.prices:
        found = _decided(steered.problem, limits)
    else:
        found = _from_where(steered.problem, guided(unpriced(problem)).problem, limits)
    return settle(
        problem,
        found.plans,
        solver=found.solver,
        work=found.work,
        bound=None if found.bound is None else steered.mills(found.bound),
        cut=found.cut,
        guided_total=steered.mills(found.total),
    )


def _from_where(problem: Problem, plain: Problem, budget: Budget) -> Solution:
    """A window where money decides what ships, and shadow prices only from where: `plain` knows none and is decided
    first; then `problem` ships the very same units of every line. The bound is for those units."""
    started = budget.now()
    first = _decided(plain, replace(budget, work=budget.work // 2, seconds=budget.seconds / 2))
    same = shipping_as(problem, first.plans)
    left = replace(budget, work=budget.work - first.work, seconds=budget.seconds - (budget.now() - started))
    second = _decided(same, left)
    work, cut = first.work + second.work, first.cut or second.cut
    if _shipped(second.plans) < _shipped(first.plans):
        # A search that was cut short found no place for all of them; the plans at hand have one.
        return settle(problem, first.plans, solver=first.solver, work=work, bound=None, cut=cut)
    found = settle(problem, second.plans, solver=second.solver, work=work, bound=None, cut=cut)
    stays = found.total - second.total
    return replace(found, bound=None if second.bound is None else second.bound + stays)


def _shipped(plans: Sequence[Plan]) -> int:
    return sum(int(shipment.units.sum()) for plan in plans for shipment in plan)


def _decided(problem: Problem, budget: Budget) -> Solution:
    """A window without a guide, by its mode or its modes."""
    first = problem.modes[0] if problem.modes else Mode.OPTIMISE
    if any(mode is not first for mode in problem.modes):
        return _by_class(problem, budget)
    return _optimised(problem, budget) if first is Mode.OPTIMISE else rules.solve(problem)


def _by_class(problem: Problem, budget: Budget) -> Solution:
    """A window of several modes: by descending priority, in each class first the orders that go by a rule, in their
    order, then the others together, each on what is left. Nothing is proven."""
    started, left = budget.now(), Supply.of(problem).copy()
    plans: list[Plan] = [() for _ in range(problem.orders)]
    work, cut = 0, False
    ruled = np.array([mode is not Mode.OPTIMISE for mode in problem.modes])
    for one in sorted(set(problem.priority.tolist()), reverse=True):
        for by_rule in (True, False):
            orders = np.flatnonzero((problem.priority == one) & (ruled == by_rule))
            if not len(orders):
                continue
            some = part(problem, orders, left)
            seconds = budget.seconds - (budget.now() - started)
            rest = replace(budget, work=max(0, budget.work - work), seconds=seconds)
            found = rules.solve(some.problem) if by_rule else _optimised(some.problem, rest)
            work, cut = work + found.work, cut or found.cut
            for order, plan in some.plans_of_window(found.plans).items():
                plans[order] = plan
                take(problem, use_of(problem, order, tuple(plan)), left.stock, left.parcels, left.units)
    return settle(problem, plans, solver="mixed", work=work, bound=None, cut=cut)


def _optimised(problem: Problem, limits: Budget) -> Solution:
    """All orders together: rungs 2 to 5."""
    started = limits.now()

    def expired() -> bool:
        return limits.now() - started >= limits.seconds

    if problem.orders > 1 and not limits.floor:
        flown = flow.solve(problem)
        if flown is not None:
            return settle(problem, flown.plans, solver="flow", work=flown.work, bound=flown.bound, cut=False)
    orders, everything = np.arange(problem.orders, dtype=np.int64), Supply.of(problem)
    purse = Purse(limits.work * ALONE // 100, expired)
    alone = plans_alone(problem, orders, everything, purse, work=limits.order_work)
    over = contested(problem, alone.taken)
    if not over.any():
        bound = bound_of(problem, alone.plans, everything, purse)
        return _settled(problem, alone.plans, "alone", purse, bound)
    purse.work = limits.work * GREEDY // 100
    fallback = without(problem, alone, over, purse, work=limits.order_work)
    turns = by_regret(problem, alone, fallback)
    filled = one_by_one(problem, alone, turns, everything.copy(), purse, work=limits.order_work)
    purse.work = limits.work
    if not limits.floor:
        filled = in_other_turns(problem, alone, filled, purse, work=limits.order_work)
    if limits.floor or not purse.affords(1):
        return _settled(problem, filled, "greedy", purse, _floor_bound(problem, alone.plans, filled))
    joined = joint.solve(problem, alone, filled, fallback, purse, limits.gap)
    return settle(
        problem, joined.plans, solver="joint", work=purse.spent, bound=joined.bound, cut=joined.cut or purse.cut
    )


def _settled(problem: Problem, plans: Sequence[Priced], solver: str, purse: Purse, bound: int | None) -> Solution:
    return settle(problem, [one.plan for one in plans], solver=solver, work=purse.spent, bound=bound, cut=purse.cut)


def _sum_bounds(plans: Sequence[Priced]) -> int | None:
    bounds = [one.bound for one in plans]
    return sum(one for one in bounds if one is not None) if None not in bounds else None


def _floor_bound(problem: Problem, alone: Sequence[Priced], chosen: Sequence[Priced]) -> int | None:
    """The orders' own best plans bound the window as long as nobody ships less than alone (or may choose to)."""
    same_fill = all(one.filled == two.filled for one, two in zip(alone, chosen, strict=True))
    return _sum_bounds(alone) if same_fill or not problem.objective.fill_always else None
