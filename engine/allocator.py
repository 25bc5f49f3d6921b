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

from engine.archive.recall import Recall
from engine.backorders import Fill
from engine.clock import Clock
from engine.crew import Crews
from engine.errors import DeadlineError, StoreUnavailableError
from engine.gate import Ticket
from engine.ledger.port import LedgerUnavailableError
from engine.metrics import Metrics
from engine.registry import Registry
from engine.traffic import Traffic
from engine.window import Window

PAUSE_SECONDS = 0.05  # between attempts while the store does not answer


class Allocator:
    """Decides windows. One per process; windows of different partitions may be under way at once."""

    def __init__(
        self, past: Recall, registry: Registry, crews: Crews, clock: Clock, metrics: Metrics, process: str, fill: Fill
    ) -> None:
        self._past = past
        self._registry = registry
        self._crews = crews
        self._clock = clock
        self._metrics = metrics
        self._fill = fill
        self._window_ids = (f"{process}-{number}" for number in count(1))
        self._traffic: dict[str, Traffic] = {}

    async def allocate(self, partition: str, tickets: Sequence[Ticket], aside: int = 0) -> None:
        """Answer every ticket, by a decision or an error. Never raises. `aside`: rounds that no other waits for."""
        window = Window(next(self._window_ids), partition, tickets, self._clock.monotonic())
        self._metrics.window(window.waited_ms())
        try:
            while window.open:
                await self._attempt(window, aside > 0)
                aside -= 1
                window.expire(self._clock.monotonic(), DeadlineError("the order was not decided in time; ask again"))
        except Exception as error:
            window.give_up(error)

    async def _attempt(self, window: Window, aside: bool) -> None:
        """One round; while the store is away, those whose deadline passes get an error and the others wait."""
        try:
            await self._round(window, aside)
        except LedgerUnavailableError as error:
            self._metrics.store_errors.inc()
            window.expire(self._clock.monotonic(), StoreUnavailableError(f"the store does not answer: {error}"))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _round(self, window: Window, aside: bool) -> None:
        """One pass over the open orders. Those that lose a race stay open for the next."""
        traffic = self._traffic.setdefault(window.partition, Traffic())
        books = await self._registry.books(window.partition)
        skus, days = window.skus(books), window.days(books, self._clock.epoch_ms())
        async with traffic.flight() as flight:
            async with traffic.store:
                with self._metrics.snapshot.time():
                    snapshot = await self._past.snapshot(window.partition, skus, days, *window.asked(books))
                flight.begin()
            books = await self._registry.books(window.partition, snapshot.versions)
            if books.versions[:2] != snapshot.versions[:2] or not set(window.skus(books)) <= set(skus):
                return
            self._metrics.repeated(window.answer_repeats(snapshot))
            if not window.open or (window.gives_way(snapshot) and await self._fill(window.partition, snapshot.ripe)):
                return
            async with self._crews.turn(traffic.crew, aside) as crew:
                question = window.question(books, flight.less(snapshot, skus), skus)
                decided = await crew.decide(question)
                self._metrics.solved(decided.solve_seconds, decided.gap)
                if window.tell(decided.proposals):
                    return
                flight.decided(decided.batch(question))
            async with traffic.store:
                with self._metrics.commit.time():
                    outcomes = await self._past.ledger.commit(window.partition, flight.sure())
                flight.landed(outcomes)
        for proposal, outcome in zip(decided.proposals, outcomes, strict=True):
            window.settle(proposal, outcome)
        self._metrics.settled(decided.proposals, outcomes)
