"""What is read from the archive, each function on one consistent picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, select, tuple_

from engine.archive import tables
from engine.archive.projection import restored
from engine.archive.said import Said, parts_of, places_of
from engine.ledger.journal import Logged
from engine.ledger.port import Change, Decided, OrderRecord, Standing
from engine.ledger.retention import Leaving, entry_id, place


class OrderRow(NamedTuple):
    """One order in a list."""

    order_id: str
    state: str
    placed_ms: int
    decided_ms: int
    changed_ms: int
    number: int


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
    parts = parts_of(connection, partition, set(places.values()))
    return {order_id: Decided(parts[said].content, parts[said].decision) for order_id, said in places.items()}, {
        row[0]: row[1] for row in used
    }


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
    first, current = places_of(found)
    parts = parts_of(connection, partition, {first, current})
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
    known = tables.movements
    found = connection.execute(
        select(known.c.movement_id, known.c.digest).where(
            known.c.partition == partition, known.c.movement_id.in_(movement_ids)
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
    known, progress = tables.movements, tables.progress
    left = connection.execute(
        select(progress.c.moves_ms, progress.c.moves_number, progress.c.moves_k).where(
            progress.c.partition == partition
        )
    ).first()
    found = connection.execute(
        select(known.c.movement_id, known.c.ms, known.c.number, known.c.k)
        .where(
            known.c.partition == partition,
            tuple_(known.c.ms, known.c.number, known.c.k) > tuple_(*(left or (0, 0, 0))),
            known.c.ms < before_ms,
        )
        .order_by(known.c.ms, known.c.number, known.c.k)
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


def documents(connection: Connection, partition: str, after: tuple[int, int, str], limit: int) -> list[OrderDocuments]:
    """Orders with their documents, by (instant of decision, entry, id) after a place."""
    orders = tables.orders
    place_of = tuple_(orders.c.decided_ms, orders.c.number, orders.c.order_id)
    found = connection.execute(
        select(orders)
        .where(orders.c.partition == partition, place_of > tuple_(*after))
        .order_by(orders.c.decided_ms, orders.c.number, orders.c.order_id)
        .limit(limit)
    ).all()
    said = [places_of(row) for row in found]
    parts = parts_of(connection, partition, {one for both in said for one in both})
    return [
        OrderDocuments(
            **{name: getattr(row, name) for name in OrderRow._fields},
            document=parts[first].document,
            first_decision=parts[first].decision,
            decision=parts[current].decision,
        )
        for row, (first, current) in zip(found, said, strict=True)
    ]


def partitions(connection: Connection) -> Iterator[str]:
    """All partitions that were ever archived."""
    yield from list(connection.execute(select(tables.progress.c.partition)).scalars())
