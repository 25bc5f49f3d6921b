"""The log's wire form, shared by both implementations, and how subscribers see it.

An entry holds all that is needed to make its change again (absolute values) and to audit it (deltas). Lists are flat,
with a stride, because the store's scripts build and read them thousands of times a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from engine.domain import decimal
from engine.ledger import states
from engine.ledger.backlog import Incoming, Wait
from engine.ledger.port import CellChange, Entry, Event, StockWrite

CELL_STRIDE = 11
"""row, slot, node, on_hand, held, safety, blocked; then the deltas of on_hand, held, blocked; 1 if safety changed."""
MOVE_STRIDE = 3
"""Parallel to cells of a stock entry: kind, movement id or "", digest of the movement."""
LOAD_STRIDE = 6
"""day, node, parcels, units; then the deltas of parcels and units."""

COMMAND_KINDS = (states.CONFIRM, states.RELEASE, states.CANCEL, states.TO_NODE)
"""Entries of one command on one order."""


class Body(msgspec.Struct, omit_defaults=True):
    """What one entry changed. All instants are those of the entry's id."""

    window: str = ""
    rows: list[Any] = []
    """Flat: sku, new gain (or -1 for unchanged). Cells refer to rows by index from 0."""
    cells: list[int] = []
    moves: list[str] = []
    days: list[int] = []
    """Flat: day, new gain (or -1)."""
    loads: list[int] = []
    use: list[int] = []
    """Flat: node number, 1 if in the network, number of its cells that are not all zero."""
    orders: list[Any] = []
    """Per order (state, idempotency key or "", takes, loads): takes flat (row, slot, node, units), loads flat
    (day, node, parcels, units). With a soft hold also its deadline (else 0) and the state once it is firm; decided
    again also (command, revision, token, digest, reason, excluded nodes, saving, nodes before), else False; with
    something that waits also flat (name, units), and the rank; then until when it may be decided again by itself."""
    waited: list[Any] = []
    """Flat: name, units of it that all orders wait for now."""
    incoming: list[Any] = []
    """Flat: incoming id, sku, node, quantity, expected instant, as they stand now; a quantity of 0: no more."""
    chunks: list[Any] = []
    """Flat: field ("s" and a SKU or "d" and a day), deadline, chunk of places, and flat (slot or node, units, parcels)
    of all soft holds with this deadline there; empty when none is left. For the store's scripts (lua/soft.lua)."""
    state: str = ""
    """The state that a command led to."""
    revision: int = 0
    nodes: list[Any] = []
    """Flat: node id, its number."""
    version: int = 0
    """Of the network, the catalogue, the set of policies, or the forecast."""
    matrices: int = 0
    """Version of the zone matrix in `raw`."""
    edition: int = 0
    """Of the one policy written."""
    record: str = ""
    """The earlier entry that has the record of the window; "" for this one."""


class Logged(NamedTuple):
    """An entry as stored. `raw` are opaque strings.

    commit: order id, content, order, decision of each order; then the record if this entry has it.
    confirm, release, cancel, ready: order id, command id or "". lapse: order id and "" of each. free: none; lapsed
    units left rows and days. stock, incoming: none. skus: sku, entry. network: its name, document. policy: its id,
    document. forecast: its name, document. matrix: its id, the matrix, which end the entry of a network that uses it.
    """

    entry_id: str
    kind: str
    body: Body
    raw: Sequence[bytes]
    record: bytes = b""


class _From(msgspec.Struct):
    node_id: str


class _Parcels(msgspec.Struct):
    parcels: tuple[_From, ...] = ()


_parcels = msgspec.json.Decoder(_Parcels).decode


class _StockChanged(msgspec.Struct):
    sku: str
    node: int
    kind: str
    movement_id: str | None
    on_hand: int
    held: int
    safety: int
    blocked: int


def summary(record: bytes) -> bytes:
    """The first line of a window's record, which is JSON; what follows is for those who recompute it."""
    return record.partition(b"\n")[0]


