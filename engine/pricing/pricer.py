"""The pricer: follows the log, learns demand, and publishes the price sheet of every partition, every few seconds.

Nothing waits for it: without it, or while it is late, windows go by the last sheet, or by none. One process of those on
a store does it (a lease); it runs in a process of its own (`engine.pricing.process`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from engine.errors import NoNetworkError
from engine.ledger.port import Ledger
from engine.ledger.retention import LogTrimmedError
from engine.pricing.observed import Observed
from engine.pricing.outlook import Ahead, followed, futures_of, skus_of
from engine.pricing.sheet import PriceSheet, packed
from engine.registry import Registry
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

DUTY = "pricer"
READ_ENTRIES = 64
SPARE = 4.0
"""After a programme the pricer leaves it be for at least so many times as long as it took."""
DAY_MS = 86_400_000


class Told(msgspec.Struct):
    """One round of one partition, for who watches: the sheet it made, how long it took, and what failed."""

    partition: str
    at_ms: int
    source: str
    cells: int
    seconds: float
    error: str = ""


@dataclass(slots=True)
class _Kept:
    """What the pricer keeps of one partition. `again_at`: seconds, not before which a programme is solved again."""

    observed: Observed = field(default_factory=Observed)
    sheet: PriceSheet | None = None
    again_at: float = 0.0


class Pricer:
    """Makes prices. `now` in seconds, for measuring and for pacing; it decides no price."""

    def __init__(
        self, ledger: Ledger, registry: Registry, settings: Settings, now: Callable[[], float], holder: str
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._settings = settings
        self._now = now
        self._holder = holder
        self._kept: dict[str, _Kept] = {}

    async def round(self) -> list[Told]:
        """One look at every partition, if this process has the duty; what was published."""
        ttl_ms = round(max(60.0, 3 * self._settings.price_seconds) * 1000)
        if not await self._ledger.lease(DUTY, self._holder, ttl_ms):
            self._kept.clear()
            return []
        found = [await self.price(partition) for partition in await self._ledger.partitions()]
        return [told for told in found if told is not None]

    async def price(self, partition: str) -> Told | None:
        """Follow one partition's log and publish its prices; None where there is nothing to say yet."""
        kept = self._kept.setdefault(partition, _Kept())
        await self._follow(partition, kept.observed)
        observed = kept.observed
        if observed.orders < self._settings.price_orders_min or not observed.since:
            return None
        started = self._now()
        error = ""
        horizon = observed.pace() * self._settings.price_horizon_days * DAY_MS
        try:
            if started >= kept.again_at:
                sheet = await self._solved(partition, observed, horizon)
                kept.again_at = self._now() + SPARE * (self._now() - started)
            else:
                sheet = await self._followed(partition, kept, horizon)
        except NoNetworkError:
            return None
        except Exception as failure:
            log.exception("prices_failed", partition=partition)
            error = repr(failure)
            kept.again_at = self._now() + SPARE * (self._now() - started)
            sheet = await self._followed(partition, kept, horizon)
        version = await self._ledger.put_prices(partition, packed(sheet))
        observed.counted()
        kept.sheet = msgspec.structs.replace(sheet, version=version)
        cells = sum(map(len, sheet.stock.values()))
        return Told(partition, sheet.at_ms, sheet.source, cells, self._now() - started, error)

    async def _follow(self, partition: str, observed: Observed) -> None:
        """To the log's present end; from where it begins now if it was trimmed before it was read."""
        while True:
            try:
                some = await self._ledger.journal(partition, observed.at, READ_ENTRIES)
            except LogTrimmedError:
                observed.at = (await self._ledger.retention(partition)).trimmed
                continue
            for logged in some:
                observed.take(logged)
            if len(some) < READ_ENTRIES:
                return
            await asyncio.sleep(0)

    async def _solved(self, partition: str, observed: Observed, horizon: float) -> PriceSheet:
        """Prices of sampled futures on live stock."""
        books = await self._registry.books(partition, await self._ledger.versions(partition))
        futures = futures_of(observed, horizon, len(books.network.node_ids), books.items, books.strict_skus)
        skus = skus_of(futures, books)
        snapshot = await self._ledger.snapshot(partition, skus, (), (), expected=skus)
        until_ms = snapshot.at_ms + round(self._settings.price_horizon_days * DAY_MS)
        ahead = Ahead(futures, books, skus, snapshot, until_ms, horizon, observed.demand.seen)
        return await asyncio.to_thread(ahead.sheet)

    async def _followed(self, partition: str, kept: _Kept, horizon: float) -> PriceSheet:
        """The last prices, moved by what was taken since."""
        books = await self._registry.books(partition, await self._ledger.versions(partition))
        sheet = kept.sheet or PriceSheet(0, "adaptive", {}, horizon=horizon, seen=kept.observed.demand.seen)
        skus = tuple(sorted(sheet.stock.keys() | {sku for sku, _ in kept.observed.taken}))
        snapshot = await self._ledger.snapshot(partition, skus, (), ())
        return followed(sheet, kept.observed, books, skus, snapshot, horizon)
