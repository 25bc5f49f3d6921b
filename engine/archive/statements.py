"""Many rows at once: SQL compiled once for each table and database, and rows as plain tuples straight to its driver.

A projected order is a dozen rows; SQLAlchemy's own way, a dict and its processing for each, took half of their time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[Any, ...]
"""Values of all columns of a table, in its order."""

Way = Literal["replace", "add"]
"""What becomes of a column whose row is there already: the new value, or the sum of both."""

ADD: Final = "add"
REPLACE: Final = "replace"


def insert_all(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, none of which is there yet."""
    _execute(connection, table, rows, (), ())


def upsert_all(
    connection: Connection, table: Table, rows: Sequence[Row], ways: Mapping[str, Way], key: Sequence[str] = ()
) -> None:
    """Insert rows; where one is there already, change the columns named by their ways and leave the others.

    `key`: the columns by which a row is known; none: the primary key.
    """
    by = tuple(key) or tuple(column.name for column in table.primary_key.columns)
    _execute(connection, table, rows, tuple(ways.items()), by)


def _execute(
    connection: Connection, table: Table, rows: Sequence[Row], ways: tuple[tuple[str, Way], ...], key: tuple[str, ...]
) -> None:
    if rows:
        sql = _compiled(type(connection.dialect), table, ways, key)
        connection.exec_driver_sql(sql, rows)  # type: ignore[arg-type]  # any sequence of tuples


@cache
def _compiled(
    dialect: type[Dialect], table: Table, ways: tuple[tuple[str, Way], ...], key: tuple[str, ...]
) -> str:
    """The statement, its parameters by position in the order of the table's columns."""
    postgres = dialect.name == "postgresql"
    statement = (postgresql if postgres else sqlite).insert(table)
    if key:
        new = statement.excluded
        changes = {name: table.c[name] + new[name] if way == ADD else new[name] for name, way in ways}
        statement = statement.on_conflict_do_update(index_elements=key, set_=changes)
    compiled = statement.compile(dialect=dialect(paramstyle="format" if postgres else "qmark"))  # type: ignore[call-arg]
    assert compiled.positiontup == table.columns.keys(), "rows are tuples in the order of the columns"
    return str(compiled)
