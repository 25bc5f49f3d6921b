"""A crowd of soft holds that lapse together, and what the store's other clients notice of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Any

import redis

from engine.ledger import layout, scripts
from engine.ledger.cuts import CUT_ORDERS
from engine.ledger.port import Proposal, Snapshot, StockKind, StockWrite, Verdict
from engine.ledger.redis import RedisLedger
from tests.engine.ledger.shop import DAY, Shop, load

NODES, TAKES = 50, 3
GRID_MS = 2_000
"""Holds that lapse within so long lapse as one, so that a crowd that took a minute to come has one deadline."""


@dataclass
class Crowd:
    """`orders` holds of three units each over `skus` SKUs at 50 nodes, in a partition of its own."""

    ledger: RedisLedger
    partition: str
    orders: int
    skus: int

    def __post_init__(self) -> None:
        commit = scripts.load()["commit"]
        coarse = commit.text.replace("GRID = 4294967295, 100, 25, 10\n", f"GRID = 4294967295, 100, 25, {GRID_MS}\n")
        assert coarse != commit.text, "the deadlines of the crowd are one"
        self.ledger._scripts["commit"] = scripts.script(coarse)
        self._open()

    def _open(self) -> None:
        self.shop = Shop(self.ledger, self.partition, [f"SKU-{k:04}" for k in range(self.skus)])

    def order(self, seen: Snapshot, number: int, name: str, **more: Any) -> Proposal:
        """An order of three SKUs at one node, or of the only SKU at three nodes."""
        skus, cells = self.shop.skus, {}
        for k in range(TAKES):
            node = (number + 17 * k if self.skus == 1 else number // self.skus) % NODES
            cells[skus[(number + 271 * k) % self.skus], node] = 1
        return self.shop.proposal(seen, f"{name}{number}", cells, loads=(load(number % NODES, 1, TAKES),), **more)

    async def look(self) -> Snapshot:
        """All SKUs."""
        return await self.ledger.snapshot(self.partition, self.shop.skus, (DAY,), ())

    async def hold(self, seconds: float) -> int:
        """Enough stock, and everybody holding some of it until one instant, which is returned in ms.

        If so many do not come within `seconds`, another crowd gathers elsewhere and has twice the time: `partition` is
        that of the last.
        """
        while (deadline_ms := await self._gather(seconds)) is None:
            seconds, self.partition = 2 * seconds, f"{self.partition}-again"
            self._open()
        return deadline_ms

    async def _gather(self, seconds: float) -> int | None:
        """The deadline, None if not all came before it."""
        await self.shop.open(NODES)
        units = TAKES * self.orders // (self.skus * NODES) + TAKES
        writes = [StockWrite(sku, node, StockKind.RECEIVE, units) for sku in self.shop.skus for node in range(NODES)]
        for start in range(0, len(writes), layout.STOCK_CHUNK):
            await self.ledger.write_stock(self.partition, writes[start : start + layout.STOCK_CHUNK])
        seen = await self.look()
        until = time.monotonic() + seconds - (seen.at_ms / 1000 + seconds) % (GRID_MS / 1000) + GRID_MS / 2_000
        for start in range(0, self.orders, CUT_ORDERS):
            hold_ms = int(1000 * (until - time.monotonic()))
            if hold_ms <= 0:
                return None
            numbers = range(start, min(start + CUT_ORDERS, self.orders))
            crowd = [self.order(seen, number, "O", hold_ms=hold_ms) for number in numbers]
            assert set(await self.shop.commit(seen, *crowd)) == {Verdict.COMMITTED}
        kept = await self.ledger.order(self.partition, f"O{self.orders - 1}")
        assert kept is not None
        return kept.deadline_ms

    async def wait(self, until_ms: int) -> None:
        """Until an instant by the store's clock."""
        seen = await self.ledger.snapshot(self.partition, (), (), ())
        await asyncio.sleep((until_ms - seen.at_ms) / 1000)
        while (await self.ledger.snapshot(self.partition, (), (), ())).at_ms < until_ms:
            pass


@dataclass
class Waits:
    """How long the store was busy at most with one script, and how long a client waited at most, in ms.

    `pauses`: what the store itself says it was busy with for more than 10 ms, by kind, the longest of each.
    """

    script_ms: float = 0.0
    ping_ms: float = 0.0
    cpu_s: float = 0.0
    pauses: dict[str, int] = field(default_factory=dict)


def _ping(url: str, begun: Event, over: Event, longest: multiprocessing.Queue[float]) -> None:
    client, worst = redis.Redis.from_url(url), 0.0
    client.ping()
    begun.set()
    while not over.is_set():
        start = time.perf_counter()
        client.ping()
        worst = max(worst, time.perf_counter() - start)
        time.sleep(0.001)
    longest.put(1000 * worst)


@contextmanager
def watched(url: str) -> Iterator[Waits]:
    """Watch the store: a process that pings it without end, and its own book of slow commands."""
    client, found, context = redis.Redis.from_url(url), Waits(), multiprocessing.get_context("spawn")
    begun, over, longest = context.Event(), context.Event(), context.Queue()
    pinger = context.Process(target=_ping, args=(url, begun, over, longest))
    pinger.start()
    begun.wait(30)
    client.config_set("slowlog-log-slower-than", 1_000)
    client.slowlog_reset()
    client.config_set("latency-monitor-threshold", 10)
    client.execute_command("LATENCY", "RESET")
    before = _cpu_s(client)
    try:
        yield found
    finally:
        found.cpu_s = _cpu_s(client) - before
        found.pauses = {event.decode(): worst for event, _, _, worst, *_ in client.execute_command("LATENCY", "LATEST")}
        client.config_set("latency-monitor-threshold", 0)
        over.set()
        found.ping_ms = longest.get(timeout=30)
        pinger.join()
        slow = [entry for entry in client.slowlog_get(10_000) if entry["command"].startswith(b"EVAL")]
        found.script_ms = max((entry["duration"] / 1000 for entry in slow), default=0.0)


def _cpu_s(client: redis.Redis) -> float:
    told = client.info("cpu")
    return told["used_cpu_user"] + told["used_cpu_sys"]
