"""What orders may do, as one book of flat arrays: how `shadow_ascent` reads the tables of `shadow_plans`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.problem import Ints
from solvers.shadow_plans import Table
from solvers.states import FAR, States

Floats = NDArray[np.float64]

DEAREST_STAYS = 2.0
"""Where fill comes first, a unit that stays costs so many times the order's dearest shipment."""


class Orders(NamedTuple):
    """By order: its `table`, its rows `first` to `last`, and where its staying costs begin."""

    table: Ints
    first: Ints
    last: Ints
    stay_at: Ints


class Rows(NamedTuple):
    """By row: where its prices (one a state), its resources (cells, then rooms) and its amounts of room begin."""

    price_at: Ints
    uses_at: Ints
    room_at: Ints


class Tables(NamedTuple):
    """By table: its states, cells and rooms; where units by cell and state begin; its goals `first` to `last`."""

    states: Ints
    cells: Ints
    rooms: Ints
    units_at: Ints
    first: Ints
    last: Ints


class Goals(NamedTuple):
    """The states to reach, of each table by ascending units, and which pairs (`part`, `rest`) each divides into."""

    state: Ints
    first: Ints
    last: Ints


class Pairs(NamedTuple):
    """A state that one shipment carries, and the state that the others do."""

    part: Ints
    rest: Ints


class Amounts(NamedTuple):
    """Resources by row, -1 for a room without limit; units by cell and state; room by row, room and state."""

    uses: Ints
    units: Ints
    room: Ints


class Money(NamedTuple):
    """Mills: of a shipment by row and state, and of ending with a state by order and state; infinite where unlawful."""

    price: Floats
    stay: Floats


class Book(NamedTuple):
    """All tables one after another."""

    orders: Orders
    rows: Rows
    tables: Tables
    goals: Goals
    pairs: Pairs
    amounts: Amounts
    money: Money


def bound(tables: list[Table], unfilled: float | None) -> Book:
    """The tables as one book. `unfilled`: mills of a unit that stays; None where fill comes first."""
    rows = _starts([table.price.shape[1] for table in tables])
    states = [len(table.price) for table in tables]
    widths = [len(table.cells) + len(table.rooms) for table in tables]
    split = [_divided(table.states) for table in tables]
    goals, pairs = _starts([len(one.state) for one, _ in split]), _starts([len(one.part) for _, one in split])
    prices = [np.where(table.price < FAR, table.price, np.inf).T for table in tables]
    stays = [_stay(table, unfilled).T for table in tables]
    uses = [_uses(table) for table in tables]
    units = [np.array([amount for amount, _ in table.cells], np.int64) for table in tables]
    rooms = [_room(table) for table in tables]
    stay_at, price_at, uses_at = (_starts([block.size for block in blocks]) for blocks in (stays, prices, uses))
    room_at, units_at = (_starts([block.size for block in blocks]) for blocks in (rooms, units))
    by_table = list(enumerate(tables))
    return Book(
        Orders(
            _flat([np.full(len(table.orders), k) for k, table in by_table]),
            _flat([rows[k] + table.start for k, table in by_table]),
            _flat([rows[k] + np.append(table.start[1:], table.price.shape[1]) for k, table in by_table]),
            _flat([stay_at[k] + np.arange(len(table.orders)) * states[k] for k, table in by_table]),
        ),
        Rows(
            _flat([price_at[k] + np.arange(len(prices[k])) * states[k] for k, _ in by_table]),
            _flat([uses_at[k] + np.arange(len(uses[k])) * widths[k] for k, _ in by_table]),
            _flat([room_at[k] + np.arange(len(rooms[k])) * len(table.rooms) * states[k] for k, table in by_table]),
        ),
        Tables(
            _flat([np.array(states, np.int64)]),
            _flat([np.array([len(table.cells) for table in tables], np.int64)]),
            _flat([np.array([len(table.rooms) for table in tables], np.int64)]),
            units_at[:-1],
            goals[:-1],
            goals[1:],
        ),
        Goals(
            _flat([one.state for one, _ in split]),
            _flat([pairs[k] + one.first for k, (one, _) in enumerate(split)]),
            _flat([pairs[k] + one.last for k, (one, _) in enumerate(split)]),
        ),
        Pairs(_flat([one.part for _, one in split]), _flat([one.rest for _, one in split])),
        Amounts(_flat(uses), _flat(units), _flat(rooms)),
        Money(_money(prices), _money(stays)),
    )


def _starts(sizes: list[int]) -> Ints:
    """int64[n + 1]: where each of n blocks begins, and the end."""
    return np.cumsum([0, *sizes], dtype=np.int64)


def _flat(blocks: list[Ints]) -> Ints:
    """The blocks one after another, as compiled functions take them."""
    return np.concatenate([np.zeros(0, np.int64), *(block.ravel() for block in blocks)]).astype(np.int64)


def _money(blocks: list[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *(block.ravel() for block in blocks)]).astype(np.float64)


def _uses(table: Table) -> Ints:
    """int64[R, cells + rooms]: the resources of each row."""
    return np.array([resource for _, resource in [*table.cells, *table.rooms]], np.int64).T


def _room(table: Table) -> Ints:
    """int64[R, rooms, M]: what a shipment takes of each room."""
    shape = (table.price.shape[1], len(table.rooms), len(table.price))
    return np.stack([amount.T for amount, _ in table.rooms], axis=1) if table.rooms else np.zeros(shape, np.int64)


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


def _divided(states: States) -> tuple[Goals, Pairs]:
    """The states of one table to reach, and their pairs, numbered from 0."""
    first, last, begin = [], [], 0
    for level in states.levels:
        end = begin + len(level.part)
        first.append(begin + level.start)
        last.append(begin + np.append(level.start[1:], len(level.part)))
        begin = end
    goals = Goals(_flat([level.state for level in states.levels]), _flat(first), _flat(last))
    return goals, Pairs(_flat([level.part for level in states.levels]), _flat([level.rest for level in states.levels]))
