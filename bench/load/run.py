"""One load: seed the world, warm up, find saturation, then run a share of it as an open loop and judge everything."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from api.cli.client import Client
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, Terminal
from api.demo.seeding import load_world
from bench.load.arrivals import arrivals, peak_day, steady
from bench.load.figures import Figures, latency, quality
from bench.load.loops import Times, closed_loop, open_loop
from bench.load.posting import Orders, Poster
from bench.load.saturation import CONNECTIONS, Saturation, wrk
from bench.load.service import audited, lag_between, lags, settled
from bench.merchant import expected_demand, merchant, stocked
from bench.processor import by_role
from engine.sample.world import World

OPEN_CONNECTIONS = 512
"""Requests of the open loop under way at once; more wait for a connection, which their latency includes."""

TIMEOUT_S = 12.0
"""For one answer: the service gives up on an order after 10 s."""

PER_S_MAX = 4_000
"""Orders made ahead for a closed loop, a second; one that uses them up ends early."""

LINES_MAX = 40
"""The longest order of the sample."""

REPEATS = 200
"""Decided orders that are sent again at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `stock_for`: orders that the stock would serve, times the scarcity. `rate`: asked for instead of
    `share` of saturation, which is not looked for then. `day`: the rate is the peak of a day that is pressed together.
    """

    partition: str = "bench-load"
    nodes: int = 50
    skus: int = 2_000
    scarcity: str = "normal"
    lines_max: int = LINES_MAX
    stock_for: int = 40_000
    seed: int = 1
    warm_up_s: float = 3.0
    saturation_s: float = 8.0
    seconds: float = 20.0
    connections: int = CONNECTIONS
    share: float = 0.5
    rate: float | None = None
    day: bool = False


class Load:
    """One plan on one service."""

    def __init__(
        self, terminal: Terminal, plan: Plan, url: str, data_dir: Path | None = None, pid: int | None = None
    ) -> None:
        """`data_dir`: where the service's store is, to be audited; `pid`: of the service, to count what it used."""
        self._terminal = terminal
        self._plan = plan
        self._url = url
        self._data_dir = data_dir
        self._pid = pid
        self._client = Client(url, OPEN_CONNECTIONS, {"Apportion-Partition": plan.partition}, TIMEOUT_S)
        self._run = f"L{time.time_ns() // 1_000_000:x}"

    async def run(self) -> Figures:
        """Measure. Raises CommandError, as `Client` does."""
        try:
            return await self._measure()
        finally:
            self._client.close()

    async def _measure(self) -> Figures:
        plan = self._plan
        busy_before = os.getloadavg()[0]
        orders = Orders(await self._seed_world(), plan.seed, self._run, plan.lines_max)
        poster = Poster(self._client, orders)
        await self._closed(poster, orders, plan.warm_up_s)
        found = by_wrk = None
        if plan.rate is None:
            found, by_wrk = await self._saturation(poster, orders)
        rate = plan.rate or plan.share * max(one.per_s for one in (found, by_wrk) if one)
        before, used = await lags(self._client), self._cpu()
        due = arrivals(rate, plan.seconds, plan.seed, peak_day if plan.day else steady)
        numbers = orders.more(len(due))
        self._say(f"open loop: {rate:,.0f}/s for {plan.seconds:.0f} s, {len(due):,} orders")
        with quiet():
            times = await open_loop(due, lambda n: poster.send(numbers[n]), time.monotonic)
        spent = self._cpu() - used
        lag, samples = lag_between(before, await lags(self._client), 0.999)
        repeats = await self._repeat(poster)
        decisions = [poster.decisions[number] for number in numbers if number in poster.decisions]
        outside = by_wrk.faults + by_wrk.broken if by_wrk else 0
        return Figures(
            world={name: getattr(plan, name) for name in ("nodes", "skus", "scarcity", "lines_max", "seed")},
            machine={"cores": os.cpu_count() or 1, "busy_before": busy_before, "busy_after": os.getloadavg()[0]},
            saturation=found,
            wrk=by_wrk,
            asked_per_s=round(len(due) / plan.seconds, 1),
            decided_per_s=round(len(decisions) / max(times.lasted, plan.seconds), 1),
            orders=len(due),
            seconds=plan.seconds,
            latency_ms=latency(times, decisions),
            quality=quality(decisions),
            cpu_ms_per_order={role: round(1000 * spent[role] / max(1, len(decisions)), 3) for role in sorted(spent)},
            loop_lag_p999_s=lag,
            loop_lag_samples=samples,
            later=poster.later,
            repeats=repeats,
            faults=poster.faults + outside,
            first_faults=poster.told + ([f"wrk: {by_wrk.first_fault}"] if by_wrk and outside else []),
            clean=await audited(self._data_dir) if self._data_dir is not None else None,
        )

    def _cpu(self) -> Counter[str]:
        """Seconds that the service has used, by role; nothing if nobody can tell."""
        return by_role(self._pid) if self._pid is not None else Counter()

    def _say(self, text: str) -> None:
        self._terminal.say(text, style="dim")

    async def _seed_world(self) -> World:
        plan = self._plan
        bare = merchant(plan.nodes, plan.skus)
        world = stocked(bare, expected_demand(bare, plan.stock_for), plan.scarcity)
        self._say(f"loading {plan.nodes} nodes, {plan.skus:,} SKUs, {len(world.stock):,} stocked cells")
        try:
            await load_world(self._client, world)
            await settled(self._client)
        except CommandError as error:
            if error.code is not ExitCode.USAGE:
                raise
            text = f"partition {plan.partition!r} of that service holds another network; name another --partition"
            raise CommandError(text) from error
        return world

    async def _closed(self, poster: Poster, orders: Orders, seconds: float) -> Times:
        """So many clients for so long, with orders made before."""
        numbers = orders.more(int(seconds * PER_S_MAX))
        with quiet():
            return await closed_loop(iter(numbers), poster.send, self._plan.connections, seconds, time.monotonic)

    async def _saturation(self, poster: Poster, orders: Orders) -> tuple[Saturation, Saturation | None]:
        """By our own closed loop, and by wrk if it is installed."""
        plan = self._plan
        self._say(f"saturation: {plan.connections} connections for {plan.saturation_s:.0f} s")
        decided, later, faults = len(poster.decisions), poster.later, poster.faults
        times = await self._closed(poster, orders, plan.saturation_s)
        p50, p99 = np.percentile(times.latency, (50, 99)) * 1000
        found = Saturation(
            decided=len(poster.decisions) - decided,
            seconds=times.lasted,
            p50_ms=float(p50),
            p99_ms=float(p99),
            later=poster.later - later,
            faults=poster.faults - faults,
        )
        bodies = orders.bodies[-20_000:]
        by_wrk = await asyncio.to_thread(
            wrk, self._url, plan.partition, f"{self._run}w", bodies, plan.saturation_s, plan.connections
        )
        if by_wrk is None:
            self._say("wrk is not on the PATH (Debian: apt install wrk); saturation is by the closed loop alone")
        return found, by_wrk

    async def _repeat(self, poster: Poster) -> int:
        """Send some decided orders again: any answer but the first decision is a fault. How many were."""
        known = sorted(poster.decisions)
        again = Random(self._plan.seed).sample(known, min(REPEATS, len(known)))
        await closed_loop(iter(again), poster.send, 8, 60.0, time.monotonic)
        return len(again)


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection while a loop runs: the pauses would be ours, and would be measured as the service's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
