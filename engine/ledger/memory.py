"""The ledger in memory: the same contract as the store's, in plain Python, for tests, simulation and baselines.

It lives in one event loop. Nothing is awaited between reading and writing, so every call is one instant.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence

from engine.clock import Clock
from engine.ledger import journal, layout
from engine.ledger.journal import Body
from engine.ledger.memory_commit import commit
from engine.ledger.memory_retention import MemoryRetention
from engine.ledger.memory_state import Day, Partition
from engine.ledger.memory_stock import write_stock
from engine.ledger.port import (
    Batch,
    Cancelled,
    Change,
    DayLoad,
    Decided,
    Document,
    Entry,
    LedgerRefusedError,
    NodeInUseError,
    OrderRecord,
    Outcome,
    Row,
    Snapshot,
    StockOutcome,
    StockWrite,
    SupersededError,
    Versions,
)


class MemoryLedger(MemoryRetention):
    """Implements `Ledger`. Partitions come to be when first named."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._partitions: dict[str, Partition] = {}

    async def snapshot(
        self,
        partition: str,
        skus: Sequence[str],
        days: Sequence[int],
        order_ids: Sequence[str],
        idempotency_keys: Sequence[str] = (),
    ) -> Snapshot:
        """As `Ledger.snapshot`; O(SKUs), rows are shared until they change."""
        kept = self._partition(partition)
        rows = kept.rows
        return Snapshot(
            self._clock.epoch_ms(),
            kept.versions(),
            tuple(rows[sku].row() if sku in rows else layout.NO_ROW for sku in skus),
            {day: kept.days[day].day_load() if day in kept.days else layout.NO_DAY for day in days},
            {
                order_id: Decided(order.content, order.decision)
                for order_id in order_ids
                if (order := kept.orders.get(order_id)) is not None
            },
            kept.evicted,
            tuple(each for each in order_ids if "o:" + each in kept.gone and each not in kept.orders),
            tuple(each for each in idempotency_keys if "k:" + each in kept.gone and each not in kept.keys),
        )

    async def commit(self, partition: str, batch: Batch) -> list[Outcome]:
        """As `Ledger.commit`."""
        layout.require_proposals(batch.proposals, len(batch.skus))
        return commit(self._partition(partition), batch, self._clock.epoch_ms())

    async def order(self, partition: str, order_id: str) -> OrderRecord | None:
        """As `Ledger.order`."""
        order = self._partition(partition).orders.get(order_id)
        return None if order is None else order.record(order_id)

    async def cancel(self, partition: str, order_id: str) -> Cancelled:
        """As `Ledger.cancel`."""
        kept = self._partition(partition)
        order = kept.orders.get(order_id)
        if order is None:
            return Cancelled.UNKNOWN
        if order.state == "cancelled":
            return Cancelled.ALREADY
        body = Body()
        _give_back(kept, order.takes, order.loads, body)
        order.takes, order.loads, order.state = (), (), "cancelled"
        at_ms = kept.append(self._clock.epoch_ms(), "cancel", body, (order_id.encode(), b""))
        order.history.append(Change(at_ms, "order.cancelled"))
        return Cancelled.DONE

    async def write_stock(self, partition: str, writes: Sequence[StockWrite]) -> list[StockOutcome]:
        """As `Ledger.write_stock`; raises ValueError for a write no cell could take."""
        layout.require_writes(writes)
        kept, at_ms = self._partition(partition), self._clock.epoch_ms()
        outcomes: list[StockOutcome] = []
        for start in range(0, len(writes), layout.STOCK_CHUNK):
            outcomes += write_stock(kept, writes[start : start + layout.STOCK_CHUNK], at_ms)
            if outcomes[-1] is StockOutcome.ASK:
                break
        return outcomes + [StockOutcome.ASK] * (len(writes) - len(outcomes))

    async def stock(self, partition: str, sku: str) -> Row:
        """As `Ledger.stock`."""
        row = self._partition(partition).rows.get(sku)
        return layout.NO_ROW if row is None else row.row()

    async def stock_page(self, partition: str, cursor: str, limit: int) -> tuple[str, list[tuple[str, Row]]]:
        """As `Ledger.stock_page`, in order of SKU."""
        rows = self._partition(partition).rows
        names = sorted(sku for sku in rows if sku > cursor)[:limit]
        return names[-1] if len(names) == limit else "", [(sku, rows[sku].row()) for sku in names]

    async def load(self, partition: str, day: int) -> DayLoad:
        """As `Ledger.load`."""
        kept = self._partition(partition).days.get(day)
        return layout.NO_DAY if kept is None else kept.day_load()

    async def versions(self, partition: str) -> Versions:
        """As `Ledger.versions`."""
        return self._partition(partition).versions()

    async def put_network(
        self, partition: str, body: bytes, node_ids: Sequence[str], replaces: int | None = None
    ) -> int:
        """As `Ledger.put_network`."""
        kept = self._partition(partition)
        if replaces not in (None, kept.versions().network):
            raise SupersededError(f"version {replaces} of the network is not current")
        staying = set(node_ids)
        leaving = [node for node, number in kept.numbers.items() if number in kept.present and node not in staying]
        today = self._clock.epoch_ms() // layout.DAY_MS
        in_use = [node for node in leaving if _in_use(kept, kept.numbers[node], today)]
        if in_use:
            raise NodeInUseError(sorted(in_use))
        new = [node for node in dict.fromkeys(node_ids) if node not in kept.numbers]
        if len(kept.numbers) + len(new) > layout.NODES_MAX:
            raise LedgerRefusedError(f"NODES more than {layout.NODES_MAX} nodes")
        logged = Body(version=kept.versions().network + 1)
        for node in new:
            logged.nodes += (node, len(kept.numbers))
            kept.numbers[node] = len(kept.numbers)
        kept.present = {kept.numbers[node] for node in staying}
        logged.use = [
            value
            for number in sorted({kept.numbers[node] for node in [*leaving, *staying]})
            for value in (number, int(number in kept.present), kept.use.get(number, 0))
        ]
        kept.network = Document(logged.version, body)
        kept.append(self._clock.epoch_ms(), "network", logged, (b"network", body))
        return logged.version

    async def network(self, partition: str) -> tuple[Document, dict[str, int]] | None:
        """As `Ledger.network`."""
        kept = self._partition(partition)
        return None if kept.network is None else (kept.network, dict(kept.numbers))

    async def put_policy(self, partition: str, body: bytes) -> int:
        """As `Ledger.put_policy`."""
        kept = self._partition(partition)
        kept.policy = Document(kept.versions().policy + 1, body)
        kept.append(self._clock.epoch_ms(), "policy", Body(version=kept.policy.version), (b"policy", body))
        return kept.policy.version

    async def policy(self, partition: str) -> Document | None:
        """As `Ledger.policy`."""
        return self._partition(partition).policy

    async def put_skus(self, partition: str, entries: Mapping[str, bytes]) -> int:
        """As `Ledger.put_skus`; each chunk is one version."""
        kept, items = self._partition(partition), list(entries.items())
        for start in range(0, len(items), layout.SKUS_CHUNK):
            chunk = items[start : start + layout.SKUS_CHUNK]
            kept.catalog += 1
            for sku, entry in chunk:
                kept.skus[sku] = kept.catalog, entry
                kept.changed.append((kept.catalog, sku))
            raw = tuple(part for sku, entry in chunk for part in (sku.encode(), entry))
            kept.append(self._clock.epoch_ms(), "skus", Body(version=kept.catalog), raw)
        return kept.catalog

    async def skus_since(self, partition: str, version: int) -> tuple[int, dict[str, bytes]]:
        """As `Ledger.skus_since`; whole versions, at most a page and one chunk."""
        kept = self._partition(partition)
        found: dict[str, bytes] = {}
        reached = kept.catalog
        for at, sku in kept.changed[bisect_right(kept.changed, (version, chr(0x10FFFF))) :]:
            if at > reached:
                break
            if kept.skus[sku][0] == at:
                found[sku] = kept.skus[sku][1]
            if len(found) == layout.SKUS_PAGE:
                reached = at
        return reached, found

    async def sku(self, partition: str, sku: str) -> bytes | None:
        """As `Ledger.sku`."""
        kept = self._partition(partition).skus.get(sku)
        return None if kept is None else kept[1]

    async def entries(self, partition: str, after: str = "0") -> AsyncIterator[Entry]:
        """As `Ledger.entries`."""
        kept = self._partition(partition)
        end = len(kept.log)
        for place in range(kept.place_after(after), end):
            yield journal.entry(kept.log[place])

    async def tail(self, partition: str, after: str, wait_ms: int) -> list[Entry]:
        """As `Ledger.tail`."""
        kept = self._partition(partition)
        place = kept.place_after(after)
        if place == len(kept.log) and wait_ms > 0:
            try:
                await asyncio.wait_for(kept.grown.wait(), wait_ms / 1000)
            except TimeoutError:
                return []
        return [journal.entry(logged) for logged in kept.log[place : place + layout.TAIL_ENTRIES_MAX]]

    async def ping(self) -> None:
        """It is here."""

    async def close(self) -> None:
        """Nothing to release; what was kept stays."""


