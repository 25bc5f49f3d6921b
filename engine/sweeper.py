"""The sweeper: writes down in the log what has lapsed by the store's clock.

Lapsed holds are invisible to everyone without it; it brings the events and the states, and keeps the store's lists
short. Several processes may sweep one partition: each step is one script, and what is done is not done twice.

No partition waits for another's backlog: one question tells which of them have anything to do, those are swept beside
each other, and whoever has waited longest makes the next step.
"""

from __future__ import annotations

import asyncio

import structlog

from engine.background import Background
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError

log = structlog.get_logger("apportion.sweeper")

PAUSE_SECONDS = 0.2
"""Between two looks at all partitions."""

STEPS_AT_ONCE = 2
"""Under way at the store, of all partitions together: it need not wait for this process, and writes both to the disk as
one; more would only hold up its other clients."""


class Sweeper:
    """Sweeps the partitions that this process has served, and those that held something when it started."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._served: set[str] = set()
        self._found: set[str] = set()
        """Those that others served; forgotten when they hold nothing any more."""
        self._busy: set[str] = set()
        self._failed: dict[str, str] = {}
        """Why, by partition, since the last look."""
        self._turn = asyncio.Semaphore(STEPS_AT_ONCE)
        self._task = Background(self._run, "sweeper")
        self._search = Background(self._find, "sweeper-search")

    def serve(self, partition: str) -> None:
        """Holds may be taken in this partition from now on."""
        self._served.add(partition)

    def start(self) -> None:
        """Begin, until `stop`."""
        self._task.start()
        self._search.start()

    async def stop(self) -> None:
        """End; what has lapsed stays invisible."""
        await self._search.stop()
        await self._task.stop()

    async def _find(self) -> None:
        """Find the partitions that held something: a walk over all there is, which those served need not wait for."""
        while True:
            try:
                self._found.update(await self._ledger.partitions_with_holds())
                return
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("search_failed", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as sweeping:
            while True:
                for partition in await self._overdue():
                    sweeping.create_task(self._sweep(partition))
                await asyncio.sleep(PAUSE_SECONDS)

    async def sweep(self) -> None:
        """All that has lapsed by now, in short steps."""
        await asyncio.gather(*(self._sweep(partition) for partition in await self._overdue()))

    async def _overdue(self) -> list[str]:
        """The partitions in which something has lapsed, and that are not being swept."""
        if self._failed:
            log.warning("sweep_failed", partitions=len(self._failed), error=next(iter(self._failed.values())))
            self._failed.clear()
        asked = sorted(self._served | self._found)
        try:
            holding = await self._ledger.overdue(asked)
        except (LedgerUnavailableError, LedgerRefusedError) as error:
            log.warning("look_failed", error=str(error))
            return []
        self._found -= set(asked) - holding.keys()
        overdue = [partition for partition, lapsed in holding.items() if lapsed and partition not in self._busy]
        self._busy.update(overdue)
        return overdue

    async def _sweep(self, partition: str) -> None:
        """One partition to its end. What fails here stops no other."""
        try:
            await asyncio.gather(*(self._steps(partition) for _ in range(STEPS_AT_ONCE)))
        except Exception as error:
            self._failed[partition] = repr(error)
        finally:
            self._busy.discard(partition)

    async def _steps(self, partition: str) -> None:
        done = 1
        while done:
            async with self._turn:  # first come, first served
                done = await self._ledger.sweep(partition)
