"""The ledger in memory: the same contract as the store's, in plain Python, for tests, simulation and baselines.

It lives in one event loop. Nothing is awaited between reading and writing, so every call is one instant.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from engine.clock import Clock
from engine.ledger import journal, layout, memory_holds, states
from engine.ledger.journal import Body
from engine.ledger.memory_backlog import MemoryBacklog, expected_of, ripe_of
from engine.ledger.memory_commit import commit
from engine.ledger.memory_moving import MemoryMoving, held
from engine.ledger.memory_retention import MemoryRetention
from engine.ledger.memory_state import Partition
from engine.ledger.memory_stock import write_stock
from engine.ledger.port import (
    Batch,
    Cancelled,
    Commanded,
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
    Standing,
    StockOutcome,
    StockWrite,
    SupersededError,
    Versions,
)


class MemoryLedger(MemoryRetention, MemoryBacklog, MemoryMoving):
    """Implements `Ledger`. Partitions come to be when first named."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._partitions: dict[str, Partition] = {}
        self._leases = {}

    async def snapshot(
        self,
        partition: str,
        skus: Sequence[str],
        days: Sequence[int],
        order_ids: Sequence[str],
        again: tuple[str, str] | None = None,
        idempotency_keys: Sequence[str] = (),
        expected: Sequence[str] = (),
        moving: Sequence[str] = (),
    ) -> Snapshot:
        """As `Ledger.snapshot`; O(SKUs), rows are shared until they change."""
        kept, now_ms = self._partition(partition), self._clock.epoch_ms()
        standing = None if again is None else _standing(kept, *again, now_ms)
        own: tuple[dict[str, list[tuple[int, int]]], dict[int, list[tuple[int, int, int]]]] = {}, {}
        revisions = held(kept, moving)
        if standing is not None and standing.record.state == standing.record.stored_state:
            kept.orders[standing.record.order_id].give_back(*own)
        for order_id in revisions:
            kept.orders[order_id].give_back(*own)
        return Snapshot(
            now_ms,
            kept.versions(),
            tuple(_row(kept, sku, now_ms, own[0].get(sku, ())) for sku in skus),
            {day: _day(kept, day, now_ms, own[1].get(day, ())) for day in days},
            {
                order_id: Decided(order.content, order.decision)
                for order_id in order_ids
                if (order := kept.orders.get(order_id)) is not None
            },
            standing,
            kept.evicted,
            tuple(each for each in order_ids if "o:" + each in kept.gone and each not in kept.orders),
            tuple(each for each in idempotency_keys if "k:" + each in kept.gone and each not in kept.keys),
            ripe=ripe_of(kept, skus),
            expected=expected_of(kept, expected),
            moving=revisions,
        )

    async def commit(self, partition: str, batch: Batch) -> list[Outcome]:
        """As `Ledger.commit`."""
        layout.require_proposals(batch.proposals, len(batch.skus))
        return commit(self._partition(partition), batch, self._clock.epoch_ms())

    async def order(self, partition: str, order_id: str) -> OrderRecord | None:
        """As `Ledger.order`."""
        return self._partition(partition).record(order_id, self._clock.epoch_ms())

    async def orders(self, partition: str, order_ids: Sequence[str]) -> list[OrderRecord | None]:
        """As `Ledger.orders`."""
        return [await self.order(partition, order_id) for order_id in order_ids]

    async def command(self, partition: str, order_id: str, command: str, command_id: str = "") -> Commanded:
        """As `Ledger.command`."""
        return memory_holds.command(self._partition(partition), order_id, command, command_id, self._clock.epoch_ms())

    async def cancel(self, partition: str, order_id: str) -> Cancelled:
        """As `Ledger.cancel`."""
        return Cancelled((await self.command(partition, order_id, states.CANCEL)).answer.value)

    async def sweep(self, partition: str) -> int:
        """As `Ledger.sweep`."""
        return memory_holds.sweep(self._partition(partition), self._clock.epoch_ms())

    async def overdue(self, partitions: Sequence[str]) -> dict[str, bool]:
        """As `Ledger.overdue`."""
        now_ms = self._clock.epoch_ms()
        holding = {name: kept.holds for name in partitions if (kept := self._partition(name)).holds}
        return {name: min(holds.values()) <= now_ms for name, holds in holding.items()}

    async def partitions_with_holds(self) -> set[str]:
        """As `Ledger.partitions_with_holds`."""
        return {name for name, kept in self._partitions.items() if kept.holds or kept.soft}

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

    async def stock(self, partition: str, sku: str, *, as_logged: bool = False) -> Row:
        """As `Ledger.stock`."""
        return _row(self._partition(partition), sku, self._until(as_logged))

    async def stock_page(
        self, partition: str, cursor: str, limit: int, *, as_logged: bool = False
    ) -> tuple[str, list[tuple[str, Row]]]:
        """As `Ledger.stock_page`, in order of SKU."""
        kept, until = self._partition(partition), self._until(as_logged)
        names = sorted(sku for sku in kept.rows if sku > cursor)[:limit]
        return names[-1] if len(names) == limit else "", [(sku, _row(kept, sku, until)) for sku in names]

    async def load(self, partition: str, day: int, *, as_logged: bool = False) -> DayLoad:
        """As `Ledger.load`."""
        return _day(self._partition(partition), day, self._until(as_logged))

    def _until(self, as_logged: bool) -> int:
        """Up to which deadline a reader takes holds as lapsed."""
        return -1 if as_logged else self._clock.epoch_ms()

    async def versions(self, partition: str) -> Versions:
        """As `Ledger.versions`."""
        return self._partition(partition).versions()

    async def put_network(
        self,
        partition: str,
        body: bytes,
        node_ids: Sequence[str],
        replaces: int | None = None,
        matrices: int | None = None,
    ) -> int:
        """As `Ledger.put_network`."""
        kept = self._partition(partition)
        if replaces not in (None, kept.versions().network):
            raise SupersededError(f"version {replaces} of the network is not current")
        if matrices not in (None, kept.matrices_version()):
            raise SupersededError(f"version {matrices} of the zone matrices is not current")
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

    async def put_matrix(
        self, partition: str, matrix: str, body: bytes, network: int, *, used: bool
    ) -> tuple[int, int]:
        """As `Ledger.put_matrix`."""
        kept, at_ms = self._partition(partition), self._clock.epoch_ms()
        if network != kept.versions().network:
            raise SupersededError(f"version {network} of the network is not current")
        logged = Body(matrices=kept.matrices_version() + 1)
        kept.matrices[matrix] = Document(logged.matrices, body)
        if used:
            assert kept.network is not None, "only a network that is there uses a matrix"
            logged.version = network + 1
            kept.network = Document(logged.version, kept.network.body)
            kept.append(at_ms, "network", logged, (b"network", kept.network.body, matrix.encode(), body))
        else:
            kept.append(at_ms, "matrix", logged, (matrix.encode(), body))
        return logged.matrices, kept.versions().network

    async def matrices(self, partition: str) -> tuple[int, dict[str, int]]:
        """As `Ledger.matrices`."""
        kept = self._partition(partition)
        return kept.matrices_version(), {name: matrix.version for name, matrix in sorted(kept.matrices.items())}

    async def matrix(self, partition: str, matrix: str) -> Document | None:
        """As `Ledger.matrix`."""
        return self._partition(partition).matrices.get(matrix)

    async def put_policy(self, partition: str, policy_id: str, body: bytes) -> int:
        """As `Ledger.put_policy`."""
        kept = self._partition(partition)
        editions = kept.policies.setdefault(policy_id, {})
        version = max(editions, default=1 if policy_id == "default" else 0) + 1
        editions[version] = body
        editions.pop(version - layout.EDITIONS_KEPT, None)
        kept.policy_set += 1
        told = Body(version=kept.policy_set, edition=version)
        kept.append(self._clock.epoch_ms(), "policy", told, (policy_id.encode(), body))
        return version

    async def policies(self, partition: str) -> tuple[int, Mapping[str, Document]]:
        """As `Ledger.policies`."""
        kept = self._partition(partition)
        return kept.policy_set, {each: Document(n := max(of), of[n]) for each, of in kept.policies.items()}

    async def policy(self, partition: str, policy_id: str, version: int) -> bytes | None:
        """As `Ledger.policy`."""
        return self._partition(partition).policies.get(policy_id, {}).get(version)

    async def put_skus(self, partition: str, entries: Mapping[str, bytes], replaces: int | None = None) -> int:
        """As `Ledger.put_skus`; each chunk is one version."""
        kept, items = self._partition(partition), list(entries.items())
        if replaces not in (None, kept.catalog):
            raise SupersededError(f"version {replaces} of the catalogue is not current")
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

    async def put_forecast(self, partition: str, body: bytes) -> int:
        """As `Ledger.put_forecast`."""
        kept = self._partition(partition)
        version = 1 if kept.forecast is None else kept.forecast.version + 1
        kept.forecast = Document(version, body)
        kept.append(self._clock.epoch_ms(), "forecast", Body(version=version), (b"forecast", body))
        return version

    async def forecast(self, partition: str) -> Document | None:
        """As `Ledger.forecast`."""
        return self._partition(partition).forecast

    async def put_prices(self, partition: str, body: bytes) -> int:
        """As `Ledger.put_prices`."""
        kept = self._partition(partition)
        kept.prices = Document(kept.versions().prices + 1, body)
        return kept.prices.version

    async def prices(self, partition: str) -> Document | None:
        """As `Ledger.prices`."""
        return self._partition(partition).prices

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

    def forget(self, partition: str, order_ids: Iterable[str]) -> None:
        """Let these orders go, and the log with them: for a run of more orders than memory holds.

        No store does this. What they hold stays held, as if they had shipped; nobody may ask for them, decide them
        again or give their ids to others.
        """
        kept = self._partition(partition)
        for order_id in order_ids:
            del kept.orders[order_id]
            kept.movable.pop(order_id, None)
        kept.trim(kept.newest())

    async def ping(self) -> None:
        """It is here."""

    async def close(self) -> None:
        """Nothing to release; what was kept stays."""


def _standing(kept: Partition, order_id: str, command_id: str, now_ms: int) -> Standing | None:
    record = kept.record(order_id, now_ms)
    return None if record is None else Standing(record, kept.orders[order_id].commands.get(command_id))


def _row(kept: Partition, sku: str, now_ms: int, own: Sequence[tuple[int, int]] = ()) -> Row:
    """A row without what has lapsed by now, and without an order's own."""
    row = kept.rows.get(sku)
    if row is None:
        return layout.NO_ROW
    lapsed = kept.members(f"s{sku}", now_ms)
    return layout.seen_row(bytes(row.packed), lapsed, own) if lapsed or own else row.row()


def _day(kept: Partition, number: int, now_ms: int, own: Sequence[tuple[int, int, int]] = ()) -> DayLoad:
    day = kept.days.get(number)
    return layout.NO_DAY if day is None else layout.seen_day(bytes(day.packed), kept.members(f"d{number}", now_ms), own)


def _in_use(kept: Partition, number: int, today: int) -> bool:
    """Whether a node has stock, holds, or load from yesterday on (its own calendar may be behind ours)."""
    if kept.use.get(number, 0):
        return True
    return any(kept.days[day].load(number) != (0, 0) for day in kept.days if day >= today - 1)
