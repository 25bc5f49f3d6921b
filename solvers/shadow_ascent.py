"""Prices of many different orders without an LP: each in turn takes its best plan, and prices follow what is taken.

Dual mirror descent over the orders of one future, again and again with ever smaller steps (Balseiro, Lu & Mirrokni
2023, "The Best of Many Worlds", used as a solver; Barahona & Anbil 2000 for the mean of the last prices): what an order
takes becomes dearer, and all that lies there becomes cheaper at the pace that would just use it up. A pass costs
microseconds an order where the LP's simplex takes milliseconds, and its prices lie within the face of optimal ones,
not at a corner of it. Limits that bind the shipments of one order together (boxes at most, units that two
shipments draw from one place, minimum values) are not seen; lateness is charged to every parcel.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numba import types

from solvers.compiled import INT, INTS, NONE, compiled
from solvers.problem import Ints
from solvers.shadow_book import BOOK, FLOATS, Book, Floats, bound
from solvers.shadow_plans import PlanPricer, Table
from solvers.states import FAR

PASSES, AVERAGED = 20, 5
"""Passes over all orders, and the last of them whose prices are averaged."""

FIRST_STEP, LAST_STEP = 0.4, 0.04
"""By how much a price moves while all its stock is taken, as a part of a typical shipment's cost."""

SHORT = 0.75
"""Units of a cell that are taken not to be there: an order takes the last unit, not one more. On the long tail of
`bench.papers` (e3, six paths, true rates) prices captured 51 % with 0, 55 % with a half and 56 % with 0.8; more than a
whole unit leaves single units at a price that nothing ever lowers."""


class _Course(NamedTuple):
    """How prices move, by resource: the price, the time it was brought up to, `up` for a unit taken and `down` for an
    order that came (both at step 1)."""

    price: Floats
    seen: Floats
    up: Floats
    down: Floats


class _Desk(NamedTuple):
    """Where one order is worked out, by state: the cheapest shipment `part` and its row, the least cost `least` and the
    pair that it is made of."""

    part: Floats
    least: Floats
    row: Ints
    pair: Ints


_COURSE = types.NamedUniTuple(FLOATS, len(_Course._fields), _Course)
_DESK = types.NamedTuple([FLOATS, FLOATS, INTS, INTS], _Desk)
_FLOAT = types.float64


@compiled(NONE, BOOK, _COURSE, _DESK, INT, _FLOAT, _FLOAT)
def _ship(book: Book, course: _Course, desk: _Desk, order: int, now: float, step: float) -> None:
    """The cheapest single shipment of each state, at prices brought up to `now`."""
    table = book.orders.table[order]
    states, cells, rooms = book.tables.states[table], book.tables.cells[table], book.tables.rooms[table]
    units_at = book.tables.units_at[table]
    desk.part[:states], desk.row[:states] = np.inf, -1
    for row in range(book.orders.first[order], book.orders.last[order]):
        price_at, uses_at, room_at = book.rows.price_at[row], book.rows.uses_at[row], book.rows.room_at[row]
        for use in range(uses_at, uses_at + cells + rooms):
            at = book.amounts.uses[use]
            if at >= 0 and course.seen[at] < now:
                sunk = course.price[at] - step * course.down[at] * (now - course.seen[at])
                course.price[at], course.seen[at] = max(0.0, sunk), now
        for state in range(1, states):
            cost = book.money.price[price_at + state]
            for cell in range(cells):
                units = book.amounts.units[units_at + cell * states + state]
                cost += units * course.price[book.amounts.uses[uses_at + cell]]
            for room in range(rooms):
                at = book.amounts.uses[uses_at + cells + room]
                if at >= 0:
                    cost += book.amounts.room[room_at + room * states + state] * course.price[at]
            if cost < desk.part[state]:
                desk.part[state], desk.row[state] = cost, row


@compiled(INT, BOOK, _DESK, INT)
def _plan(book: Book, desk: _Desk, order: int) -> int:
    """The state that the order's cheapest plan ships; `desk.pair` leads to its shipments."""
    table = book.orders.table[order]
    states, stay_at = book.tables.states[table], book.orders.stay_at[order]
    desk.least[:states] = np.inf
    desk.least[0] = 0.0
    for at in range(book.tables.first[table], book.tables.last[table]):
        goal = book.goals.state[at]
        for pair in range(book.goals.first[at], book.goals.last[at]):
            cost = desk.part[book.pairs.part[pair]] + desk.least[book.pairs.rest[pair]]
            if cost < desk.least[goal]:
                desk.least[goal], desk.pair[goal] = cost, pair
    best, value = 0, np.inf
    for state in range(states):
        cost = desk.least[state] + book.money.stay[stay_at + state]
        if cost < value:
            best, value = state, cost
    return best


