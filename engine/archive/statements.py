"""Many rows at once: SQL compiled once for each table and database, and rows as plain tuples straight to its driver.

A projected order is half a dozen rows; SQLAlchemy's own way, a dict and its processing for each, took half of their
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[Any, ...]
"""Values of all columns of a table, in its order."""


def insert_all(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Insert rows, none of which is there yet."""
    if rows:
        connection.exec_driver_sql(_compiled(connection.dialect.name, table, (), (), ()), rows)


def upsert_all(
    connection: Connection,
    table: Table,
    rows: list[Row],
    *,
    replaced: Sequence[str] = (),
    added: Sequence[str] = (),
    key: Sequence[str] = (),
) -> None:
    """Insert rows; where one is there already, columns are replaced by the new value or have it added, or stay.

    `key`: the columns by which a row is known; none: the primary key.
    """
    if rows:
        known_by = tuple(key) or tuple(table.primary_key.columns.keys())
        sql = _compiled(connection.dialect.name, table, known_by, tuple(replaced), tuple(added))
        connection.exec_driver_sql(sql, rows)


@cache
def _compiled(
    database: str, table: Table, key: tuple[str, ...], replaced: tuple[str, ...], added: tuple[str, ...]
) -> str:
    """The statement, its parameters by position in the order of the table's columns. No key: none is there."""
    postgres = database == "postgresql"
    statement = (postgresql if postgres else sqlite).insert(table)
    if key:
        new = statement.excluded
        changes = {name: new[name] for name in replaced} | {name: table.c[name] + new[name] for name in added}
        statement = statement.on_conflict_do_update(index_elements=key, set_=changes)
    dialect = postgresql.dialect(paramstyle="format") if postgres else sqlite.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect)
    assert compiled.positiontup == table.columns.keys(), "rows are tuples in the order of the columns"
    return str(compiled)
