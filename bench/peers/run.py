"""Systems measured: a short look at every number of connections, then all orders at the best of them, in rounds.

Each system decides all orders once a round, so what else the machine does meets all of them alike. Of the rounds that
others disturbed least the one of the median speed is told.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import processor
from bench.peers.judge import Judge, Quality
from bench.peers.system import Cpu, System
from bench.peers.world import World

QUIET, GLANCE_S = 0.3, 0.5
"""Processors that may be busy in a quiet moment, and how long it takes to tell."""
LOOKS_MAX = 3
"""A look that others disturb is taken again, so often at most; the calmest counts."""
RUN_S = 60.0
"""How long the run with all orders may take; what is not begun then is left out."""
CALM = 0.1
"""A round is as calm as the calmest if others kept at most so many more processors busy."""

Told = Callable[[str], None]


class Point(NamedTuple):
    """A short look: orders decided per second at a number of connections."""

    width: int
    orders_per_s: float


class Run(NamedTuple):
    """One run of one system. `cpu` in microseconds per order.

    `others`: processors that were busy with something else meanwhile; `bytes` of a decision in the mean; `stores`:
    whether anything was decided and stored at all.
    """

    width: int
    orders: int
    seconds: float
    cpu: Cpu
    others: float
    quality: Quality
    bytes: float
    stores: bool
    faults: tuple[str, ...]

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
        parts = {f"{part} CPU": used for part, used in self.cpu._asdict().items()} | {"waiting": self.waiting}
        return max(parts, key=lambda part: parts[part])


class Measured(NamedTuple):
    """A system at its best: the looks at it and all its rounds."""

    key: str
    name: str
    sweep: tuple[Point, ...]
    rounds: tuple[Run, ...]
    looked: tuple[str, ...] = ()
    """What was wrong in the looks."""

    @property
    def run(self) -> Run:
        """The round to tell: of an even number of calm ones the slower in the middle."""
        least = min(one.others for one in self.rounds)
        calm = [one for one in self.rounds if one.others <= least + CALM]
        return sorted(calm, key=lambda one: one.orders_per_s)[(len(calm) - 1) // 2]

    @property
    def faults(self) -> tuple[str, ...]:
        """All that was wrong in any run."""
        return (*self.looked, *(fault for one in self.rounds for fault in one.faults))


class Skipped(NamedTuple):
    """A system that cannot run here, and why."""

    key: str
    name: str
    reason: str


async def look(
    system: System, world: World, judge: Judge, seconds: float, widths: Sequence[int] | None, told: Told
) -> tuple[int, tuple[Point, ...], tuple[str, ...]]:
    """The best number of connections, the looks, and what was wrong in them; one number alone is not looked at."""
    tried = sorted({min(width, system.widths[-1]) for width in widths or system.widths})
    if len(tried) == 1:
        return tried[0], (), ()
    points: list[Point] = []
    faults: list[str] = []
    for width in tried:
        looks = [await run(system, world, judge, width, seconds)]
        while looks[-1].others > QUIET and len(looks) < LOOKS_MAX:
            looks.append(await run(system, world, judge, width, seconds))
        one = min(looks, key=lambda look: look.others)
        points.append(Point(width, one.orders_per_s))
        faults += [fault for look in looks for fault in look.faults]
        told(f"({system.key}) {width} connections: {one.orders_per_s:,.0f}/s")
    return max(points, key=lambda point: point.orders_per_s).width, tuple(points), tuple(faults)


async def run(
    system: System, world: World, judge: Judge, width: int, seconds: float = RUN_S, patience_s: float = 0.0
) -> Run:
    """A fresh system, the world's orders for so long, and the judge's word on what came of it.

    `patience_s`: how long a calm moment is waited for. Raises PeerError.
    """
    with TemporaryDirectory(prefix="apportion-peers-") as directory:
        async with system.standing(world, Path(directory), width) as standing:
            gc.collect()
            await _quiet(patience_s)
            os.sync()  # what others have written is not this one's to wait for
            before, busy, started = standing.cpu(), processor.machine(), time.perf_counter()
            answers = await standing.run(started + seconds)
            took = time.perf_counter() - started
            busy, used, count = processor.machine() - busy, standing.cpu().since(before), max(1, len(answers))
            outcome = await standing.outcome(answers)
            quality, faults = judge.judge(answers, outcome)
    return Run(
        width=width,
        orders=len(answers),
        seconds=took,
        cpu=Cpu(*(1e6 * part / count for part in used)),
        others=max(0.0, busy - sum(used)) / took,
        quality=quality,
        bytes=sum(len(answer.decision) for answer in answers) / count,
        stores=outcome is not None,
        faults=(*faults, *(() if answers else ("no order was answered",))),
    )


async def _quiet(patience_s: float) -> None:
    """Return once almost nothing runs on this machine, or when patience ends."""
    give_up = time.perf_counter() + patience_s
    while (started := time.perf_counter()) < give_up:
        busy = processor.machine()
        await asyncio.sleep(GLANCE_S)
        if (processor.machine() - busy) / (time.perf_counter() - started) <= QUIET:
            return
