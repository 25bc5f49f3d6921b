"""The subset DP on a menu: the best state and plan of every order, lateness and each node's limits kept.

The plain DP answers a batch in one pass; only orders whose plan is late or overdraws a node are looked at one by one.
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
    late = menu.late if late_price else None
    answers = []
    for column, chosen in enumerate(state.tolist()):
        if whole[column]:
            pieces = [(row[column], chosen)]
        else:
            parts = trace(menu.states, part[:, column], least[:, column], chosen)
            rows = menu.rows_of(column)
            pieces = [(rows.start + int(np.argmin(price[p, rows])), p) for p in parts]
        found = Found(value[column], chosen, pieces)
        is_late = late is not None and any(late[r] for r, _ in pieces)
        if is_late or (len(pieces) > 1 and coupled.overdrawn(menu.one(column), _local(menu, column, pieces))):
            found = _careful(menu, column, price, None if stay is None else stay[:, column], late_price)
        answers.append(found)
    return answers


def _local(menu: Menu, column: int, pieces: list[Piece]) -> list[Piece]:
    first = int(menu.start[column])
    return [(row - first, state) for row, state in pieces]


def _careful(menu: Menu, column: int, price: Ints, stay: Ints | None, late_price: int) -> Found:
    """One order where nodes are short for it or lateness counts: over the late-day thresholds, limits kept inside."""
    one, at = menu.one(column), menu.rows_of(column)
    prices, rows = price[:, at], np.arange(at.stop - at.start)
    best = within_limits(one, prices, rows, stay)
    if late_price and len(best.pieces):
        staying = np.where(one.units == one.units[best.state], 0, FAR) if stay is None else stay
        floor, late = best.value, one.late
        days = max(int(late[row]) for row, _ in best.pieces)
        best = best._replace(value=best.value + late_price * days)
        for limit in np.unique(np.append(late[late < days], 0)).tolist():
            # The latest parcel decides, so allow at most `limit` days and pay for them all. (0: or ship nothing.)
            if floor + late_price * limit >= best.value:
                break
            found = within_limits(one, prices, rows[late <= limit], staying)
            if found.value < FAR and found.value + late_price * limit < best.value:
                real = max((int(late[row]) for row, _ in found.pieces), default=0)
                best = found._replace(value=found.value + late_price * real)
    shifted = [(row + at.start, state) for row, state in best.pieces]
    return Found(best.value, best.state, shifted, careful=True)


def within_limits(one: Menu, price: Ints, rows: Ints, stay: Ints | None) -> Found:
    """The best answer by some of the rows of a one-order menu; value FAR if there is none."""
    tight: tuple[int, ...] = ()
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
