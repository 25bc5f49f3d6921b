"""Stock as callers say it and see it: node ids outside, node numbers inside; every row on its own merits.

A write takes rows with their line numbers and answers what became of them; a view reads cells back with the node's
default safety filled in. The ledger alone changes quantities.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec import Struct

from engine.admission import YEAR_MAX, YEAR_MIN
from engine.archive.recall import Recall
from engine.domain import IncomingRow, Movement, StockRow, epoch_ms
from engine.errors import NoNetworkError, NotFoundError
from engine.ledger.backlog import Incoming
from engine.ledger.port import Ledger, Row, StockKind, StockOutcome, StockWrite
from engine.registry import Registry

ROWS_PER_CALL = 1_000
"""Rows of one ledger call: what a script applies well within its 10 ms, and what the event loop prepares within 5."""

PLACES_MAX = 1_024
"""Partitions whose node names are kept at hand."""

_MUST_BE_POSITIVE = frozenset({"receive", "damage", "write_off"})

_REASONS = {
    StockOutcome.CONFLICT: ("movement_id", "this movement_id was applied before with other content"),
    StockOutcome.BELOW_ZERO: ("quantity", "the stock would fall below zero"),
    StockOutcome.TOO_LARGE: ("quantity", "the stock would pass 2147483647"),
    StockOutcome.NODE_REMOVED: ("node_id", "this node is not part of the network"),
    StockOutcome.OTHER_INCOMING: ("incoming_id", "these incoming units are of another SKU, or for another node"),
}


class RowFault(NamedTuple):
    """One row that was not applied. `line` counts from 1; `conflict` says that it contradicts what is stored."""

    line: int
    path: str
    reason: str
    conflict: bool = False


@dataclass(slots=True)
class Tally:
    """What became of a number of rows."""

    applied: int = 0
    repeated: int = 0
    faults: list[RowFault] = field(default_factory=list)


class CellView(Struct, frozen=True, kw_only=True):
    """The stock of one SKU at one node, in units.

    `incoming`: units on their way. `available` = on_hand - held - safety - blocked and may be negative; `short` = units
    held that are not there.
    """

    node_id: str
    on_hand: int
    held: int
    safety: int
    blocked: int
    incoming: int
    available: int
    short: int


class SkuStock(Struct, frozen=True, kw_only=True):
    """The stock of one SKU at all nodes that ever stocked it or that it is on its way to."""

    sku: str
    nodes: list[CellView]


class _NodeEntry(Struct):
    node_id: str
    safety_units: int = 0


class _NetworkNodes(Struct):
    nodes: list[_NodeEntry]


class Places(NamedTuple):
    """The names of node numbers in one version of a network, and each node's default safety."""

    version: int
    numbers: dict[str, int]
    """Nodes that may be written: those of the current network."""
    names: dict[int, str]
    """All nodes there ever were."""
    safety: dict[int, int]


