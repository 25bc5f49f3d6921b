"""What a page of the log means for the archive's tables: pure, from entries to rows."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from engine.ledger import journal, states
from engine.ledger.journal import CELL_STRIDE, COMMAND_KINDS, MOVE_STRIDE, Body, Logged, again_of
from engine.ledger.retention import place

_ORDERS_PER_YIELD = 8
"""A thread gives way to the event loop after about a quarter of a millisecond of this."""


class _Placed(msgspec.Struct):
    placed_at: datetime | None = None


class _Payload(msgspec.Struct, array_like=True):
    body: Body
    raw: list[bytes]
    summary: bytes


_placed = msgspec.json.Decoder(_Placed).decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Payload).decode

Cell = tuple[str, int]


@dataclass(slots=True)
class Rows:
    """Rows of one page, in order of the log. Sums are of deltas; a safety of None did not change."""

    last: tuple[int, int] = (0, 0)
    entries: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    oversold: int = 0
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Orders that were first decided in this page, as they stand at its end."""
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Columns that changed of orders that were decided before; `revision` is how often they did."""
    commands: list[dict[str, Any]] = field(default_factory=list)
    order_changes: list[dict[str, Any]] = field(default_factory=list)
    stock_changes: list[dict[str, Any]] = field(default_factory=list)
    cells: dict[Cell, list[Any]] = field(default_factory=dict)
    loads: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)


def payload(logged: Logged) -> bytes:
    """An entry's body, opaque parts and the summary of its record in one compressed string."""
    return zlib.compress(_pack(_Payload(logged.body, list(logged.raw), journal.summary(logged.record))), 1)


def restored(entry_id: str, kind: str, packed: bytes) -> Logged:
    """The entry that `payload` packed; of the record only the summary."""
    found = _unpack(zlib.decompress(packed))
    return Logged(entry_id, kind, found.body, found.raw, found.summary)


def project(page: Iterable[Logged], *, store: bool = True) -> Rows:
    """The rows of a page; `store`: with the entries themselves."""
    rows = Rows()
    for logged in page:
        rows.last = place(logged.entry_id)
        rows.kinds[logged.kind] = rows.kinds.get(logged.kind, 0) + 1
        if store:
            key = {"ms": rows.last[0], "number": rows.last[1]}
            rows.entries.append({**key, "kind": logged.kind, "payload": payload(logged)})
            if logged.record:
                rows.records.append({**key, "record": logged.record})
        _documents(rows, logged)
        _decisions(rows, logged)
        _order_changes(rows, logged)
        _stock(rows, logged)
        _places(rows, logged.body)
        time.sleep(0)  # not a wait: lets the event loop's thread have the interpreter now
    return rows


def _documents(rows: Rows, logged: Logged) -> None:
    """Where each version of a document is."""
    body, raw = logged.body, logged.raw
    found: list[tuple[str, str, int, int]] = []
    if logged.kind == "network":
        found.append(("network", "", body.version, 1))
    if logged.kind == "policy":
        found.append(("policy", raw[0].decode(), body.edition, 1))
    if body.matrices:
        found.append(("matrix", raw[-2].decode(), body.matrices, len(raw) - 1))
    for kind, name, version, part in found:
        key = {"kind": kind, "name": name, "version": version, "part": part}
        rows.documents.append({**key, "ms": rows.last[0], "number": rows.last[1]})


def _decisions(rows: Rows, logged: Logged) -> None:
    """Orders decided, and decided again."""
    if logged.kind != "commit":
        return
    recorded = place(logged.body.record or logged.entry_id)
    for k, order in enumerate(logged.body.orders):
        if k % _ORDERS_PER_YIELD == 0:
            time.sleep(0)
        parts = [bytes(part) for part in logged.raw[4 * k : 4 * k + 4]]
        if again_of(order) is not None:
            _decided_again(rows, order, *parts)
        else:
            _decided(rows, order, *parts)
        name = parts[0].decode()
        row = rows.orders.get(name) or rows.changed[name]
        row["recorded_ms"], row["recorded_number"] = recorded


def _decided(
    rows: Rows, order: Sequence[Any], order_id: bytes, content: bytes, document: bytes, decision: bytes
) -> None:
    ms, number = rows.last
    rows.orders[order_id.decode()] = {
        "order_id": order_id.decode(),
        "content": content,
        "document": document,
        "first_decision": decision,
        "decision": decision,
        "idempotency_key": order[1] or None,
        "state": order[0],
        "placed_ms": _placed_ms(document, ms),
        "decided_ms": ms,
        "number": number,
        "changed_ms": ms,
        "deadline_ms": order[4] if len(order) > 4 else 0,
        "revision": 1,
        "excluded": b"[]",
        "token": "",
        "ended_ms": ms if order[0] in states.ENDED else None,
        "gone": 0,
    }


def _decided_again(
    rows: Rows, order: Sequence[Any], order_id: bytes, content: bytes, document: bytes, decision: bytes
) -> None:
    """A replacement is new content with a first decision of its own; others leave the first one as it is."""
    command, _, token, digest, _, excluded, *_ = order[6]
    columns: dict[str, Any] = {"decision": decision, "deadline_ms": order[4]}
    if command in states.UNASKED:
        _change(rows, order_id, order[0], **columns)
        return
    columns["token"] = token
    columns["excluded"] = msgspec.json.encode(excluded)
    if command == states.REROUTE:
        _commanded(rows, order_id, token, digest, decision)
    else:
        placed_ms = _placed_ms(document, rows.last[0])
        columns |= {"content": content, "document": document, "first_decision": decision, "placed_ms": placed_ms}
    _change(rows, order_id, order[0], **columns)


def _commanded(rows: Rows, order_id: bytes, command_id: str, asked: str, led_to: bytes) -> None:
    rows.commands.append({"order_id": order_id.decode(), "command_id": command_id, "asked": asked, "led_to": led_to})


def _change(rows: Rows, order_id: bytes, state: str, **columns: Any) -> None:
    """An order that was decided before has a new state, and these columns."""
    name, ms = order_id.decode(), rows.last[0]
    row = rows.orders.get(name) or rows.changed.setdefault(name, {"revision": 0})
    ended_ms = ms if state in states.ENDED else None
    row.update(columns, state=state, changed_ms=ms, ended_ms=ended_ms, revision=row["revision"] + 1)


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
    if logged.kind in COMMAND_KINDS:
        order_id, command_id = logged.raw
        _change(rows, order_id, logged.body.state, deadline_ms=0)
        if command_id:
            _commanded(rows, order_id, command_id.decode(), logged.kind, logged.body.state.encode())
    elif logged.kind == states.LAPSE:
        for order_id in logged.raw[::2]:
            _change(rows, order_id, states.LAPSED)


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
