"""Orders that may be decided again, in the memory ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.clock import Clock
from engine.ledger import layout, states
from engine.ledger.memory_commit import swap
from engine.ledger.memory_state import Partition
from engine.ledger.moving import Place
from engine.ledger.port import Batch, OrderRecord


class MemoryMoving:
    """Mixed into `MemoryLedger`, whose partitions it uses."""

    _clock: Clock
    _partition: Callable[[str], Partition]

    async def movable(self, partition: str, at: Place, limit: int) -> list[OrderRecord]:
        """As `Moving.movable`."""
        kept, now_ms = self._partition(partition), self._clock.epoch_ms()
        found = sorted((closes_ms, each) for each, closes_ms in kept.movable.items() if closes_ms >= at.closes_ms)
        records = (kept.record(order_id, now_ms) for _, order_id in found[at.seen : at.seen + limit])
        return [record for record in records if record is not None]

    async def with_movable(self, partitions: Sequence[str]) -> list[str]:
        """As `Moving.with_movable`."""
        return [name for name in partitions if self._partition(name).movable]

    async def swap(self, partition: str, batch: Batch, parts: Sequence[Sequence[int]]) -> list[bool]:
        """As `Moving.swap`."""
        layout.require_proposals(batch.proposals, len(batch.skus))
        return swap(self._partition(partition), batch, parts, self._clock.epoch_ms())

    async def received(self, partition: str) -> str:
        """As `Moving.received`."""
        return self._partition(partition).received

    async def put_report(self, partition: str, name: str, body: bytes) -> None:
        """As `Moving.put_report`."""
        self._partition(partition).reports[name] = body

    async def reports(self, partition: str) -> dict[str, bytes]:
        """As `Moving.reports`."""
        return dict(self._partition(partition).reports)


def held(partition: Partition, order_ids: Sequence[str]) -> dict[str, int]:
    """The revisions of those of these orders that may be decided again."""
    found = {order_id: partition.orders.get(order_id) for order_id in order_ids}
    return {each: order.revision for each, order in found.items() if order and order.state in states.MOVABLE}
