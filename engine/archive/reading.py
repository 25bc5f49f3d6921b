"""What is read from the archive, each function on one consistent picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, select, tuple_

from engine.archive import tables
from engine.archive.projection import ORDER_PARTS, restored
from engine.ledger.journal import Logged
from engine.ledger.port import Change, Decided, OrderRecord, Standing
from engine.ledger.retention import Leaving, entry_id, place


_ENTRIES_AT_ONCE = 100
"""Of which one statement asks; they come packed, some ten kilobytes each."""


class OrderRow(NamedTuple):
    """One order in a list."""

    order_id: str
    state: str
    placed_ms: int
    decided_ms: int
    changed_ms: int
    number: int


class StockChange(NamedTuple):
    """One change of one cell: deltas, and the cell after it, in units. `movement_id` of the caller's own changes."""

    sku: str
    ms: int
    number: int
    k: int
    node_id: str
    kind: str
    movement_id: str | None
    on_hand_delta: int
    held_delta: int
    blocked_delta: int
    on_hand: int
    held: int
    safety: int
    blocked: int


class Movement(NamedTuple):
    """A movement id and where it stands in the log."""

    movement_id: str
    ms: int
    number: int
    k: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The sum of all entries up to one: what reconcile starts from."""

    entry_id: str
    entries: int
    kinds: dict[str, int]
    oversold: int
    cells: list[tuple[str, int, int, int, int, int]]
    """sku, node, on_hand, held, safety, blocked"""
    loads: list[tuple[int, int, int, int]]


def archived(connection: Connection, partition: str) -> tuple[str, int]:
    """The last entry that is in, and how many are."""
    progress = tables.progress
    found = connection.execute(
        select(progress.c.ms, progress.c.number, progress.c.entries).where(progress.c.partition == partition)
    ).first()
    return (entry_id(0, 0), 0) if found is None else (entry_id(found.ms, found.number), found.entries)


def first_decided(connection: Connection, partition: str) -> int:
    """When the first window was committed, in ms since the epoch; 0 if none was."""
    entries = tables.entries
    first = connection.execute(
        select(entries.c.ms)
        .where(entries.c.partition == partition, entries.c.kind == "commit")
        .order_by(entries.c.ms, entries.c.number)
        .limit(1)
    )
    return first.scalar() or 0


def tail_start(connection: Connection, partition: str, entries_kept: int) -> str:
    """The entry before which the log may go so that about `entries_kept` archived ones stay in it."""
    entries = tables.entries
    found = connection.execute(
        select(entries.c.ms, entries.c.number)
        .where(entries.c.partition == partition)
        .order_by(entries.c.ms.desc(), entries.c.number.desc())
        .offset(entries_kept)
        .limit(1)
    ).first()
    return entry_id(0, 0) if found is None else entry_id(*found)


def journal(connection: Connection, partition: str, after: str, count: int) -> list[Logged]:
    """At most `count` entries after an entry, verbatim."""
    entries = tables.entries
    found = connection.execute(
        select(entries.c.ms, entries.c.number, entries.c.kind, entries.c.payload)
        .where(entries.c.partition == partition, tuple_(entries.c.ms, entries.c.number) > tuple_(*place(after)))
        .order_by(entries.c.ms, entries.c.number)
        .limit(count)
    )
    return [restored(entry_id(ms, number), kind, packed) for ms, number, kind, packed in found]


def decided(
    connection: Connection, partition: str, order_ids: Sequence[str], keys: Sequence[str]
) -> tuple[dict[str, Decided], dict[str, str]]:
    """First decisions by order id, and order ids by idempotency key."""
    orders = tables.orders
    of_partition = orders.c.partition == partition
    found = connection.execute(
        select(orders.c.order_id, orders.c.first_ms, orders.c.first_number, orders.c.first_k).where(
            of_partition, orders.c.order_id.in_(order_ids)
        )
    )
    used = connection.execute(
        select(orders.c.idempotency_key, orders.c.order_id).where(of_partition, orders.c.idempotency_key.in_(keys))
    )
    places = {order_id: Said(*said) for order_id, *said in found}
    parts = _parts(connection, partition, set(places.values()))
    return {
        order_id: Decided(parts[said].content, parts[said].decision) for order_id, said in places.items()
    }, {row[0]: row[1] for row in used}


class Said(NamedTuple):
    """Where in the log something was said of an order: the entry, and the order's place in it."""

    ms: int
    number: int
    k: int


class Parts(NamedTuple):
    """What an entry says of an order, byte for byte."""

    content: bytes
    document: bytes
    decision: bytes


