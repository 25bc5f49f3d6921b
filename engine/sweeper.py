"""The sweeper: writes down in the log what has lapsed by the store's clock.

Lapsed holds are invisible to everyone without it; it brings the events and the states, and keeps the store's lists
short. Several processes may sweep one partition: each step is one script, and what is done is not done twice.
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
"""Under way at the store: it need not wait for this process, and writes both to the disk as one."""


class Sweeper:
    """Sweeps the partitions that held something when it started, and those that this process has served since."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._partitions: set[str] = set()
        self._task = Background(self._run, "sweeper")
        self._search = Background(self._find, "sweeper-search")

    def serve(self, partition: str) -> None:
        """Holds may be taken in this partition from now on."""
        self._partitions.add(partition)

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
                self._partitions.update(await self._ledger.partitions_with_holds())
                return
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("search_failed", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _run(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(PAUSE_SECONDS)

    async def sweep(self) -> None:
        """All that has lapsed by now, in short steps, of all partitions in turn. What fails in one stops no other."""
        busy = set(self._partitions)
        failed: dict[str, str] = {}
        while busy:
            for partition in sorted(busy):
                steps = (self._ledger.sweep(partition) for _ in range(STEPS_AT_ONCE))
                done = await asyncio.gather(*steps, return_exceptions=True)
                errors = [each for each in done if isinstance(each, BaseException)]
                if errors:
                    failed[partition] = repr(errors[0])
                if partition in failed or not all(done):
                    busy.discard(partition)
        if failed:
            log.warning("sweep_failed", partitions=len(failed), error=next(iter(failed.values())))
