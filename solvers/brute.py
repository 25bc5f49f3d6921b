"""The referee: every plan of every order, every combination. Plain and slow; for tiny windows only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from solvers.plan import Priced, fits, plan_cost, take, use_of
from solvers.problem import Ints, Problem
from solvers.solution import Plan, Shipment, Solution, settle
from solvers.tariff import shipment_cost

MAX_PLANS = 200_000
"""Plans of one order, and combinations of the window, that are still looked at."""


class TooLargeError(ValueError):
    """The window has more plans than the referee will look at."""


def every_plan(problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints) -> list[Priced]:
    """Every feasible plan of one order, the empty one included. stock int64[I, N]; parcels, units int64[D].

    Two shipments may go by one option. Raises TooLargeError above MAX_PLANS.
    """
    quantity = problem.lines.quantity[problem.lines_of(order)]
    cells = {
        part: _ways(problem, order, np.array(part, np.int64)) for part in product(*(range(q + 1) for q in quantity))
    }
    found = []
    seen = 0
    for whole in cells:
        for parts in _partitions(whole, max(cells)):
            for choice in product(*(cells[part] for part in parts)):
                seen += 1
                if seen > MAX_PLANS:
                    raise TooLargeError(f"order {order} has more than {MAX_PLANS} plans")
                shipments = sorted(zip(choice, parts, strict=True))
                plan = tuple(Shipment(option, np.array(part, np.int64)) for option, part in shipments)
                if fits(use_of(problem, order, plan), stock, parcels, units):
                    found.append(Priced(plan, plan_cost(problem, order, plan).total, sum(whole), None, 1))
    return found


def _ways(problem: Problem, order: int, units: Ints) -> list[int]:
    """Options that could carry these units, stock and room aside."""
    lines = np.arange(*problem.lines_of(order).indices(len(problem.lines.item)))[units > 0]
    return [
        option
        for option in range(*problem.options_of(order).indices(len(problem.options.node)))
        if units.any()
        and problem.lines.eligible[lines, problem.options.node[option]].all()
        and shipment_cost(problem, option, units) is not None
    ]


def _partitions(whole: tuple[int, ...], most: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """All multisets of non-empty parts that sum to `whole`, each once: parts descending, none above `most`."""
    if not any(whole):
        yield []
        return
    for part in product(*(range(left + 1) for left in whole)):
        if any(part) and part <= most:
            rest = tuple(left - taken for left, taken in zip(whole, part, strict=True))
            for others in _partitions(rest, part):
                yield [part, *others]


def best_plan(problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints) -> Priced:
    """The cheapest plan of one order under the window's objective."""
    plans = every_plan(problem, order, stock, parcels, units)
    return min(plans, key=lambda p: (-p.filled if problem.objective.fill_always else 0, p.cost))


def solve(problem: Problem) -> Solution:
    """The best decision of the window: lexicographic fill by descending priority (if `fill_always`), then money.

    Raises TooLargeError where there are more than MAX_PLANS combinations.
    """
    every = [
        every_plan(problem, order, problem.stock, problem.bucket_parcels, problem.bucket_units)
        for order in range(problem.orders)
    ]
    classes = sorted(set(problem.priority.tolist()), reverse=True)
    best: tuple[tuple[int, ...], list[Plan]] | None = None
    seen = 0

    def descend(order: int, filled: dict[int, int], cost: int, chosen: list[Plan]) -> None:
        nonlocal best, seen
        if order == problem.orders:
            fill = [-filled[one] for one in classes] if problem.objective.fill_always else []
            key = (*fill, cost)
            if best is None or key < best[0]:
                best = (key, list(chosen))
            return
        one = int(problem.priority[order])
        for priced in every[order]:
            seen += 1
            if seen > MAX_PLANS:
                raise TooLargeError(f"the window has more than {MAX_PLANS} combinations")
            use = use_of(problem, order, priced.plan)
            if fits(use, stock, parcels, units):
                take(problem, use, stock, parcels, units)
                after = {**filled, one: filled[one] + priced.filled}
                descend(order + 1, after, cost + priced.cost, [*chosen, priced.plan])
                take(problem, use, stock, parcels, units, sign=-1)

    stock, parcels, units = problem.stock.copy(), problem.bucket_parcels.copy(), problem.bucket_units.copy()
    descend(0, dict.fromkeys(classes, 0), 0, [])
    assert best is not None, "the empty plan of every order is always possible"
    return settle(problem, best[1], solver="brute", work=seen, bound=best[0][-1], cut=False)