@compiled(_FLOAT, BOOK, _COURSE, _DESK, INTS, FLOATS, _FLOAT, _FLOAT)
def _pass(book: Book, course: _Course, desk: _Desk, sequence: Ints, weight: Floats, now: float, step: float) -> float:
    """Every order of `sequence` in turn takes its cheapest plan; the time after it, in orders."""
    for order in sequence:
        table = book.orders.table[order]
        states, cells, rooms = book.tables.states[table], book.tables.cells[table], book.tables.rooms[table]
        _ship(book, course, desk, order, now, step)
        left = _plan(book, desk, order)
        while left > 0:
            state = book.pairs.part[desk.pair[left]]
            row, left = desk.row[state], book.pairs.rest[desk.pair[left]]
            for cell in range(cells):
                at = book.amounts.uses[book.rows.uses_at[row] + cell]
                amount = book.amounts.units[book.tables.units_at[table] + cell * states + state]
                course.price[at] += step * course.up[at] * weight[order] * amount
            for room in range(rooms):
                at = book.amounts.uses[book.rows.uses_at[row] + cells + room]
                if at >= 0:
                    amount = book.amounts.room[book.rows.room_at[row] + room * states + state]
                    course.price[at] += step * course.up[at] * weight[order] * amount
        now += weight[order]
    return now


@compiled(INT, BOOK, _COURSE, _DESK, INTS, INTS, INTS, INTS)
def _list(book: Book, course: _Course, desk: _Desk, sequence: Ints, owner: Ints, rows: Ints, parts: Ints) -> int:
    """The shipments of all plans at the prices as they are: (owner, row, state) each; how many there are."""
    count = 0
    for order in sequence:
        _ship(book, course, desk, order, 0.0, 0.0)
        left = _plan(book, desk, order)
        while left > 0:
            state = book.pairs.part[desk.pair[left]]
            owner[count], rows[count], parts[count] = order, desk.row[state], state
            count, left = count + 1, book.pairs.rest[desk.pair[left]]
    return count


class Taken(NamedTuple):
    """Cells that plans take from: order `order` takes `units` of `resource`."""

    order: Ints
    resource: Ints
    units: Ints


class Ascent:
    """The kinds of orders of a pricer, ready to be passed over."""

    def __init__(self, pricer: PlanPricer, unfilled: float | None) -> None:
        """`unfilled`: mills of a unit that stays; None where fill comes first."""
        self._tables = tables = pricer.tables()
        self._orders = np.concatenate([np.zeros(0, np.int64), *(table.orders for table in tables)])
        self._shape = pricer.resources
        self._book = bound(tables, unfilled)
        self._most = np.concatenate([np.zeros(0, np.int64), *map(_most_units, tables)])
        states = int(self._book.tables.states.max(initial=1))
        self._desk = _Desk(*np.empty((2, states)), *np.empty((2, states), np.int64))
        full = [_cheapest_full(table) for table in tables]
        self._parcel = float(np.mean(np.concatenate(full))) if full else 0.0

    def prices(self, weight: Floats, free: Floats) -> Floats:
        """Mills by resource where order o comes weight[o] times on `free` of each resource. Deterministic.

        Cells are taken `SHORT` of what is free: the price is that of the unit that an order takes.
        """
        mine, came = self._came(weight)
        price = np.zeros(self._shape.total)
        if not len(came):
            return price
        total, cells = float(mine[came].sum()), self._shape.cells
        pace = np.append(np.maximum(free[:cells] - SHORT, 0.0), free[cells:]) / total
        up = self._parcel / (free + total / len(came))
        course = _Course(price, np.zeros(len(price)), up, up * pace)
        sequence = np.random.default_rng(len(came)).permutation(came)
        recent, now = deque[Floats](maxlen=AVERAGED), 0.0
        for step in np.geomspace(FIRST_STEP, LAST_STEP, PASSES).tolist():
            now = _pass(self._book, course, self._desk, sequence, mine, now, step)
            price[:] = np.maximum(0.0, price - step * course.down * (now - course.seen))
            course.seen[:] = now
            recent.append(price.copy())
        mean: Floats = np.mean(recent, axis=0)
        return mean

    def taken(self, weight: Floats, price: Floats) -> Taken:
        """What the cheapest plans of the orders that come take of the cells at these prices."""
        _, came = self._came(weight)
        still = np.zeros(len(price))
        owner, rows, state = np.empty((3, int(self._most[came].sum())), np.int64)
        count = _list(self._book, _Course(price, still, still, still), self._desk, came, owner, rows, state)
        owner, rows, state = owner[:count], rows[:count], state[:count]
        none = np.zeros(0, np.int64)
        table_of, first, found = self._book.orders.table[owner], 0, [(none, none, none)]
        for number, table in enumerate(self._tables):
            mine = table_of == number
            for units, resource in table.cells:
                found.append((self._orders[owner[mine]], resource[rows[mine] - first], units[state[mine]]))
            first += table.price.shape[1]
        order, resource, units = (np.concatenate(column) for column in zip(*found, strict=True))
        return Taken(order[units > 0], resource[units > 0], units[units > 0])

    def _came(self, weight: Floats) -> tuple[Floats, Ints]:
        """The weights in the order of the book, and the orders of it that have any."""
        mine = np.ascontiguousarray(weight[self._orders], np.float64)
        return mine, np.flatnonzero(mine > 0)


def _most_units(table: Table) -> Ints:
    """int64[G]: shipments of a plan at most."""
    return np.full(len(table.orders), int(table.states.units.max()), np.int64)


def _cheapest_full(table: Table) -> Floats:
    """Mills of the cheapest single shipment of all that each order can ship at once, of orders that have one."""
    least = np.minimum.reduceat(table.price, table.start, axis=1)
    most = np.where(least < FAR, np.arange(len(least))[:, None], 0).max(axis=0)
    found: Floats = least[most, np.arange(least.shape[1])][most > 0].astype(np.float64)
    return found
