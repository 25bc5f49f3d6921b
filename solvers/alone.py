"""Every order by itself: the right method for its size and for what may still be spent, all on the same supply."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.cover import cheapest_cover
from solvers.menu import Menu, Supply
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.purse import Purse
from solvers.quick import quick_plan
from solvers.single import MAX_SKUS, priced_plans

COVER = 1_000_000
"""Work that one large order's cover costs beside what it counts itself: measured."""


class Alone(NamedTuple):
    """A plan per order asked for, and the exact menus they came from: `at[order]` is (menu, column)."""

    plans: list[Priced]
    menus: list[Menu]
    at: dict[int, tuple[Menu, int]]


def is_large(problem: Problem, orders: Ints) -> Bools:
    """bool[len(orders)]: the order has more than MAX_SKUS distinct SKUs, so `cover` prices it."""
    size = problem.lines.start[orders + 1] - problem.lines.start[orders]
    large = size > MAX_SKUS
    for at in np.flatnonzero(large).tolist():
        # Many lines of few SKUs are not a large order.
        large[at] = len(np.unique(problem.lines.item[problem.lines_of(int(orders[at]))])) > MAX_SKUS
    return large


def plans_alone(problem: Problem, orders: Ints, supply: Supply, purse: Purse, *, work: int) -> Alone:
    """The best plan of each order as if nobody else wanted the supply.

    `work` bounds each order's search. Small orders come first; what `purse` cannot pay for is planned by `quick`.
    """
    large = is_large(problem, orders)
    found, menus = priced_plans(problem, orders[~large], supply, purse, work=work)
    for order in orders[large].tolist():
        found[order] = large_plan(problem, order, supply, purse, work=work)
    at = {order: (menu, column) for menu in menus for column, order in enumerate(menu.orders.tolist())}
    return Alone([found[order] for order in orders.tolist()], menus, at)


def large_plan(problem: Problem, order: int, supply: Supply, purse: Purse, *, work: int) -> Priced:
    """One large order: the better of `quick` and, where it can be paid for, `cover`."""
    fast = quick_plan(problem, order, supply)
    purse.pay(fast.work)
    if not fast.filled or not purse.affords(COVER):
        return fast
    most = max(1, min(work, purse.work - purse.spent - COVER))
    slow = cheapest_cover(problem, order, supply.stock, supply.parcels, supply.units, work=most)
    purse.pay(COVER + slow.work)
    return better(problem, fast, slow)


def better(problem: Problem, one: Priced, two: Priced) -> Priced:
    """The plan that fills more, where that comes first, or else is cheaper; `one` where they are equal."""
    first = problem.objective.fill_always
    return min(one, two, key=lambda plan: (-plan.filled if first else 0, plan.cost))
