"""One order after another, highest priority first, each its cheapest plan on what the earlier ones left.

Always feasible, never waits for anything: the rung below every other method, and the plan that `joint` must beat.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.alone import Alone, plans_alone
from solvers.menu import Supply
from solvers.plan import Priced, fits, take, use_of
from solvers.problem import Ints, Problem
from solvers.purse import Purse
from solvers.single import price_again


class Filled(NamedTuple):
    """A plan for every order in order index, feasible together; `again`: how many were priced anew."""

    plans: list[Priced]
    again: int


def sequence(problem: Problem) -> Ints:
    """Order indexes by (priority descending, index)."""
    return np.lexsort((np.arange(problem.orders), -problem.priority))


def one_by_one(problem: Problem, alone: Alone, orders: Ints, supply: Supply, purse: Purse, *, work: int) -> Filled:
    """Give each order in turn its cheapest plan on what is left of `supply`, which is used up in place.

    `alone`: plans on the full supply, by order index. Where such a plan still fits it is still the cheapest, because
    what is left is only ever less: so only orders that met a conflict are priced again, most of them from their menu.
    """
    chosen = list(alone.plans)
    again = 0
    for order in orders.tolist():
        use = use_of(problem, order, chosen[order].plan)
        if not fits(use, supply.stock, supply.parcels, supply.units):
            chosen[order] = on_what_is_left(problem, alone, order, supply, purse, work=work)._replace(bound=None)
            again += 1
            use = use_of(problem, order, chosen[order].plan)
        take(problem, use, supply.stock, supply.parcels, supply.units)
    return Filled(chosen, again)


def on_what_is_left(problem: Problem, alone: Alone, order: int, left: Supply, purse: Purse, *, work: int) -> Priced:
    """The order's cheapest plan on a part of the supply that `alone` was priced on."""
    if order in alone.at:
        menu, column = alone.at[order]
        found = price_again(menu, column, left)
        purse.pay(found.work)
        return found
    return plans_alone(problem, np.array([order], np.int64), left, purse, work=work).plans[0]
