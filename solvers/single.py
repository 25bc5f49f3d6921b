"""The exact cheapest plan of one order given stock and room, by dynamic programming over what is already shipped.

g(S) is the cheapest shipment that can carry S, f(S) = min of g(T) + f(S - T) over the T of S that hold its first unit:
O(3^n) for n single units (subset DP over partitions; the split problem of Xu, Allgor & Graves 2009). Quantities make
S a vector of units, so a line may be split over nodes. Many orders of one shape are priced in one pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from solvers.atoms import cheapest_by_atoms
from solvers.menu import Menu, Supply, build_menu, fillable, narrowed
from solvers.plan import Priced
from solvers.problem import UNLIMITED, Ints, Problem
from solvers.purse import Purse
from solvers.quick import quick_plan
from solvers.states import pairs
from solvers.subset import answer, as_plan

MAX_SKUS = 12
"""Orders with more distinct SKUs are priced by `cover`."""

ATOMS_WORK = 150_000
"""Work of one order's whole-line search at most: measured."""

CAREFUL = 100_000
"""Work of one careful look, beside its pairs."""

KEPT_CELLS = 1 << 23
"""Cells of menus kept to price orders again: 130 MB at most."""

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
    purse = Purse(UNLIMITED)
    return priced_plans(problem, np.array([order], np.int64), supply, purse, work=work)[0][order]


def priced_plans(
    problem: Problem, orders: Ints, supply: Supply, purse: Purse, *, work: int
) -> tuple[dict[int, Priced], list[Menu]]:
    """`cheapest_plan` for many orders, each as if it were alone, and the menus of those that were priced exactly.

    `work` is per order; orders that `purse` has no search left for are planned by `quick`.
    """
    answers: dict[int, Priced] = {}
    kept: list[Menu] = []
    skipped: set[int] = set()
    cells = 0
    for menu in menus(problem, orders, supply, purse, skipped, work=work):
        priced = price_alone(menu)
        answers.update(zip(menu.orders.tolist(), priced, strict=True))
        purse.pay(sum(one.work for one in priced))
        cells += menu.price.size
        if cells <= KEPT_CELLS:
            kept.append(menu)
    for order in orders.tolist():
        if order not in answers:
            answers[order] = _unbatched(problem, order, supply, purse, order in skipped, work=work)
    return answers, kept


def _unbatched(problem: Problem, order: int, supply: Supply, purse: Purse, skipped: bool, *, work: int) -> Priced:
    """An order without a menu: nothing can be shipped, it is too large for one, or it could not be paid for."""
    _, most = fillable(problem, np.array([order], np.int64), supply)
    shape = tuple(sorted((int(q) for q in most if q), reverse=True))
    if not shape or (_exact(shape, work) and not skipped):
        cost = _unshipped(problem, order, 0)
        return Priced((), cost, 0, cost, 1)
    found = quick_plan(problem, order, supply)
    purse.pay(found.work)
    if purse.affords(ATOMS_WORK):
        found = cheapest_by_atoms(problem, order, supply, found, work=work)
        purse.pay(found.work)
    return found


def _exact(shape: tuple[int, ...], work: int) -> bool:
    size = pairs(shape)
    return size <= work and (size <= MAX_PAIRS or (max(shape) == 1 and len(shape) <= MAX_SKUS))


def menus(
    problem: Problem, orders: Ints, supply: Supply, purse: Purse, skipped: set[int], *, work: int
) -> Iterator[Menu]:
    """Menus of the orders that the exact DP can take, by shape, small shapes first, begun only if affordable.

    Those missing can ship nothing or are larger; those that `purse` does not afford are added to `skipped`.
    """
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
    for (shape, _), members in sorted(groups.items(), key=lambda group: pairs(group[0][0])):
        # All options of all members are one axis of the table, so the batch is cut by cells rather than orders.
        options = int(np.mean([problem.options.start[o + 1] - problem.options.start[o] for o, _ in members])) + 1
        size = int(np.prod(np.array(shape, np.int64) + 1))
        step = max(1, BATCH_CELLS // max(size * options, pairs(shape)))
        for low in range(0, len(members), step):
            batch = members[low : low + step]
            if not purse.affords(len(batch) * (2 * size * options + 4 * pairs(shape))):
                skipped |= {order for order, _ in batch}
                continue
            which = np.array([order for order, _ in batch], np.int64)
            columns = np.array([at_lines for _, at_lines in batch], np.int64)
            menu = build_menu(problem, which, columns, shape, supply)
            if len(menu.orders):
                yield menu


def price_alone(menu: Menu) -> list[Priced]:
    """The plan of every order of a menu as if it were alone, under the window's objective."""
    problem = menu.problem
    objective = problem.objective
    stay = None
    if not objective.fill_always:
        stay = np.repeat(menu.staying(objective.unfilled_per_unit)[:, None], len(menu.orders), axis=1)
    work = 2 * len(menu.units) * len(menu.rows) // max(1, len(menu.orders)) + 4 * pairs(menu.states.shape)
    if objective.late_per_day and menu.late.any():
        work *= 2
    answers = []
    for column, found in enumerate(answer(menu, menu.price, stay, objective.late_per_day)):
        order, filled = int(menu.orders[column]), int(menu.units[found.state])
        extra = _unshipped(problem, order, filled)
        extra -= int(stay[found.state, column]) if stay is not None else 0
        extra -= objective.split_parcel if found.pieces else 0
        plan = as_plan(menu, column, found.pieces)
        own = work + (CAREFUL + 40 * pairs(menu.states.shape) if found.careful else 0)
        answers.append(Priced(plan, found.value + extra, filled, found.value + extra, own))
    return answers


def price_again(menu: Menu, column: int, left: Supply) -> Priced:
    """The plan of one order of a menu on a part of the menu's supply: prices stay, shipments become impossible."""
    return price_alone(narrowed(menu.one(column), left))[0]


def _unshipped(problem: Problem, order: int, filled: int) -> int:
    return problem.objective.unfilled_per_unit * (problem.demand_of(order) - filled)
