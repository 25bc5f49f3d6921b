"""The subset DP where one node's shipments compete: for the same stock, or for the last boxes and units of a day.

The plain DP treats the shipments of an order as independent. Where its plan takes more from a node than is there, the
node becomes *tight*: everything that leaves it is priced as one table with the limits inside, and the tables of the
tight nodes are joined with the DP over the others. Still exact, and only paid for where it matters.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from solvers.menu import Menu
from solvers.problem import UNLIMITED, Bools, Ints
from solvers.states import FAR, Splits, cheapest, splits_of, trace

MAX_LAYERS = 512
"""Boxes counted one by one at a tight bucket: more than the exact DP has units. Only `atoms` may need more."""

Piece = tuple[int, int]
"""One shipment of an answer: (menu row, state shipped)."""


class Table(Protocol):
    """The least cost of shipping each state in some way, int64[M], and how."""

    @property
    def least(self) -> Ints:
        """Least cost per state."""

    def pieces(self, state: int) -> list[Piece]:
        """The shipments that reach it."""


class _Free:
    """Any number of shipments by any of the rows; states beyond `allowed` are impossible."""

    def __init__(self, menu: Menu, price: Ints, rows: Ints, allowed: Bools | None = None) -> None:
        self._states, self._price, self._rows = menu.states, price, rows
        far = np.full(len(price), FAR, np.int64)
        self._part = price[:, rows].min(axis=1) if len(rows) else far
        self._whole = cheapest(menu.states, self._part[:, None])[:, 0]
        self.least = self._whole if allowed is None else np.where(allowed, self._whole, FAR)

    def pieces(self, state: int) -> list[Piece]:
        parts = trace(self._states, self._part, self._whole, state)
        return [(int(self._rows[np.argmin(self._price[part, self._rows])]), part) for part in parts]


class _Counted:
    """Shipments by rows of one bucket with at most `room` boxes together: one layer of the DP per box."""

    def __init__(self, menu: Menu, price: Ints, rows: Ints, allowed: Bools, room: int) -> None:
        self._price, self._rows, self._room = price[:, rows], rows, room
        self._boxes = menu.boxes[:, rows]
        self._splits = splits_of(menu.states.shape)
        start, part, rest = self._splits
        self._counts = [boxes for boxes in np.unique(self._boxes[1:]).tolist() if boxes]
        nothing = np.full(len(price), FAR, np.int64)
        nothing[0] = 0
        self._layers = [nothing]
        for used in range(1, room + 1):
            layer = self._layers[-1].copy()
            for boxes in self._counts:
                if boxes > used:
                    break
                single = self._single(boxes)
                value = np.minimum(single[part] + self._layers[used - boxes][rest], FAR)
                layer = np.minimum(layer, np.minimum.reduceat(value, start[:-1]))
            self._layers.append(layer)
        self.least = np.where(allowed, self._layers[-1], FAR)

    def _single(self, boxes: int) -> Ints:
        single: Ints = np.where(self._boxes == boxes, self._price, FAR).min(axis=1)
        single[0] = FAR
        return single

    def pieces(self, state: int) -> list[Piece]:
        found, used = [], self._room
        while state:
            goal = int(self._layers[used][state])
            while used > 1 and int(self._layers[used - 1][state]) == goal:
                used -= 1
            for boxes in self._counts:
                if boxes > used:
                    break
                single = self._single(boxes)
                part = _split(self._splits, single, self._layers[used - boxes], state)
                if part >= 0 and single[part] + self._layers[used - boxes][state - part] == goal:
                    masked = np.where(self._boxes[part] == boxes, self._price[part], FAR)
                    found.append((int(self._rows[np.argmin(masked)]), part))
                    state, used = state - part, used - boxes
                    break
        return found


class _Joined:
    """Some of the units by one table, the rest by another."""

    def __init__(self, menu: Menu, left: Table, right: Table, allowed: Bools | None = None) -> None:
        self._left, self._right, self._splits = left, right, splits_of(menu.states.shape)
        value = left.least[self._splits.part] + right.least[self._splits.rest]
        self._whole = np.minimum(np.minimum.reduceat(value, self._splits.start[:-1]), FAR)
        self.least = self._whole if allowed is None else np.where(allowed, self._whole, FAR)

    def pieces(self, state: int) -> list[Piece]:
        part = _split(self._splits, self._left.least, self._right.least, state)
        return self._left.pieces(part) + self._right.pieces(state - part)


def _split(splits: Splits, left: Ints, right: Ints, state: int) -> int:
    """The part at which left[part] + right[state - part] is least."""
    at = slice(int(splits.start[state]), int(splits.start[state + 1]))
    return int(splits.part[at][np.argmin(left[splits.part[at]] + right[splits.rest[at]])])


def table(menu: Menu, price: Ints, rows: Ints, tight: tuple[int, ...]) -> Table:
    """Least cost of every state of a one-order menu by the given rows, the limits of the tight nodes kept."""
    node = menu.node[rows]
    whole: Table = _Free(menu, price, rows[~np.isin(node, tight)])
    for one in tight:
        whole = _Joined(menu, whole, _node_table(menu, price, rows[node == one], one))
    return whole


def _node_table(menu: Menu, price: Ints, rows: Ints, node: int) -> Table:
    """All that one node could ship, in any number of shipments, within its stock and its buckets' room."""
    buckets = menu.bucket[rows]
    whole: Table | None = None
    for bucket in np.unique(buckets).tolist():
        allowed = np.ones(len(price), np.bool_)
        here, room = rows[buckets == bucket], UNLIMITED
        if bucket >= 0:
            allowed = menu.units <= menu.supply.units[bucket]
            room = int(menu.supply.parcels[bucket])
        one: Table
        most = _most_boxes(menu, price, here)
        counted = room < most and room <= MAX_LAYERS
        one = _Counted(menu, price, here, allowed, room) if counted else _Free(menu, price, here, allowed)
        whole = one if whole is None else _Joined(menu, whole, one)
    stocked = _within_stock(menu, node)
    return _Masked(whole if whole is not None else _Free(menu, price, rows), stocked)


