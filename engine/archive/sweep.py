"""Old orders and movement ids leave the store, once they are archived; old records of windows leave the archive."""

from __future__ import annotations

import asyncio

from engine.archive import reading, writing
from engine.archive.database import Archive
from engine.clock import Clock
from engine.ledger.port import Ledger
from engine.ledger.retention import Leaving
from engine.settings import Settings

PIECE = 200
"""Ids that one script call lets go: a few ms."""
LOT = 10 * PIECE
"""Ids that are looked up and noted as gone in one transaction each: its sync costs more than the script calls."""
LOTS_MAX = 10
"""Of one sweep of one partition: more orders than one page of the projector brings, so that it keeps pace."""
DAY_MS = 86_400_000


class Sweep:
    """Lets go of what ended `order_retention_days` ago, and of ended orders beyond `ended_orders_max`."""

    def __init__(self, ledger: Ledger, archive: Archive, clock: Clock, settings: Settings) -> None:
        self._ledger = ledger
        self._archive = archive
        self._clock = clock
        self._settings = settings

    async def partition(self, partition: str) -> int:
        """One sweep of a partition that this archive follows; returns orders gone."""
        archive_id = await self._archive.archive_id()
        if (await self._ledger.retention(partition)).archive != archive_id:
            return 0
        await self._records(partition)
        before_ms = self._clock.epoch_ms() - round(self._settings.order_retention_days * DAY_MS)
        orders = 0
        for _ in range(LOTS_MAX):
            gone = await self._orders(partition, archive_id, before_ms)
            orders += gone
            if gone < LOT:
                break
            await asyncio.sleep(0)
        for _ in range(LOTS_MAX):
            if await self._movements(partition, archive_id, before_ms) < LOT:
                break
            await asyncio.sleep(0)
        return orders

    async def _records(self, partition: str) -> None:
        """Records of old windows go from the archive itself, a piece of each sweep."""
        before_ms = self._clock.epoch_ms() - round(self._settings.record_days * DAY_MS)
        await self._archive.write(writing.forget_records, partition, before_ms, PIECE)

    async def _orders(self, partition: str, archive_id: str, before_ms: int) -> int:
        ended_max = self._settings.ended_orders_max
        leaving = await self._archive.read(reading.ended, partition, before_ms, ended_max, LOT)
        gone: list[Leaving] = []
        for start in range(0, len(leaving), PIECE):
            piece = leaving[start : start + PIECE]
            answers = await self._ledger.evict(partition, archive_id, piece, ())
            gone += [order for order, left in zip(piece, answers, strict=True) if left]
        if gone:
            await self._archive.write(writing.forget, partition, gone)
        return len(gone)

    async def _movements(self, partition: str, archive_id: str, before_ms: int) -> int:
        leaving = await self._archive.read(reading.old_movements, partition, before_ms, LOT)
        for start in range(0, len(leaving), PIECE):
            piece = leaving[start : start + PIECE]
            await self._ledger.evict(partition, archive_id, (), [each.movement_id for each in piece])
        if leaving:
            await self._archive.write(writing.forget_movements, partition, leaving[-1][1:])
        return len(leaving)
