"""Every change of stock, of one SKU or of all, as the archived log tells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Row, select, tuple_

from engine.archive import tables
from engine.archive.projection import cell_changes, restored
from engine.ledger.retention import entry_id

_ENTRIES_AT_ONCE = 100
"""Of which one statement asks; they come packed, some ten kilobytes each."""
_NO_MORE = 2**31
"""Beyond all places in an entry."""


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


def stock_ledger(
    connection: Connection, partition: str, sku: str, after: tuple[int, int, int], limit: int
) -> list[StockChange]:
    """The changes of one SKU after a place in the log (ms, number, k)."""
    of, entries = tables.stock_entries, tables.entries
    same = (entries.c.partition == of.c.partition) & (entries.c.ms == of.c.ms) & (entries.c.number == of.c.number)
    found = connection.execute(
        select(entries.c.ms, entries.c.number, entries.c.kind, entries.c.payload)
        .join_from(of, entries, same)
        .where(of.c.partition == partition, of.c.sku == sku, tuple_(of.c.ms, of.c.number) >= tuple_(*after[:2]))
        .order_by(of.c.ms, of.c.number)
        .limit(limit + 1)  # each has one at least, but the first may have been told already
    )
    return _changes(connection, partition, found, after, limit, sku)


def stock_changes(connection: Connection, partition: str, after: tuple[int, int, int], limit: int) -> list[StockChange]:
    """The changes of all SKUs after a place in the log."""
    changes: list[StockChange] = []
    entries, at = tables.entries, after
    while len(changes) < limit:
        found = connection.execute(
            select(entries.c.ms, entries.c.number, entries.c.kind, entries.c.payload)
            .where(entries.c.partition == partition, tuple_(entries.c.ms, entries.c.number) >= tuple_(*at[:2]))
            .order_by(entries.c.ms, entries.c.number)
            .limit(_ENTRIES_AT_ONCE)
        ).all()
        changes += _changes(connection, partition, found, at, limit - len(changes))
        if len(found) < _ENTRIES_AT_ONCE:
            break
        at = found[-1].ms, found[-1].number, _NO_MORE
    return changes


def _changes(
    connection: Connection,
    partition: str,
    found: Iterable[Row[int, int, str, bytes]],
    after: tuple[int, int, int],
    limit: int,
    sku: str | None = None,
) -> list[StockChange]:
    """At most `limit` changes that entries (ms, number, kind, payload) tell after a place, of one SKU or all."""
    nodes, changes = tables.nodes, list[StockChange]()
    known = connection.execute(select(nodes.c.node, nodes.c.node_id).where(nodes.c.partition == partition))
    names = {row.node: row.node_id for row in known}
    for ms, number, kind, packed in found:
        if len(changes) >= limit:
            break
        logged = restored(entry_id(ms, number), kind, packed)
        for k, (cell, (why, movement, _)) in enumerate(cell_changes(logged)):
            row, _, node, on_hand, held, safety, blocked, d_on_hand, d_held, d_blocked, _ = cell
            name = logged.body.rows[2 * row]
            if sku in (None, name) and (ms, number, k) > after:
                changes.append(
                    StockChange(
                        sku=name, ms=ms, number=number, k=k, node_id=names.get(node, f"#{node}"), kind=why,
                        movement_id=movement or None,
                        on_hand_delta=d_on_hand, held_delta=d_held, blocked_delta=d_blocked,
                        on_hand=on_hand, held=held, safety=safety, blocked=blocked,
                    )
                )  # fmt: skip
    return changes[:limit]
