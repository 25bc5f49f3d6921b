"""What leaves the memory ledger, as from the store; here the memory of what left is exact."""

from __future__ import annotations

from collections.abc import Sequence

from engine.clock import Clock
from engine.ledger import states
from engine.ledger.journal import Logged
from engine.ledger.memory_state import Partition
from engine.ledger.retention import START, ForeignArchiveError, Leaving, LogTrimmedError, Retention, place


class MemoryRetention:
    """Mixed into `MemoryLedger`, whose partitions it uses."""

    _clock: Clock
    _partitions: dict[str, Partition]
    _leases: dict[str, tuple[str, int]]
    """Holder and end, by task."""

    def _partition(self, name: str) -> Partition:
        return self._partitions.setdefault(name, Partition())

    async def partitions(self) -> list[str]:
        """As `Retaining.partitions`."""
        return sorted(name for name, kept in self._partitions.items() if kept.newest() != START)

    async def lease(self, task: str, holder: str, ttl_ms: int) -> bool:
        """As `Retaining.lease`."""
        now = self._clock.epoch_ms()
        other, until = self._leases.get(task, (holder, 0))
        if other != holder and until > now:
            return False
        self._leases[task] = holder, now + ttl_ms
        return True

    async def journal(self, partition: str, after: str, count: int) -> list[Logged]:
        """As `Retaining.journal`."""
        kept = self._partition(partition)
        if place(kept.trimmed) > place(after):
            raise LogTrimmedError(f"entries after {after} have left the log of {partition!r}")
        first = kept.place_after(after)
        return kept.log[first : first + count]

    async def record(self, partition: str, entry_id: str) -> bytes | None:
        """As `Retaining.record`."""
        kept = self._partition(partition)
        found = next((logged for logged in kept.log if logged.entry_id == entry_id), None)
        return None if found is None else found.record

    async def retention(self, partition: str) -> Retention:
        """As `Retaining.retention`."""
        kept = self._partition(partition)
        return Retention(kept.archive, kept.archived, kept.trimmed, kept.evicted, kept.newest(), kept.entries())

    async def archived(self, partition: str, archive: str, entry_id: str, trim_to: str) -> int:
        """As `Retaining.archived`."""
        kept = self._partition(partition)
        known = entry_id
        if kept.archive == archive:
            known = max(kept.archived, entry_id, key=place)
        elif kept.archive and (kept.trimmed != START or kept.evicted):
            raise ForeignArchiveError(f"what left partition {partition!r} is in another archive")
        known = min(known, kept.newest(), key=place)
        if place(known) < place(trim_to):
            raise ValueError(f"the log must not go beyond what is archived: {trim_to}")
        kept.archive, kept.archived = archive, known
        kept.trimmed = max(kept.trimmed, trim_to, key=place)
        return kept.trim(trim_to)

    async def evict(
        self, partition: str, archive: str, orders: Sequence[Leaving], movement_ids: Sequence[str]
    ) -> list[bool]:
        """As `Retaining.evict`."""
        kept = self._partition(partition)
        if kept.archive != archive:
            raise ForeignArchiveError(f"another archive follows partition {partition!r}")
        answers: list[bool] = []
        for leaving in orders:
            order = kept.orders.get(leaving.order_id)
            leaves = order is None or (
                order.state == leaving.state
                and order.revision == leaving.revision
                and not order.takes
                and not order.loads
                and not (order.waits and order.state in states.WAITING)
            )
            answers.append(leaves)
            if leaves and order is not None:
                del kept.orders[leaving.order_id]
                kept.leave("o:" + leaving.order_id)
                key = leaving.idempotency_key
                if key is not None and kept.keys.get(key) == leaving.order_id:
                    del kept.keys[key]
                    kept.leave("k:" + key)
        for movement in movement_ids:
            if kept.moves.pop(movement, None) is not None:
                kept.leave("m:" + movement)
        return answers
