"""What is written to the archive, each function inside one transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from engine.archive import tables
from engine.archive.projection import Rows, project, restored
from engine.archive.statements import Row, insert_all, upsert_all
from engine.ledger.retention import Leaving, entry_id, place

_KINDS = {"network": "networks", "policy": "policies", "skus": "catalogs"}
_REBUILD_PAGE = 64


class MovedOnError(Exception):
    """Another projector wrote this page first; nothing was written."""


def begin(connection: Connection, partition: str) -> tuple[str, int]:
    """The last entry of a partition that is in, and how many are; its row of progress made if there is none."""
    progress = tables.progress
    found = connection.execute(
        select(progress.c.ms, progress.c.number, progress.c.entries)
        .where(progress.c.partition == partition)
        .with_for_update()
    ).first()
    if found is None:
        fresh = {column.name: 0 for column in progress.columns if column.name != "partition"}
        connection.execute(insert(progress).values(partition=partition, **fresh))
        return entry_id(0, 0), 0
    return entry_id(found.ms, found.number), found.entries


def append(connection: Connection, partition: str, after: str, rows: Rows) -> None:
    """Write a page that follows the entry `after`: all of it, and that it is in. Raises MovedOnError."""
    progress, (ms, number) = tables.progress, place(after)
    counts = {name: progress.c[name] + rows.kinds.get(kind, 0) for kind, name in _KINDS.items()}
    moved = connection.execute(
        update(progress)
        .where(progress.c.partition == partition, progress.c.ms == ms, progress.c.number == number)
        .values(
            ms=rows.last[0],
            number=rows.last[1],
            entries=progress.c.entries + sum(rows.kinds.values()),
            oversold=progress.c.oversold + rows.oversold,
            **counts,
        )
    )
    if moved.rowcount != 1:
        raise MovedOnError(partition)
    insert_all(connection, tables.entries, rows.entries)
    insert_all(connection, tables.records, rows.records)
    _apply(connection, partition, rows)


def _apply(connection: Connection, partition: str, rows: Rows) -> None:
    """All tables that are made of the log."""
    upsert_all(connection, tables.documents, rows.documents, replaced=("ms", "number", "part"))
    _orders(connection, partition, rows)
    insert_all(connection, tables.order_changes, rows.order_changes)
    insert_all(connection, tables.stock_entries, rows.stock_entries)
    insert_all(connection, tables.movements, rows.movements)
    upsert_all(connection, tables.nodes, rows.nodes, replaced=("node_id",))
    kept: list[Row] = []
    changed: list[Row] = []
    for (sku, node), (on_hand, held, blocked, safety) in rows.cells.items():
        cell = partition, sku, node, on_hand, held, -1 if safety is None else safety, blocked
        (kept if safety is None else changed).append(cell)
    sums = "on_hand", "held", "blocked"
    upsert_all(connection, tables.cells, kept, added=sums)
    upsert_all(connection, tables.cells, changed, added=sums, replaced=("safety",))
    loads = [(partition, *place_of, *load) for place_of, load in rows.loads.items()]
    upsert_all(connection, tables.node_load, loads, added=("parcels", "units"))


def _orders(connection: Connection, partition: str, rows: Rows) -> None:
    """Orders decided, and what came after that: one statement for each set of columns that changed.

    Should the store ever decide an order twice, its first decision stays: an audit names such an order.
    """
    orders = tables.orders
    later = ("current_ms", "current_number", "current_k", "state", "changed_ms", "ended_ms", "gone")
    decided = [tuple(row.values()) for row in rows.orders.values()]
    upsert_all(connection, orders, decided, replaced=later, key=("partition", "order_id"))
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for order_id, columns in rows.changed.items():
        alike.setdefault(tuple(sorted(columns)), []).append(
            {"_partition": partition, "_id": order_id, **{f"_{name}": value for name, value in columns.items()}}
        )
    for names, changes in alike.items():
        new: dict[str, Any] = {name: bindparam(f"_{name}") for name in names}
        new["revision"] = orders.c.revision + bindparam("_revision")
        here = orders.c.partition == bindparam("_partition"), orders.c.order_id == bindparam("_id")
        connection.execute(update(orders).where(*here).values(**new), changes)
    upsert_all(connection, tables.order_commands, rows.commands, replaced=("asked", "led_to"))


def forget(connection: Connection, partition: str, orders: Sequence[Leaving]) -> None:
    """Note that these orders left the store."""
    if orders:
        ids = [order.order_id for order in orders]
        known = tables.orders
        connection.execute(
            update(known).where(known.c.partition == partition, known.c.order_id.in_(ids)).values(gone=1)
        )


def forget_movements(connection: Connection, partition: str, last: tuple[int, int, int]) -> None:
    """Note that all movement ids up to a stock change (ms, number, k) left the store."""
    progress = tables.progress
    connection.execute(
        update(progress)
        .where(progress.c.partition == partition)
        .values(moves_ms=last[0], moves_number=last[1], moves_k=last[2])
    )


def forget_records(connection: Connection, partition: str, before_ms: int, limit: int) -> int:
    """Let go of at most `limit` records of windows from before an instant, the oldest first; returns how many went."""
    records = tables.records
    old = (
        select(records.c.ms, records.c.number)
        .where(records.c.partition == partition, records.c.ms < before_ms)
        .order_by(records.c.ms, records.c.number)
        .limit(limit)
    )
    here = records.c.partition == partition, tuple_(records.c.ms, records.c.number).in_(old)
    return connection.execute(delete(records).where(*here)).rowcount


def rebuild(connection: Connection, partition: str) -> int:
    """Make everything that is made of the log again from the entries kept here; returns how many there are.

    Which orders left the store is kept: it is not in the log.
    """
    orders = tables.orders
    here = orders.c.partition == partition, orders.c.gone == 1
    left = list(connection.execute(select(orders.c.order_id).where(*here)).scalars())
    for table in tables.PROJECTED:
        connection.execute(delete(table).where(table.c.partition == partition))
    return make_again(connection, partition, left)


def make_again(connection: Connection, partition: str, left: Sequence[str]) -> int:
    """Fill the tables that are made of the log, now empty; `left`: orders that left the store. Returns entries."""
    orders, entries, progress = tables.orders, tables.entries, tables.progress
    last, count, oversold = (0, 0), 0, 0
    while True:
        page = connection.execute(
            select(entries.c.ms, entries.c.number, entries.c.kind, entries.c.payload)
            .where(entries.c.partition == partition, _after(last))
            .order_by(entries.c.ms, entries.c.number)
            .limit(_REBUILD_PAGE)
        ).all()
        if not page:
            break
        rows = project(
            partition, (restored(entry_id(ms, n), kind, packed) for ms, n, kind, packed in page), store=False
        )
        _apply(connection, partition, rows)
        last, count, oversold = rows.last, count + len(page), oversold + rows.oversold
    connection.execute(update(progress).where(progress.c.partition == partition).values(oversold=oversold))
    for at in range(0, len(left), 500):
        known = orders.c.partition == partition, orders.c.order_id.in_(left[at : at + 500])
        connection.execute(update(orders).where(*known).values(gone=1))
    return count


def _after(last: tuple[int, int]) -> Any:
    entries = tables.entries
    return (entries.c.ms > last[0]) | ((entries.c.ms == last[0]) & (entries.c.number > last[1]))
