"""The compiled loops of `shadow_ascent`: orders of a book take their cheapest plans, and prices follow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.compiled import FLOAT, FLOATS, INT, INTS, compiled, inner, type_of
from solvers.problem import Ints
from solvers.shadow_book import Book, Floats


class Course(NamedTuple):
    """How prices move, by resource: the price, the time it was brought up to, `up` for a unit taken and `down` for an
    order that came (both at step 1)."""

    price: Floats
    seen: Floats
    up: Floats
    down: Floats


class Desk(NamedTuple):
    """Where one order is worked out, by state: the cheapest shipment `part` and its row, the least cost `least` and the
    pair that it is made of."""

    part: Floats
    least: Floats
    row: Ints
    pair: Ints


BOOK, COURSE, DESK = map(type_of, (Book, Course, Desk))


@inner
def _ship(book: Book, course: Course, desk: Desk, order: int, now: float, step: float) -> None:
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


@inner
def _plan(book: Book, desk: Desk, order: int) -> int:
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


@compiled(FLOAT, BOOK, COURSE, DESK, INTS, FLOATS, FLOAT, FLOAT)
def one_pass(book: Book, course: Course, desk: Desk, sequence: Ints, weight: Floats, now: float, step: float) -> float:
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


@compiled(INT, BOOK, COURSE, DESK, INTS, INTS, INTS, INTS)
def shipments(book: Book, course: Course, desk: Desk, sequence: Ints, owner: Ints, rows: Ints, parts: Ints) -> int:
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
