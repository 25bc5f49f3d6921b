"""The price sheet of a partition: what a unit of stock, and a box of room, is worth to the orders still to come.

Derived from the log and from stock, so it is kept beside the log and not in it: lost, it is made anew. What a window
used of it is in the window's record.

A sheet of a large merchant has a million cells, is made anew every few seconds, and every window asks for some of it.
So the prices of a SKU are one block of numbers, which nobody unpacks cell by cell but who tells them to people.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import accumulate, islice, pairwise
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Ints = NDArray[np.int64]

CELL = np.dtype([("node", "<u4"), ("mills", "<u4"), ("zone", "<u4")])
"""The price of a SKU at a node, by the node's number in the ledger: what a unit kept there is expected to save later.
`zone`: the destination for most of what is kept, by its place in `PriceSheet.zones`."""

Cells = NDArray[np.void]
"""CELL[K]."""


class Keep(NamedTuple):
    """One cell, as it is told. `for_zone`: "" where nobody can say."""

    node: int
    mills: int
    for_zone: str = ""


class RoomPrice(Struct, frozen=True, array_like=True):
    """Mills of a box that leaves a node, by its number, on a day (days since 1970-01-01 in the node's calendar)."""

    node: int
    day: int
    mills: int


class PriceSheet(Struct, frozen=True, array_like=True):
    """Prices above 0 only: `stock` by SKU, its CELL[K] as bytes, ascending by node; and `room`. Version 0 has not been
    stored.

    `source`: "lp", the duals of a programme over `futures` sampled courses of `horizon` orders each, or "adaptive",
    earlier prices followed by what sold since. `seen`: orders that the demand was learned from. `zones`: first "".
    """

    at_ms: int
    source: Literal["lp", "adaptive"]
    zones: tuple[str, ...] = ("",)
    stock: dict[str, bytes] = {}
    room: tuple[RoomPrice, ...] = ()
    horizon: float = 0.0
    futures: int = 0
    seen: float = 0.0
    version: int = 0

    def keeps(self, sku: str) -> list[Keep]:
        """The nodes where a SKU has a price."""
        cells = np.frombuffer(self.stock.get(sku, b""), CELL)
        return [Keep(node, mills, self.zones[zone]) for node, mills, zone in cells.tolist()]

    def of(self, skus: Sequence[str]) -> tuple[Ints, Cells]:
        """The cells of some SKUs, one SKU after another: int64[K] the place of each one's SKU, and CELL[K]."""
        blocks = [self.stock.get(sku, b"") for sku in skus]
        row = np.repeat(np.arange(len(blocks)), [len(block) // CELL.itemsize for block in blocks])
        return row, np.frombuffer(b"".join(blocks), CELL)

    def cells(self) -> int:
        """How many prices of stock there are."""
        return sum(map(len, self.stock.values())) // CELL.itemsize

    def only(self, skus: Iterable[str], days: Container[int]) -> PriceSheet:
        """The part that bears on a window of these SKUs whose parcels may leave on these days."""
        some = [sku for sku in skus if sku in self.stock]
        row, cells = self.of(some)
        named = np.zeros(len(self.zones), np.bool_)
        named[0] = True
        named[cells["zone"]] = True
        kept = cells.copy()
        kept["zone"] = (np.cumsum(named) - 1)[cells["zone"]]
        zones = tuple(self.zones[at] for at in np.flatnonzero(named).tolist())
        room = tuple(price for price in self.room if price.day in days)
        return msgspec.structs.replace(self, zones=zones, stock=by_sku(some, row, kept), room=room)


def by_sku(skus: Sequence[str], row: Ints, cells: Cells) -> dict[str, bytes]:
    """CELL[K] as `PriceSheet.stock`; `row` int64[K], ascending: the place of each one's SKU."""
    many = np.bincount(row, minlength=len(skus))
    some = np.flatnonzero(many)
    ends = accumulate((many[some] * CELL.itemsize).tolist(), initial=0)
    block = cells.tobytes()
    return {skus[at]: block[start:end] for at, (start, end) in zip(some.tolist(), pairwise(ends), strict=True)}


def packed(sheet: PriceSheet) -> bytes:
    """The sheet as it is stored."""
    return _encode(sheet)


def unpacked(body: bytes, version: int) -> PriceSheet:
    """A stored sheet at its version. Raises msgspec.DecodeError if another program made it."""
    sheet = _decode(body)
    for block in islice(sheet.stock.values(), 1):  # one program makes them all alike
        if len(block) % CELL.itemsize:
            raise msgspec.DecodeError("a price of another form")
    return msgspec.structs.replace(sheet, version=version)


_decode = msgspec.msgpack.Decoder(PriceSheet).decode
_encode = msgspec.msgpack.Encoder().encode
