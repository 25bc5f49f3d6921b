"""How a window becomes decisions. Read this first.

snapshot   one round trip: stock, load and versions at one instant, and which orders were decided before
           (the archive is asked too, if one may have left the store; orders that wait are filled first)
less       what windows ahead take that the snapshot does not show yet (`traffic`): a window is decided while the one
           before it is committed
decide     pure, off the event loop: lower -> solve -> check -> lift (`deciding`)
commit     one round trip: each order whole or not at all, against live stock
again      for orders that another commit overtook: contention alone never refuses an order
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

import structlog

from engine.archive.recall import Recall
from engine.backorders import Fill
from engine.clock import Clock
from engine.crew import Crew, CrewError
from engine.errors import DeadlineError, EngineError, StoreUnavailableError, UnavailableError
from engine.gate import Ticket
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError, Snapshot
from engine.metrics import Metrics
from engine.registry import Registry
from engine.traffic import Flight, Traffic
from engine.window import Window

log = structlog.get_logger("apportion.allocator")

PAUSE_SECONDS = 0.05
"""Between attempts while the store does not answer."""


class Allocator:
    """Decides windows. One per process; windows of different partitions may be under way at once."""

    def __init__(
        self, past: Recall, registry: Registry, crew: Crew, clock: Clock, metrics: Metrics, process_id: str, fill: Fill
    ) -> None:
        self._past = past
        self._registry = registry
        self._crew = crew
        self._clock = clock
        self._metrics = metrics
        self._fill = fill
        self._window_ids = (f"{process_id}-{number}" for number in count(1))
        self._traffic: dict[str, Traffic] = {}

    async def allocate(self, partition: str, tickets: Sequence[Ticket]) -> None:
        """Answer every ticket, with a decision or with an error. Never raises."""
        window = Window(next(self._window_ids), partition, tickets, self._clock.monotonic())
        self._metrics.window(window.waited_ms())
        try:
            while window.open:
                await self._attempt(window)
                window.expire(self._clock.monotonic(), DeadlineError("the order was not decided in time; ask again"))
        except EngineError as error:
            window.fail(error)
        except LedgerRefusedError as error:
            window.fail(StoreUnavailableError(f"the store refuses writes: {error}", retry_after_s=5))
        except CrewError as error:
            window.fail(UnavailableError(f"{error}; nothing was taken"))
        except Exception:
            log.exception("window_failed", window_id=window.window_id)
            window.fail(UnavailableError("the window could not be decided; please retry the same order"))

    async def _attempt(self, window: Window) -> None:
        """One round; while the store is away, those whose deadline passes get an error and the others wait."""
        try:
            await self._round(window)
        except LedgerUnavailableError as error:
            self._metrics.store_errors.inc()
            away = StoreUnavailableError(f"the store does not answer: {error}")
            window.expire(self._clock.monotonic(), away)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _round(self, window: Window) -> None:
        """One pass over the open orders. Those that lose a race stay open for the next."""
        traffic = self._traffic.setdefault(window.partition, Traffic())
        books = await self._registry.books(window.partition)
        skus, days = window.skus(books), window.days(books, self._clock.epoch_ms())
        async with traffic.store:
            with self._metrics.snapshot.time():
                snapshot = await self._past.snapshot(window.partition, skus, days, *window.asked(books))
            flight = traffic.begin()
        try:
            await self._fly(window, traffic, flight, snapshot, skus)
        finally:
            traffic.end(flight)

    async def _fly(
        self, window: Window, traffic: Traffic, flight: Flight, snapshot: Snapshot, skus: tuple[str, ...]
    ) -> None:
        """Decide on a snapshot and commit."""
        books = await self._registry.books(window.partition, snapshot.versions)
        if books.versions[:2] != snapshot.versions[:2] or not set(window.skus(books)) <= set(skus):
            return
        self._metrics.repeated(window.answer_repeats(snapshot))
        if not window.open or (window.gives_way(snapshot) and await self._fill(window.partition, snapshot.ripe)):
            return
        async with traffic.crew:
            question = window.question(books, flight.less(snapshot, skus), skus)
            decided = await self._crew.decide(question)
            self._metrics.solved(decided.solve_seconds, decided.gap)
            if window.tell(decided.proposals):
                return
            batch = decided.batch(question)
            flight.decided(batch)
        async with traffic.store:
            with self._metrics.commit.time():
                outcomes = await self._past.ledger.commit(window.partition, flight.sure(batch))
            flight.landed(outcomes)
        for proposal, outcome in zip(decided.proposals, outcomes, strict=True):
            window.settle(proposal, outcome)
            self._metrics.verdict(outcome.verdict.value, proposal.state)
