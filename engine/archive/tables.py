"""The archive's tables. Every key begins with the partition; a log entry is (ms, number) of its id.

Quantities in units, instants in ms since the epoch, days since 1970-01-01; nodes by number, named in `nodes`.
Large tables lie in the order of their keys (SQLite: without rowid), which is mostly that of the log: a page appends to
them. What few rows have is indexed for those only.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, text

metadata = MetaData()

_ID, _NAME = 128, 64


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _key(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _where_known(name: str, *columns: str) -> Index:
    """An index of the rows in which the last of these columns is not NULL."""
    known = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, sqlite_where=known, postgresql_where=known)


FORM = 2
"""Of these tables; see `engine.archive.founding`. 1 had no table of this name: orders held their documents,
and every change of a cell was a row."""

form = Table("form", metadata, Column("number", Integer, primary_key=True, autoincrement=False))
"""One row: the form that the tables have."""

archive = Table("archive", metadata, Column("archive_id", String(_NAME), primary_key=True))
"""One row: what tells this archive from any other."""

progress = Table(
    "progress",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    _number("ms"), _number("number"), _number("entries"),
    _number("networks"), _number("policies"), _number("catalogs"),
    _number("oversold"),
    _number("moves_ms"), _number("moves_number"), _number("moves_k"),
)  # fmt: skip
"""The last entry that is in, written in the very transaction that brought it; entries by kind; commits that held more
than there was (0 for ever); and the last movement id that left the store."""

entries = Table(
    "entries",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    _key("ms"), _key("number"),
    Column("kind", String(32), nullable=False),
    Column("payload", LargeBinary, nullable=False),
)  # fmt: skip
"""The log, verbatim: body, opaque parts and the record's summary, packed and compressed."""

records = Table(
    "records",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    _key("ms"), _key("number"),
    Column("record", LargeBinary, nullable=False),
)  # fmt: skip
"""The records of windows, each with the entry that brought it; they are let go of by age."""

documents = Table(
    "documents",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("name", String(_ID), primary_key=True),
    _key("version"),
    _number("ms"), _number("number"), _number("part"),
)  # fmt: skip
"""Which opaque part of which entry each version of a network (name ""), zone matrix or policy is."""

orders = Table(
    "orders",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    _key("decided_ms"), _key("number"),
    Column("order_id", String(_ID), primary_key=True),
    Column("idempotency_key", String(_ID)),
    Column("state", String(32), nullable=False),
    _number("placed_ms"), _number("changed_ms"), _number("deadline_ms"), _number("revision"),
    Column("excluded", LargeBinary, nullable=False),
    _number("first_ms"), _number("first_number"), _number("first_k"),
    _number("current_ms"), _number("current_number"), _number("current_k"),
    _number("recorded_ms"), _number("recorded_number"),
    Column("token", String(_ID), nullable=False),
    Column("ended_ms", BigInteger),
    Column("gone", Integer, nullable=False),
    Index("orders_by_id", "partition", "order_id", unique=True),
    Index("orders_by_state", "partition", "state", "decided_ms", "number", "order_id"),
    _where_known("orders_by_end", "partition", "gone", "ended_ms"),
    _where_known("orders_by_key", "partition", "idempotency_key"),
    sqlite_with_rowid=False,
)  # fmt: skip
"""Orders as they stand. What was said is in `entries`: `first_*` is the entry, and the place in it, of the order's
content and document with the first decision on them, `current_*` that of the decision that holds. `decided_ms` and
`number` of the very first decision, so that lists keep their order; `deadline_ms`, `revision`, `excluded` (JSON), the
entry `recorded_*` and `token` as in the store; `ended_ms` since when it holds nothing; `gone`: 1 if it left."""

order_changes = Table(
    "order_changes",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("order_id", String(_ID), primary_key=True),
    _key("ms"), _key("number"), _key("k"),
    Column("event", String(64), nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip
"""What happened to an order, in order of (ms, number, k)."""

order_commands = Table(
    "order_commands",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("order_id", String(_ID), primary_key=True),
    Column("command_id", String(_ID), primary_key=True),
    Column("asked", String(32), nullable=False),
    Column("led_to", LargeBinary, nullable=False),
)
"""What each command id asked (a command, or the digest of a re-route) and led to (a state, or a decision)."""

stock_entries = Table(
    "stock_entries",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("sku", String(_ID), primary_key=True),
    _key("ms"), _key("number"),
    sqlite_with_rowid=False,
)  # fmt: skip
"""Which entries changed the stock of a SKU: its ledger is what they say."""

movements = Table(
    "movements",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    _key("ms"), _key("number"), _key("k"),
    Column("movement_id", String(_ID), nullable=False),
    Column("digest", String(32), nullable=False),
    Index("movements_by_id", "partition", "movement_id", "digest"),  # all that is asked: else SQLite walks the table
    sqlite_with_rowid=False,
)  # fmt: skip
"""The movement ids of callers, each with the entry and the place in it of the cell that it changed."""

cells = Table(
    "cells",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("sku", String(_ID), primary_key=True),
    Column("node", Integer, primary_key=True, autoincrement=False),
    *(_number(name) for name in ("on_hand", "held", "safety", "blocked")),
    sqlite_with_rowid=False,
)
"""The checkpoint of stock: all deltas up to `progress`, summed. Never copied from the store's own sums."""

node_load = Table(
    "node_load",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    _number("parcels"), _number("units"),
)  # fmt: skip
"""The checkpoint of load, summed likewise."""

nodes = Table(
    "nodes",
    metadata,
    Column("partition", String(_NAME), primary_key=True),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("node_id", String(_ID), nullable=False),
)

PROJECTED = (documents, orders, order_changes, order_commands, stock_entries, movements, cells, node_load, nodes)
"""What is made of `entries` and can be made again."""
