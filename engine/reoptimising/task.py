"""The background task: when orders are decided again, and which ones.

Walks are made every so often, when stock came (only orders that it might help), and once more before orders close. One
process does it for a partition, as long as it has the lease; others could, since each swap is checked by revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from engine.background import Background
from engine.clock import Clock
from engine.crew import Crew
from engine.errors import NoNetworkError
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError
from engine.metrics import Metrics
from engine.registry import Books, Registry
from engine.reoptimising.walking import Walker

log = structlog.get_logger("apportion.reoptimise")

TICK_SECONDS = 1.0
"""Between two looks at whether anything is due."""
LEASE_MS = 15_000
RECEIVED_SECONDS = 5.0
"""Between two walks because stock came."""
CLOSING_MS = 300_000
"""How long before they close orders are looked at once more."""


@dataclass(slots=True)
class _Partition:
    """What is known of one partition. Instants of `Clock.monotonic` in seconds, `closing_ms` of the store's clock."""

    due: dict[str, float] = field(default_factory=dict)
    """When each policy's next walk is."""
    received: str | None = None
    """What came last, as far as it was looked at; None: nobody looked, so that something may have come before."""
    stock_due: float = 0.0
    closing_ms: int = 0
    """Orders that close by then had their last look."""


class Reoptimiser:
    """One per process. `busy`: whether orders wait for a window, to which its turns give way."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        crew: Crew,
        clock: Clock,
        metrics: Metrics,
        process_id: str,
        busy: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._clock = clock
        self._holder = process_id
        self._walker = Walker(ledger, registry, crew, clock, metrics, process_id, busy, self._mine)
        self._partitions: dict[str, _Partition] = {}
        self._task = Background(self._run, "reoptimise")

    def start(self) -> None:
        """Begin, until `stop`."""
        self._task.start()

    async def stop(self) -> None:
        """End; orders stay where they are."""
        await self._task.stop()

    async def _run(self) -> None:
        while True:
            try:
                await self.look_around()
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("reoptimise_waits", reason=str(error))
            await asyncio.sleep(TICK_SECONDS)

    async def look_around(self) -> None:
        """Look at the partitions in which orders may move: of no other are the documents loaded. Errors as `look`."""
        for partition in await self._ledger.with_movable(await self._ledger.partitions()):
            await self.look(partition)

    async def walk(self, partition: str, policies: set[str]) -> None:
        """Look at all orders of these policies now, whatever is due. Raises Ledger errors."""
        await self._walker.walk(partition, policies, "period")

    async def look(self, partition: str) -> None:
        """Do what is due in one partition; what fails there stops no other. Raises Ledger errors only."""
        known = self._partitions.setdefault(partition, _Partition())
        if not await self._mine(partition):
            known.received = None
            return
        try:
            books = await self._registry.books(partition, await self._ledger.versions(partition))
        except NoNetworkError:
            return
        policies = {each for each, edition in books.policies.items() if edition.policy.reoptimise.mode != "off"}
        if not policies:
            known.due.clear()
            return
        try:
            await self._what_is_due(partition, known, policies, books)
        except (LedgerUnavailableError, LedgerRefusedError):
            raise
        except Exception:
            log.exception("reoptimise_failed", partition=partition)

    async def _mine(self, partition: str) -> bool:
        """Whether this process is the one to do it, from now on for a while."""
        return await self._ledger.lease(f"reoptimise:{partition}", self._holder, LEASE_MS)

    async def _what_is_due(self, partition: str, known: _Partition, policies: set[str], books: Books) -> None:
        now, now_ms = self._clock.monotonic(), self._clock.epoch_ms()
        every = {each: books.policies[each].policy.reoptimise.every_seconds for each in policies}
        for policy_id in known.due.keys() - policies:
            del known.due[policy_id]
        due = {each for each in policies if known.due.setdefault(each, now + every[each]) <= now}
        if due:
            known.due.update({each: now + every[each] for each in due})
            await self._walker.walk(partition, due, "period")
        received = await self._ledger.received(partition)
        if received != known.received and now >= known.stock_due:
            if known.received is not None:  # what comes after the first look need not wait
                known.stock_due = now + RECEIVED_SECONDS
            known.received = received
            await self._walker.walk(partition, policies, "stock")
        if now_ms + CLOSING_MS > known.closing_ms:
            first = max(known.closing_ms, now_ms)
            known.closing_ms = now_ms + CLOSING_MS
            await self._walker.walk(partition, policies, "closing", first, known.closing_ms)
