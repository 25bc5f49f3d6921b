"""The price sheet of a partition: what a unit of stock, and a box of room, is worth to the orders still to come.

Derived from the log and from stock, so it is kept beside the log and not in it: lost, it is made anew. What a window
used of it is in the window's record.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import islice
from typing import Literal

import msgspec
from msgspec import Struct


class Keep(Struct, frozen=True, array_like=True):
    """One node's stock of a SKU. `mills`: what a unit kept is expected to save later. `for_zone`: the destination for
    most of what is kept; "" where nobody can say."""

    node_id: str
    mills: int
    for_zone: str = ""


class RoomPrice(Struct, frozen=True, array_like=True):
    """Mills of a box that leaves a node on a day (days since 1970-01-01 in the node's calendar)."""

    node_id: str
    day: int
    mills: int


class PriceSheet(Struct, frozen=True, array_like=True):
    """Prices above 0 only: `stock` by SKU, and `room`. Version 0 has not been stored.

    `source`: "lp", the duals of a programme over `futures` sampled courses of `horizon` orders each, or "adaptive",
    earlier prices followed by what sold since. `seen`: orders that the demand was learned from.
    """

    at_ms: int
    source: Literal["lp", "adaptive"]
    stock: dict[str, tuple[Keep, ...]]
    room: tuple[RoomPrice, ...] = ()
    horizon: float = 0.0
    futures: int = 0
    seen: float = 0.0
    version: int = 0


class StoredSheet(Struct, frozen=True, array_like=True):
    """A `PriceSheet` as it is read: the stock of a SKU stays packed until somebody asks for it.

    Unpacking holds the interpreter lock, a second for a million cells, whichever thread does it; a window asks for few.
    """

    at_ms: int
    source: Literal["lp", "adaptive"]
    stock: dict[str, msgspec.Raw]
    room: tuple[RoomPrice, ...] = ()
    horizon: float = 0.0
    futures: int = 0
    seen: float = 0.0
    version: int = 0

    def keeps(self, sku: str) -> tuple[Keep, ...]:
        """The nodes where a SKU has a price."""
        return _keeps(self.stock[sku]) if sku in self.stock else ()

    def cells(self) -> int:
        """How many prices of stock there are, by the heads of their MessagePack arrays."""
        return sum(map(_length, self.stock.values()))

    def only(self, skus: Iterable[str], days: Container[int]) -> StoredSheet:
        """The part that bears on a window of these SKUs whose parcels may leave on these days, still packed."""
        stock = {sku: self.stock[sku] for sku in skus if sku in self.stock}
        return msgspec.structs.replace(self, stock=stock, room=tuple(p for p in self.room if p.day in days))


def _length(packed_array: msgspec.Raw) -> int:
    """Elements of a MessagePack array: in the first byte's low half, or big-endian in the two or four bytes after."""
    head = memoryview(packed_array)
    width = {0xDC: 2, 0xDD: 4}.get(head[0], 0)
    return int.from_bytes(head[1 : 1 + width]) if width else head[0] & 0x0F


_decode = msgspec.msgpack.Decoder(StoredSheet).decode
_keeps = msgspec.msgpack.Decoder(tuple[Keep, ...]).decode
_encode = msgspec.msgpack.Encoder().encode


def packed(sheet: PriceSheet) -> bytes:
    """The sheet as it is stored."""
    return _encode(sheet)


def stored(sheet: PriceSheet) -> StoredSheet:
    """The sheet as who reads it from the store has it."""
    return _decode(_encode(sheet))


def unpacked(body: bytes, version: int) -> StoredSheet:
    """A stored sheet at its version. Raises msgspec.DecodeError if another program made it."""
    sheet = _decode(body)
    for keeps in islice(sheet.stock.values(), 1):
        _keeps(keeps)  # one program makes them all alike
    return msgspec.structs.replace(sheet, version=version)
