"""What a page of the log means for the archive's tables: pure, from entries to rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any

import msgspec

from engine.archive.statements import Row
from engine.ledger import journal, states
from engine.ledger.journal import CELL_STRIDE, COMMAND_KINDS, MOVE_STRIDE, Body, Logged, again_of
from engine.ledger.retention import place


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

ORDER_PARTS = 4
"""Opaque strings of each order in an entry: id, content, document, decision."""


@dataclass(slots=True)
class Rows:
    """Rows of one page, in order of the log; tuples have the columns of their tables, in order.

    Sums are of deltas; a safety of None did not change.
    """

    partition: str
    last: tuple[int, int] = (0, 0)
    entries: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    documents: list[Row] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    oversold: int = 0
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Orders that were first decided in this page, as they stand at its end: all columns, in order."""
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Columns that changed of orders that were decided before; `revision` is how often they did."""
    commands: list[Row] = field(default_factory=list)
    order_changes: list[Row] = field(default_factory=list)
    stock_entries: list[Row] = field(default_factory=list)
    movements: list[Row] = field(default_factory=list)
    cells: dict[Cell, list[Any]] = field(default_factory=dict)
    """Deltas of on_hand, held and blocked, and the new safety."""
    loads: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    nodes: list[Row] = field(default_factory=list)


def payload(logged: Logged) -> bytes:
    """An entry's body, opaque parts and the summary of its record in one compressed string."""
    return zlib.compress(_pack(_Payload(logged.body, list(logged.raw), journal.summary(logged.record))), 1)


def restored(entry_id: str, kind: str, packed: bytes) -> Logged:
    """The entry that `payload` packed; of the record only the summary."""
    found = _unpack(zlib.decompress(packed))
    return Logged(entry_id, kind, found.body, found.raw, found.summary)


def project(partition: str, page: Iterable[Logged], *, store: bool = True) -> Rows:
    """The rows of a page; `store`: with the entries themselves."""
    rows = Rows(partition)
    for logged in page:
        rows.last = ms, number = place(logged.entry_id)
        rows.kinds[logged.kind] = rows.kinds.get(logged.kind, 0) + 1
        if store:
            rows.entries.append((partition, ms, number, logged.kind, payload(logged)))
            if logged.record:
                rows.records.append((partition, ms, number, logged.record))
        _documents(rows, logged)
        _decisions(rows, logged)
        _commands(rows, logged)
        rows.order_changes += [
            (partition, order_id, ms, number, k, event) for k, event, order_id in journal.order_events(logged)
        ]
        _stock(rows, logged)
        _places(rows, logged.body)
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
    rows.documents += [(rows.partition, kind, name, version, *rows.last, part) for kind, name, version, part in found]


def _decisions(rows: Rows, logged: Logged) -> None:
    """Orders decided, and decided again."""
    if logged.kind != "commit":
        return
    raw, recorded = logged.raw, place(logged.body.record or logged.entry_id)
    for k, order in enumerate(logged.body.orders):
        at = ORDER_PARTS * k
        order_id, document, decision = raw[at].decode(), raw[at + 2], raw[at + 3]
        if again_of(order) is None:
            _decided(rows, order, k, order_id, document, recorded)
        else:
            _decided_again(rows, order, k, order_id, document, decision, recorded)


def _decided(
    rows: Rows, order: Sequence[Any], k: int, order_id: str, document: bytes, recorded: tuple[int, int]
) -> None:
    ms, number = rows.last
    rows.orders[order_id] = {
        "partition": rows.partition,
        "decided_ms": ms,
        "number": number,
        "order_id": order_id,
        "idempotency_key": order[1] or None,
        "state": order[0],
        "placed_ms": _placed_ms(document, ms),
        "changed_ms": ms,
        "deadline_ms": order[4] if len(order) > 4 else 0,
        "revision": 1,
        "excluded": b"[]",
        "first_ms": ms,
        "first_number": number,
        "first_k": k,
        "current_ms": ms,
        "current_number": number,
        "current_k": k,
        "recorded_ms": recorded[0],
        "recorded_number": recorded[1],
        "token": "",
        "ended_ms": ms if order[0] in states.ENDED else None,
        "gone": 0,
    }


