"""A world into a store by the product's own paths, and what it weighs there."""

from __future__ import annotations

import os
import time

from msgspec import Struct

from api.cli.terminal import Terminal
from bench import processor
from bench.scale.weight import Scales
from bench.scale.world import World, name_of
from engine.assembly import Engine

PARTITION = "default"
ARCHIVE = "bench.scale"


class Loaded(Struct, frozen=True):
    """Bytes of a stocked cell without the log; what of it is the row with its name, and its share in the list of
    stocked SKUs; what the log adds until it is trimmed. Megabytes: the store with all of the world, and the most that
    this process held until then, the whole catalogue at hand as a service has it (`books_s`: how long it took to read).
    """

    catalogue_s: float
    stock_s: float
    cells_per_s: float
    cell_bytes: float
    row_bytes: float
    list_bytes: float
    log_bytes: float
    books_s: float
    store_mb: float
    process_mb: float

    @property
    def key_bytes(self) -> float:
        """Bytes of a cell's share in the index of keys, and whatever else there is."""
        return self.cell_bytes - self.row_bytes - self.list_bytes


async def load(engine: Engine, scales: Scales, world: World, terminal: Terminal) -> Loaded:
    """Network, catalogue and stock into an empty store."""
    size = world.size
    await engine.registry.put_network(PARTITION, world.network)
    begun = time.monotonic()
    with terminal.progress(f"{size.label}: catalogue", size.skus) as line:
        for entries in world.catalogue():
            await engine.registry.put_skus(PARTITION, entries)
            line.advance(len(entries))
    catalogue_s = time.monotonic() - begun
    await trim(engine)
    bare = await scales.used()
    stock_s = await _stock(engine, world, terminal)
    await scales.settled()
    logged = await scales.used()
    await trim(engine)
    kept = await scales.used()
    row = await scales.row([name_of(k) for k in range(size.skus)])
    begun = time.monotonic()
    await engine.registry.books(PARTITION)
    return Loaded(
        catalogue_s=catalogue_s,
        stock_s=stock_s,
        cells_per_s=size.cells / stock_s,
        cell_bytes=(kept - bare) / size.cells,
        row_bytes=row * size.skus / size.cells,
        list_bytes=await scales.names() / size.cells,
        log_bytes=(logged - kept) / size.cells,
        books_s=time.monotonic() - begun,
        store_mb=kept / 2**20,
        process_mb=processor.resident_peak(os.getpid()) / 2**20,
    )


async def _stock(engine: Engine, world: World, terminal: Terminal) -> float:
    """Write all cells; the seconds that the writing took."""
    spent = 0.0
    with terminal.progress(f"{world.size.label}: stocked cells", world.size.cells) as line:
        for rows in world.stock():
            begun = time.monotonic()
            tally = await engine.stock.write(PARTITION, list(enumerate(rows, start=1)))
            spent += time.monotonic() - begun
            assert tally.applied == len(rows), tally.faults[:1]
            line.advance(len(rows))
    return spent


async def trim(engine: Engine) -> None:
    """Let the whole log go, as the projector does with what the archive has."""
    ledger = engine.ledger
    newest = (await ledger.retention(PARTITION)).newest
    while await ledger.archived(PARTITION, ARCHIVE, newest, newest):
        pass
