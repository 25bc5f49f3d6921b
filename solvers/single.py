"""The exact cheapest plan of one order given stock and room, by dynamic programming over what is already shipped.

g(S) is the cheapest shipment that can carry S, f(S) = min of g(T) + f(S - T) over the T of S that hold its first unit:
O(3^n) for n single units (subset DP over partitions; the split problem of Xu, Allgor & Graves 2009). Quantities make
S a vector of units, so a line may be split over nodes. Many orders of one shape are priced in one pass.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from solvers.atoms import cheapest_by_atoms
from solvers.menu import Menu, Supply, build_menu, fillable
from solvers.plan import Priced
from solvers.problem import Ints, Problem
from solvers.states import pairs
from solvers.subset import answer, as_plan

MAX_SKUS = 12
"""Orders with more distinct SKUs are priced by `cover`."""

MAX_PAIRS = 2_500
"""Above this many (state, part) pairs quantities are not divided unit by unit (12 single units always are)."""

BATCH_CELLS = 1 << 18
"""Menu cells priced in one pass: keeps the working set in the cache."""


def cheapest_plan(
    problem: Problem, order: int, stock: Ints, room_parcels: Ints, room_units: Ints, *, work: int
) -> Priced:
    """The cheapest plan of an order of at most MAX_SKUS distinct SKUs; exact where `bound` equals `cost`.

    stock int64[I, N]; room_parcels, room_units int64[D]. `work` bounds the DP's pairs: above it the order is priced by
    whole lines (`atoms`), good but unproven. Ties go to fewer shipments, then (node, option) order.
    """
    supply = Supply(stock, room_parcels, room_units)
    return cheapest_plans(problem, np.array([order], np.int64), supply, work=work)[0]


def cheapest_plans(problem: Problem, orders: Ints, supply: Supply, *, work: int) -> list[Priced]:
    """`cheapest_plan` for many orders, each as if it were alone; `work` is per order."""
    answers: dict[int, Priced] = {}
    for menu in menus(problem, orders, supply, work=work):
        answers.update(zip(menu.orders.tolist(), price_alone(menu), strict=True))
    for order in orders.tolist():
        if order not in answers:
            answers[order] = (
                Priced((), _unshipped(problem, order, 0), 0, _unshipped(problem, order, 0), 1)
                if not _by_atoms(problem, order, supply, work)
                else cheapest_by_atoms(problem, order, supply, work=work)
            )
    return [answers[order] for order in orders.tolist()]


def _by_atoms(problem: Problem, order: int, supply: Supply, work: int) -> bool:
    _, most = fillable(problem, np.array([order], np.int64), supply)
    shape = tuple(sorted((int(q) for q in most if q), reverse=True))
    return bool(shape) and not _exact(shape, work)


def _exact(shape: tuple[int, ...], work: int) -> bool:
    size = pairs(shape)
    return size <= work and (size <= MAX_PAIRS or (max(shape) == 1 and len(shape) <= MAX_SKUS))


def menus(problem: Problem, orders: Ints, supply: Supply, *, work: int) -> list[Menu]:
    """Menus of the orders that the exact DP can take, by shape; those missing can ship nothing or are larger."""
    at, most = fillable(problem, orders, supply)
    first = np.r_[0, np.cumsum(problem.lines.start[orders + 1] - problem.lines.start[orders])]
    item = problem.lines.item[at].tolist()
    quantity, lines = most.tolist(), at.tolist()
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[tuple[int, list[int]]]] = defaultdict(list)
    for index, order in enumerate(orders.tolist()):
        here = [p for p in range(first[index], first[index + 1]) if quantity[p]]
        here.sort(key=lambda p: -quantity[p])
        shape = tuple(quantity[p] for p in here)
        if shape and _exact(shape, work):
            items = [item[p] for p in here]
            repeats = tuple(items.index(i) for i in items)
            groups[shape, repeats].append((order, [lines[p] for p in here]))
    found = []
    for (shape, _), members in groups.items():
        # All options of all members are one axis of the table, so the batch is cut by cells rather than orders.
        options = int(np.mean([problem.options.start[o + 1] - problem.options.start[o] for o, _ in members])) + 1
        size = int(np.prod(np.array(shape, np.int64) + 1))
        step = max(1, BATCH_CELLS // max(size * options, pairs(shape)))
        for low in range(0, len(members), step):
            batch = members[low : low + step]
            which = np.array([order for order, _ in batch], np.int64)
            columns = np.array([at_lines for _, at_lines in batch], np.int64)
            menu = build_menu(problem, which, columns, shape, supply)
            if len(menu.orders):
                found.append(menu)
    return found


def price_alone(menu: Menu) -> list[Priced]:
    """The plan of every order of a menu as if it were alone, under the window's objective."""
    problem = menu.problem
    objective = problem.objective
    stay = None
    if not objective.fill_always:
        stay = np.repeat(menu.staying(objective.unfilled_per_unit)[:, None], len(menu.orders), axis=1)
    work = len(menu.units) * len(menu.rows) // max(1, len(menu.orders)) + pairs(menu.states.shape)
    answers = []
    for column, found in enumerate(answer(menu, menu.price, stay, objective.late_per_day)):
        order, filled = int(menu.orders[column]), int(menu.units[found.state])
        extra = _unshipped(problem, order, filled)
        extra -= int(stay[found.state, column]) if stay is not None else 0
        extra -= objective.split_parcel if found.pieces else 0
        plan = as_plan(menu, column, found.pieces)
        answers.append(Priced(plan, found.value + extra, filled, found.value + extra, work))
    return answers


def _unshipped(problem: Problem, order: int, filled: int) -> int:
    demand = int(problem.lines.quantity[problem.lines_of(order)].sum())
    return problem.objective.unfilled_per_unit * (demand - filled)
