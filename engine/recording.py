"""A window's record: all that its decisions depend on, so that any of them can be recomputed exactly.

A line of JSON, the summary that subscribers see; after it the window itself, packed and compressed. Network and policy
are named by version: they are kept once each (`records`), everything else is here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np

from engine.domain import Order, Sku
from engine.ledger.backlog import Expected
from engine.ledger.journal import summary
from engine.ledger.port import LOAD, SLOT, Again, DayLoad, Row, Slots, Snapshot, Versions
from engine.lowering import WindowInput
from engine.network import Network
from engine.policy import Policy
from engine.pricing.sheet import PriceSheet


class Documents(NamedTuple):
    """What a window was decided on, by version."""

    network: int
    policy_id: str
    policy: int


class _Named(msgspec.Struct):
    network_version: int
    policy_id: str
    policy_version: int


class _Recorded(msgspec.Struct, omit_defaults=True):
    """A `WindowInput`. `slots` are those of all rows, byte by byte of a slot: planes of zeros compress best."""

    window_id: str
    partition: str
    orders: tuple[Order, ...]
    contents: tuple[bytes, ...]
    keys: tuple[str | None, ...]
    waited_ms: tuple[float, ...]
    skus: tuple[str, ...]
    items: tuple[Sku, ...]
    at_ms: int
    versions: Versions
    gains: list[int]
    sizes: list[int]
    slots: bytes
    days: list[tuple[int, int, bytes]]
    as_placed: bool = False
    strict_skus: bool = False
    in_turn: bool = False
    as_shipping: bool = False
    floor: bool = False
    again: Again | None = None
    expected: dict[str, Expected] = {}
    prices: PriceSheet | None = None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Recorded).decode
_named = msgspec.json.Decoder(_Named).decode


class UnreadableRecordError(Exception):
    """The record was made by another version of the program, in a form that this one does not read."""


def pack(window: WindowInput, told: dict[str, Any]) -> bytes:
    """The record of a window; `told` is its summary, which names the documents (see `documents`)."""
    snapshot = window.snapshot
    slots = joined_slots(snapshot.rows)
    recorded = _Recorded(
        window_id=window.window_id,
        partition=window.partition,
        orders=window.orders,
        contents=window.contents,
        keys=window.idempotency_keys,
        waited_ms=window.waited_ms,
        skus=window.skus,
        items=tuple(window.items.values()),
        at_ms=snapshot.at_ms,
        versions=snapshot.versions,
        gains=[row.gain for row in snapshot.rows],
        sizes=[len(row.slots) for row in snapshot.rows],
        slots=np.frombuffer(slots, np.uint8).reshape(-1, SLOT.itemsize).T.tobytes(),
        days=[(day, load.gain, load.nodes.tobytes()) for day, load in snapshot.days.items()],
        as_placed=window.as_placed,
        strict_skus=window.strict_skus,
        in_turn=window.in_turn,
        as_shipping=window.as_shipping,
        floor=window.floor,
        again=window.again,
        expected=dict(snapshot.expected),
        prices=window.prices,
    )
    return msgspec.json.encode(told) + b"\n" + zlib.compress(_pack(recorded), 1)


def documents(record: bytes) -> Documents:
    """The documents that `restore` needs. Raises UnreadableRecordError."""
    try:
        named = _named(summary(record))
    except msgspec.DecodeError as error:
        raise UnreadableRecordError(str(error)) from error
    return Documents(named.network_version, named.policy_id, named.policy_version)


def restore(record: bytes, network: Network, policy: Policy) -> WindowInput:
    """The window of a record, given its documents: equal in all that `deciding.decide` looks at.

    Raises UnreadableRecordError.
    """
    try:
        recorded = _unpack(zlib.decompress(record[len(summary(record)) + 1 :]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise UnreadableRecordError(str(error)) from error
    return WindowInput(
        window_id=recorded.window_id,
        partition=recorded.partition,
        orders=recorded.orders,
        contents=recorded.contents,
        idempotency_keys=recorded.keys,
        waited_ms=recorded.waited_ms,
        skus=recorded.skus,
        items={entry.sku: entry for entry in recorded.items},
        snapshot=Snapshot(
            at_ms=recorded.at_ms,
            versions=recorded.versions,
            rows=tuple(map(Row, recorded.gains, _rows(recorded.slots, recorded.sizes))),
            days={day: DayLoad(gain, np.frombuffer(nodes, LOAD)) for day, gain, nodes in recorded.days},
            decided={},
            expected=recorded.expected,
        ),
        network=network,
        policy=policy,
        policy_version=documents(record).policy,
        as_placed=recorded.as_placed,
        strict_skus=recorded.strict_skus,
        in_turn=recorded.in_turn,
        as_shipping=recorded.as_shipping,
        floor=recorded.floor,
        prices=recorded.prices,
        again=recorded.again,
    )


def joined_slots(rows: Iterable[Row]) -> bytes:
    """The slots of rows, one after another."""
    return b"".join(row.slots.tobytes() for row in rows)  # `.data` describes the fields each time, ten times slower


def split_slots(joined: bytes, sizes: Iterable[int]) -> list[Slots]:
    """The slots of each row, as many as `sizes` says: views."""
    slots, ends = np.frombuffer(joined, SLOT), list(accumulate(sizes, initial=0))
    return [slots[start:end] for start, end in pairwise(ends)]


def _rows(planes: bytes, sizes: list[int]) -> list[Slots]:
    """The slots of each row."""
    return split_slots(np.frombuffer(planes, np.uint8).reshape(SLOT.itemsize, -1).T.tobytes(), sizes)
