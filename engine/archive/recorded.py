"""What is read from the archive to decide a window again: its record, and the documents that it names."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from engine.archive import tables
from engine.archive.projection import restored
from engine.ledger.retention import place


def record(connection: Connection, partition: str, entry_id: str) -> bytes | None:
    """The record of a window that an entry brought; None once it was let go of."""
    records, (ms, number) = tables.records, place(entry_id)
    found: bytes | None = connection.execute(
        select(records.c.record).where(records.c.partition == partition, records.c.ms == ms, records.c.number == number)
    ).scalar()
    return found


def policy(connection: Connection, partition: str, policy_id: str, version: int) -> bytes | None:
    """One version of a policy."""
    documents = tables.documents
    where = documents.c.kind == "policy", documents.c.name == policy_id, documents.c.version == version
    found = _documents(connection, partition, *where)
    return found[0].body if found else None


class NetworkSource(NamedTuple):
    """A version of a network and the zone matrices, by id, that there were at the time: JSON and CSV."""

    body: bytes
    matrices: dict[str, bytes]


def network(connection: Connection, partition: str, version: int) -> NetworkSource | None:
    """One version of the network. A newer matrix would have made a newer version of it, if it is used."""
    documents = tables.documents
    here = _documents(connection, partition, documents.c.kind == "network", documents.c.version == version)
    if not here:
        return None
    until = tuple_(documents.c.ms, documents.c.number) <= tuple_(here[0].ms, here[0].number)
    matrices = _documents(connection, partition, documents.c.kind == "matrix", until)
    return NetworkSource(here[0].body, {matrix.name: matrix.body for matrix in matrices})


class _Document(NamedTuple):
    name: str
    ms: int
    number: int
    body: bytes


def _documents(connection: Connection, partition: str, *chosen: ColumnElement[bool]) -> list[_Document]:
    """The newest version of each of the documents chosen."""
    documents, entries = tables.documents, tables.entries
    newest = (
        select(documents.c.name, func.max(documents.c.version).label("version"))
        .where(documents.c.partition == partition, *chosen)
        .group_by(documents.c.name)
        .subquery()
    )
    same = (entries.c.partition == partition) & (entries.c.ms == documents.c.ms)
    found = connection.execute(
        select(documents, entries.c.payload)
        .join(newest, (newest.c.name == documents.c.name) & (newest.c.version == documents.c.version))
        .join(entries, same & (entries.c.number == documents.c.number))
        .where(documents.c.partition == partition, *chosen)
    )
    return [
        _Document(row.name, row.ms, row.number, bytes(restored("", "", row.payload).raw[row.part])) for row in found
    ]
