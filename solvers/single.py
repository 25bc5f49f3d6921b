"""The exact cheapest plan of one order given stock and room, by dynamic programming over what is already shipped.

g(S) is the cheapest shipment that can carry S, f(S) = min of g(T) + f(S - T) over the T of S that hold its first unit:
O(3^n) for n single units (subset DP over partitions; the split problem of Xu, Allgor & Graves 2009). Quantities make
S a vector of units, so a line may be split over nodes. Many orders of one shape are priced in one pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator

import numpy as np

from solvers.atoms import cheapest_by_atoms
from solvers.cells import odd_rows, pattern
from solvers.cover import PLAIN, plain_plan
from solvers.menu import Menu, Supply, build_menu, fillable, narrowed
from solvers.plan import Priced, charged
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.purse import Purse
from solvers.quick import quick_plan
from solvers.states import Line, Shape, pairs, plain, size
from solvers.subset import as_plans, best_alone

MAX_SKUS = 12
"""Orders with more distinct SKUs are priced by `cover`."""

ATOMS_WORK = 150_000
"""Work of one order's whole-line search at most: measured."""

PLAIN_WORK = 400_000
"""Work of the search for an order without a menu that nothing binds but stock: better than whole lines, and faster."""

CAREFUL = 100_000
"""Work of one careful look, beside its pairs."""

KEPT_CELLS = 1 << 23
"""Cells of menus kept to price orders again: 130 MB at most."""

MAX_PAIRS = 20_000
"""Above this many (state, part) pairs an order has no menu, unless it is of at most MAX_SKUS single units."""

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
    at, most = fillable(problem, np.array([order], np.int64), supply)
    shape, _ = _shaped(problem, order, at.tolist(), most.tolist())
    if not shape or (_exact(shape, work) and not skipped):
        cost = problem.objective.unfilled_per_unit * charged(problem, order, ())
        return Priced((), cost, 0, cost, 1)
    plain = plain_plan(problem, order, supply, work=min(work, PLAIN_WORK, purse.work - purse.spent))
    if plain is not None:
        purse.pay(PLAIN + plain.work)
        return plain
    found = quick_plan(problem, order, supply)
    purse.pay(found.work)
    if purse.affords(ATOMS_WORK):
        found = cheapest_by_atoms(problem, order, supply, found, work=work)
        purse.pay(found.work)
    return found


def _exact(shape: Shape, work: int) -> bool:
    count = pairs(shape)
    if any(line.whole or len(line.rows) > 1 for line in shape):
        return count <= min(work, MAX_PAIRS)
    single = len(shape) <= MAX_SKUS and all(line.most == 1 for line in shape)
    return count <= work and (count <= MAX_PAIRS or single)


def _shaped(problem: Problem, order: int, at: list[int], most: list[int]) -> tuple[Shape, list[int]]:
    """The order's shape and the rows of its columns: lines that can ship anything, by descending units.

    `at`: the order's rows; `most`: the units of each that could ship.
    """
    lines, whole = problem.lines, bool(problem.limits.whole_lines[order])
    found: list[tuple[Line, list[int]]] = []
    line = lines.line[at].tolist()
    for index, (row, units) in enumerate(zip(at, most, strict=True)):
        if not units:
            continue
        if found and int(lines.line[found[-1][1][0]]) == line[index]:
            (rows, _, _), columns = found.pop()
        else:
            rows, columns = (), []
        rows, columns = (*rows, units), [*columns, row]
        together = min(sum(rows), int(lines.quantity[row]))
        found.append((Line(rows, together, whole and together > 1), columns))
    found.sort(key=lambda one: -one[0].most)
    return tuple(one for one, _ in found), [row for _, columns in found for row in columns]


def _numbered(labels: Ints) -> tuple[int, ...]:
    """The labels numbered by first occurrence; negative ones as they are."""
    found: dict[int, int] = {}
    return tuple(found.setdefault(one, len(found)) if one >= 0 else one for one in labels.tolist())


def _alike(problem: Problem, rows: list[int], odd: Bools) -> Hashable:
    """What orders of one menu have in common beside their shape."""
    lines = problem.lines
    if not odd[rows].any():
        return _numbered(lines.item[rows])
    shared = tuple(_numbered(column[rows]) for column in (lines.line, lines.draw, lines.group))
    return (*shared, tuple(lines.alone[rows].tolist()), pattern(problem, rows))