def _give_back(
    kept: Partition,
    takes: Sequence[tuple[str, int, int, int]],
    loads: Sequence[tuple[int, int, int, int]],
    body: Body,
) -> None:
    """Free units and load, counting one gain per row and day."""
    index: dict[str, int] = {}
    freed: dict[tuple[str, int], int] = {}
    for sku, slot, _, units in takes:
        freed[sku, slot] = freed.get((sku, slot), 0) + units
        index.setdefault(sku, len(index))
    for (sku, slot), units in freed.items():
        cell = kept.rows[sku].cell(slot)
        assert cell is not None, "a cell that was taken from is there"
        assert cell[2] >= units, "what is freed was held"
        node, on_hand, held, safety, blocked = cell
        kept.put_cell(sku, slot, (node, on_hand, held - units, safety, blocked))
        body.cells += (index[sku], slot, node, on_hand, held - units, safety, blocked, 0, -units, 0, 0)
    for sku in index:
        kept.rows[sku].gained()
        body.rows += (sku, kept.rows[sku].gain)
    given: dict[tuple[int, int], tuple[int, int]] = {}
    for day, node, parcels, units in loads:
        more = given.get((day, node), (0, 0))
        given[day, node] = more[0] + parcels, more[1] + units
    for (day, node), (parcels, units) in given.items():
        if parcels or units:
            before = kept.days[day].load(node)
            kept.days[day].put(node, before[0] - parcels, before[1] - units)
            body.loads += (day, node, before[0] - parcels, before[1] - units, -parcels, -units)
    for day in dict.fromkeys(load[0] for load in loads):
        kept.days.setdefault(day, Day()).gained()
        body.days += (day, kept.days[day].gain)


def _in_use(kept: Partition, number: int, today: int) -> bool:
    """Whether a node has stock, holds, or load from yesterday on (its own calendar may be behind ours)."""
    if kept.use.get(number, 0):
        return True
    return any(kept.days[day].load(number) != (0, 0) for day in kept.days if day >= today - 1)