def _parts(connection: Connection, partition: str, said: Collection[Said]) -> dict[Said, Parts]:
    """What was said of orders at these places; each entry is unpacked once, one at a time."""
    entries, wanted = tables.entries, defaultdict[tuple[int, int], list[Said]](list)
    for one in said:
        wanted[one.ms, one.number].append(one)
    found: dict[Said, Parts] = {}
    of = list(wanted)
    for at in range(0, len(of), _ENTRIES_AT_ONCE):
        some = of[at : at + _ENTRIES_AT_ONCE]
        for ms, number, packed in connection.execute(
            select(entries.c.ms, entries.c.number, entries.c.payload).where(
                entries.c.partition == partition, tuple_(entries.c.ms, entries.c.number).in_(some)
            )
        ):
            raw = restored("", "", packed).raw
            for one in wanted[ms, number]:
                start = ORDER_PARTS * one.k + 1
                found[one] = Parts(*raw[start : start + ORDER_PARTS - 1])
    return found


def order(connection: Connection, partition: str, order_id: str) -> OrderRecord | None:
    """An order that holds nothing any more, with its history, as the store had it."""
    orders, changes = tables.orders, tables.order_changes
    found = connection.execute(
        select(orders).where(orders.c.partition == partition, orders.c.order_id == order_id)
    ).first()
    if found is None:
        return None
    history = connection.execute(
        select(changes.c.ms, changes.c.event)
        .where(changes.c.partition == partition, changes.c.order_id == order_id)
        .order_by(changes.c.ms, changes.c.number, changes.c.k)
    )
    first, current = _said(found)
    parts = _parts(connection, partition, {first, current})
    return OrderRecord(
        order_id=order_id,
        content=parts[first].content,
        order=parts[first].document,
        decision=parts[first].decision,
        current=parts[current].decision,
        state=found.state,
        stored_state=found.state,
        history=tuple(Change(*row) for row in history),
        deadline_ms=found.deadline_ms,
        revision=found.revision,
        excluded=tuple(msgspec.json.decode(found.excluded)),
        token=found.token,
        recorded=entry_id(found.recorded_ms, found.recorded_number),
    )


def _said(order: Row[Any]) -> tuple[Said, Said]:
    """Where an order and its first decision are, and where the decision that holds is."""
    return (
        Said(order.first_ms, order.first_number, order.first_k),
        Said(order.current_ms, order.current_number, order.current_k),
    )


def standing(connection: Connection, partition: str, order_id: str, command_id: str) -> Standing | None:
    """An order that left the store, and what became of a command on it, if that was given before."""
    record = order(connection, partition, order_id)
    if record is None:
        return None
    commands = tables.order_commands
    found = connection.execute(
        select(commands.c.asked, commands.c.led_to).where(
            commands.c.partition == partition, commands.c.order_id == order_id, commands.c.command_id == command_id
        )
    ).first()
    return Standing(record, None if found is None else (found.asked, found.led_to), left=True)


def movements(connection: Connection, partition: str, movement_ids: Sequence[str]) -> dict[str, str]:
    """Digests of movements that were applied, by id."""
    changes = tables.stock_changes
    found = connection.execute(
        select(changes.c.movement_id, changes.c.digest).where(
            changes.c.partition == partition, changes.c.movement_id.in_(movement_ids)
        )
    )
    return {row[0]: row[1] for row in found}


def order_page(
    connection: Connection, partition: str, state: str | None, after: tuple[int, int, str], limit: int
) -> list[OrderRow]:
    """Orders by (instant of decision, entry, id) after a place, in one state or all."""
    orders = tables.orders
    chosen: list[ColumnElement[bool]] = [orders.c.partition == partition]
    if state is not None:
        chosen.append(orders.c.state == state)
    chosen.append(tuple_(orders.c.decided_ms, orders.c.number, orders.c.order_id) > tuple_(*after))
    found = connection.execute(
        select(*(orders.c[name] for name in OrderRow._fields))
        .where(*chosen)
        .order_by(orders.c.decided_ms, orders.c.number, orders.c.order_id)
        .limit(limit)
    )
    return [OrderRow(*row) for row in found]


def stock_ledger(
    connection: Connection, partition: str, sku: str, after: tuple[int, int, int], limit: int
) -> list[StockChange]:
    """The changes of one SKU after a place in the log (ms, number, k)."""
    changes = tables.stock_changes
    return _changes(connection, partition, after, limit, changes.c.sku == sku)


def stock_changes(connection: Connection, partition: str, after: tuple[int, int, int], limit: int) -> list[StockChange]:
    """The changes of all SKUs after a place in the log."""
    return _changes(connection, partition, after, limit)


def _changes(
    connection: Connection, partition: str, after: tuple[int, int, int], limit: int, *chosen: ColumnElement[bool]
) -> list[StockChange]:
    changes, nodes = tables.stock_changes, tables.nodes
    named = [nodes.c.node_id if name == "node_id" else changes.c[name] for name in StockChange._fields]
    found = connection.execute(
        select(*named, changes.c.node)
        .outerjoin_from(changes, nodes, (nodes.c.partition == partition) & (nodes.c.node == changes.c.node))
        .where(
            changes.c.partition == partition,
            *chosen,
            tuple_(changes.c.ms, changes.c.number, changes.c.k) > tuple_(*after),
        )
        .order_by(changes.c.ms, changes.c.number, changes.c.k)
        .limit(limit)
    )
    return [StockChange(*row[:4], row.node_id or f"#{row.node}", *row[5:14]) for row in found]


