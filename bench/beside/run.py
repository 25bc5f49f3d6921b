"""A steady stream of single orders: alone, beside one very large order after another, beside one very large upload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import msgspec
import numpy as np
from msgspec import Struct

from api.cli.client import Client
from api.cli.terminal import Terminal
from api.demo.seeding import load_world
from bench.load.arrivals import arrivals
from bench.load.loops import open_loop
from bench.load.posting import Orders, Poster
from bench.load.service import settled
from bench.merchant import expected_demand, merchant, stocked
from bench.processor import resident_peak
from engine.domain import OrderLine
from engine.sample.orders import OrderGenerator
from engine.sample.world import World

PARTITION = "bench-beside"
WARM_UP_S = 3.0
UPLOAD_S_MAX = 600.0
LINES_MAX = 3
TIMES_MAX = 2.0
"""What the stream's 99th percentile may come to beside something large, to what it is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `rate`: single orders a second, for `seconds` each time. `lines`: of the large order, one every
    `apart_s`; `orders`: of the upload."""

    nodes: int = 50
    skus: int = 2_000
    rate: float = 100.0
    seconds: float = 15.0
    lines: int = 1_114
    apart_s: float = 1.0
    orders: int = 100_000
    stock_for: int = 150_000
    seed: int = 1


class Stream(Struct, frozen=True):
    """The single orders of one part, in ms from the intended instant; `large`: how many large things were decided
    meanwhile; `large_s`: how long the last of them took; `peak_mb`: the most memory the service ever held until its
    end."""

    name: str
    orders: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    large: int
    large_s: float
    peak_mb: float


class Figures(Struct, frozen=True):
    """All parts, the undisturbed one first, and what went against the contract."""

    streams: list[Stream]
    faults: list[str]

    @property
    def wrong(self) -> list[str]:
        """What does not hold."""
        alone, *others = self.streams
        slow = [
            f"single orders {each.name}: p99 {each.p99_ms:.0f} ms is {each.p99_ms / alone.p99_ms:.1f} times that alone"
            for each in others
            if each.p99_ms > TIMES_MAX * alone.p99_ms
        ]
        return [*slow, *self.faults]


Large = Callable[[], Awaitable[tuple[int, float]]]
"""Does what is large, until cancelled or done: how many, and how long the last took."""


class Beside:
    """One plan on one service."""

    def __init__(self, terminal: Terminal, plan: Plan, url: str, pid: int) -> None:
        self._terminal = terminal
        self._plan = plan
        self._pid = pid
        self._client = Client(url, 512, {"Apportion-Partition": PARTITION}, 30.0)
        self._run = f"B{time.time_ns() // 1_000_000:x}"
        self._faults: list[str] = []

    async def run(self) -> Figures:
        """Measure. Raises CommandError, as `Client` does."""
        try:
            plan = self._plan
            world = await self._seeded()
            orders = Orders(world, plan.seed, self._run, LINES_MAX)
            poster = Poster(self._client, orders)
            await self._stream("to warm up", orders, poster, WARM_UP_S)
            streams = [
                await self._stream("alone", orders, poster, plan.seconds),
                await self._stream(
                    f"beside orders of {plan.lines:,} lines", orders, poster, plan.seconds, lambda: self._orders(world)
                ),
            ]
            body = b"\n".join(self._upload(world))
            streams.append(
                await self._stream(
                    f"beside an upload of {plan.orders:,} orders",
                    orders,
                    poster,
                    plan.seconds,
                    lambda: self._uploaded(body),
                )
            )
            return Figures(streams, self._faults + poster.told)
        finally:
            self._client.close()

    async def _seeded(self) -> World:
        plan = self._plan
        bare = merchant(plan.nodes, plan.skus)
        world = stocked(bare, expected_demand(bare, plan.stock_for), "ample")
        self._terminal.say(f"loading {plan.nodes} nodes, {len(world.stock):,} stocked cells", style="dim")
        await load_world(self._client, world)
        await settled(self._client)
        return world

    async def _stream(
        self, name: str, orders: Orders, poster: Poster, seconds: float, large: Large | None = None
    ) -> Stream:
        """Single orders, and what is large beside them: it begins first, and is waited for."""
        self._terminal.say(f"single orders {name}: {self._plan.rate:,.0f}/s for {seconds:,.0f} s", style="dim")
        due = arrivals(self._plan.rate, seconds, self._plan.seed)
        numbers = orders.more(len(due))
        beside = asyncio.create_task(large()) if large is not None else None
        times = await open_loop(due, lambda n: poster.send(numbers[n]), time.monotonic)
        many, took = await beside if beside is not None else (0, 0.0)
        await settled(self._client)
        p50, p99, worst = (np.percentile(times.latency, (50, 99, 100)) * 1000).tolist()
        return Stream(name, len(due), p50, p99, worst, many, took, resident_peak(self._pid) / 2**20)

    async def _orders(self, world: World) -> tuple[int, float]:
        """One large order after another, as long as the stream lasts."""
        rng, until, many, took = Random(self._plan.seed), time.monotonic() + self._plan.seconds, 0, 0.0
        base = OrderGenerator(world, self._plan.seed, f"{self._run}x").order(datetime.now(UTC))
        while time.monotonic() < until:
            skus = rng.sample(world.skus, min(self._plan.lines, len(world.skus)))
            lines = tuple(OrderLine(line_id=str(k), sku=each.sku, quantity=1) for k, each in enumerate(skus))
            body = msgspec.json.encode(msgspec.structs.replace(base, order_id=f"{self._run}x{many}", lines=lines))
            begun = time.monotonic()
            answer = await self._client.post("/v1/orders", body)
            took = time.monotonic() - begun
            if answer.status not in (200, 201):
                self._faults.append(f"a large order: {answer.problem}")
            many += 1
            await asyncio.sleep(max(0.0, self._plan.apart_s - took))
        return many, took

    def _upload(self, world: World) -> list[bytes]:
        orders = Orders(world, self._plan.seed + 1, f"{self._run}u", LINES_MAX)
        orders.more(self._plan.orders)
        return orders.bodies

    async def _uploaded(self, body: bytes) -> tuple[int, float]:
        """One upload, whole."""
        begun = time.monotonic()
        answer = await self._client.request("POST", "/v1/orders/bulk", body, "application/x-ndjson", UPLOAD_S_MAX)
        took = time.monotonic() - begun
        decided = answer.body.count(b'"window"')
        if answer.status != 200 or decided != self._plan.orders:
            self._faults.append(f"the upload: {answer.status}, {decided:,} of {self._plan.orders:,} decided")
        return decided, took
