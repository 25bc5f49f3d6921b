"""Windows with orders that no menu prices: they take turns otherwise, and then turns again.

The LP of `joint` prices menus, so of a large order it knows the plans it is given and no others. What such a window
costs is decided by who goes first, and no rule is best always: where little is scarce the small orders should (a large
one opens many parcels anyway), where all is scarce the large ones. So both ways are tried. Then every order that does
not have its own best plan is planned again on what all others leave, those that miss most first, until none gains
(destroy and repair; Shaw 1998 removes several at a time).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solvers.alone import Alone
from solvers.column import key_of
from solvers.cover import PLAIN
from solvers.greedy import on_what_is_left, one_by_one
from solvers.menu import Supply
from solvers.plan import Priced, take, use_of
from solvers.problem import Ints, Problem
from solvers.purse import Purse

OVERRUN = 5
"""The second way is tried until so many times the window's work is spent: without it a window of a hundred large orders
would cost more than they do one by one."""

ROUNDS = 6
"""Times at most that all orders are planned again."""


def in_other_turns(problem: Problem, alone: Alone, filled: list[Priced], purse: Purse, *, work: int) -> list[Priced]:
    """A plan for every order, feasible together, at least as good as `filled`; the very same where all have menus.

    `alone`: each order's own best plan on the whole supply. `work` bounds the search of one order.
    """
    large = [order for order, one in enumerate(alone.plans) if one.filled and not alone.again(order)]
    moved = [order for order in large if filled[order] is not alone.plans[order]]
    if not large or not moved:
        return filled
    best = filled
    limit, purse.work = purse.work, purse.work * OVERRUN
    if purse.affords(2 * PLAIN * len(moved)):
        other = one_by_one(problem, alone, _smallest_first(problem, alone), Supply.of(problem).copy(), purse, work=work)
        best = min(filled, other, key=lambda plans: key_of(problem, plans))
    purse.work = limit
    return _again(problem, alone, best, purse, work=work)


def _smallest_first(problem: Problem, alone: Alone) -> Ints:
    """Orders by descending priority, then by the units they ship."""
    units = np.array([one.filled for one in alone.plans], np.int64)
    return np.lexsort((np.arange(problem.orders), units, -problem.priority))


def _again(problem: Problem, alone: Alone, plans: Sequence[Priced], purse: Purse, *, work: int) -> list[Priced]:
    """Each order again on what all others leave, until a whole round changes nothing or the work is done."""
    now, left = list(plans), Supply.of(problem).copy()
    for order, one in enumerate(now):
        take(problem, use_of(problem, order, one.plan), left.stock, left.parcels, left.units)
    for _ in range(ROUNDS):
        missing = {order: _missing(one, alone.plans[order]) for order, one in enumerate(now)}
        before = list(now)
        short = [order for order, gap in missing.items() if gap > (0, 0)]
        for order in sorted(short, key=lambda order: (missing[order], -order), reverse=True):
            if purse.spent + 2 * PLAIN > purse.work:
                return now
            old = now[order]
            take(problem, use_of(problem, order, old.plan), left.stock, left.parcels, left.units, -1)
            new = on_what_is_left(problem, alone, [order], left, purse, work=work)[0]
            if _key(problem, new) < _key(problem, old):
                now[order] = new
            take(problem, use_of(problem, order, now[order].plan), left.stock, left.parcels, left.units)
        if all(one is other for one, other in zip(now, before, strict=True)):
            break
    return now


def _missing(one: Priced, own: Priced) -> tuple[int, int]:
    """Units and mills by which a plan falls short of the order's own best."""
    return own.filled - one.filled, one.cost - own.cost


def _key(problem: Problem, plan: Priced) -> tuple[int, int]:
    return (-plan.filled if problem.objective.fill_always else 0), plan.cost