def ended(connection: Connection, partition: str, before_ms: int, kept_max: int, limit: int) -> list[Leaving]:
    """Orders in the store that ended before an instant, or beyond the `kept_max` youngest, oldest first."""
    orders = tables.orders
    here = orders.c.partition == partition, orders.c.gone == 0, orders.c.ended_ms.is_not(None)
    youngest = connection.execute(
        select(orders.c.ended_ms).where(*here).order_by(orders.c.ended_ms.desc()).offset(kept_max).limit(1)
    ).scalar()
    before = max(before_ms, 0 if youngest is None else youngest + 1)
    found = connection.execute(
        select(orders.c.order_id, orders.c.state, orders.c.revision, orders.c.idempotency_key)
        .where(*here, orders.c.ended_ms < before)
        .order_by(orders.c.ended_ms)
        .limit(limit)
    )
    return [Leaving(*row) for row in found]


def old_movements(connection: Connection, partition: str, before_ms: int, limit: int) -> list[Movement]:
    """Movement ids in the store that were applied before an instant, oldest first."""
    changes, progress = tables.stock_changes, tables.progress
    left = connection.execute(
        select(progress.c.moves_ms, progress.c.moves_number, progress.c.moves_k).where(
            progress.c.partition == partition
        )
    ).first()
    found = connection.execute(
        select(changes.c.movement_id, changes.c.ms, changes.c.number, changes.c.k)
        .where(
            changes.c.partition == partition,
            tuple_(changes.c.ms, changes.c.number, changes.c.k) > tuple_(*(left or (0, 0, 0))),
            changes.c.ms < before_ms,
            changes.c.movement_id.is_not(None),
        )
        .order_by(changes.c.ms, changes.c.number, changes.c.k)
        .limit(limit)
    )
    return [Movement(*row) for row in found]


def checkpoint(connection: Connection, partition: str) -> Checkpoint | None:
    """The sums of all that is in; None if nothing is."""
    progress, cells, loads = tables.progress, tables.cells, tables.node_load
    found = connection.execute(select(progress).where(progress.c.partition == partition)).first()
    if found is None or found.entries == 0:
        return None
    stock = connection.execute(
        select(cells.c.sku, cells.c.node, cells.c.on_hand, cells.c.held, cells.c.safety, cells.c.blocked).where(
            cells.c.partition == partition
        )
    )
    taken = connection.execute(
        select(loads.c.day, loads.c.node, loads.c.parcels, loads.c.units).where(loads.c.partition == partition)
    )
    kinds = {"network": found.networks, "policy": found.policies, "skus": found.catalogs}
    return Checkpoint(
        entry_id(found.ms, found.number),
        found.entries,
        kinds,
        found.oversold,
        [tuple(row) for row in stock],
        [tuple(row) for row in taken],
    )


def states(connection: Connection, partition: str, upto: str, after: str, limit: int) -> list[tuple[str, str]]:
    """(order id, state) of orders in the store that were decided up to an entry, by id."""
    orders = tables.orders
    found = connection.execute(
        select(orders.c.order_id, orders.c.state)
        .where(
            orders.c.partition == partition,
            orders.c.order_id > after,
            orders.c.gone == 0,
            tuple_(orders.c.decided_ms, orders.c.number) <= tuple_(*place(upto)),
        )
        .order_by(orders.c.order_id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in found]


class OrderDocuments(NamedTuple):
    """An order in an export, and its documents byte for byte."""

    order_id: str
    state: str
    placed_ms: int
    decided_ms: int
    changed_ms: int
    number: int
    document: bytes
    first_decision: bytes
    decision: bytes


def documents(
    connection: Connection, partition: str, after: tuple[int, int, str], limit: int
) -> list[OrderDocuments]:
    """Orders with their documents, by (instant of decision, entry, id) after a place."""
    orders = tables.orders
    place_of = tuple_(orders.c.decided_ms, orders.c.number, orders.c.order_id)
    found = connection.execute(
        select(orders)
        .where(orders.c.partition == partition, place_of > tuple_(*after))
        .order_by(orders.c.decided_ms, orders.c.number, orders.c.order_id)
        .limit(limit)
    ).all()
    said = [_said(row) for row in found]
    parts = _parts(connection, partition, {one for both in said for one in both})
    return [
        OrderDocuments(
            *(getattr(row, name) for name in OrderRow._fields),
            parts[first].document,
            parts[first].decision,
            parts[current].decision,
        )
        for row, (first, current) in zip(found, said, strict=True)
    ]


def partitions(connection: Connection) -> Iterator[str]:
    """All partitions that were ever archived."""
    yield from list(connection.execute(select(tables.progress.c.partition)).scalars())
