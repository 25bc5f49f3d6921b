"""One system measured: a short look at every number of connections, then all orders at the best of them."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.peers.cpu import Cpu
from bench.peers.judge import Judge, Quality
from bench.peers.system import System
from bench.peers.world import World

RUN_S = 60.0
"""How long the run with all orders may take; what is not begun then is left out."""


class Point(NamedTuple):
    """A short look: orders decided per second at a number of connections."""

    width: int
    orders_per_s: float


class Measured(NamedTuple):
    """A system at its best. `cpu` in microseconds per order; `bytes` of a decision in the mean."""

    key: str
    name: str
    width: int
    orders: int
    seconds: float
    cpu: Cpu
    quality: Quality
    bytes: float
    sweep: tuple[Point, ...]
    faults: tuple[str, ...]
    stores: bool
    """Whether anything was decided and stored at all."""

    @property
    def orders_per_s(self) -> float:
        """Over the whole run."""
        return self.orders / self.seconds

    @property
    def waiting(self) -> float:
        """Microseconds per order in which no part computed, at least: waiting for the disk, the tick, the processor."""
        return max(0.0, 1e6 * self.seconds / max(1, self.orders) - sum(self.cpu))

    @property
    def dominant(self) -> str:
        """What takes the most time per order."""
        parts = {
            "store CPU": self.cpu.store,
            "service CPU": self.cpu.service,
            "worker CPU": self.cpu.worker,
            "load generator CPU": self.cpu.generator,
            "waiting": self.waiting,
        }
        return max(parts, key=lambda part: parts[part])


class Skipped(NamedTuple):
    """A system that cannot run here, and why."""

    key: str
    name: str
    reason: str


async def measure(
    system: System,
    world: World,
    judge: Judge,
    seconds: float,
    widths: tuple[int, ...] | None,
    told: Callable[[str], None],
) -> Measured:
    """Measure a system; `seconds` for each look. `told` hears of every step. Raises PeerError."""
    tried = tuple(sorted({min(width, system.widths[-1]) for width in widths or system.widths}))
    points: list[Point] = []
    faults: list[str] = []
    for width in tried if len(tried) > 1 else ():
        look = await _once(system, world, judge, width, seconds)
        faults += look.faults
        points.append(Point(width, look.orders_per_s))
        told(f"{system.name}, {width}: {look.orders_per_s:,.0f}/s")
    best = max(points, key=lambda point: point.orders_per_s).width if points else tried[0]
    whole = await _once(system, world, judge, best, RUN_S)
    told(f"{system.name}: {whole.orders_per_s:,.0f}/s")
    return whole._replace(sweep=tuple(points), faults=(*faults, *whole.faults))


async def _once(system: System, world: World, judge: Judge, width: int, seconds: float) -> Measured:
    """A fresh system, the world's orders for so long, and the judge's word on what came of it."""
    with TemporaryDirectory(prefix="apportion-peers-") as directory:
        async with system.standing(world, Path(directory), width) as standing:
            gc.collect()
            os.sync()  # what others have written is not this one's to wait for
            before, started = standing.cpu(), time.perf_counter()
            answers = await standing.run(started + seconds)
            took = time.perf_counter() - started
            used, count = standing.cpu().since(before), max(1, len(answers))
            outcome = await standing.outcome(answers)
            quality, faults = judge.judge(answers, outcome)
    per_order = Cpu(*(1e6 * part / count for part in used))
    size = sum(len(answer.decision) for answer in answers) / count
    if not answers:
        faults.append("no order was answered")
    return Measured(
        key=system.key,
        name=system.name,
        width=width,
        orders=len(answers),
        seconds=took,
        cpu=per_order,
        quality=quality,
        bytes=size,
        sweep=(),
        faults=tuple(faults),
        stores=outcome is not None,
    )
