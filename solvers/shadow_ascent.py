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
from numpy.typing import NDArray

from solvers.compiled import INT, INTS, NONE, compiled
from solvers.problem import Ints
from solvers.shadow_plans import PlanPricer, Table
from solvers.states import FAR, States

PASSES, AVERAGED = 20, 5
"""Passes over all orders, and the last of them whose prices are averaged."""

FIRST_STEP, LAST_STEP = 0.4, 0.04
"""By how much a price moves while all its stock is taken, as a part of a typical shipment's cost."""

SHORT = 0.75
"""Units of a cell that are taken not to be there: an order takes the last unit, not one more. On the long tail of
`bench.papers` (e3, six paths, true rates) prices captured 51 % with 0, 55 % with a half and 56 % with 0.8; more than a
whole unit leaves single units at a price that nothing ever lowers."""

DEAREST_STAYS = 2.0
"""Where fill comes first, a unit that stays costs so many times the order's dearest shipment."""

Floats = NDArray[np.float64]

FLOATS = types.float64[::1]
"""float64[n], contiguous."""


class _Book(NamedTuple):
    """Tables of all orders one after another, as the kernel reads them.

    By order: `table`, its rows `first` to `last`, and where its staying costs begin. By row: where its prices (one a
    state), its resources (cells, then rooms) and its amounts of room begin. By table: numbers of states, cells and
    rooms; where units by cell and state begin; its goals `goal_first` to `goal_last`, states by ascending units, each
    with its parts `pair_first` to `pair_last`.
    """

    table: Ints
    first: Ints
    last: Ints
    stay_at: Ints
    price_at: Ints
    uses_at: Ints
    room_at: Ints
    states: Ints
    cells: Ints
    rooms: Ints
    units_at: Ints
    goal_first: Ints
    goal_last: Ints
    goal: Ints
    pair_first: Ints
    pair_last: Ints
    part: Ints
    rest: Ints
    uses: Ints
    units: Ints
    room: Ints
    price: Floats
    stay: Floats


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


_BOOK = types.NamedTuple([INTS] * (len(_Book._fields) - 2) + [FLOATS] * 2, _Book)
_COURSE = types.NamedUniTuple(FLOATS, len(_Course._fields), _Course)
_DESK = types.NamedTuple([FLOATS, FLOATS, INTS, INTS], _Desk)
_FLOAT = types.float64


@compiled(NONE, _BOOK, _COURSE, _DESK, INT, _FLOAT, _FLOAT)
def _ship(book: _Book, course: _Course, desk: _Desk, order: int, now: float, step: float) -> None:
    """The cheapest single shipment of each state, at prices brought up to `now`."""
    table = book.table[order]
    states, cells, rooms = book.states[table], book.cells[table], book.rooms[table]
    units_at = book.units_at[table]
    desk.part[:states], desk.row[:states] = np.inf, -1
    for row in range(book.first[order], book.last[order]):
        price_at, uses_at, room_at = book.price_at[row], book.uses_at[row], book.room_at[row]
        for use in range(uses_at, uses_at + cells + rooms):
            at = book.uses[use]
            if at >= 0 and course.seen[at] < now:
                sunk = course.price[at] - step * course.down[at] * (now - course.seen[at])
                course.price[at], course.seen[at] = max(0.0, sunk), now
        for state in range(1, states):
            cost = book.price[price_at + state]
            for cell in range(cells):
                cost += book.units[units_at + cell * states + state] * course.price[book.uses[uses_at + cell]]
            for room in range(rooms):
                at = book.uses[uses_at + cells + room]
                if at >= 0:
                    cost += book.room[room_at + room * states + state] * course.price[at]
            if cost < desk.part[state]:
                desk.part[state], desk.row[state] = cost, row


@compiled(INT, _BOOK, _DESK, INT)
def _plan(book: _Book, desk: _Desk, order: int) -> int:
    """The state that the order's cheapest plan ships; `desk.pair` leads to its shipments."""
    table = book.table[order]
    states, stay_at = book.states[table], book.stay_at[order]
    desk.least[:states] = np.inf
    desk.least[0] = 0.0
    for at in range(book.goal_first[table], book.goal_last[table]):
        goal = book.goal[at]
        for pair in range(book.pair_first[at], book.pair_last[at]):
            cost = desk.part[book.part[pair]] + desk.least[book.rest[pair]]
            if cost < desk.least[goal]:
                desk.least[goal], desk.pair[goal] = cost, pair
    best, value = 0, np.inf
    for state in range(states):
        cost = desk.least[state] + book.stay[stay_at + state]
        if cost < value:
            best, value = state, cost
    return best


@compiled(_FLOAT, _BOOK, _COURSE, _DESK, INTS, FLOATS, _FLOAT, _FLOAT)
def _pass(book: _Book, course: _Course, desk: _Desk, sequence: Ints, weight: Floats, now: float, step: float) -> float:
    """Every order of `sequence` in turn takes its cheapest plan; the time after it, in orders."""
    for order in sequence:
        table = book.table[order]
        states, cells, rooms = book.states[table], book.cells[table], book.rooms[table]
        _ship(book, course, desk, order, now, step)
        left = _plan(book, desk, order)
        while left > 0:
            state = book.part[desk.pair[left]]
            row, left = desk.row[state], book.rest[desk.pair[left]]
            for cell in range(cells):
                at = book.uses[book.uses_at[row] + cell]
                amount = book.units[book.units_at[table] + cell * states + state]
                course.price[at] += step * course.up[at] * weight[order] * amount
            for room in range(rooms):
                at = book.uses[book.uses_at[row] + cells + room]
                if at >= 0:
                    amount = book.room[book.room_at[row] + room * states + state]
                    course.price[at] += step * course.up[at] * weight[order] * amount
        now += weight[order]
    return now


