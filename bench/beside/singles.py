"""A steady stream of single orders to one service, and the merchant that they are of."""

from __future__ import annotations

import time
from dataclasses import dataclass

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
from engine.sample.world import World

PARTITION = "bench-beside"
WARM_UP_S = 3.0
LINES_MAX = 3
TIMES_MAX = 2.0
"""What the stream's 99th percentile may come to beside something else, to what it is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `rate`: single orders a second, for `seconds` each time. `lines`: of the large order, one every
    `apart_s`; `orders`: of the upload; `pairs`: of phases without and with a simulation."""

    nodes: int = 50
    skus: int = 2_000
    rate: float = 100.0
    seconds: float = 15.0
    lines: int = 1_114
    apart_s: float = 1.0
    orders: int = 100_000
    pairs: int = 5
    stock_for: int = 150_000
    seed: int = 1


class Times(Struct, frozen=True):
    """The single orders of one phase, in ms from the intended instant."""

    orders: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Singles:
    """The stream to one service. `run` begins every order id."""

    def __init__(self, terminal: Terminal, plan: Plan, url: str) -> None:
        self.plan = plan
        self.run = f"B{time.time_ns() // 1_000_000:x}"
        self.client = Client(url, 512, {"Apportion-Partition": PARTITION}, 30.0)
        self.faults: list[str] = []
        """What went against the contract beside the stream."""
        self._terminal = terminal
        self._world: World | None = None
        self._orders: Orders
        self._poster: Poster

    @property
    def world(self) -> World:
        """The merchant, once the service has it."""
        assert self._world is not None, "`begin` comes first"
        return self._world

    @property
    def all_faults(self) -> list[str]:
        """What went against the contract, beside the stream and in it."""
        return self.faults + self._poster.told

    async def begin(self) -> None:
        """Load the merchant and warm up. Raises CommandError, as `Client` does."""
        plan = self.plan
        bare = merchant(plan.nodes, plan.skus)
        self._world = stocked(bare, expected_demand(bare, plan.stock_for), "ample")
        self._terminal.say(f"loading {plan.nodes} nodes, {len(self._world.stock):,} stocked cells", style="dim")
        await load_world(self.client, self._world)
        await settled(self.client)
        self._orders = Orders(self._world, plan.seed, self.run, LINES_MAX)
        self._poster = Poster(self.client, self._orders)
        await self.phase("to warm up", WARM_UP_S)

    async def phase(self, name: str, seconds: float) -> Times:
        """Orders for so long, all of them answered."""
        self._terminal.say(f"single orders {name}: {self.plan.rate:,.0f}/s for {seconds:,.0f} s", style="dim")
        due = arrivals(self.plan.rate, seconds, self.plan.seed)
        numbers = self._orders.more(len(due))
        times = await open_loop(due, lambda n: self._poster.send(numbers[n]), time.monotonic)
        p50, p99, worst = (np.percentile(times.latency, (50, 99, 100)) * 1000).tolist()
        return Times(len(due), p50, p99, worst)
