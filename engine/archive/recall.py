"""Answers to what left the store: the ledger's own calls, completed from the archive where the ledger says "perhaps".

No order is decided twice, whatever leaves when: the snapshot names the unknown ids that may have left, and only for
these is the archive asked; the commit refuses an id that may have left after the snapshot, and the next round asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from engine.archive import reading, recorded
from engine.archive.database import Archive, ArchiveUnavailableError
from engine.archive.recorded import NetworkSource
from engine.errors import StoreUnavailableError
from engine.ledger import journal, states
from engine.ledger.port import (
    Answer,
    Commanded,
    Entry,
    Ledger,
    OrderRecord,
    Snapshot,
    StockOutcome,
    StockWrite,
)
from engine.ledger.retention import LogTrimmedError, Retention, place

_ENTRIES_PER_READING = 32

P = ParamSpec("P")
T = TypeVar("T")


class Recall:
    """What a process knows of the past. `archive` None: this process keeps none, and what left cannot be told."""

    def __init__(self, ledger: Ledger, archive: Archive | None) -> None:
        self.ledger = self._ledger = ledger
        self._archive = archive

    async def _ours(self, partition: str) -> tuple[Archive, Retention]:
        """The archive, if it is the one that has what left this partition. Raises StoreUnavailableError."""
        retention = await self._ledger.retention(partition)
        if self._archive is None or await self._archive.archive_id() != retention.archive:
            raise StoreUnavailableError(
                "this may have left the store, and this process does not have the archive that it went to: "
                "check archive_url",
                retry_after_s=30,
            )
        return self._archive, retention

    async def snapshot(
        self,
        partition: str,
        skus: Sequence[str],
        days: Sequence[int],
        keys: Mapping[str, str | None],
        again: tuple[str, str] | None = None,
        expected: Sequence[str] = (),
    ) -> Snapshot:
        """As `Ledger.snapshot`, knowing all orders ever decided. `keys`: idempotency key or None, by order id.

        Raises StoreUnavailableError if the archive has to be asked and does not answer.
        """
        given = [key for key in keys.values() if key is not None]
        seen = await self._ledger.snapshot(partition, skus, days, tuple(keys), again, given, expected)
        if not seen.perhaps_gone and not seen.keys_perhaps_gone:
            return seen
        try:
            archive, _ = await self._ours(partition)
            if again is not None:
                return replace(seen, standing=await archive.read(reading.standing, partition, *again))
            decided, used = await archive.read(reading.decided, partition, seen.perhaps_gone, seen.keys_perhaps_gone)
        except ArchiveUnavailableError as error:
            raise _away(error) from error
        conflicts = tuple(
            order_id
            for order_id, key in keys.items()
            if order_id not in decided and key is not None and used.get(key, order_id) != order_id
        )
        return replace(seen, decided={**seen.decided, **decided}, key_conflicts=conflicts)

    async def order(self, partition: str, order_id: str) -> OrderRecord | None:
        """As `Ledger.order`, orders that left included. Raises StoreUnavailableError."""
        record = await self._ledger.order(partition, order_id)
        if record is not None:
            return record
        if not (await self._ledger.snapshot(partition, (), (), (order_id,))).perhaps_gone:
            return await self._ledger.order(partition, order_id)
        try:
            archive, _ = await self._ours(partition)
            return await archive.read(reading.order, partition, order_id)
        except ArchiveUnavailableError as error:
            raise _away(error) from error

    async def record(self, partition: str, entry_id: str) -> bytes | None:
        """The record of a window in a log entry, from the log or the archive; None: it was let go of.

        Raises StoreUnavailableError.
        """
        found = await self._ledger.record(partition, entry_id)
        return found if found is not None else await self._told(partition, recorded.record, entry_id)

    async def policy(self, partition: str, policy_id: str, version: int, since: str) -> bytes | None:
        """A version of a policy that was current when a log entry (`since`) was written; None if it is not known.

        Raises StoreUnavailableError, also while the archive has not come to that entry.
        """
        found = await self._ledger.policy(partition, policy_id, version)
        if found is not None:
            return found
        await self._reached(partition, since)
        return await self._told(partition, recorded.policy, policy_id, version)

    async def network(self, partition: str, version: int, since: str) -> NetworkSource | None:
        """A version of the network that was current when a log entry (`since`) was written; None if it is not known.

        Raises StoreUnavailableError, also while the archive has not come to that entry.
        """
        await self._reached(partition, since)
        return await self._told(partition, recorded.network, version)

    async def _reached(self, partition: str, entry_id: str) -> None:
        """Raise StoreUnavailableError while the archive does not have an entry."""
        if self._archive is not None and place((await self._ledger.retention(partition)).archived) < place(entry_id):
            raise StoreUnavailableError("the archive has not come to this decision yet")

    async def _told(
        self,
        partition: str,
        work: Callable[Concatenate[Connection, str, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """What the archive says of a partition."""
        try:
            archive, _ = await self._ours(partition)
            return await archive.read(work, partition, *arguments, **named)
        except ArchiveUnavailableError as error:
            raise _away(error) from error

    async def command(self, partition: str, order_id: str, command: str, command_id: str = "") -> Commanded:
        """As `Ledger.command`; an order that left the store is not changed any more. Raises StoreUnavailableError."""
        answered = await self._ledger.command(partition, order_id, command, command_id)
        if answered.answer is not Answer.UNKNOWN:
            return answered
        seen = await self.snapshot(partition, (), (), {order_id: None}, (order_id, command_id))
        if seen.standing is None or not seen.standing.left:
            return answered
        record, applied, _ = seen.standing
        if applied is not None:
            asked, led_to = applied
            return Commanded(Answer.ALREADY, led_to.decode()) if asked == command else Commanded(Answer.OTHER, "")
        target = states.TABLE.get((record.state, command))
        answer = Answer.REFUSED if target is None else Answer.ALREADY if target == states.SAME else Answer.LEFT
        return Commanded(answer, record.state)

    async def write_stock(self, partition: str, writes: Sequence[StockWrite]) -> list[StockOutcome]:
        """As `Ledger.write_stock`, knowing all movements ever applied; never answers ASK. Raises
        StoreUnavailableError."""
        outcomes: list[StockOutcome] = []
        left = list(writes)
        while left:
            answered = await self._ledger.write_stock(partition, left)
            told = answered.index(StockOutcome.ASK) if StockOutcome.ASK in answered else len(answered)
            outcomes += answered[:told]
            left = left[told:]
            if left:
                known, evicted = await self._movements(partition, left)
                digest = known.get(left[0].movement_id or "")
                if digest is not None:
                    same = digest == journal.movement_digest(left[0])
                    outcomes.append(StockOutcome.REPEATED if same else StockOutcome.CONFLICT)
                    left = left[1:]
                left = [write if write.movement_id in known else replace(write, vetted=evicted) for write in left]
        return outcomes

    async def _movements(self, partition: str, writes: Sequence[StockWrite]) -> tuple[dict[str, str], int]:
        """Digests of those that the archive knows; and how many ids had left before it was asked."""
        ids = [write.movement_id for write in writes if write.movement_id is not None]
        try:
            archive, retention = await self._ours(partition)
            return await archive.read(reading.movements, partition, ids), retention.evicted
        except ArchiveUnavailableError as error:
            raise _away(error) from error

    async def tail(self, partition: str, after: str, wait_ms: int) -> list[Entry]:
        """As `Ledger.tail`; entries that left the log come from the archive. Raises StoreUnavailableError."""
        retention = await self._ledger.retention(partition)
        if after == "$" or place(after) >= place(retention.trimmed):
            found = await self._ledger.tail(partition, after, wait_ms)
            if after == "$" or place((await self._ledger.retention(partition)).trimmed) <= place(after):
                return found
        try:
            archive, _ = await self._ours(partition)
            page = await archive.read(reading.journal, partition, after, _ENTRIES_PER_READING)
        except ArchiveUnavailableError as error:
            raise _away(error) from error
        if not page:
            raise LogTrimmedError(f"entries after {after} are neither in the log nor in the archive")
        return [journal.entry(logged) for logged in page]


def _away(error: ArchiveUnavailableError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"this may have left the store, and the archive does not answer: {error}", retry_after_s=5
    )
