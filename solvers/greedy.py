"""One order after another, highest priority first, then who has most to lose, each its cheapest plan on what is left.

Simple orders take turns in one compiled pass. Others that fit beside all before them are served together, the rest is
priced again on what is left, all at once, until few are left to take turns. Always feasible, never waits for anything:
the rung below every other method, and the plan that `joint` must beat.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from solvers.alone import Alone, plans_alone
from solvers.menu import Supply
from solvers.plan import Priced, derive, fits, take, use_of
from solvers.problem import Bools, Ints, Problem
from solvers.purse import Purse
from solvers.resources import in_turn, take_all, taken_by
from solvers.single import cheapest_plan, price_again

ROUNDS = 5
"""Times that the orders of one priority are served together before they take turns."""


def sequence(problem: Problem) -> Ints:
    """Order indexes by (priority descending, index)."""
    return np.lexsort((np.arange(problem.orders), -problem.priority))


def without(problem: Problem, alone: Alone, over: Bools, purse: Purse, *, work: int) -> dict[int, Priced]:
    """The best plan without anything that is `over` bool[resources] of every order whose own best takes some of it, as
    far as it has a menu: what it can fall back on."""
    taken = alone.taken
    touching = [order for order in np.unique(taken.owner[over[taken.resource]]).tolist() if alone.again(order)]
    left, cells = Supply.of(problem).copy(), problem.stock.size
    left.stock[over[:cells].reshape(problem.stock.shape)] = 0
    parcels, units = over[cells:].reshape(2, -1)
    left.parcels[parcels], left.units[units] = 0, 0
    if len(problem.derived.item):
        derive(problem, left.stock)
    return dict(zip(touching, on_what_is_left(problem, alone, touching, left, purse, work=work), strict=True))


def by_regret(problem: Problem, alone: Alone, fallback: dict[int, Priced]) -> Ints:
    """Order indexes by descending priority, then by what the order loses with its fallback: units, if they come first,
    then money. Orders without one have the most to lose."""
    units, money = np.zeros(problem.orders, np.int64), np.zeros(problem.orders, np.int64)
    for order, other in fallback.items():
        own = alone.plans[order]
        units[order], money[order] = other.filled - own.filled, own.cost - other.cost
    for order in np.flatnonzero(alone.simple.place < 0).tolist():
        if order not in alone.at:
            units[order] = -alone.plans[order].filled
    if not problem.objective.fill_always:
        units[:] = 0
    return np.lexsort((np.arange(problem.orders), money, units, -problem.priority))


def one_by_one(
    problem: Problem, alone: Alone, orders: Ints, supply: Supply, purse: Purse, *, work: int
) -> list[Priced]:
    """A plan for every order in order index, feasible together on `supply`, which is used up in place.

    `orders`: in turn, by descending priority. `alone`: plans on the full supply, by order index. Where such a plan
    still fits it is the cheapest, because what is left is only ever less: so only orders that met a conflict are priced
    again, most of them from their menu.
    """
    chosen = list(alone.plans)
    simple = alone.simple.place[orders] >= 0
    edges = np.flatnonzero(np.diff(simple, prepend=~simple[:1], append=~simple[-1:])) if len(orders) else orders
    for low, high in pairwise(edges.tolist()):
        if simple[low]:
            _serve_simple(problem, alone, orders[low:high], supply, purse, chosen, work=work)
            continue
        priority = problem.priority[orders[low:high]]
        for one in sorted(set(priority.tolist()), reverse=True):
            _serve(problem, alone, orders[low:high][priority == one].tolist(), supply, purse, chosen, work=work)
    return chosen


def _serve_simple(
    problem: Problem, alone: Alone, orders: Ints, left: Supply, purse: Purse, chosen: list[Priced], *, work: int
) -> None:
    """Serve simple orders in turn from what is left, in place."""
    simple = alone.simple
    while len(orders):
        turns = simple.place[orders]
        served, moved, done = simple.served(turns, alone.own, left)
        slots = np.flatnonzero(moved[:done])
        purse.pay(simple.work(turns[slots]))
        again = simple.priced(served.some(slots), proven=False)
        for order, one in zip(orders[slots].tolist(), again, strict=True):
            chosen[order] = one
        for order in orders[done : done + 1].tolist():
            chosen[order] = _by_itself(problem, order, left, purse, work=work)
            take(problem, use_of(problem, order, chosen[order].plan), left.stock, left.parcels, left.units)
        orders = orders[done + 1 :]
    if len(problem.derived.item):
        derive(problem, left.stock)


def _serve(
    problem: Problem, alone: Alone, waiting: list[int], left: Supply, purse: Purse, chosen: list[Priced], *, work: int
) -> None:
    """Serve orders of one priority from what is left, in place."""
    for _ in range(ROUNDS):
        if not waiting:
            return
        taken = taken_by(problem, waiting, [chosen[order].plan for order in waiting])
        fitting = in_turn(taken, left, len(waiting))
        take_all(problem, taken.only(fitting), left)
        waiting = [order for order, fits in zip(waiting, fitting.tolist(), strict=True) if not fits]
        again = [order for order in waiting if alone.again(order)]
        if not again:
            break
        for order, priced in zip(again, on_what_is_left(problem, alone, again, left, purse, work=work), strict=True):
            chosen[order] = priced
    for order in waiting:
        use = use_of(problem, order, chosen[order].plan)
        if not fits(use, left.stock, left.parcels, left.units):
            chosen[order] = on_what_is_left(problem, alone, [order], left, purse, work=work)[0]
            use = use_of(problem, order, chosen[order].plan)
        take(problem, use, left.stock, left.parcels, left.units)


def on_what_is_left(
    problem: Problem, alone: Alone, orders: list[int], left: Supply, purse: Purse, *, work: int
) -> list[Priced]:
    """Each order's cheapest plan as if alone on a part of the supply that `alone` was priced on; no bound."""
    found: dict[int, Priced] = {}
    by_menu: dict[int, list[int]] = {}
    place = alone.simple.place[orders] if orders else np.zeros(0, np.int64)
    if (place >= 0).any():
        found.update(_simple_again(problem, alone, np.array(orders, np.int64)[place >= 0], left, purse, work=work))
    for order in orders:
        if order in alone.at:
            by_menu.setdefault(id(alone.at[order][0]), []).append(order)
        elif order not in found:
            one = plans_alone(problem, np.array([order], np.int64), left, purse, work=work).plans[0]
            found[order] = one._replace(bound=None)
    for mine in by_menu.values():
        mine.sort()
        menu = alone.at[mine[0]][0]
        columns = np.array([alone.at[order][1] for order in mine], np.int64)
        priced = price_again(menu, columns, left)
        found.update(zip(mine, [one._replace(bound=None) for one in priced], strict=True))
        purse.pay(sum(one.work for one in priced))
    return [found[order] for order in orders]


def _simple_again(
    problem: Problem, alone: Alone, orders: Ints, left: Supply, purse: Purse, *, work: int
) -> dict[int, Priced]:
    """Simple orders on what is left; those whose boxes compete with each other are looked at one by one."""
    simple = alone.simple
    answers = simple.answers(simple.place[orders], left)
    purse.pay(simple.work(answers.which))
    found = dict(zip(orders.tolist(), simple.priced(answers, proven=False), strict=True))
    for order in orders[answers.found.coupled > 0].tolist():
        found[order] = _by_itself(problem, order, left, purse, work=work)
    return found


def _by_itself(problem: Problem, order: int, left: Supply, purse: Purse, *, work: int) -> Priced:
    """A simple order whose boxes compete with each other, on what is left."""
    one = cheapest_plan(problem, order, left.stock, left.parcels, left.units, work=work)
    purse.pay(one.work)
    return one._replace(bound=None)
