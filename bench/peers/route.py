"""Routing by rule, one order at a time, as the peers do it, and the decision document that they write.

The nearest node that has all of the order ships it. If none has, each line goes by itself: from the nearest node that
has all of the line, else piece by piece from the nearest that have any. What nobody has stays unallocated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from bench.peers.world import Posted

TERMS = "." * 500
"""Stands in every peer's document for what ours says of prices, dates and the window: they are as long as ours."""


class Take(NamedTuple):
    """Units of the order's line number `line` from node number `node`."""

    line: int
    node: int
    units: int


class _Line(msgspec.Struct):
    line_id: str
    sku: str
    quantity: int


class _Parcel(msgspec.Struct):
    node_id: str
    carrier: str
    service: str
    lines: list[_Line]


class _Decision(msgspec.Struct):
    order_id: str
    status: str
    parcels: list[_Parcel]
    unallocated: list[_Line]
    terms: str


_encode = msgspec.json.Encoder().encode


def route(quantities: Sequence[int], near: bytes, stock: Sequence[Mapping[int, int]]) -> list[Take]:
    """What to take. `quantities` and `stock` (units by node number) by line, all of different SKUs."""
    for node in near:
        if all(each.get(node, 0) >= units for each, units in zip(stock, quantities, strict=True)):
            return [Take(line, node, units) for line, units in enumerate(quantities)]
    takes = []
    for line, (units, each) in enumerate(zip(quantities, stock, strict=True)):
        whole = next((node for node in near if each.get(node, 0) >= units), None)
        if whole is not None:
            takes.append(Take(line, whole, units))
            continue
        for node in near:
            some = min(units, each.get(node, 0))
            if some > 0:
                takes.append(Take(line, node, some))
                units -= some
    return takes


def document(posted: Posted, takes: Sequence[Take], node_ids: Sequence[str]) -> bytes:
    """The decision: a parcel for each node."""
    lines = posted.order.lines
    parcels: dict[int, list[_Line]] = {}
    missing = [line.quantity for line in lines]
    for line, node, units in takes:
        parcels.setdefault(node, []).append(_Line(lines[line].line_id, lines[line].sku, units))
        missing[line] -= units
    left = [_Line(line.line_id, line.sku, units) for line, units in zip(lines, missing, strict=True) if units]
    status = "refused" if not parcels else "partially_allocated" if left else "allocated"
    boxes = [_Parcel(node_ids[node], "usps", "ground", inside) for node, inside in parcels.items()]
    return _encode(_Decision(posted.order.order_id, status, boxes, left, TERMS))
