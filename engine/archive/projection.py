"""What a page of the log means for the archive's tables: pure, from entries to rows."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from engine.ledger import journal
from engine.ledger.journal import CELL_STRIDE, MOVE_STRIDE, Body, Logged
from engine.ledger.retention import place

ENDED = frozenset({"refused", "cancelled"})
"""States in which an order holds nothing and nothing more is expected: such an order may leave the store in time."""

_ORDERS_PER_YIELD = 8
"""A thread gives way to the event loop after about a quarter of a millisecond of this."""


class _Placed(msgspec.Struct):
    placed_at: datetime | None = None


class _Payload(msgspec.Struct, array_like=True):
    body: Body
    raw: list[bytes]
    record: bytes


_placed = msgspec.json.Decoder(_Placed).decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Payload).decode

Cell = tuple[str, int]


@dataclass(slots=True)
class Rows:
    """Rows of one page, in order of the log. Sums are of deltas; a safety of None did not change."""

    last: tuple[int, int] = (0, 0)
    entries: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    oversold: int = 0
    orders: list[dict[str, Any]] = field(default_factory=list)
    """Decisions, first or later."""
    states: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The last state of each order that changed, and since when."""
    order_changes: list[dict[str, Any]] = field(default_factory=list)
    stock_changes: list[dict[str, Any]] = field(default_factory=list)
    cells: dict[Cell, list[Any]] = field(default_factory=dict)
    loads: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)


def payload(logged: Logged) -> bytes:
    """An entry's body, opaque parts and record in one compressed string."""
    return zlib.compress(_pack(_Payload(logged.body, list(logged.raw), logged.record)), 1)


def restored(entry_id: str, kind: str, packed: bytes) -> Logged:
    """The entry that `payload` packed."""
    found = _unpack(zlib.decompress(packed))
    return Logged(entry_id, kind, found.body, found.raw, found.record)


def project(page: Iterable[Logged], *, store: bool = True) -> Rows:
    """The rows of a page; `store`: with the entries themselves."""
    rows = Rows()
    for logged in page:
        rows.last = place(logged.entry_id)
        rows.kinds[logged.kind] = rows.kinds.get(logged.kind, 0) + 1
        if store:
            key = {"ms": rows.last[0], "number": rows.last[1]}
            rows.entries.append({**key, "kind": logged.kind, "payload": payload(logged)})
        _decisions(rows, logged)
        _order_changes(rows, logged)
        _stock(rows, logged)
        _places(rows, logged.body)
        time.sleep(0)  # not a wait: lets the event loop's thread have the interpreter now
    return rows


def _decisions(rows: Rows, logged: Logged) -> None:
    if logged.kind != "commit":
        return
    ms, number = rows.last
    for k, order in enumerate(logged.body.orders):
        if k % _ORDERS_PER_YIELD == 0:
            time.sleep(0)
        order_id, content, document, decision = logged.raw[4 * k : 4 * k + 4]
        rows.orders.append(
            {
                "order_id": order_id.decode(),
                "content": bytes(content),
                "document": bytes(document),
                "first_decision": bytes(decision),
                "decision": bytes(decision),
                "idempotency_key": order[1] or None,
                "state": order[0],
                "placed_ms": _placed_ms(document, ms),
                "decided_ms": ms,
                "number": number,
                "changed_ms": ms,
                "ended_ms": ms if order[0] in ENDED else None,
                "gone": 0,
            }
        )


def _placed_ms(document: bytes, decided_ms: int) -> int:
    """When an order was placed; if it does not say, when it was decided."""
    try:
        placed = _placed(document).placed_at
    except msgspec.DecodeError:
        return decided_ms
    return decided_ms if placed is None else int(placed.timestamp() * 1000)


def _order_changes(rows: Rows, logged: Logged) -> None:
    entry = journal.entry(logged)
    ms, number = rows.last
    for k, event in enumerate(entry.events):
        if event.type.startswith("order."):
            rows.order_changes.append(
                {"order_id": event.subject, "ms": ms, "number": number, "k": k, "event": event.type}
            )
    for order_id, state in entry.orders:
        rows.states[order_id] = state, ms


def _stock(rows: Rows, logged: Logged) -> None:
    """The ledger of each SKU, and the deltas of its cells; a commit that held more than there was is counted."""
    body, (ms, number) = logged.body, rows.last
    moved = bool(body.moves)
    for k in range(len(body.cells) // CELL_STRIDE):
        row, _, node, on_hand, held, safety, blocked, *deltas = body.cells[k * CELL_STRIDE : (k + 1) * CELL_STRIDE]
        d_on_hand, d_held, d_blocked, safe = deltas
        kind, movement, digest = body.moves[k * MOVE_STRIDE : (k + 1) * MOVE_STRIDE] if moved else (logged.kind, "", "")
        sku: str = body.rows[2 * row]
        rows.oversold += d_held > 0 and held > on_hand - blocked
        rows.stock_changes.append(
            {
                "sku": sku, "ms": ms, "number": number, "k": k, "node": node, "kind": kind,
                "movement_id": movement or None, "digest": digest or None,
                "on_hand_delta": d_on_hand, "held_delta": d_held, "blocked_delta": d_blocked,
                "on_hand": on_hand, "held": held, "safety": safety, "blocked": blocked,
            }
        )  # fmt: skip
        cell = rows.cells.setdefault((sku, node), [0, 0, 0, None])
        cell[0], cell[1], cell[2] = cell[0] + d_on_hand, cell[1] + d_held, cell[2] + d_blocked
        if safe:
            cell[3] = safety


def _places(rows: Rows, body: Body) -> None:
    for at in range(0, len(body.nodes), 2):
        rows.nodes.append({"node_id": body.nodes[at], "node": body.nodes[at + 1]})
    for at in range(0, len(body.loads), journal.LOAD_STRIDE):
        day, node, _, _, parcels, units = body.loads[at : at + journal.LOAD_STRIDE]
        load = rows.loads.setdefault((day, node), [0, 0])
        load[0], load[1] = load[0] + parcels, load[1] + units