def entry(logged: Logged) -> Entry:
    """An entry as the port shows it."""
    body, at_ms = logged.body, int(logged.entry_id.partition("-")[0])
    events = tuple(
        Event(f"{logged.entry_id}:{k}", at_ms, kind, subject, data)
        for k, (kind, subject, data) in enumerate(_events(logged))
    )
    orders: tuple[tuple[str, str], ...] = ()
    excluded: tuple[tuple[str, tuple[str, ...]], ...] = ()
    commands: tuple[str, ...] = (logged.kind,)
    if logged.kind == "commit":
        ids = [logged.raw[4 * k].decode() for k in range(len(body.orders))]
        orders = tuple((order_id, order[0]) for order_id, order in zip(ids, body.orders, strict=True))
        again = [again_of(order) for order in body.orders]
        commands = tuple("decide" if it is None else it[0] for it in again)
        excluded = tuple(
            (o, tuple(it[5])) for o, it in zip(ids, again, strict=True) if it and it[0] not in states.UNASKED
        )
    elif logged.kind in COMMAND_KINDS:
        orders = ((logged.raw[0].decode(), body.state),)
    elif logged.kind == "lapse":
        orders = tuple((order_id.decode(), "lapsed") for order_id in logged.raw[::2])
        commands = ("lapse",) * len(orders)
    return Entry(
        entry_id=logged.entry_id,
        at_ms=at_ms,
        kind=logged.kind,
        events=events,
        cells=tuple(_cells(body)),
        loads=tuple(_loads(body)),
        orders=orders,
        record=logged.record,
        commands=commands if orders else (),
        waited=tuple(Wait(*body.waited[at : at + 2]) for at in range(0, len(body.waited), 2)),
        incoming=tuple(Incoming(*body.incoming[at : at + 5]) for at in range(0, len(body.incoming), 5)),
        excluded=excluded,
        forecast=body.version if logged.kind == "forecast" else 0,
    )


def order_events(logged: Logged) -> Iterator[tuple[int, str, str]]:
    """The events of orders in an entry, without what they tell: (index among all of its events, type, order id)."""
    raw = logged.raw
    if logged.kind == "commit":
        k = 0
        for at, order in enumerate(logged.body.orders):
            order_id, again = raw[4 * at].decode(), again_of(order)
            if again:
                yield k, "order." + states.PAST[again[0]], order_id
                k += 1
            yield k, "order." + order[0], order_id
            k += 1
    elif logged.kind in COMMAND_KINDS or logged.kind == "lapse":
        for k, part in enumerate(raw[::2]):
            yield k, "order." + states.PAST[logged.kind], part.decode()


def again_of(order: Sequence[Any]) -> Sequence[Any] | None:
    """What an order of an entry says of its being decided again; None if it was new."""
    return order[6] or None if len(order) > 6 else None


def _cells(body: Body) -> Iterator[CellChange]:
    cells = body.cells
    assert len(cells) % CELL_STRIDE == 0, "an entry's cells are torn"
    for at in range(0, len(cells), CELL_STRIDE):
        row, _, node, _, _, safety, _, on_hand, held, blocked, safe = cells[at : at + CELL_STRIDE]
        yield CellChange(body.rows[2 * row], node, on_hand, held, blocked, safety if safe else None)


def _loads(body: Body) -> Iterator[tuple[int, int, int, int]]:
    loads = body.loads
    assert len(loads) % LOAD_STRIDE == 0, "an entry's loads are torn"
    for at in range(0, len(loads), LOAD_STRIDE):
        yield loads[at], loads[at + 1], loads[at + 4], loads[at + 5]