@compiled(INT, _BOOK, _COURSE, _DESK, INTS, INTS, INTS, INTS)
def _list(book: _Book, course: _Course, desk: _Desk, sequence: Ints, owner: Ints, rows: Ints, parts: Ints) -> int:
    """The shipments of all plans at the prices as they are: (owner, row, state) each; how many there are."""
    count = 0
    for order in sequence:
        _ship(book, course, desk, order, 0.0, 0.0)
        left = _plan(book, desk, order)
        while left > 0:
            state = book.part[desk.pair[left]]
            owner[count], rows[count], parts[count] = order, desk.row[state], state
            count, left = count + 1, book.rest[desk.pair[left]]
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
        self._book = _bound(tables, unfilled)
        self._most = np.concatenate([np.zeros(0, np.int64), *map(_most_units, tables)])
        states = int(self._book.states.max(initial=1))
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
        return np.mean(recent, axis=0)

    def taken(self, weight: Floats, price: Floats) -> Taken:
        """What the cheapest plans of the orders that come take of the cells at these prices."""
        _, came = self._came(weight)
        still = np.zeros(len(price))
        owner, rows, state = np.empty((3, int(self._most[came].sum())), np.int64)
        count = _list(self._book, _Course(price, still, still, still), self._desk, came, owner, rows, state)
        owner, rows, state = owner[:count], rows[:count], state[:count]
        table_of, first, found = self._book.table[owner], 0, []
        for number, table in enumerate(self._tables):
            mine = table_of == number
            for units, resource in table.cells:
                found.append((self._orders[owner[mine]], resource[rows[mine] - first], units[state[mine]]))
            first += table.price.shape[1]
        none = np.zeros(0, np.int64)
        order, resource, units = (np.concatenate([none, *column]) for column in zip(*found, strict=True))
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


def _bound(tables: list[Table], unfilled: float | None) -> _Book:
    """The tables as one book."""
    fields: dict[str, list[np.ndarray]] = {name: [] for name in _Book._fields}
    size = dict.fromkeys(("row", "price", "uses", "room", "units", "goal", "pair", "stay"), 0)
    for number, table in enumerate(tables):
        states, rows, orders = len(table.price), table.price.shape[1], len(table.orders)
        cells, rooms = len(table.cells), len(table.rooms)
        goals = _goals(table.states, size["pair"])
        every, ends = np.arange(rows), np.append(table.start[1:], rows)
        width = cells + rooms
        of_row = [use for _, use in table.cells] + [use for _, use in table.rooms]
        new = {
            "table": np.full(orders, number),
            "first": size["row"] + table.start,
            "last": size["row"] + ends,
            "stay_at": size["stay"] + np.arange(orders) * states,
            "price_at": size["price"] + every * states,
            "uses_at": size["uses"] + every * width,
            "room_at": size["room"] + every * rooms * states,
            "states": [states],
            "cells": [cells],
            "rooms": [rooms],
            "units_at": [size["units"]],
            "goal_first": [size["goal"]],
            "goal_last": [size["goal"] + len(goals.goal)],
            **goals._asdict(),
            "uses": np.array(of_row, np.int64).T,
            "units": np.array([units for units, _ in table.cells], np.int64),
            "room": np.array([amount.T for amount, _ in table.rooms], np.int64).transpose(1, 0, 2)
            if rooms
            else np.zeros(0, np.int64),
            "price": np.where(table.price < FAR, table.price, np.inf).T,
            "stay": _stay(table, unfilled).T,
        }
        for name, values in new.items():
            fields[name].append(np.asarray(values).ravel())
        size["row"] += rows
        for name in ("price", "uses", "room", "units", "goal", "stay"):
            size[name] += len(fields[name][-1])
        size["pair"] += len(goals.part)
    kinds = {name: np.float64 if name in ("price", "stay") else np.int64 for name in _Book._fields}
    joined = {
        name: np.concatenate([np.zeros(0, kinds[name]), *parts]).astype(kinds[name]) for name, parts in fields.items()
    }
    return _Book(**joined)


def _stay(table: Table, unfilled: float | None) -> Floats:
    """float64[M, G]: mills for ending with a state."""
    if unfilled is None:
        dearest = np.where(table.price < FAR, table.price, 0).max(axis=0)
        each = DEAREST_STAYS * np.maximum.reduceat(dearest, table.start)
    else:
        each = np.full(len(table.orders), unfilled)
    cost: Floats = np.where(table.last, table.left * each, np.inf)
    cost[0] += table.split_parcel
    return cost


class _Goals(NamedTuple):
    goal: Ints
    pair_first: Ints
    pair_last: Ints
    part: Ints
    rest: Ints


def _goals(states: States, pairs: int) -> _Goals:
    """The states to reach by ascending units, and the parts of each; pairs are numbered from `pairs` on."""
    levels = states.levels
    size = np.cumsum([0, *(len(level.part) for level in levels)])
    first = [pairs + low + level.start for low, level in zip(size.tolist(), levels, strict=False)]
    last = [np.append(begin[1:], pairs + high) for begin, high in zip(first, size[1:].tolist(), strict=True)]
    none = np.zeros(0, np.int64)
    return _Goals(
        np.concatenate([none, *(level.state for level in levels)]),
        np.concatenate([none, *first]),
        np.concatenate([none, *last]),
        np.concatenate([none, *(level.part for level in levels)]),
        np.concatenate([none, *(level.rest for level in levels)]),
    )
