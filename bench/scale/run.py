"""Worlds of several sizes, each on a store of its own: loaded, weighed, and windows decided in all by turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from api.cli.terminal import Terminal
from bench.scale.deciding import PARTS, WARM_UP, WHOLE, Deciding, Microseconds
from bench.scale.loading import PARTITION, Loaded, load
from bench.scale.weight import Scales
from bench.scale.world import Size, World
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.redis import RedisLedger
from engine.ledger.server.supervisor import EmbeddedServer
from engine.metrics import Metrics
from engine.settings import Settings

BYTES_MAX, FLAT_MAX = 32.0, 1.25
"""What a stocked cell may weigh, and what an order may cost to what it costs in the first world."""


class Measured(Struct, frozen=True):
    """One world. `us`: processor time an order by phase; `options`: ways for an order to go."""

    size: Size
    loaded: Loaded
    options: float
    us: Microseconds
    faults: list[str]

    @property
    def total(self) -> float:
        """Microseconds of processor an order, all phases."""
        return sum(self.us[phase] for phase in WHOLE)


@dataclass(frozen=True, slots=True)
class _Open:
    """A world in its store, ready to be decided in."""

    world: World
    loaded: Loaded
    deciding: Deciding


async def measure(
    sizes: Sequence[Size], directory: Path, windows: int, orders: int, terminal: Terminal
) -> list[Measured]:
    """Load all worlds, and decide so many windows of so many orders in each, by turns: whatever else the machine does
    meanwhile bears on all alike."""
    async with AsyncExitStack() as stack:
        worlds = [await _opened(stack, size, directory / str(at), terminal) for at, size in enumerate(sizes)]
        stack.callback(gc.unfreeze)
        gc.collect()
        gc.freeze()  # as the processes of a service do with what stays
        rounds = zip(*(each.world.windows(WARM_UP + windows, orders) for each in worlds), strict=True)
        with terminal.progress("windows of each world", WARM_UP + windows) as line:
            for at, some in enumerate(rounds):
                for each, window in zip(worlds, some, strict=True):
                    await each.deciding.window(f"scale-{at}", window)
                line.advance()
    return [
        Measured(
            each.world.size,
            each.loaded,
            each.deciding.options / orders / (WARM_UP + windows),
            each.deciding.microseconds(orders),
            each.deciding.faults,
        )
        for each in worlds
    ]


async def _opened(stack: AsyncExitStack, size: Size, directory: Path, terminal: Terminal) -> _Open:
    world = World(size)
    server = await stack.enter_async_context(EmbeddedServer(directory))
    ledger, scales = RedisLedger(server.url), Scales(server.url, PARTITION)
    stack.push_async_callback(ledger.close)
    stack.push_async_callback(scales.close)
    engine = Engine(Settings(), ledger, InlineCrew(time.monotonic), SystemClock(), Metrics())
    loaded = await load(engine, scales, world, terminal)
    return _Open(world, loaded, Deciding(engine, server.status.pid or 0))


def wrong(measured: Sequence[Measured]) -> list[str]:
    """What does not hold. The first world is what the others are held against."""
    found = [f"{one.size.label}: {fault}" for one in measured for fault in one.faults]
    for one in measured:
        if one.loaded.cell_bytes > BYTES_MAX:
            found.append(f"{one.size.label}: a stocked cell weighs {one.loaded.cell_bytes:.1f} bytes")
        if one.total > FLAT_MAX * measured[0].total:
            grown = max((*WHOLE[:2], *PARTS, *WHOLE[3:]), key=lambda phase: one.us[phase] - measured[0].us[phase])
            times = one.total / measured[0].total
            found.append(f"{one.size.label}: an order costs {times:.2f} times that of the first world, most by {grown}")
    return found
