"""Single orders alone, beside one very large order after another, beside one very large upload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random

import msgspec
from msgspec import Struct

from bench.beside.singles import LINES_MAX, TIMES_MAX, Singles, Times
from bench.load.posting import Orders
from bench.load.service import settled
from bench.processor import resident_peak
from engine.domain import OrderLine
from engine.sample.orders import OrderGenerator

UPLOAD_S_MAX = 600.0


class Stream(Struct, frozen=True):
    """One phase. `large`: how many large things were decided meanwhile; `large_s`: how long the last of them took;
    `peak_mb`: the most memory the service ever held until its end."""

    name: str
    times: Times
    large: int
    large_s: float
    peak_mb: float


class Figures(Struct, frozen=True):
    """All phases, the undisturbed one first, and what went against the contract."""

    streams: list[Stream]
    faults: list[str]

    @property
    def wrong(self) -> list[str]:
        """What does not hold."""
        alone, *others = self.streams
        before_ms = alone.times.p99_ms
        slow = [
            f"single orders {each.name}: p99 {each.times.p99_ms:.0f} ms is "
            f"{each.times.p99_ms / before_ms:.1f} times that alone"
            for each in others
            if each.times.p99_ms > TIMES_MAX * before_ms
        ]
        return [*slow, *self.faults]

    @property
    def lines(self) -> list[str]:
        """A table for people."""
        return [
            "| single orders | orders | p50 ms | p99 ms | worst ms | large | last took s | service peak MB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *(
                f"| {each.name} | {each.times.orders:,} | {each.times.p50_ms:.1f} | {each.times.p99_ms:.1f} | "
                f"{each.times.worst_ms:.1f} | {each.large:,} | {each.large_s:.2f} | {each.peak_mb:,.0f} |"
                for each in self.streams
            ),
        ]


Large = Callable[[], Awaitable[tuple[int, float]]]
"""Does what is large, until cancelled or done: how many, and how long the last took."""


class BesideLarge:
    """The phases on one service."""

    def __init__(self, singles: Singles, pid: int) -> None:
        self._singles = singles
        self._plan = singles.plan
        self._pid = pid

    async def measured(self) -> Figures:
        """Measure. Raises CommandError, as `Client` does."""
        plan = self._plan
        streams = [
            await self._stream("alone"),
            await self._stream(f"beside orders of {plan.lines:,} lines", self._orders),
        ]
        body = b"\n".join(self._upload())
        streams.append(await self._stream(f"beside an upload of {plan.orders:,} orders", lambda: self._uploaded(body)))
        return Figures(streams, self._singles.all_faults)

    async def _stream(self, name: str, large: Large | None = None) -> Stream:
        """Single orders, and what is large beside them: it begins first, and is waited for."""
        beside = asyncio.create_task(large()) if large is not None else None
        times = await self._singles.phase(name, self._plan.seconds)
        many, took = await beside if beside is not None else (0, 0.0)
        await settled(self._singles.client)
        return Stream(name, times, many, took, resident_peak(self._pid) / 2**20)

    async def _orders(self) -> tuple[int, float]:
        """One large order after another, as long as the stream lasts."""
        plan, run, world = self._plan, self._singles.run, self._singles.world
        rng, until, many, took = Random(plan.seed), time.monotonic() + plan.seconds, 0, 0.0
        base = OrderGenerator(world, plan.seed, f"{run}x").order(datetime.now(UTC))
        while time.monotonic() < until:
            skus = rng.sample(world.skus, min(plan.lines, len(world.skus)))
            lines = tuple(OrderLine(line_id=str(k), sku=each.sku, quantity=1) for k, each in enumerate(skus))
            body = msgspec.json.encode(msgspec.structs.replace(base, order_id=f"{run}x{many}", lines=lines))
            begun = time.monotonic()
            answer = await self._singles.client.post("/v1/orders", body)
            took = time.monotonic() - begun
            if answer.status not in (200, 201):
                self._singles.faults.append(f"a large order: {answer.problem}")
            many += 1
            await asyncio.sleep(max(0.0, plan.apart_s - took))
        return many, took

    def _upload(self) -> list[bytes]:
        orders = Orders(self._singles.world, self._plan.seed + 1, f"{self._singles.run}u", LINES_MAX)
        orders.more(self._plan.orders)
        return orders.bodies

    async def _uploaded(self, body: bytes) -> tuple[int, float]:
        """One upload, whole."""
        begun = time.monotonic()
        client = self._singles.client
        answer = await client.request("POST", "/v1/orders/bulk", body, "application/x-ndjson", UPLOAD_S_MAX)
        took = time.monotonic() - begun
        decided = answer.body.count(b'"window"')
        if answer.status != 200 or decided != self._plan.orders:
            self._singles.faults.append(f"the upload: {answer.status}, {decided:,} of {self._plan.orders:,} decided")
        return decided, took
