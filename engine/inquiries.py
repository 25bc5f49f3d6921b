"""Questions that change nothing, asked of a worker process of their own, so that no order waits for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

from engine.clock import Clock
from engine.crew import Crew, CrewError
from engine.domain import Order, content_hash
from engine.errors import OverloadedError, StoreUnavailableError, UnavailableError
from engine.explaining import Inquiry
from engine.gate import Ticket
from engine.ledger.port import Ledger, LedgerUnavailableError
from engine.lowering import WindowInput
from engine.records import Records
from engine.registry import Registry
from engine.window import Window

WAITING_MAX = 32
"""Questions under way and waiting at most; each takes some tens of milliseconds."""

ROUNDS = 10
"""Snapshots taken for one question at most, while the documents keep changing."""


class Inquiries:
    """Asks the crew about windows that are never committed, or were long ago."""

    def __init__(self, ledger: Ledger, registry: Registry, records: Records, crew: Crew, clock: Clock) -> None:
        self._ledger = ledger
        self._registry = registry
        self._records = records
        self._crew = crew
        self._clock = clock
        self._waiting = 0
        self._numbers: Iterator[int] = count(1)

    async def quote(self, partition: str, order: Order) -> bytes:
        """What the order would get now, as the JSON of a `Quote`.

        Raises NoNetworkError, InvalidInputError (its policy is unknown), OverloadedError, StoreUnavailableError,
        UnavailableError.
        """
        async with self._turn():
            return await self._crew.consult(await self._question(partition, order), Inquiry(order.order_id))

    async def explain(self, partition: str, order_id: str) -> bytes:
        """Why an order's current decision is what it is, as the JSON of an `Explanation`.

        Raises NotFoundError, GoneError, OverloadedError, StoreUnavailableError, UnavailableError.
        """
        async with self._turn():
            window, decision = await self._records.recorded(partition, order_id)
            return await self._crew.consult(window, Inquiry(order_id, decision))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A place among the questions under way, and the errors of asking as those of the service."""
        if self._waiting >= WAITING_MAX:
            raise OverloadedError(f"{self._waiting} questions are waiting, which is the limit", retry_after_s=1)
        self._waiting += 1
        try:
            yield
        except LedgerUnavailableError as error:
            raise StoreUnavailableError(f"the store does not answer: {error}") from error
        except CrewError as error:
            raise UnavailableError(str(error)) from error
        finally:
            self._waiting -= 1

    async def _question(self, partition: str, order: Order) -> WindowInput:
        """The order as a window of its own on live stock."""
        now = self._clock.monotonic()
        ticket = Ticket(order, content_hash(order), None, now, float("inf"))
        window = Window(f"quote-{next(self._numbers)}", partition, [ticket], now)
        for _ in range(ROUNDS):
            books = await self._registry.books_for(partition, order.policy_id)
            skus, days = window.skus(books), window.days(books, self._clock.epoch_ms())
            expected = window.expected(books)
            snapshot = await self._ledger.snapshot(partition, skus, days, (), expected=expected)
            books = await self._registry.books(partition, snapshot.versions)
            if books.versions[:2] == snapshot.versions[:2] and set(window.skus(books)) <= set(skus):
                return window.question(books, snapshot, skus)
            await asyncio.sleep(0)
        raise UnavailableError("network and policies change faster than a quote can be made; please retry")
