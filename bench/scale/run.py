"""One world after another, each on a store of its own: loaded, weighed, and windows decided in it."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
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


async def measure(size: Size, directory: Path, windows: int, orders: int, terminal: Terminal) -> Measured:
    """Load a world and decide so many windows of so many orders in it."""
    world = World(size)
    async with EmbeddedServer(directory) as server:
        ledger, scales = RedisLedger(server.url), Scales(server.url, PARTITION)
        engine = Engine(Settings(), ledger, InlineCrew(time.monotonic), SystemClock(), Metrics())
        try:
            loaded = await load(engine, scales, world, terminal)
            gc.collect()
            gc.freeze()  # as the processes of a service do with what stays
            deciding = Deciding(engine, server.status.pid or 0)
            with terminal.progress(f"{size.label}: windows", WARM_UP + windows) as line:
                for at, some in enumerate(world.windows(WARM_UP + windows, orders)):
                    await deciding.window(f"scale-{at}", some)
                    line.advance()
        finally:
            gc.unfreeze()
            await scales.close()
            await ledger.close()
    options = deciding.options / orders / (WARM_UP + windows)
    return Measured(size, loaded, options, deciding.microseconds(orders), deciding.faults)


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