def _decided_again(
    rows: Rows,
    order: Sequence[Any],
    k: int,
    order_id: str,
    document: bytes,
    decision: bytes,
    recorded: tuple[int, int],
) -> None:
    """A replacement is new content with a first decision of its own; others leave the first one as it is."""
    (command, _, token, digest, _, excluded, *_), (ms, number) = order[6], rows.last
    columns: dict[str, Any] = {"current_ms": ms, "current_number": number, "current_k": k, "deadline_ms": order[4]}
    columns |= {"recorded_ms": recorded[0], "recorded_number": recorded[1]}
    if command not in states.UNASKED:
        columns |= {"token": token, "excluded": msgspec.json.encode(excluded)}
        if command == states.REROUTE:
            _commanded(rows, order_id, token, digest, decision)
        else:
            columns |= {"first_ms": ms, "first_number": number, "first_k": k, "placed_ms": _placed_ms(document, ms)}
    _change(rows, order_id, order[0], columns)


def _commanded(rows: Rows, order_id: str, command_id: str, asked: str, led_to: bytes) -> None:
    rows.commands.append((rows.partition, order_id, command_id, asked, bytes(led_to)))


def _change(rows: Rows, order_id: str, state: str, columns: Mapping[str, Any]) -> None:
    """An order that was decided before has a new state, and these columns."""
    ms = rows.last[0]
    row = rows.orders.get(order_id) or rows.changed.setdefault(order_id, {"revision": 0})
    ended_ms = ms if state in states.ENDED else None
    row.update(columns, state=state, changed_ms=ms, ended_ms=ended_ms, revision=row["revision"] + 1)


def _placed_ms(document: bytes, decided_ms: int) -> int:
    """When an order was placed; if it does not say, when it was decided."""
    try:
        placed = _placed(document).placed_at
    except msgspec.DecodeError:
        return decided_ms
    return decided_ms if placed is None else int(placed.timestamp() * 1000)


def _commands(rows: Rows, logged: Logged) -> None:
    """What else led an order to another state."""
    if logged.kind in COMMAND_KINDS:
        order_id, command_id = (part.decode() for part in logged.raw)
        _change(rows, order_id, logged.body.state, {"deadline_ms": 0})
        if command_id:
            _commanded(rows, order_id, command_id, logged.kind, logged.body.state.encode())
    elif logged.kind == states.LAPSE:
        for lapsed in logged.raw[::2]:
            _change(rows, lapsed.decode(), states.LAPSED, {})


def cell_changes(logged: Logged) -> Iterator[tuple[tuple[int, ...], tuple[str, str, str]]]:
    """Each cell that an entry changed (see `journal.CELL_STRIDE`), with kind, movement id and digest of what did."""
    body = logged.body
    untold = repeat((logged.kind, "", ""), len(body.cells) // CELL_STRIDE)
    moves = zip(*[iter(body.moves)] * MOVE_STRIDE, strict=True) if body.moves else untold
    return zip(zip(*[iter(body.cells)] * CELL_STRIDE, strict=True), moves, strict=True)


def _stock(rows: Rows, logged: Logged) -> None:
    """Which SKUs changed, and the deltas of their cells; a commit that held more than there was is counted."""
    partition, (ms, number), sums, skus = rows.partition, rows.last, rows.cells, logged.body.rows[::2]
    for k, (cell, (_, movement, digest)) in enumerate(cell_changes(logged)):
        row, _, node, on_hand, held, safety, blocked, d_on_hand, d_held, d_blocked, safe = cell
        if d_held > 0 and held > on_hand - blocked:
            rows.oversold += 1
        if movement:
            rows.movements.append((partition, ms, number, k, movement, digest))
        place_of = skus[row], node
        summed = sums.get(place_of)
        if summed is None:
            sums[place_of] = [d_on_hand, d_held, d_blocked, safety if safe else None]
            continue
        summed[0] += d_on_hand
        summed[1] += d_held
        summed[2] += d_blocked
        if safe:
            summed[3] = safety
    changed = {skus[row] for row in logged.body.cells[::CELL_STRIDE]}
    rows.stock_entries += [(partition, sku, ms, number) for sku in changed]


def _places(rows: Rows, body: Body) -> None:
    for at in range(0, len(body.nodes), 2):
        rows.nodes.append((rows.partition, body.nodes[at + 1], body.nodes[at]))
    for at in range(0, len(body.loads), journal.LOAD_STRIDE):
        day, node, _, _, parcels, units = body.loads[at : at + journal.LOAD_STRIDE]
        load = rows.loads.setdefault((day, node), [0, 0])
        load[0], load[1] = load[0] + parcels, load[1] + units