def _most_boxes(menu: Menu, price: Ints, rows: Ints) -> int:
    """More boxes than this the rows never use: a box holds a unit, and a shipment a unit of the states' own numbers."""
    possible = price[1:, rows] < FAR
    largest = int(np.where(possible, menu.boxes[1:, rows], 0).max(initial=0))
    return min(int(menu.units[-1]), sum(menu.states.shape) * largest)


class _Masked:
    """A table with some states ruled out."""

    def __init__(self, inner: Table, allowed: Bools) -> None:
        self._inner = inner
        self.least = np.where(allowed, inner.least, FAR)

    def pieces(self, state: int) -> list[Piece]:
        return self._inner.pieces(state)


def _within_stock(menu: Menu, node: int) -> Bools:
    """bool[M]: the node has the units of the state, over all its lines of each SKU together."""
    item = menu.problem.lines.item[menu.lines[0]]
    allowed = np.ones(len(menu.units), np.bool_)
    for one in np.unique(item).tolist():
        allowed &= menu.vector[:, item == one].sum(axis=1) <= menu.supply.stock[one, node]
    return allowed


def overdrawn(menu: Menu, pieces: list[Piece]) -> list[int]:
    """Nodes from which a one-order answer takes more than their stock or the room of their buckets."""
    if len(pieces) < 2:
        return []
    node, bucket = menu.node, menu.bucket
    item = menu.problem.lines.item[menu.lines[0]]
    taken: dict[int, Ints] = {}
    room: dict[int, list[int]] = {}
    of_bucket: dict[int, set[int]] = {}
    for row, state in pieces:
        at, b = int(node[row]), int(bucket[row])
        taken[at] = taken.get(at, 0) + menu.vector[state]
        used = room.setdefault(b, [0, 0])
        used[0] += int(menu.boxes[state, row])
        used[1] += int(menu.units[state])
        of_bucket.setdefault(b, set()).add(at)
    over = set()
    if len(taken) < len(pieces):
        for at, units in taken.items():
            for one in set(item.tolist()):
                if int(units[item == one].sum()) > menu.supply.stock[one, at]:
                    over.add(at)
    for b, (parcels, units_used) in room.items():
        if b >= 0 and (parcels > menu.supply.parcels[b] or units_used > menu.supply.units[b]):
            over |= of_bucket[b]
    return sorted(over)