def _alike_orders(
    problem: Problem, orders: Ints, at: Ints, most: Ints, *, work: int
) -> list[tuple[Shape, list[tuple[int, list[int]]]]]:
    """Orders that one menu serves, with their columns, by shape; of those that the exact DP can take.

    `at`: the orders' rows of `Lines`; `most`: the units of each that could ship.
    """
    odd = odd_rows(problem)
    size = problem.lines.start[orders + 1] - problem.lines.start[orders]
    owner = np.repeat(np.arange(len(orders)), size)
    strange = np.bincount(owner, odd[at], len(orders)) > 0
    strange |= problem.limits.whole_lines[orders]
    groups = _plain_orders(problem, orders, at, most, owner, strange, work=work)
    first = np.cumsum(size) - size
    others: dict[tuple[Shape, Hashable], list[tuple[int, list[int]]]] = defaultdict(list)
    for index in np.flatnonzero(strange).tolist():
        here, order = slice(int(first[index]), int(first[index] + size[index])), int(orders[index])
        shape, rows = _shaped(problem, order, at[here].tolist(), most[here].tolist())
        if shape and _exact(shape, work):
            others[shape, _alike(problem, rows, odd)].append((order, rows))
    return groups + [(shape, members) for (shape, _), members in others.items()]


def _plain_orders(
    problem: Problem, orders: Ints, at: Ints, most: Ints, owner: Ints, strange: Bools, *, work: int
) -> list[tuple[Shape, list[tuple[int, list[int]]]]]:
    """The orders with nothing odd about them, all at once: alike in their units and in which lines share an item."""
    kept = np.flatnonzero((most > 0) & ~strange[owner])
    kept = kept[np.lexsort((kept, -most[kept], owner[kept]))]
    count = np.bincount(owner[kept], minlength=len(orders))
    edge = np.cumsum(count) - count
    found = []
    for lines in np.unique(count[count > 0]).tolist():
        mine = np.flatnonzero(count == lines)
        columns = kept[edge[mine][:, None] + np.arange(lines)]
        item = problem.lines.item[at[columns]]
        same = np.argmax(item[:, :, None] == item[:, None, :], axis=2)
        _, group = np.unique(np.hstack([most[columns], same]), axis=0, return_inverse=True)
        for one in np.unique(group).tolist():
            inside = np.flatnonzero(group == one)
            shape = plain(tuple(most[columns[inside[0]]].tolist()))
            if _exact(shape, work):
                rows = at[columns[inside]].tolist()
                found.append((shape, list(zip(orders[mine[inside]].tolist(), rows, strict=True))))
    return found


def menus(
    problem: Problem, orders: Ints, supply: Supply, purse: Purse, skipped: set[int], *, work: int
) -> Iterator[Menu]:
    """Menus of the orders that the exact DP can take, by shape, small shapes first, begun only if affordable.

    Those missing can ship nothing or are larger; those that `purse` does not afford are added to `skipped`.
    """
    groups = _alike_orders(problem, orders, *fillable(problem, orders, supply), work=work)
    for shape, members in sorted(groups, key=lambda group: pairs(group[0])):
        # All options of all members are one axis of the table, so the batch is cut by cells rather than orders.
        options = int(np.mean([problem.options.start[o + 1] - problem.options.start[o] for o, _ in members])) + 1
        states = size(shape)
        step = max(1, BATCH_CELLS // max(states * options, pairs(shape)))
        for low in range(0, len(members), step):
            batch = members[low : low + step]
            if not purse.affords(len(batch) * (2 * states * options + 4 * pairs(shape))):
                skipped |= {order for order, _ in batch}
                continue
            which = np.array([order for order, _ in batch], np.int64)
            columns = np.array([rows for _, rows in batch], np.int64)
            menu = build_menu(problem, which, columns, shape, supply)
            if len(menu.orders):
                yield menu


def price_alone(menu: Menu) -> list[Priced]:
    """The plan of every order of a menu as if it were alone, under the window's objective."""
    objective, splits = menu.problem.objective, pairs(menu.states.shape)
    work = 2 * len(menu.units) * len(menu.rows) // max(1, len(menu.orders)) + 4 * splits
    if objective.late_per_day and menu.late.any():
        work *= 2
    found = best_alone(menu)
    plans = as_plans(menu, range(len(found)), [one.pieces for one in found])
    units = menu.units.tolist()
    return [
        Priced(plan, cost, units[one.state], cost, work + one.careful * (CAREFUL + 40 * splits))
        for one, plan, cost in zip(found, plans, [one.value - objective.split_parcel for one in found], strict=True)
    ]


def price_again(menu: Menu, columns: Ints, left: Supply) -> list[Priced]:
    """The plans of some orders of a menu, each as if alone on a part of the menu's supply: prices stay, shipments
    become impossible."""
    return price_alone(narrowed(menu.only(columns), left))
