"""Who shipped what from where, in few bytes: what two runs are compared by, order by order.

Some 40 bytes an order: a mark of its id (64 bits), its cost, a number for its nodes, and the id itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.simulation.outcome import Outcome
from solvers.problem import Ints

HEAD_BYTES = 8

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, int, tuple[str, ...]]).decode


class Columns(NamedTuple):
    """n orders: `key` uint64[n], `total` int64[n] mills, `nodes` int64[n] into `names`, `order_id` S[n]."""

    key: NDArray[np.uint64]
    total: Ints
    nodes: Ints
    order_id: NDArray[np.bytes_]
    names: tuple[str, ...]


class Trail:
    """Takes outcomes as they come."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._parts: list[tuple[NDArray[np.uint64], Ints, Ints, NDArray[np.bytes_]]] = []

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Some more orders."""
        number = self._number
        ids = [outcome.order_id.encode() for outcome in outcomes]
        keys = b"".join([blake2b(each, digest_size=8).digest() for each in ids])
        nodes = [number.setdefault(outcome.nodes, len(number)) for outcome in outcomes]
        totals = np.array([outcome.total for outcome in outcomes], np.int64)
        self._parts.append(
            (np.frombuffer(keys, np.uint64), totals, np.array(nodes, np.int64), np.array(ids, np.bytes_))
        )

    def columns(self) -> Columns:
        """All of them."""
        if not self._parts:
            none = np.zeros(0, np.int64)
            return Columns(none.astype(np.uint64), none, none, np.zeros(0, "S1"), ())
        key, total, nodes, ids = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        return Columns(key, total, nodes, ids, tuple(self._number))


def save(columns: Columns, path: Path) -> None:
    """Write them where another process reads them."""
    head = _pack((len(columns.key), columns.order_id.dtype.itemsize, columns.names))
    with path.open("wb") as file:
        file.write(len(head).to_bytes(HEAD_BYTES, "little") + head)
        file.write(bytes(_aligned(file.tell()) - file.tell()))
        for column in columns[:4]:
            file.write(np.ascontiguousarray(column).tobytes())


def load(path: Path) -> Columns:
    """What `save` wrote. The file is mapped, not read: the trails of many runs need no memory until they are looked at,
    and then only as long as nobody else wants it."""
    try:
        body: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
    except OSError:  # too many files are open
        body = np.fromfile(path, np.uint8)
    at = HEAD_BYTES + int.from_bytes(body[:HEAD_BYTES].tobytes(), "little")
    orders, width, names = _unpack(body[HEAD_BYTES:at].tobytes())
    start, found = _aligned(at), []
    for kind in (np.uint64, np.int64, np.int64, f"S{width}"):
        dtype: np.dtype[np.generic] = np.dtype(kind)
        found.append(body[start : start + orders * dtype.itemsize].view(dtype))
        start += orders * dtype.itemsize
    key, total, nodes, order_id = found
    return Columns(key, total, nodes, order_id, names)


def _aligned(at: int) -> int:
    """The next place for whole words."""
    return -(-at // HEAD_BYTES) * HEAD_BYTES
