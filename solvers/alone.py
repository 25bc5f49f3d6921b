"""Every order by itself: the right method for its size and for what may still be spent, all on the same supply."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.cover import PLAIN, cheapest_cover, plain_plan
from solvers.cover_bound import cover_bound, is_bounded
from solvers.menu import Menu, Supply
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.purse import Purse
from solvers.quick import quick_plan
from solvers.resources import Taken, taken_by, taken_of, together
from solvers.runs import heads
from solvers.simple import Answers, Simple, nothing, simple_plans
from solvers.single import MAX_SKUS, priced_plans

COVER = 1_000_000
"""Work that one large order's cover costs beside what it counts itself, unless it is plain: measured."""


MAX_LINES = 100
"""Lines of an order from which on it is large, however few SKUs they are of."""

BOUND, BOUNDED = 100_000, 20
"""Work that a large order's bound costs, measured, and how many of one window get one."""


class Alone(NamedTuple):
    """A plan per order asked for, and what they take.

    `simple`: the simple orders, `own` their answers by place. `menus`: the exact menus of others, `at[order]` is
    (menu, column).
    """

    plans: list[Priced]
    simple: Simple
    own: Answers
    menus: list[Menu]
    at: dict[int, tuple[Menu, int]]
    taken: Taken

    def again(self, order: int) -> bool:
        """Whether the order can be priced again without being looked at anew."""
        return order in self.at or bool(self.simple.place[order] >= 0)


def is_large(problem: Problem, orders: Ints) -> Bools:
    """bool[len(orders)]: the order has more than MAX_SKUS distinct SKUs or MAX_LINES lines, so `cover` prices it.

    Alternatives of a line do not make an order large.
    """
    lines = problem.lines
    size = lines.start[orders + 1] - lines.start[orders]
    large = size > MAX_SKUS
    for at in np.flatnonzero(large).tolist():
        mine = problem.lines_of(int(orders[at]))
        head = heads(lines.line[mine])
        # A few lines of one SKU are not a large order.
        large[at] = len(head) > MAX_LINES or len(np.unique(lines.item[mine][head])) > MAX_SKUS
    return large


def plans_alone(problem: Problem, orders: Ints, supply: Supply, purse: Purse, *, work: int) -> Alone:
    """The best plan of each order as if nobody else wanted the supply.

    `work` bounds each order's search. Simple orders come first, then small ones; what `purse` cannot pay for is
    planned by `quick`.
    """
    simple, own, empty = simple_plans(problem, orders, supply, purse, work=work)
    found = dict(zip(empty.tolist(), nothing(problem, empty), strict=True))
    standing = np.flatnonzero(simple.place >= 0)
    found.update(zip(standing.tolist(), simple.priced(own.some(simple.place[standing])), strict=True))
    others = np.setdiff1d(orders, np.concatenate([empty, standing]), assume_unique=True)
    large = is_large(problem, others)
    by_menu, menus = priced_plans(problem, others[~large], supply, purse, work=work)
    found.update(by_menu)
    waiting = int(large.sum())
    for order in others.tolist():
        if order not in found:
            # What is left is shared evenly, so that the last are planned as well as the first.
            share = (purse.work - purse.spent) // waiting - PLAIN
            found[order] = large_plan(problem, order, supply, purse, work=min(work, max(share, 1)))
            waiting -= 1
        elif found[order].bound is None and len(np.unique(problem.lines.item[problem.lines_of(order)])) > MAX_SKUS:
            # Many alternatives of few lines: neither method is the better one always.
            found[order] = better(problem, found[order], large_plan(problem, order, supply, purse, work=work))
    at = {order: (menu, column) for menu in menus for column, order in enumerate(menu.orders.tolist())}
    plans = [found[order] for order in orders.tolist()]
    return Alone(plans, simple, own, menus, at, _taken(problem, orders, plans, simple, own))


def _taken(problem: Problem, orders: Ints, plans: list[Priced], simple: Simple, own: Answers) -> Taken:
    """What the plans take, those of simple orders without looking at each."""
    place = simple.place[orders]
    which, others = np.flatnonzero(place >= 0), np.flatnonzero(place < 0)
    every = simple.flat(own.some(place[which]))
    parts = [taken_of(problem, every._replace(owner=which[every.owner]))]
    if len(others):
        rest = taken_by(problem, orders[others].tolist(), [plans[at].plan for at in others.tolist()])
        parts.append(rest._replace(owner=others[rest.owner]))
    return together(parts)


def large_plan(problem: Problem, order: int, supply: Supply, purse: Purse, *, work: int) -> Priced:
    """One large order. A plain one by the compiled search, however little is left; any other by the better of `quick`
    and, where it can be paid for, `cover`."""
    plain = plain_plan(problem, order, supply, work=min(work, purse.work - purse.spent - PLAIN))
    if plain is not None:
        purse.pay(PLAIN + plain.work)
        return plain
    fast = quick_plan(problem, order, supply)
    purse.pay(fast.work)
    if not fast.filled or not purse.affords(COVER):
        return fast
    most = max(1, min(work, purse.work - purse.spent - COVER))
    slow = cheapest_cover(problem, order, supply.stock, supply.parcels, supply.units, work=most)
    purse.pay(COVER + slow.work)
    return better(problem, fast, slow)


def bound_of(problem: Problem, plans: list[Priced], supply: Supply, purse: Purse) -> int | None:
    """What orders that do not compete cost together at least, in mills; None if unproven.

    Large orders come without a bound; a few of them in one window get theirs here (`cover_bound`), as long as `purse`
    can pay for it.
    """
    open_orders = np.array([order for order, one in enumerate(plans) if one.bound is None], np.int64)
    payable = purse.spent + BOUND * len(open_orders) <= purse.work
    if len(open_orders) > BOUNDED or not payable or not is_large(problem, open_orders).all():
        return None
    if not all(is_bounded(problem, order) for order in open_orders.tolist()):
        return None
    total = sum(one.bound for one in plans if one.bound is not None)
    for order in open_orders.tolist():
        total += cover_bound(problem, order, supply.stock, supply.parcels, supply.units, plans[order])
        purse.pay(BOUND)
    return total


def better(problem: Problem, one: Priced, two: Priced) -> Priced:
    """The plan that fills more, where that comes first, or else is cheaper; `one` where they are equal."""
    first = problem.objective.fill_always
    return min(one, two, key=lambda plan: (-plan.filled if first else 0, plan.cost))
