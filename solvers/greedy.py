"""One order after another, highest priority first, each its cheapest plan on what the earlier ones left.

Always feasible, never waits for anything: the rung below every other method, and the plan that `joint` must beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.alone import plans_alone
from solvers.menu import Supply
from solvers.plan import Priced, fits, take, use_of
from solvers.problem import Ints, Problem


class Filled(NamedTuple):
    """A plan for every order in order index, feasible together; `work`: steps spent beyond the plans given."""

    plans: list[Priced]
    work: int


def sequence(problem: Problem) -> Ints:
    """Order indexes by (priority descending, index)."""
    return np.lexsort((np.arange(problem.orders), -problem.priority))


def one_by_one(problem: Problem, alone: Sequence[Priced], orders: Ints, supply: Supply, *, work: int) -> Filled:
    """Give each order in turn its cheapest plan on what is left of `supply`, which is used up in place.

    `alone`: plans on the full supply, by order index. Where such a plan still fits it is still the cheapest, because
    what is left is only ever less: so only orders that met a conflict are priced again.
    """
    chosen = list(alone)
    spent = 0
    for order in orders.tolist():
        use = use_of(problem, order, alone[order].plan)
        if not fits(use, supply.stock, supply.parcels, supply.units):
            again = plans_alone(problem, np.array([order], np.int64), supply, work=work)[0]
            chosen[order] = again._replace(bound=None)
            spent += again.work
            use = use_of(problem, order, again.plan)
        take(use, supply.stock, supply.parcels, supply.units)
    return Filled(chosen, spent)
