"""Every order by itself: the right method for its size, all on the same supply."""

from __future__ import annotations

import numpy as np

from solvers.cover import cheapest_cover
from solvers.menu import Supply
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.single import MAX_SKUS, cheapest_plans


def is_large(problem: Problem, orders: Ints) -> Bools:
    """bool[len(orders)]: the order has more than MAX_SKUS distinct SKUs, so `cover` prices it."""
    size = problem.lines.start[orders + 1] - problem.lines.start[orders]
    large = size > MAX_SKUS
    for at in np.flatnonzero(large).tolist():
        # Many lines of few SKUs are not a large order.
        large[at] = len(np.unique(problem.lines.item[problem.lines_of(int(orders[at]))])) > MAX_SKUS
    return large


def plans_alone(problem: Problem, orders: Ints, supply: Supply, *, work: int) -> list[Priced]:
    """The best plan of each order as if nobody else wanted the supply; `work` bounds each order's search."""
    large = is_large(problem, orders)
    small = iter(cheapest_plans(problem, orders[~large], supply, work=work))
    return [
        cheapest_cover(problem, order, supply.stock, supply.parcels, supply.units, work=work) if big else next(small)
        for order, big in zip(orders.tolist(), large.tolist(), strict=True)
    ]