def _events(logged: Logged) -> Iterator[tuple[str, str, bytes]]:
    body, raw = logged.body, logged.raw
    if logged.kind == "commit":
        for k, order in enumerate(body.orders):
            again = again_of(order)
            if again and again[0] == states.FILL:
                yield "order." + states.PAST[states.FILL], raw[4 * k].decode(), raw[4 * k + 3]
            elif again and again[0] == states.REOPTIMISE:
                yield _reoptimised(raw[4 * k].decode(), again, raw[4 * k + 3])
            elif again:
                yield _again(raw[4 * k].decode(), again)
            yield "order." + order[0], raw[4 * k].decode(), raw[4 * k + 3]
        if logged.record:
            yield "window.decided", body.window, summary(logged.record)
    elif logged.kind in COMMAND_KINDS or logged.kind == "lapse":
        for order_id in raw[::2]:
            data = msgspec.json.encode({"order_id": order_id.decode()})
            yield "order." + states.PAST[logged.kind], order_id.decode(), data
    elif logged.kind == "free":
        return
    elif logged.kind == "incoming":
        yield from _incoming_events(body)
    elif logged.kind == "stock":
        yield from _stock_events(body)
        yield from _incoming_events(body)
    elif logged.kind == "skus":
        yield "skus.changed", "", msgspec.json.encode({"version": body.version, "skus": len(raw) // 2})
    elif logged.kind == "policy":
        written = {"version": body.version, "policy_id": raw[0].decode(), "policy_version": body.edition}
        yield "policy.changed", raw[0].decode(), msgspec.json.encode(written)
    elif logged.kind == "forecast":
        yield "forecast.changed", "", msgspec.json.encode({"version": body.version})
    elif logged.kind == "matrix":
        yield _matrix_changed(raw[0], body)
    else:
        assert logged.kind == "network", f"unknown entry {logged.kind}"
        yield "network.changed", "", msgspec.json.encode({"version": body.version})
        if body.matrices:
            yield _matrix_changed(raw[2], body)


def _matrix_changed(matrix_id: bytes, body: Body) -> tuple[str, str, bytes]:
    return "matrix.changed", matrix_id.decode(), msgspec.json.encode({"version": body.matrices})


def _again(order_id: str, again: Sequence[Any]) -> tuple[str, str, bytes]:
    """That an order is decided again, before the event of its new state."""
    data = {"order_id": order_id, "reason": again[4], "except_nodes": list(again[5])}
    return "order." + states.PAST[again[0]], order_id, msgspec.json.encode(data)


def _reoptimised(order_id: str, again: Sequence[Any], decision: bytes) -> tuple[str, str, bytes]:
    """That an order ships from elsewhere for less, before the event of its state with the new decision."""
    nodes = list(dict.fromkeys(parcel.node_id for parcel in _parcels(decision).parcels))
    data = {"order_id": order_id, "saving": decimal(again[6]), "from": list(again[7]), "to": nodes}
    return "order." + states.PAST[again[0]], order_id, msgspec.json.encode(data)


def _stock_events(body: Body) -> Iterator[tuple[str, str, bytes]]:
    cells, moves = body.cells, body.moves
    assert len(cells) // CELL_STRIDE == len(moves) // MOVE_STRIDE, "an entry's moves are torn"
    for k in range(len(moves) // MOVE_STRIDE):
        row, _, node, on_hand, held, safety, blocked, d_on_hand, _, d_blocked, safe = cells[
            k * CELL_STRIDE : (k + 1) * CELL_STRIDE
        ]
        if not (d_on_hand or d_blocked or safe):
            continue
        kind, movement_id, _ = moves[k * MOVE_STRIDE : (k + 1) * MOVE_STRIDE]
        sku = body.rows[2 * row]
        data = msgspec.json.encode(_StockChanged(sku, node, kind, movement_id or None, on_hand, held, safety, blocked))
        yield "stock.changed", sku, data
        if on_hand - blocked < held and d_on_hand < d_blocked:
            yield "stock.short", sku, data


def _incoming_events(body: Body) -> Iterator[tuple[str, str, bytes]]:
    for at in range(0, len(body.incoming), 5):
        row = Incoming(*body.incoming[at : at + 5])
        yield "stock.incoming", row.sku, msgspec.json.encode(row._asdict())


def movement_digest(write: StockWrite) -> str:
    """Equal for equal movements: what tells a repeat from a conflict."""
    told: tuple[object, ...] = (write.sku, write.node, write.kind.value, write.quantity, write.safety)
    content = msgspec.msgpack.encode(told if write.incoming_id is None else (*told, write.incoming_id))
    return blake2b(content, digest_size=8).hexdigest()
