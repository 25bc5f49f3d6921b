"""Recorded orders, of history or of a file: written down once, by instant, and read by every run as they are needed.

The form is one order a line, as `POST /v1/orders` takes it. Holds of minutes (`hold_seconds`) are left out: what became
of them is not known, so every order counts as firm.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.domain import Order, epoch_ms
from engine.errors import InvalidInputError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Order).decode


class Spool(NamedTuple):
    """Orders that were written down: how many, and when the first and the last were placed (ms since the epoch)."""

    path: Path
    orders: int
    first_ms: int
    last_ms: int


class Spooling:
    """Writes orders down by `placed_at`, whatever sequence they come in; some 25 bytes of memory for each.

    `add` and `finish` raise InvalidInputError: an order without an instant, the same order twice, more than
    `orders_max`.
    """

    def __init__(self, path: Path, orders_max: int) -> None:
        self._path = path
        self._loose = path.with_name(path.name + ".loose")
        self._file = self._loose.open("wb")
        self._orders_max = orders_max
        self._at_ms, self._ids, self._ends = array("q"), array("Q"), array("q")
        self._written = 0

    def add(self, order: Order) -> None:
        """One more order."""
        count = len(self._at_ms)
        if order.placed_at is None:
            raise _unfit(count, f"{order.order_id!r} has no placed_at: when it came is needed")
        if count == self._orders_max:
            raise _unfit(count, f"more than {self._orders_max:,} orders: a shorter period or file is needed")
        line = _encode(msgspec.structs.replace(order, hold_seconds=None)) + b"\n"
        self._written += self._file.write(line)
        self._at_ms.append(epoch_ms(order.placed_at))
        self._ids.append(_mark_of(order.order_id))
        self._ends.append(self._written)

    def finish(self) -> Spool:
        """All of them are written down."""
        self._file.close()
        at_ms = np.frombuffer(self._at_ms, np.int64)
        _refuse_repeats(np.frombuffer(self._ids, np.uint64))
        if (np.diff(at_ms) >= 0).all():
            self._loose.replace(self._path)
        else:
            self._sort(np.argsort(at_ms, kind="stable").tolist())
        count = len(at_ms)
        return Spool(self._path, count, int(at_ms.min()) if count else 0, int(at_ms.max()) if count else 0)

    def _sort(self, sequence: Sequence[int]) -> None:
        with self._loose.open("rb") as source, self._path.open("wb") as target:
            for k in sequence:
                start = self._ends[k - 1] if k else 0
                source.seek(start)
                target.write(source.read(self._ends[k] - start))
        self._loose.unlink()


def spooled(orders: Iterable[Order], path: Path, orders_max: int) -> Spool:
    """Write orders down; raises as `Spooling` does."""
    spooling = Spooling(path, orders_max)
    for order in orders:
        spooling.add(order)
    return spooling.finish()


def _refuse_repeats(ids: NDArray[np.uint64]) -> None:
    _, first = np.unique(ids, return_index=True)
    if len(first) < len(ids):
        again = np.setdiff1d(np.arange(len(ids)), first)[0]
        earlier = int(np.flatnonzero(ids == ids[again])[0])
        raise _unfit(int(again), f"the same order_id as order {earlier + 1}")


def _unfit(count: int, reason: str) -> InvalidInputError:
    return InvalidInputError.at(f"order {count + 1}", reason)


def _mark_of(order_id: str) -> int:
    """64 bits that are uniform over order ids."""
    return int.from_bytes(blake2b(order_id.encode(), digest_size=8).digest())


class Recorded:
    """The orders of a spool, a line at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def orders(self, factor: float = 1.0) -> Iterator[Order]:
        """The orders by instant; of a demand `factor` times as large the same ones in every run.

        Each order has a mark in [0, 1) by its id, its copies 1 more each; those below `factor` come.
        """
        with self._path.open("rb") as lines:
            for line in lines:
                order = _decode(line)
                if factor == 1.0:
                    yield order
                    continue
                mark, copy = _mark_of(order.order_id) / 2**64, 0
                while mark + copy < factor:
                    name = f"{order.order_id}~{copy}" if copy else order.order_id
                    yield msgspec.structs.replace(order, order_id=name)
                    copy += 1
