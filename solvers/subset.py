"""The subset DP on a menu: the best state and plan of every order, lateness and each node's limits kept.

The plain DP answers a batch in one pass, those that are late in another per lateness; only orders whose plan overdraws
a node are looked at one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers import coupled
from solvers.coupled import Piece
from solvers.menu import Menu
from solvers.problem import Ints
from solvers.solution import Shipment
from solvers.states import FAR, cheapest, trace


class Found(NamedTuple):
    """The cheapest answer for one order of a menu: its shipments' prices, what staying units cost, and lateness.

    `value` is FAR and nothing ships where no allowed state can be reached. `careful`: it took a look of its own.
    """

    value: int
    state: int
    pieces: list[Piece]
    careful: bool = False


def as_plan(menu: Menu, column: int, pieces: list[Piece]) -> tuple[Shipment, ...]:
    """The shipments of an answer, ascending by option. Rows are those of the whole menu."""
    parts = sorted((int(menu.rows[row]), -state) for row, state in pieces)
    return tuple(Shipment(option, menu.units_in_line_order(column, -state)) for option, state in parts)


def answer(menu: Menu, price: Ints, stay: Ints | None, late_price: int) -> list[Found]:
    """The best state and plan of every order of the menu.

    price int64[M, R]: of each shipment, FAR where impossible (the menu's own, or with tolls added). stay int64[M, G]:
    what it costs to ship only that state, FAR where not allowed; None: ship as much as possible, then cheapest.
    """
    columns = np.arange(len(menu.orders))
    part = np.minimum.reduceat(price, menu.start, axis=1)
    least = cheapest(menu.states, part)
    if stay is None:
        most = np.where(least < FAR, menu.units[:, None], -1).max(axis=0)
        staying = np.where(menu.units[:, None] == most, 0, FAR)
    else:
        staying = np.zeros(0, np.int64) if stay is None else stay
    total = least + staying
    state = np.argmin(total, axis=0)
    value = total[state, columns].tolist()
    whole = (part[state, columns] == least[state, columns]) & (state > 0)
    at_state = price[state[menu.owner], np.arange(len(menu.rows))]
    index = np.where(at_state == part[state, columns][menu.owner], np.arange(len(menu.rows)), len(menu.rows))
    row = np.minimum.reduceat(index, menu.start).tolist()
    answers = []
    for column, chosen in enumerate(state.tolist()):
        if whole[column]:
            pieces = [(row[column], chosen)]
        else:
            parts = trace(menu.states, part[:, column], least[:, column], chosen)
            rows = menu.rows_of(column)
            pieces = [(rows.start + int(np.argmin(price[p, rows])), p) for p in parts]
        found = Found(value[column], chosen, pieces)
        if len(pieces) > 1:
            over = coupled.overdrawn(menu.one(column), _local(menu, column, pieces))
            if over:
                found = _careful(menu, column, price, None if stay is None else stay[:, column], tuple(over))
        answers.append(found)
    return _less_late(menu, price, stay, late_price, answers) if late_price and menu.late.any() else answers


def _less_late(menu: Menu, price: Ints, stay: Ints | None, late_price: int, found: list[Found]) -> list[Found]:
    """The answers with lateness paid: those that are late against the best with at most so many days, all at once.

    The latest parcel decides, so `limit` days are allowed and those that come about are paid for.
    """
    late = menu.late
    days = np.array([max((int(late[row]) for row, _ in one.pieces), default=0) for one in found], np.int64)
    floor = [one.value for one in found]
    best = [one._replace(value=one.value + late_price * int(d)) for one, d in zip(found, days, strict=True)]
    for limit in np.unique(np.append(late[late < days.max(initial=0)], 0)).tolist():
        which = [
            column
            for column, one in enumerate(best)
            if limit < days[column] and floor[column] + late_price * limit < one.value
        ]
        if not which:
            continue
        columns = np.array(which, np.int64)
        some = menu.only(columns)
        kept = price[:, np.isin(menu.owner, columns)] if len(which) < len(best) else price
        if stay is None:
            filled = menu.units[[found[column].state for column in which]]
            staying = np.where(menu.units[:, None] == filled, 0, FAR)
        else:
            staying = stay[:, columns]
        others = answer(some, np.where(some.late <= limit, kept, FAR), staying, 0)
        back = np.flatnonzero(np.isin(menu.owner, columns)).tolist()
        for column, one in zip(which, others, strict=True):
            real = max((int(some.late[row]) for row, _ in one.pieces), default=0)
            if one.value < FAR and one.value + late_price * real < best[column].value:
                pieces = [(back[row], state) for row, state in one.pieces]
                best[column] = one._replace(value=one.value + late_price * real, pieces=pieces)
    return best


def _local(menu: Menu, column: int, pieces: list[Piece]) -> list[Piece]:
    first = int(menu.start[column])
    return [(row - first, state) for row, state in pieces]


def _careful(menu: Menu, column: int, price: Ints, stay: Ints | None, tight: tuple[int, ...]) -> Found:
    """One order for which the `tight` nodes are short: limits kept inside."""
    one, at = menu.one(column), menu.rows_of(column)
    best = within_limits(one, price[:, at], np.arange(at.stop - at.start), stay, tight)
    shifted = [(row + at.start, state) for row, state in best.pieces]
    return Found(best.value, best.state, shifted, careful=True)


def within_limits(one: Menu, price: Ints, rows: Ints, stay: Ints | None, tight: tuple[int, ...] = ()) -> Found:
    """The best answer by some of the rows of a one-order menu; value FAR if there is none."""
    while True:
        table = coupled.table(one, price, rows, tight)
        most = int(one.units[table.least < FAR].max())
        staying = np.where(one.units == most, 0, FAR) if stay is None else stay
        total = table.least + staying
        state = int(np.argmin(total))
        if total[state] >= FAR:
            return Found(FAR, 0, [])
        pieces = table.pieces(state)
        over = [node for node in coupled.overdrawn(one, pieces) if node not in tight]
        if not over:
            return Found(int(total[state]), state, pieces)
        tight = tuple(sorted({*tight, *over}))
