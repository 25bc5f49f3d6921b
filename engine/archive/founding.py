"""The tables of a database: made once, whichever process comes first; of an earlier form, made again from the log."""

from __future__ import annotations

import secrets
from collections import defaultdict

from sqlalchemy import Connection, Engine, delete, func, insert, inspect, select, text

from engine.archive import tables, writing

POSTGRES_LOCK = 0x617070
"""Of the advisory lock under which tables are made; SQLite's writing transaction is one by itself."""

EARLIER = (*(table.name for table in tables.PROJECTED), "stock_changes")
"""Tables that were ever made of the log."""


class FormError(Exception):
    """The archive was written by a later version, whose tables this one does not know."""


def founded(engine: Engine) -> str:
    """See to it that the tables are there, in the present form; returns the archive's id. Raises FormError."""
    with engine.connect().execution_options(writes=True) as connection:
        postgres = engine.dialect.name == "postgresql"
        if postgres:  # every statement after the lock must see what whoever had it made
            connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            if postgres:
                connection.execute(select(func.pg_advisory_xact_lock(POSTGRES_LOCK)))
            found = _form(connection)
            if found > tables.FORM:
                raise FormError(
                    f"the archive has tables of form {found}, and this version knows {tables.FORM}: "
                    "start the version that wrote it, or a later one"
                )
            if found == tables.FORM:
                return _identity(connection)
            left = _given_up(connection) if found else {}
            tables.metadata.create_all(connection)
            connection.execute(delete(tables.form))
            connection.execute(insert(tables.form).values(number=tables.FORM))
            for partition in list(connection.execute(select(tables.progress.c.partition)).scalars()):
                writing.make_again(connection, partition, left.get(partition, ()))
            return _identity(connection)


def _form(connection: Connection) -> int:
    """Of the tables that are there; 0 for none."""
    there = inspect(connection)
    if there.has_table(tables.form.name):
        return int(connection.execute(select(tables.form.c.number)).scalar_one())
    return 1 if there.has_table(tables.archive.name) else 0


def _given_up(connection: Connection) -> dict[str, list[str]]:
    """Drop the tables that are made of the log; returns what is not in it: the orders that left the store, by
    partition."""
    orders, left = tables.orders, defaultdict[str, list[str]](list)
    for partition, order_id in connection.execute(
        select(orders.c.partition, orders.c.order_id).where(orders.c.gone == 1)
    ):
        left[partition].append(order_id)
    for name in EARLIER:
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
    return left


def _identity(connection: Connection) -> str:
    found = connection.execute(select(tables.archive.c.archive_id)).scalar()
    if found is None:
        found = secrets.token_hex(16)
        connection.execute(insert(tables.archive).values(archive_id=found))
    return found
