"""Which missing units of orders that may wait have a date: those that stock to come in covers.

Incoming units go to those that wait already first, then to the orders of the window, the higher priority first; each
order only counts on what comes to nodes that may serve it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.domain import Limits, Order
from engine.lowering.cells import Cells
from engine.lowering.goods import Goods
from engine.lowering.question import WindowInput
from engine.lowering.rows import able_of
from solvers.problem import Bools, Ints


class Due(NamedTuple):
    """Units that are there by an instant, in milliseconds since the epoch."""

    units: int
    at_ms: int


Dues = tuple[Due, ...]


def dues_of(
    window: WindowInput, goods: Goods, cells: Cells, within: Bools, limits: tuple[Limits, ...]
) -> dict[int, Dues]:
    """By order line of the window, earliest first; lines without are absent.

    `within` bool[O, N]: nodes whose stock may go to the order.
    """
    if not any(each.incoming for each in window.snapshot.expected.values()):
        return {}
    supply, able = _Supply(window, goods, cells), able_of(window.network, goods)
    start = np.cumsum([0, *(len(order.lines) for order in window.orders)]).tolist()
    found: dict[int, Dues] = {}
    for o in sorted(range(len(window.orders)), key=lambda o: -window.orders[o].priority):
        order = window.orders[o]
        lines = []
        for line in order.lines:
            good = goods.own[goods.index[line.sku]]
            nodes = within[o] if able is None else within[o] & able[good]
            lines.append(supply.take(good, line.quantity, nodes))
        if order.backorder:
            told = _whole(order, lines) if limits[o].ship_complete else [line.dues for line in lines]
            found.update({start[o] + k: dues for k, dues in enumerate(told) if dues})
    return found


class _Line(NamedTuple):
    """What is missing of a line beyond free stock, and when some of it comes."""

    missing: int
    dues: Dues


def _whole(order: Order, lines: list[_Line]) -> list[Dues]:
    """Of an order that ships whole every unit waits for the last, if all that is missing comes."""
    if not any(line.missing for line in lines):
        return [() for _ in lines]
    if any(line.missing > sum(due.units for due in line.dues) for line in lines):
        return [line.dues for line in lines]
    last = max(due.at_ms for line in lines for due in line.dues)
    return [(Due(line.quantity, last),) for line in order.lines]


class _Supply:
    """Free and incoming units of the window's SKUs while its orders share them."""

    def __init__(self, window: WindowInput, goods: Goods, cells: Cells) -> None:
        self._goods = goods
        self._free: Ints = cells.free.copy()
        node_of = {number: node for node, number in enumerate(window.network.number_of.tolist())}
        self._coming: dict[int, list[list[int]]] = {}
        """By SKU [node, units left, instant], the earliest first."""
        for name, expected in window.snapshot.expected.items():
            waited, coming = expected.waited, []
            for row in expected.incoming:
                units = max(0, row.quantity - waited)
                waited = max(0, waited - row.quantity)
                if units and row.node in node_of:
                    coming.append([node_of[row.node], units, row.expected_ms])
            self._coming[goods.index[name]] = coming

    def take(self, good: int, quantity: int, within: Bools) -> _Line:
        """Let a line have free units, and count on incoming ones for the rest."""
        parts = self._goods.parts_of(good)
        left = quantity
        whole = np.min([np.maximum(self._free[part], 0) // count for part, count in parts.items()], axis=0)
        for node in np.flatnonzero(within & (whole > 0)).tolist():
            units = min(left, int(whole[node]))
            for part, count in parts.items():
                self._free[part, node] -= units * count
            left -= units
        return _Line(left, self._dues(parts, left, within) if left else ())

    def _dues(self, parts: dict[int, int], missing: int, within: Bools) -> Dues:
        """When units come for which every part is there, at most `missing`."""
        arrivals: list[list[tuple[int, int]]] = []  # per part: units by then, instant
        for part, count in parts.items():
            units = int(np.maximum(self._free[part], 0)[within].sum()) if len(parts) > 1 or count > 1 else 0
            by_then = [(units // count, 0)]
            for node, coming, at_ms in self._coming.get(part, ()):
                if within[node]:
                    units += coming
                    by_then.append((units // count, at_ms))
            arrivals.append(by_then)
        covered = min(missing, *(by_then[-1][0] for by_then in arrivals))
        steps = sorted({min(units, covered) for by_then in arrivals for units, _ in by_then})
        dues, before = [], 0
        for step in steps:
            if step > before:
                at_ms = max(next(at for units, at in by_then if units >= step) for by_then in arrivals)
                dues.append(Due(step - before, at_ms))
                before = step
        for part, count in parts.items():
            self._count_on(part, covered * count, within)
        return tuple(dues)

    def _count_on(self, part: int, units: int, within: Bools) -> None:
        """Incoming units that others cannot count on any more."""
        for row in self._coming.get(part, ()):
            if within[row[0]]:
                taken = min(units, row[1])
                row[1] -= taken
                units -= taken
