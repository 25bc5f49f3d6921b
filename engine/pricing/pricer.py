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

from engine.archive import reading
from engine.archive.database import Archive, ArchiveUnavailableError
from engine.errors import NoNetworkError
from engine.forecast import forecast_of
from engine.ledger.layout import DAY_MS
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError
from engine.ledger.retention import START, LogTrimmedError, place
from engine.pricing.following import followed, renewed_by
from engine.pricing.observed import Observed
from engine.pricing.outlook import Ahead, Horizon, days_ahead, futures_of, skus_of
from engine.pricing.sheet import PriceSheet, packed
from engine.pricing.standing import standing_orders
from engine.registry import Registry
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

DUTY = "pricer"
LEASE_S = 60.0
"""Another process takes the duty up so long after the last round at the soonest; a programme may take a while."""
READ_ENTRIES = 64
LEARN_ENTRIES = 5_000
"""Entries of the archive that demand is learned from after a start, where the log does not reach back so far."""
PAUSE_S = 300.0
"""A partition whose log cannot be followed is left alone for so long: to learn anew is to read all of it again."""
SPARE = 4.0
"""After a programme the pricer leaves it be for at least so many times as long as it took."""


class Told(msgspec.Struct):
    """One round of one partition, for who watches: the sheet it made (`source` "": none), how long it took, and what
    failed."""

    partition: str
    at_ms: int
    source: str
    cells: int
    seconds: float
    error: str = ""


@dataclass(slots=True)
class _Kept:
    """What the pricer keeps of one partition. `again_at`: seconds, not before which a programme is solved again.

    `forecast`: version of the one taken in, None before the first look. `priced`: the log's last entry in the sheet; at
    `renew_at`, in seconds, another is made though nothing happened, before it is too old to steer. `following`: the log
    is being read, or could not be. `paused_until`: seconds, before which the partition is left alone."""

    observed: Observed = field(default_factory=Observed)
    forecast: int | None = None
    priced: str = ""
    renew_at: float = 0.0
    sheet: PriceSheet | None = None
    again_at: float = 0.0
    following: bool = False
    paused_until: float = 0.0


