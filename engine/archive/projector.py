"""From the log to the archive: one task of one process reads, writes, and lets go of what is written.

A page and the id of its last entry are one SQL transaction, so killed anywhere it goes on where it was, and two of them
at once would be slow but not wrong: the second finds that the first moved on. The store learns of the archived id after
the transaction, and trims only behind it. While the database is away the log grows and nothing is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
from sqlalchemy import Connection

from engine.archive import reading, writing
from engine.archive.database import Archive, ArchiveUnavailableError
from engine.archive.projection import project
from engine.archive.sweep import Sweep
from engine.background import Background
from engine.clock import Clock
from engine.ledger.journal import Logged
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError
from engine.ledger.retention import START, ForeignArchiveError, LogTrimmedError, Retention, place
from engine.settings import Settings

log = structlog.get_logger("apportion.archive")

LEASE_MS = 5_000
POLL_S = 0.2
"""How long a projector that has come to the end of the log waits before it looks again, so that a page is worth its
transaction; about what a list lags behind."""
READ_ENTRIES = 16
PAGE_ENTRIES = 1_024
PAGE_BYTES = 8_000_000
"""A page ends at the first of these: what one transaction brings, and what the projector holds in memory. The larger it
is the fewer rows are written again and again: those of stock, and what the database syncs."""
BACK_OFF_S, BACK_OFF_MAX_S = 0.1, 5.0
COMPLAIN_S = 60.0


@dataclass(slots=True)
class Follower:
    """How far one partition is. `behind_since_ms`: instant of the oldest entry seen that is not in, 0 for none.

    `sure`: false after an error, until the archive has said again how far it is.
    """

    at: str
    entries: int = 0
    sure: bool = False
    lag: int = 0
    behind_since_ms: int = 0


class Told(msgspec.Struct):
    """For who watches: how far the archive lags now, and what came since it was last told: entries archived, rounds
    that failed, orders that left the store."""

    lag_entries: int = 0
    lag_seconds: float = 0.0
    entries: int = 0
    errors: int = 0
    evicted: int = 0


class Projector:
    """Feeds an archive from a ledger, from `start` to `stop`. `holder`: this process's name for the lease.

    `tell`: called before each page, and at least every `POLL_S` unless a page takes longer or an error is waited out.
    """

    def __init__(
        self,
        ledger: Ledger,
        archive: Archive,
        clock: Clock,
        settings: Settings,
        tell: Callable[[Told], None],
        holder: str,
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._clock = clock
        self._settings = settings
        self._watcher = tell
        self._told = Told()
        self._holder = holder
        self._followers: dict[str, Follower] = {}
        self._sweep = Sweep(ledger, archive, clock, settings)
        self._swept = clock.monotonic()
        self._complained: dict[str, float] = {}
        self._task = Background(self.run, "projector")

    def start(self) -> None:
        """Begin; never fails, for the archive may come later."""
        self._task.start()

    async def stop(self) -> None:
        """End between two pages."""
        await self._task.stop()

    async def run(self) -> None:
        """Round after round, until cancelled; errors are told and waited out."""
        back_off = 0.0
        while True:
            try:
                busy = await self._ledger.lease("projector", self._holder, LEASE_MS) and await self.round()
                back_off = 0.0
            except (ArchiveUnavailableError, LedgerUnavailableError, LedgerRefusedError) as error:
                back_off = min(max(BACK_OFF_S, 2 * back_off), BACK_OFF_MAX_S)
                busy = False
                log.warning("archive_waits", reason=str(error), seconds=back_off)
            except Exception:
                back_off, busy = BACK_OFF_MAX_S, False
                log.exception("archive_failed")
            if back_off:
                self._told.errors += 1
                for follower in self._followers.values():
                    follower.sure = False
            self._tell()
            await asyncio.sleep(0 if busy else back_off or POLL_S)

    def _tell(self) -> None:
        now = self._clock.epoch_ms()
        behind = [each for each in self._followers.values() if each.behind_since_ms]
        told, self._told = self._told, Told()
        told.lag_entries = sum(each.lag for each in behind)
        told.lag_seconds = max((now - each.behind_since_ms for each in behind), default=0) / 1000
        self._watcher(told)

    async def round(self) -> bool:
        """One page of every partition, and from time to time a sweep; whether there is more to do at once."""
        busy = False
        for partition in await self._ledger.partitions():
            try:
                busy |= await self.follow(partition)
            except (ForeignArchiveError, LogTrimmedError) as error:
                self._complain(partition, error)
        if self._clock.monotonic() - self._swept >= self._settings.sweep_seconds:
            self._swept = self._clock.monotonic()
            for partition in list(self._followers):
                self._told.evicted += await self._sweep.partition(partition)
        return busy

    def _complain(self, partition: str, error: Exception) -> None:
        """A partition whose history is elsewhere is left alone; an operator has to see it, but not at every look."""
        self._followers.pop(partition, None)
        now = self._clock.monotonic()
        if now - self._complained.get(partition, -COMPLAIN_S) >= COMPLAIN_S:
            self._complained[partition] = now
            log.error("archive_is_foreign", partition=partition, reason=str(error))
        self._told.errors += 1

    async def follow(self, partition: str) -> bool:
        """At most one page; whether there is more to do at once. Raises ForeignArchiveError, LogTrimmedError."""
        retention = await self._ledger.retention(partition)
        follower = self._followers.setdefault(partition, Follower(retention.archived))
        follower.lag = max(0, retention.entries - follower.entries)
        if place(retention.newest) > place(follower.at) and not follower.behind_since_ms:
            follower.behind_since_ms = self._clock.epoch_ms()
        archive_id = await self._archive.archive_id()
        if not follower.sure or retention.archive != archive_id:
            await self._begin(partition, follower, archive_id, retention)
        if place(retention.newest) <= place(follower.at):
            follower.lag = follower.behind_since_ms = 0
            return False
        page, full = await self._page(partition, follower.at)
        if not page:
            return False
        follower.behind_since_ms = place(page[0].entry_id)[0]
        self._tell()
        try:
            trim_to = await self._archive.write(_write, partition, follower.at, page, self._settings.log_tail_entries)
        except writing.MovedOnError:
            follower.sure = False
            return True
        follower.at, follower.entries = page[-1].entry_id, follower.entries + len(page)
        self._told.entries += len(page)
        if not full:
            follower.lag = follower.behind_since_ms = 0
        await self._let_go(partition, archive_id, follower.at, trim_to)
        return full

    async def _begin(self, partition: str, follower: Follower, archive_id: str, retention: Retention) -> None:
        """Take up a partition: claim its log for this archive before anything of it is written."""
        at, entries = await self._archive.write(writing.begin, partition)
        # Another may project the same log meanwhile: whoever wrote to the archive had claimed the log before.
        since = await self._ledger.retention(partition)
        if retention.archive == archive_id:
            if place(at) < place(retention.archived):
                raise ForeignArchiveError(
                    "the archive lacks entries that it once had: it was restored from an old copy"
                )
        elif at == START:
            await self._ledger.archived(partition, archive_id, START, START)
        elif since.archive != archive_id:
            raise ForeignArchiveError("the archive has a history of this partition that is not this store's")
        if place(since.newest) < place(at):
            raise ForeignArchiveError("the archive is ahead of the store: the store was restored from an old copy")
        follower.at, follower.entries, follower.sure = at, entries, True

    async def _page(self, partition: str, after: str) -> tuple[list[Logged], bool]:
        """The next entries, and whether they are as many as a page holds: else the log ended with them."""
        page: list[Logged] = []
        held = 0
        while len(page) < PAGE_ENTRIES and held < PAGE_BYTES:
            some = await self._ledger.journal(partition, after, READ_ENTRIES)
            page += some
            if len(some) < READ_ENTRIES:
                return page, False
            after = some[-1].entry_id
            held += sum(sum(map(len, logged.raw)) + len(logged.record) for logged in some)
        return page, True

    async def _let_go(self, partition: str, archive_id: str, at: str, trim_to: str) -> None:
        """Tell the store what is archived, and trim behind it, a bounded piece at a time."""
        more = True
        while more:
            more = await self._ledger.archived(partition, archive_id, at, trim_to) > 0


def _write(connection: Connection, partition: str, after: str, page: list[Logged], tail_entries: int) -> str:
    """One page in one transaction; returns the entry before which the log may go."""
    writing.append(connection, partition, after, project(partition, page))
    return reading.tail_start(connection, partition, tail_entries)
