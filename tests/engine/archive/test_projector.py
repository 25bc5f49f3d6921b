"""The projector and what lets go: killed, doubled, without its database, and over many orders."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from engine.archive import reading
from engine.archive.database import Archive, ArchiveUnavailableError, sqlite_url
from engine.archive.history import Witness
from engine.archive.projector import Projector
from engine.archive.recall import Recall
from engine.clock import SystemClock
from engine.ledger.port import LedgerRefusedError, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.retention import START, place
from engine.metrics import Metrics
from engine.settings import Settings
from tests.chaos.trust import SEED, count
from tests.engine.archive.conftest import follow
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import Shop

ROOT = Path(__file__).resolve().parents[3]
PROJECT = """
import asyncio, sys
from tests.engine.archive.test_projector import projecting
asyncio.run(projecting(*sys.argv[1:]))
"""
RETAINED = count(20_000, 2_000_000)
MEMORY = count(14 * 2**20, 1_000_000_000)
RATE = 2_500
"""Orders a second at most, about what one process decides."""
"""What the store may hold beside what an empty one does; all orders and their log would need several times as much."""
BATCH = 100


async def projecting(store_url: str, archive_url: str) -> None:
    """A projector as a process of its own, until it is killed."""
    ledger = RedisLedger(store_url)
    one = _projector(ledger, Archive(archive_url), log_tail_entries=5, order_retention_days=0, sweep_seconds=0.05)
    one.start()
    print("running", flush=True)
    await asyncio.Event().wait()


def _projector(ledger: RedisLedger, archive: Archive, metrics: Metrics | None = None, **settings: Any) -> Projector:
    return Projector(ledger, archive, SystemClock(), Settings(**settings), (metrics or Metrics()).archived, uuid4().hex)


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisLedger]:
    """The store's ledger; the list of partitions emptied, so that projectors follow this test's only."""
    server.client().delete("{}:partitions", "{}:projector")
    made = RedisLedger(server.url)
    made._enrolled.add("")
    yield made
    await made.close()


async def _until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- any condition, not an event
            await asyncio.sleep(0.02)


async def _orders(shop: Shop, prefix: str, number: int) -> None:
    """Refused orders, in batches; those that another commit overtook once more, as the allocator does."""
    for start in range(0, number, BATCH):
        ids = [f"{prefix}{k}" for k in range(start, min(start + BATCH, number))]
        while ids:
            seen = await shop.look("A")
            verdicts = await shop.commit(seen, *(shop.proposal(seen, each, {}, state="refused") for each in ids))
            ids = [each for each, verdict in zip(ids, verdicts, strict=True) if verdict is Verdict.STALE]


async def test_killed_at_random_it_catches_up(server: Server, store: RedisLedger, partition: str, tmp_path: Path):
    """Protects history: kill -9 of the projector at any instant loses no entry, and brings none twice."""
    shop = await Shop(store, partition).open(stock={("A", 0): 500})
    url, rng = sqlite_url(tmp_path), random.Random(SEED)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", PROJECT, server.url, url]

    async def moved() -> bool:
        return (await store.retention(partition)).archived != START

    for kill in range(count(3, 100)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT)  # noqa: ASYNC220
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline)
        writing = asyncio.create_task(_orders(shop, f"K{kill}-", 2_000))
        for number in range(5):
            await shop.order(f"T{kill}-{number}", {("A", 0): 1})
        await store.cancel(partition, f"T{kill}-0")
        await asyncio.sleep(rng.uniform(0.0, 0.8))
        if kill == count(3, 100) - 1:
            await _until(moved)
        process.kill()
        process.wait()
        await writing
        server.client().delete("{}:projector")
    archive = Archive(url)
    retention = await store.retention(partition)
    at, _ = await archive.read(reading.archived, partition)
    assert place(retention.trimmed) <= place(retention.archived) <= place(at)
    await follow(store, archive, partition)
    orders = 0
    after = (0, -1, "")
    while page := await archive.read(reading.order_page, partition, None, after, 1_000):
        orders += len(page)
        after = page[-1].decided_ms, page[-1].number, page[-1].order_id
    assert orders == count(3, 100) * 2_005
    report = await reconcile(store, partition, past=Witness(archive))
    assert report.clean, report.differences
    assert report.entries == (await store.retention(partition)).entries
    await archive.close()


async def test_two_projectors_bring_each_entry_once(store: RedisLedger, partition: str, tmp_path: Path):
    """Protects exactly-once where the lease fails: two that project the same log at once agree."""
    shop = await Shop(store, partition).open(stock={("A", 0): 5})
    assert [await store.put_forecast(partition, body) for body in (b"[]", b"[1]")] == [1, 2]
    await _orders(shop, "O", 3_000)
    archives = [Archive(sqlite_url(tmp_path)) for _ in range(2)]
    await asyncio.gather(*(follow(store, archive, partition) for archive in archives))
    retention = await store.retention(partition)
    assert await archives[0].read(reading.archived, partition) == (retention.newest, retention.entries)
    assert (await reconcile(store, partition, past=Witness(archives[1]))).clean
    assert await store.put_forecast(partition, b"[2]") == 3
    assert (await reconcile(store, partition, past=Witness(archives[1]))).clean
    assert [await store.lease("projector", name, 5_000) for name in ("one", "two", "one")] == [True, False, True]
    for archive in archives:
        await archive.close()


async def test_a_log_that_another_projector_claims_meanwhile_is_no_foreign_one(
    store: RedisLedger, partition: str, tmp_path: Path
):
    """Protects the start of two projectors at once: one that looked before the other began goes on behind it."""
    shop = await Shop(store, partition).open(stock={("A", 0): 5})
    await _orders(shop, "O", 10)
    first = Archive(sqlite_url(tmp_path))

    class Late(Archive):
        """The other projector does all its work before this one first asks the database."""

        late = True

        async def write(self, *arguments: Any, **named: Any) -> Any:
            if self.late:
                self.late = False
                await follow(store, first, partition)
            return await super().write(*arguments, **named)

    second = Late(sqlite_url(tmp_path))
    await second.archive_id()
    second.late = True
    await follow(store, second, partition)
    retention = await store.retention(partition)
    assert await second.read(reading.archived, partition) == (retention.newest, retention.entries)
    for archive in (first, second):
        await archive.close()


class Away(Archive):
    """A database that can be away."""

    away = False

    async def write(self, *arguments: Any, **named: Any) -> Any:
        if self.away:
            raise ArchiveUnavailableError("connection refused")
        return await super().write(*arguments, **named)


async def test_an_sql_outage_stops_trimming_and_nothing_else(store: RedisLedger, partition: str, tmp_path: Path):
    """Protects orders from the archive: while it is away they go on, the lag shows, and afterwards it is made up."""
    shop = await Shop(store, partition).open(stock={("A", 0): 5})
    archive, metrics = Away(sqlite_url(tmp_path)), Metrics()
    one = _projector(store, archive, metrics, log_tail_entries=1)
    one.start()

    async def level() -> bool:
        retention = await store.retention(partition)
        return retention.archived == retention.newest

    await _until(level)
    archive.away = True
    before = await store.retention(partition)
    await _orders(shop, "O", 500)

    async def lagging() -> bool:
        return metrics.registry.get_sample_value("apportion_archive_errors_total") > 1  # type: ignore[operator]

    await _until(lagging)
    during = await store.retention(partition)
    assert (during.archived, during.trimmed) == (before.archived, before.trimmed)
    assert metrics.archive_lag_entries._value.get() >= 5
    assert metrics.archive_lag_seconds._value.get() > 0
    archive.away = False
    await _until(level)

    async def made_up() -> bool:
        return metrics.archive_lag_entries._value.get() == 0

    await _until(made_up)
    await one.stop()
    assert (await reconcile(store, partition, past=Witness(archive))).clean
    await archive.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, whose memory is limited."""
    (tmp_path / "store").mkdir()
    made = Server(tmp_path / "store")
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(count(120, 7_200))
async def test_memory_stays_flat_over_many_orders(small: Server, tmp_path: Path, partition: str):
    """Protects the store from filling: many more orders than fit pass through it, and the oldest are still answered."""
    client = small.client()
    ledger, archive = RedisLedger(small.url), Archive(sqlite_url(tmp_path))
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    client.config_set("maxmemory", client.info("memory")["used_memory"] + MEMORY)
    one = _projector(ledger, archive, log_tail_entries=10, ended_orders_max=1_000, sweep_seconds=0.05)
    one.start()
    peak, started = 0, time.monotonic()
    for start in range(0, RETAINED, 5 * BATCH):
        for attempt in range(200):  # a client that retries while the store is full, as the service asks it to
            try:
                await _orders(shop, f"O{start}-", min(5 * BATCH, RETAINED - start))
                break
            except LedgerRefusedError:
                assert attempt < 199
                await asyncio.sleep(0.1)
        await asyncio.sleep(max(0.0, (start + 5 * BATCH) / RATE - (time.monotonic() - started)))
        peak = max(peak, client.info("memory")["used_memory"])

    async def small_again() -> bool:
        retention = await ledger.retention(partition)
        return retention.archived == retention.newest and retention.evicted >= RETAINED - 1_100

    await _until(small_again, count(60, 1_800))
    await one.stop()
    seconds, left = time.monotonic() - started, client.info("memory")["used_memory"]
    print(f"{RETAINED} orders in {seconds:.1f} s, at most {peak >> 20} MB, {left >> 20} MB at the end")
    assert left < MEMORY
    ids = {f"O{start}-{k}": None for start in range(0, RETAINED, RETAINED // 10) for k in range(5)}
    seen = await Recall(ledger, archive).snapshot(partition, (), (), ids)
    assert {order_id: each.decision for order_id, each in seen.decided.items()} == {
        order_id: b'{"order_id":"%s","status":"allocated"}' % order_id.encode() for order_id in ids
    }
    fresh = await ledger.snapshot(partition, (), (), [f"new-{k}" for k in range(1_000)])
    assert len(fresh.perhaps_gone) < 60, "a new order is rarely taken for an old one"
    report = await reconcile(ledger, partition, past=Witness(archive))
    assert report.clean, report.differences
    await ledger.close()
    await archive.close()
