"""The subset DP where one node's shipments compete: for the same stock, or for the last boxes and units of a day.

The plain DP treats the shipments of an order as independent. Where its plan takes more from a node than is there, the
node becomes *tight*: everything that leaves it is priced as one table with the limits inside, and the tables of the
tight nodes are joined with the DP over the others. Still exact, and only paid for where it matters.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from solvers.layers import Layers, by_boxes
from solvers.menu import Menu
from solvers.problem import UNLIMITED, Bools, Ints
from solvers.states import FAR, cheapest, splits_of, trace

MAX_LAYERS = 512
"""Boxes counted one by one: more than the exact DP has units. Only `atoms` may need more."""

Piece = tuple[int, int]
"""One shipment of an answer: (menu row, state shipped)."""


class Table(Protocol):
    """The least cost of shipping each state in some way, int64[M] by layer, and how.

    Where the order's boxes are limited, layer k allows k of them; otherwise there is one layer.
    """

    @property
    def least(self) -> list[Ints]:
        """Least cost per state, by layer."""

    def pieces(self, layer: int, state: int) -> list[Piece]:
        """The shipments that reach it."""


class _Shipped:
    """Any number of shipments by any of the rows with at most `caps[layer]` boxes; only `allowed` states."""

    def __init__(self, menu: Menu, price: Ints, rows: Ints, allowed: Bools, caps: list[int]) -> None:
        self._states, self._rows, self._caps = menu.states, rows, caps
        self._price, self._boxes = price[:, rows], menu.boxes[:, rows]
        enough = most_boxes(menu, price, rows)
        counted = [cap for cap in caps if cap < enough and cap <= MAX_LAYERS]
        start = np.zeros(1, np.int64)
        self._layers: Layers | None = None
        if counted and len(rows):
            parts = by_boxes(self._price, self._boxes, start, max(counted))
            self._layers = Layers(menu.states, parts, max(counted), 1)
        self._counted = [cap in counted and self._layers is not None for cap in caps]
        far = np.full(len(price), FAR, np.int64)
        self._part = self._price.min(axis=1) if len(rows) else far
        self._whole = cheapest(menu.states, self._part[:, None])[:, 0]
        self.least = [
            np.where(allowed, self._layers.least[cap][:, 0] if counted and self._layers else self._whole, FAR)
            for cap, counted in zip(caps, self._counted, strict=True)
        ]

    def pieces(self, layer: int, state: int) -> list[Piece]:
        if self._counted[layer] and self._layers is not None:
            return [
                self._by(np.where(self._boxes[part] == boxes, self._price[part], FAR), part)
                for part, boxes in self._layers.trace(self._caps[layer], state, 0)
            ]
        one = np.zeros(1, np.int64)
        _, parts = trace(self._states, self._part[:, None], self._whole[:, None], one, one + state)
        return [self._by(self._price[part], part) for part in parts.tolist()]

    def _by(self, price: Ints, part: int) -> Piece:
        return int(self._rows[np.argmin(price)]), part


class _Joined:
    """Some of the units by one table, the rest by another; the boxes of a layer are divided between them."""

    def __init__(self, menu: Menu, left: Table, right: Table) -> None:
        self._left, self._right, self._splits = left, right, splits_of(menu.states.shape)
        start, part, rest = self._splits
        self.least: list[Ints] = []
        for layer in range(len(left.least)):
            least = np.full(len(start) - 1, FAR, np.int64)
            for one in range(layer + 1):
                value = left.least[one][part] + right.least[layer - one][rest]
                least = np.minimum(least, np.minimum.reduceat(value, start[:-1]))
            self.least.append(least)

    def pieces(self, layer: int, state: int) -> list[Piece]:
        at = slice(int(self._splits.start[state]), int(self._splits.start[state + 1]))
        part, rest = self._splits.part[at], self._splits.rest[at]
        for one in range(layer + 1):
            value = self._left.least[one][part] + self._right.least[layer - one][rest]
            best = int(np.argmin(value))
            if value[best] == self.least[layer][state]:
                return self._left.pieces(one, int(part[best])) + self._right.pieces(layer - one, int(rest[best]))
        raise AssertionError("a joined state is reached by one of its splits")


class _Masked:
    """A table with some states ruled out."""

    def __init__(self, inner: Table, allowed: Bools) -> None:
        self._inner = inner
        self.least = [np.where(allowed, least, FAR) for least in inner.least]

    def pieces(self, layer: int, state: int) -> list[Piece]:
        return self._inner.pieces(layer, state)


def table(menu: Menu, price: Ints, tight: tuple[int, ...], parcels: int) -> Table:
    """Least cost of every state of a one-order menu in at most `parcels` boxes, the limits of the tight nodes kept."""
    layers = [UNLIMITED] if parcels >= UNLIMITED else list(range(parcels + 1))
    every = np.ones(len(price), np.bool_)
    loose = np.flatnonzero(~np.isin(menu.node, tight))
    whole: Table = _Shipped(menu, price, loose, every, layers)
    for node in tight:
        whole = _Joined(menu, whole, _node_table(menu, price, np.flatnonzero(menu.node == node), layers))
    return whole


def _node_table(menu: Menu, price: Ints, rows: Ints, layers: list[int]) -> Table:
    """All that one node could ship, in any number of shipments, within its stock and its buckets' room."""
    problem, supply, draws = menu.problem, menu.supply, menu.origin
    buckets, days = menu.bucket[rows], problem.options.day[menu.rows[rows]]
    if not draws.places:
        days = np.zeros(len(rows), np.int64)
    whole: Table | None = None
    for bucket, day in np.unique(np.stack([buckets, days]), axis=1).T.tolist():
        allowed, room = np.ones(len(price), np.bool_), UNLIMITED
        if bucket >= 0:
            allowed = draws.own(menu.vector) <= supply.units[bucket]
            room = int(supply.parcels[bucket])
        for columns, source in draws.places:
            lent = int(problem.source_bucket[day, source[0]])
            if lent >= 0:
                allowed &= menu.vector @ columns <= supply.units[lent]
        here = rows[(buckets == bucket) & (days == day)]
        one = _Shipped(menu, price, here, allowed, [min(room, layer) for layer in layers])
        whole = one if whole is None else _Joined(menu, whole, one)
    assert whole is not None, "a tight node ships something"
    return _Masked(whole, draws.in_stock(menu.vector, supply.stock, int(menu.node[rows[0]])))


