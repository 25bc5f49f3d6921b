"""What callers ask of the past: lists of orders, the ledger of a SKU, the load of a node; and how far behind it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import Connection

from engine.archive import reading, stock_history
from engine.archive.database import Archive, ArchiveUnavailableError
from engine.archive.reading import OrderRow
from engine.archive.stock_history import StockChange
from engine.errors import UnavailableError
from engine.ledger.port import Ledger
from engine.ledger.retention import place

DOCUMENTS_PAGE = 500
"""Orders read at once: a megabyte or two."""

P = ParamSpec("P")
T = TypeVar("T")


class Lag(NamedTuple):
    """The archive knows all changes up to `as_of_ms`; `entries` of the log are not in yet."""

    as_of_ms: int
    entries: int


class History:
    """Reads the archive. Every method raises UnavailableError when there is none or it does not answer."""

    def __init__(self, ledger: Ledger, archive: Archive | None) -> None:
        self._ledger = ledger
        self._archive = archive

    async def _read(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        if self._archive is None:
            raise UnavailableError("this process keeps no archive", retry_after_s=60)
        try:
            return await self._archive.read(work, *arguments, **named)
        except ArchiveUnavailableError as error:
            raise UnavailableError(f"the archive does not answer: {error}", retry_after_s=5) from error

    async def lag(self, partition: str) -> Lag:
        """How far the archive is behind the store."""
        retention = await self._ledger.retention(partition)
        at, entries = await self._read(reading.archived, partition)
        return Lag(place(at)[0], max(0, retention.entries - entries))

    async def orders(
        self, partition: str, state: str | None, after: tuple[int, int, str], limit: int
    ) -> list[OrderRow]:
        """Orders after a place (instant of decision, entry, id), oldest first; in one state, or all."""
        return await self._read(reading.order_page, partition, state, after, limit)

    async def documents(self, partition: str, since_ms: int, until_ms: int) -> AsyncIterator[tuple[int, bytes]]:
        """Orders that were first decided in a period, oldest first: when, and the order as JSON."""
        after = since_ms, -1, ""
        while found := await self._read(reading.documents, partition, after, DOCUMENTS_PAGE):
            for row in found:
                if row.decided_ms >= until_ms:
                    return
                yield row.decided_ms, row.document
            after = found[-1].decided_ms, found[-1].number, found[-1].order_id

    async def stock_ledger(
        self, partition: str, sku: str, after: tuple[int, int, int], limit: int
    ) -> list[StockChange]:
        """The changes of one SKU after a place (instant, entry, index), oldest first."""
        return await self._read(stock_history.stock_ledger, partition, sku, after, limit)


class Witness:
    """What the archive tells an audit (`engine.ledger.reconcile.Past`). Raises ArchiveUnavailableError."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def checkpoint(self, partition: str) -> reading.Checkpoint | None:
        """The sums of all that is archived."""
        return await self._archive.read(reading.checkpoint, partition)

    async def states(self, partition: str, upto: str, after: str, limit: int) -> list[tuple[str, str]]:
        """Orders in the store that were decided up to an entry."""
        return await self._archive.read(reading.states, partition, upto, after, limit)