class StockRoom:
    """Reads and writes stock of all partitions. Owns nothing but a cache of node names by network version."""

    def __init__(self, past: Recall, registry: Registry) -> None:
        self._past = past
        self._ledger: Ledger = past.ledger
        self._registry = registry
        self._places: dict[str, Places] = {}
        self._decoder = msgspec.json.Decoder(_NetworkNodes)

    async def write(self, partition: str, rows: Sequence[tuple[int, StockRow | Movement]]) -> Tally:
        """Apply (line number, row) pairs in sequence; good rows apply whatever the others do. Raises NoNetworkError."""
        places = await self._current(partition)
        tally = Tally()
        for start in range(0, len(rows), ROWS_PER_CALL):
            await self._write_slice(partition, places, rows[start : start + ROWS_PER_CALL], tally)
            await asyncio.sleep(0)
        return tally

    async def _write_slice(
        self, partition: str, places: Places, rows: Sequence[tuple[int, StockRow | Movement]], tally: Tally
    ) -> None:
        lines: list[int] = []
        writes: list[StockWrite] = []
        for line, row in rows:
            write = _lower(places, row)
            if isinstance(write, StockWrite):
                lines.append(line)
                writes.append(write)
            else:
                tally.faults.append(RowFault(line, *write))
        if not writes:
            return
        outcomes = await self._past.write_stock(partition, writes)
        for line, outcome in zip(lines, outcomes, strict=True):
            if outcome is StockOutcome.APPLIED:
                tally.applied += 1
            elif outcome is StockOutcome.REPEATED:
                tally.repeated += 1
            else:
                path, reason = _REASONS[outcome]
                tally.faults.append(RowFault(line, path, reason, outcome is StockOutcome.CONFLICT))
        tally.faults.sort()

    async def write_incoming(self, partition: str, rows: Sequence[tuple[int, IncomingRow]]) -> Tally:
        """Insert, replace or cancel incoming units by (line number, row), in sequence. Raises NoNetworkError."""
        places = await self._current(partition)
        tally = Tally()
        lowered = [(line, _lower_incoming(places, row)) for line, row in rows]
        good = [(line, row) for line, row in lowered if isinstance(row, Incoming)]
        tally.faults += [RowFault(line, *row) for line, row in lowered if not isinstance(row, Incoming)]
        outcomes = await self._ledger.write_incoming(partition, [row for _, row in good])
        for (line, _), outcome in zip(good, outcomes, strict=True):
            if outcome is StockOutcome.APPLIED:
                tally.applied += 1
            else:
                tally.faults.append(RowFault(line, *_REASONS[outcome]))
        tally.faults.sort()
        return tally

    async def view(self, partition: str, sku: str) -> SkuStock:
        """The stock of one SKU. Raises NotFoundError if it is neither stocked nor in the catalogue."""
        row = await self._ledger.stock(partition, sku)
        [incoming] = await self._ledger.incoming(partition, [sku])
        if not len(row.slots) and not incoming:
            await self._require_known(partition, sku)
            return SkuStock(sku=sku, nodes=[])
        places = await self._places_of(partition)
        return SkuStock(sku=sku, nodes=_cells(places, row, incoming))

    async def _require_known(self, partition: str, sku: str) -> None:
        try:
            await self._registry.sku(partition, sku)
        except NotFoundError:
            raise NotFoundError(f"SKU {sku!r} is neither stocked nor in the catalogue of {partition!r}") from None

    async def page(self, partition: str, node_id: str | None, cursor: str, limit: int) -> tuple[str, list[SkuStock]]:
        """About `limit` SKUs with stock after `cursor`, at one node or all, and the next cursor ("" at the end).

        Raises NotFoundError for a node that there never was.
        """
        places = await self._places_of(partition)
        if node_id is not None and node_id not in places.names.values():
            raise NotFoundError(f"partition {partition!r} has no node {node_id!r}")
        following, rows = await self._ledger.stock_page(partition, cursor, limit)
        found: list[SkuStock] = []
        coming = await self._ledger.incoming(partition, [sku for sku, _ in rows])
        for (sku, row), incoming in zip(rows, coming, strict=True):
            cells = [cell for cell in _cells(places, row, incoming) if node_id is None or cell.node_id == node_id]
            if cells:
                found.append(SkuStock(sku=sku, nodes=cells))
            await asyncio.sleep(0)
        return following, found

    async def _current(self, partition: str) -> Places:
        places = await self._places_of(partition)
        if places.version == 0:
            raise NoNetworkError(f"partition {partition!r} has no network yet: PUT /v1/network first")
        return places

    async def _places_of(self, partition: str) -> Places:
        """Node names as of now; read again only when the network has a new version."""
        known = self._places.get(partition)
        if known is not None and known.version == (await self._ledger.versions(partition)).network:
            return known
        stored = await self._ledger.network(partition)
        if stored is None:
            return Places(0, {}, {}, {})
        document, numbers = stored
        nodes = self._decoder.decode(document.body).nodes
        places = Places(
            version=document.version,
            numbers={node.node_id: numbers[node.node_id] for node in nodes},
            names={number: node_id for node_id, number in numbers.items()},
            safety={numbers[node.node_id]: node.safety_units for node in nodes},
        )
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
        self._places[partition] = places
        return places


def _lower(places: Places, row: StockRow | Movement) -> StockWrite | tuple[str, str]:
    """A row as a ledger write, or the field that is wrong and why."""
    node = places.numbers.get(row.node_id)
    if node is None:
        return "node_id", f"unknown node {row.node_id!r}"
    if isinstance(row, StockRow):
        return StockWrite(row.sku, node, StockKind.SNAPSHOT, row.on_hand, row.safety)
    if row.incoming_id is not None and row.kind != "receive":
        return "incoming_id", "only a receive brings incoming units"
    if row.kind in _MUST_BE_POSITIVE and row.quantity <= 0:
        return "quantity", f"{row.kind} needs a quantity above 0"
    if row.kind == "count" and row.quantity < 0:
        return "quantity", "count needs a quantity of at least 0"
    return StockWrite(row.sku, node, StockKind(row.kind), row.quantity, None, row.movement_id, row.incoming_id)


def _lower_incoming(places: Places, row: IncomingRow) -> Incoming | tuple[str, str]:
    """Incoming units by node number, or the field that is wrong and why."""
    node = places.numbers.get(row.node_id)
    if node is None:
        return "node_id", f"unknown node {row.node_id!r}"
    if not YEAR_MIN <= row.expected_at.year <= YEAR_MAX:
        return "expected_at", f"not between the years {YEAR_MIN} and {YEAR_MAX}"
    return Incoming(row.incoming_id, row.sku, node, row.quantity, epoch_ms(row.expected_at))


def _cells(places: Places, row: Row, incoming: Sequence[Incoming]) -> list[CellView]:
    """A row's cells by node id, and those of nodes that only await it."""
    cells: list[CellView] = []
    coming: dict[int, int] = {}
    for each in incoming:
        coming[each.node] = coming.get(each.node, 0) + each.quantity
    stocked = row.slots.tolist()
    there = {slot[0] for slot in stocked}
    for node, on_hand, held, safety, blocked in [*stocked, *((n, 0, 0, -1, 0) for n in coming if n not in there)]:
        floor = places.safety.get(node, 0) if safety < 0 else safety
        cells.append(
            CellView(
                node_id=places.names.get(node, f"#{node}"),
                on_hand=on_hand,
                held=held,
                safety=floor,
                blocked=blocked,
                incoming=coming.get(node, 0),
                available=on_hand - held - floor - blocked,
                short=max(0, held + blocked - on_hand),
            )
        )
    return sorted(cells, key=lambda cell: cell.node_id)