def most_boxes(menu: Menu, price: Ints, rows: Ints) -> int:
    """More boxes than this the rows never use: a box holds a unit, and a shipment a unit of the states' own numbers."""
    possible = price[1:, rows] < FAR
    largest = int(np.where(possible, menu.boxes[1:, rows], 0).max(initial=0))
    return min(int(menu.units.max()), int(menu.states.units.max()) * largest)


def overdrawn(menu: Menu, pieces: list[Piece]) -> list[int]:
    """Nodes from which a one-order answer takes more than their stock or the room of their buckets."""
    if len(pieces) < 2:
        return []
    node, bucket = menu.node, menu.bucket
    taken: dict[int, Ints] = {}
    for row, state in pieces:
        at = int(node[row])
        taken[at] = taken.get(at, 0) + menu.vector[state]
    over = set()
    if len(taken) < len(pieces):
        for at, units in taken.items():
            if not menu.origin.in_stock(units[None, :], menu.supply.stock, at)[0]:
                over.add(at)
    return sorted(over | _crowded(menu, pieces, node, bucket))


def _crowded(menu: Menu, pieces: list[Piece], node: Ints, bucket: Ints) -> set[int]:
    """Nodes whose pieces need more boxes or units than there is room for."""
    problem, supply = menu.problem, menu.supply
    boxes: dict[int, int] = {}
    units: dict[int, int] = {}
    users: dict[int, set[int]] = {}
    for row, state in pieces:
        own, b = int(menu.units[state]), int(bucket[row])
        for columns, source in menu.origin.places:
            lent = int(menu.vector[state] @ columns)
            own -= lent
            at = int(problem.source_bucket[problem.options.day[menu.rows[row]], source[0]])
            units[at] = units.get(at, 0) + lent
            users.setdefault(at, set()).add(int(node[row]))
        boxes[b] = boxes.get(b, 0) + int(menu.boxes[state, row])
        units[b] = units.get(b, 0) + own
        users.setdefault(b, set()).add(int(node[row]))
    over: set[int] = set()
    for b, nodes in users.items():
        if b >= 0 and (boxes.get(b, 0) > supply.parcels[b] or units.get(b, 0) > supply.units[b]):
            over |= nodes
    return over