class Pricer:
    """Makes prices. `now` in seconds, for measuring and for pacing; it decides no price.

    Programmes begin at least `apart_s` apart; prices are followed in between, as while a programme rests.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        settings: Settings,
        now: Callable[[], float],
        holder: str,
        archive: Archive | None = None,
        apart_s: float = 0.0,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._settings = settings
        self._now = now
        self._holder = holder
        self._archive = archive
        self._apart_s = apart_s
        self._kept: dict[str, _Kept] = {}

    async def round(self) -> list[Told]:
        """One look at every partition, if this process has the duty; what was published."""
        ttl_ms = round(max(LEASE_S, 3 * self._settings.price_seconds) * 1000)
        found: list[Told] = []
        for partition in await self._ledger.partitions():
            if not await self._ledger.lease(DUTY, self._holder, ttl_ms):  # a round may take longer than a lease
                self._kept.clear()
                break
            # Seconds to load: in idle time, once there is a partition, not when many orders have come.
            from solvers import shadow as _shadow  # noqa: F401

            told = await self._tried(partition)
            found += [told] if told is not None else []
        return found

    async def _tried(self, partition: str) -> Told | None:
        """`price`; what fails in one partition keeps no other from its prices.

        What the log told is kept, unless it was while following it that something failed.
        """
        kept = self._kept.setdefault(partition, _Kept())
        if self._now() < kept.paused_until:
            return None
        try:
            return await self.price(partition)
        except (LedgerUnavailableError, LedgerRefusedError):
            raise
        except Exception as failure:
            log.exception("partition_unpriced", partition=partition)
            if kept.following:
                self._kept[partition] = _Kept(paused_until=self._now() + PAUSE_S)
            return Told(partition, 0, "", 0, 0.0, repr(failure))

    async def price(self, partition: str) -> Told | None:
        """Follow one partition's log and publish its prices; None where there is nothing to say yet."""
        kept = self._kept.setdefault(partition, _Kept())
        kept.following = True
        await self._follow(partition, kept.observed)
        await self._foresee(partition, kept)
        kept.following = False
        observed = kept.observed
        known = observed.demand.foreseen or observed.orders >= self._settings.price_orders_min
        started = self._now()
        if not known or (observed.at == kept.priced and started < kept.renew_at):
            return None
        error = ""
        horizon = observed.pace() * self._ahead_ms(observed)
        try:
            if started >= kept.again_at:
                sheet = await self._solved(partition, observed, horizon)
                if kept.sheet is not None:
                    moved = await self._followed(partition, kept, horizon)
                    sheet = renewed_by(moved, sheet, observed.received)
                kept.again_at = self._again_at(started)
            else:
                sheet = await self._followed(partition, kept, horizon)
        except (LedgerUnavailableError, LedgerRefusedError):
            raise
        except NoNetworkError:
            return None  # a forecast may come first
        except Exception as failure:
            log.exception("prices_failed", partition=partition)
            error = repr(failure)
            kept.again_at = self._again_at(started)
            sheet = await self._followed(partition, kept, horizon)
        version = await self._ledger.put_prices(partition, packed(sheet))
        observed.counted()
        kept.priced, kept.renew_at = observed.at, started + self._settings.price_max_age_seconds / 2
        kept.sheet = msgspec.structs.replace(sheet, version=version)
        return Told(partition, sheet.at_ms, sheet.source, sheet.cells(), self._now() - started, error)

    def _ahead_ms(self, observed: Observed) -> int:
        """How far ahead prices look: to the horizon, but no farther than it was looked back, for a burst of a minute
        says nothing of a week."""
        return round(min(self._settings.price_horizon_days * DAY_MS, observed.foresight_ms()))

    def _again_at(self, started: float) -> float:
        """When a programme may follow one that began at `started` and has just ended."""
        ended = self._now()
        return max(ended + SPARE * (ended - started), started + self._apart_s)

    async def _follow(self, partition: str, observed: Observed) -> None:
        """To the log's present end."""
        while True:
            try:
                some = await self._ledger.journal(partition, observed.at, READ_ENTRIES)
            except LogTrimmedError:
                await self._recall(partition, observed)
                continue
            for logged in some:
                observed.take(logged)
            if len(some) < READ_ENTRIES:
                return
            await asyncio.sleep(0)

    async def _foresee(self, partition: str, kept: _Kept) -> None:
        """Take the forecast in, if the log told of another one or nobody looked yet."""
        if kept.forecast is None or kept.forecast < kept.observed.forecast:
            kept.forecast, rows = await forecast_of(self._ledger, partition)
            kept.observed.expect(rows)

    async def _recall(self, partition: str, observed: Observed) -> None:
        """Take in what has left the log, from the archive: the latest of it. What cannot be had is passed over."""
        trimmed = (await self._ledger.retention(partition)).trimmed
        try:
            if self._archive is not None and observed.at == START:
                observed.at = await self._archive.read(reading.tail_start, partition, LEARN_ENTRIES)
                observed.first_ms = await self._archive.read(reading.first_decided, partition)
            while self._archive is not None and place(observed.at) < place(trimmed):
                some = await self._archive.read(reading.journal, partition, observed.at, READ_ENTRIES)
                for logged in some:
                    observed.take(logged)
                if not some:
                    break
        except ArchiveUnavailableError as error:
            log.warning("archive_unread", partition=partition, reason=str(error))
        if place(observed.at) < place(trimmed):
            observed.at = trimmed

    async def _solved(self, partition: str, observed: Observed, orders: float) -> PriceSheet:
        """Prices of sampled futures on live stock."""
        books = await self._registry.books(partition, await self._ledger.versions(partition))
        now_ms = (await self._ledger.snapshot(partition, (), (), ())).at_ms
        horizon = Horizon(orders, now_ms, now_ms + self._ahead_ms(observed))
        futures = futures_of(observed, horizon, books)
        standing = await standing_orders(self._ledger, partition, books, now_ms)
        with_all = futures.plus(standing)
        skus, days = skus_of(with_all, books), days_ahead(with_all, books, now_ms)
        asked = [order.order_id for order in standing]
        snapshot = await self._ledger.snapshot(partition, skus, days, (), expected=skus, moving=asked)
        still = futures.plus([order for order in standing if order.order_id in snapshot.moving])
        ahead = Ahead(still, books, skus, snapshot, horizon, observed.demand.seen)
        return await asyncio.to_thread(ahead.sheet)

    async def _followed(self, partition: str, kept: _Kept, horizon: float) -> PriceSheet:
        """The last prices, moved by what was taken since."""
        books = await self._registry.books(partition, await self._ledger.versions(partition))
        sheet = kept.sheet or PriceSheet(0, "adaptive", horizon=horizon, seen=kept.observed.demand.seen)
        skus = tuple(sorted(sheet.stock.keys() | {sku for sku, _ in kept.observed.taken}))
        snapshot = await self._ledger.snapshot(partition, skus, (), ())
        return followed(sheet, kept.observed, books, skus, snapshot, horizon)
