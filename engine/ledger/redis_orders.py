"""What the store's scripts answer about orders and soft holds, as the port has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from engine.ledger import layout, states
from engine.ledger.backlog import Expected, Incoming, Wait
from engine.ledger.port import Answer, Change, Decided, OrderRecord, Snapshot, Standing, Versions

_unpack = msgspec.msgpack.decode

ANSWERS = (Answer.UNKNOWN, Answer.ALREADY, Answer.DONE, Answer.REFUSED, Answer.OTHER)

_LATER: tuple[Any, ...] = ([], 0, 0)
"""What the first version did not keep of an order: what it waits for, its rank, until when it may be decided again."""

Own = tuple[dict[str, list[tuple[int, int]]], dict[int, list[tuple[int, int, int]]]]
"""(slot, units) by SKU and (node, units, parcels) by day."""


def record(order_id: str, parts: Sequence[Any], at_ms: int) -> OrderRecord | None:
    """An order from its stored parts: content, order, decision, state and holds, current decision, record's entry."""
    content, order, decision, kept, current, recorded = parts[:6]
    if content is None:
        return None
    state, history, takes, loads, deadline, _, revision, excluded, token, waits, rank, closes = _kept(kept)
    return OrderRecord(
        order_id=order_id,
        content=content,
        order=order,
        decision=decision,
        state=states.judged(state, deadline, at_ms),
        history=tuple(Change(*history[at : at + 2]) for at in range(0, len(history), 2)),
        takes=tuple((takes[at], takes[at + 2], takes[at + 3]) for at in range(0, len(takes), 4)),
        loads=tuple((*loads[at : at + 4],) for at in range(0, len(loads), 4)),
        current=current or decision,
        stored_state=state,
        deadline_ms=deadline,
        revision=revision,
        excluded=tuple(excluded),
        token=token,
        at_ms=at_ms,
        recorded=(recorded or b"").decode(),
        waits=tuple(Wait(*waits[at : at + 2]) for at in range(0, len(waits), 2)),
        rank=rank,
        closes_ms=closes,
    )


def _kept(packed: bytes) -> Sequence[Any]:
    """What is kept of an order; one of an earlier version waits for nothing, and is not decided again by itself."""
    kept: list[Any] = _unpack(packed)
    return [*kept, *_LATER[len(kept) - 9 :]]


class Asked(NamedTuple):
    """What a snapshot was asked for (see `Ledger.snapshot`)."""

    skus: Sequence[str]
    days: Sequence[int]
    order_ids: Sequence[str]
    again: tuple[str, str] | None
    idempotency_keys: Sequence[str]
    expected: Sequence[str]
    moving: Sequence[str]


def snapshot(asked: Asked, reply: Sequence[Any]) -> Snapshot:
    """A snapshot from the script's reply: what has lapsed, and what the standing order holds, taken out."""
    skus, days, order_ids, again, idempotency_keys, expecting, moving = asked
    at_ms, network, policy, catalog, rows, loads, decided, told, _, parts, evicted, *rest = reply
    orders_gone, keys_gone, ripe, expected, prices, kept = rest
    assert len(rows) == len(skus), "every SKU has its row"
    standing, own = _standing(again, parts, at_ms)
    held = _held(moving, kept, own)
    lapsed: dict[int, list[Any]] = {}
    for at in range(0, len(told), 2):
        lapsed.setdefault(told[at], []).append(_unpack(told[at + 1]))
    return Snapshot(
        at_ms,
        Versions(network, policy, catalog, prices),
        tuple(
            layout.seen_row(row, lapsed.get(k, ()), own[0].get(sku, ()))
            for k, (sku, row) in enumerate(zip(skus, rows, strict=True))
        )
        if lapsed or again or held
        else tuple(map(layout.row, rows)),
        {
            day: layout.seen_day(load, lapsed.get(len(skus) + k, ()), own[1].get(day, ()))
            for k, (day, load) in enumerate(zip(days, loads, strict=True))
        },
        {order_id: Decided(*pair) for order_id, pair in zip(order_ids, decided, strict=True) if pair[0] is not None},
        standing,
        evicted,
        tuple(order_ids[k] for k in orders_gone),
        tuple(idempotency_keys[k] for k in keys_gone),
        ripe=tuple(name.decode() for name in ripe),
        expected={
            sku: Expected(waited, incoming(packed)) for sku, (waited, packed) in zip(expecting, expected, strict=True)
        },
        moving=held,
    )


def incoming(told: Sequence[Any]) -> tuple[Incoming, ...]:
    """Incoming units from (id, what is kept of them) in turn."""
    return tuple(Incoming(told[at].decode(), *_unpack(told[at + 1])) for at in range(0, len(told), 2))


def _standing(again: tuple[str, str] | None, parts: Sequence[Any], at_ms: int) -> tuple[Standing | None, Own]:
    """The order to be decided again, and what it holds now."""
    found = None if again is None else record(again[0], parts, at_ms)
    own: Own = {}, {}
    if found is None:
        return None, own
    applied = None
    if parts[6] is not None:
        digest, _, decision = parts[6].partition(b"\n")
        applied = digest.decode(), decision
    if found.state == found.stored_state:
        _, _, takes, loads, *_ = _unpack(parts[3])
        _give_back(takes, loads, own)
    return Standing(found, applied), own


def _held(moving: Sequence[str], packed: Sequence[bytes | None], own: Own) -> dict[str, int]:
    """The revisions of those of these orders that may be decided again; what they hold joins `own`."""
    held: dict[str, int] = {}
    for order_id, each in zip(moving, packed, strict=True):
        kept = _kept(each) if each is not None else None
        if kept is not None and kept[0] in states.MOVABLE:
            held[order_id] = kept[6]
            _give_back(kept[2], kept[3], own)
    return held


def _give_back(takes: Sequence[Any], loads: Sequence[Any], own: Own) -> None:
    """Add what an order holds, as it is kept, to `own`."""
    for at in range(0, len(takes), 4):
        own[0].setdefault(takes[at], []).append((takes[at + 1], takes[at + 3]))
    for at in range(0, len(loads), 4):
        day, node, parcels, units = loads[at : at + 4]
        own[1].setdefault(day, []).append((node, units, parcels))
