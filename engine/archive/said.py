"""What the log says of orders, byte for byte: rows of `orders` name the entry and the place in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from engine.archive import tables
from engine.archive.projection import ORDER_PARTS, restored

_INSTANTS_AT_ONCE = 100
"""Of whose entries one statement asks; they come packed, some ten kilobytes each."""


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


def parts_of(connection: Connection, partition: str, said: Collection[Said]) -> dict[Said, Parts]:
    """What was said of orders at these places; each entry is unpacked once, one at a time."""
    entries, wanted = tables.entries, defaultdict[tuple[int, int], list[Said]](list)
    for one in said:
        wanted[one.ms, one.number].append(one)
    found: dict[Said, Parts] = {}
    instants = sorted({ms for ms, _ in wanted})
    for at in range(0, len(instants), _INSTANTS_AT_ONCE):
        some = instants[at : at + _INSTANTS_AT_ONCE]  # SQLite would walk all of the log for a list of pairs
        for ms, number, packed in connection.execute(
            select(entries.c.ms, entries.c.number, entries.c.payload).where(
                entries.c.partition == partition, entries.c.ms.in_(some)
            )
        ):
            if (ms, number) in wanted:
                raw = restored("", "", packed).raw
                for one in wanted[ms, number]:
                    start = ORDER_PARTS * one.k + 1
                    found[one] = Parts(*raw[start : start + ORDER_PARTS - 1])
    return found


def places_of(order: Row[Any]) -> tuple[Said, Said]:
    """Where an order and its first decision are, and where the decision that holds is."""
    return (
        Said(order.first_ms, order.first_number, order.first_k),
        Said(order.current_ms, order.current_number, order.current_k),
    )
