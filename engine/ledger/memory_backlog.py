"""What the memory ledger knows of orders that wait and of stock that is to come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.clock import Clock
from engine.ledger import states
from engine.ledger.backlog import INCOMING_MAX, ROOM, Expected, Incoming, Queue, QueueAsked, Wait
from engine.ledger.journal import Body
from engine.ledger.memory_state import Kept, Partition
from engine.ledger.port import StockOutcome


def enlist(partition: Partition, order_id: str, order: Kept | None, sign: int, waited: dict[str, int]) -> None:
    """Put an order under the names it waits for, or (`sign` -1) take it away; `waited`: units of the names touched."""
    if order is None or order.state not in states.WAITING:
        return
    for name, units in order.waits:
        queue = partition.waits.setdefault(name, {})
        if sign > 0:
            queue[order_id] = order.rank
        else:
            queue.pop(order_id, None)
        waited[name] = waited.get(name, partition.waited.get(name, 0)) + sign * units


def put_waited(partition: Partition, waited: dict[str, int], body: Body) -> None:
    """Write down the units of names; a name under which nobody waits is forgotten."""
    for name, units in waited.items():
        body.waited += (name, units)
        if partition.waits[name]:
            partition.waited[name] = units
        else:
            del partition.waits[name]
            partition.waited.pop(name, None)
            partition.ripe.pop(name, None)


def put_incoming(partition: Partition, row: Incoming, body: Body) -> None:
    """Insert or replace incoming units, or end them."""
    partition.incoming.pop(row.incoming_id, None)
    if row.quantity:
        partition.incoming[row.incoming_id] = row
    body.incoming += row


def incoming_of(partition: Partition, sku: str) -> tuple[Incoming, ...]:
    """What is to come in of a SKU, the earliest first."""
    found = [row for row in partition.incoming.values() if row.sku == sku]
    found.sort(key=lambda row: (row.expected_ms, row.incoming_id.encode()))
    return tuple(found[:INCOMING_MAX])


def ripe_of(partition: Partition, skus: Sequence[str]) -> tuple[str, ...]:
    """Those of the SKUs, and room, that are ripe."""
    return tuple(name for name in (*skus, ROOM) if name in partition.ripe)


def expected_of(partition: Partition, skus: Sequence[str]) -> dict[str, Expected]:
    """As in `Snapshot.expected`."""
    return {sku: Expected(partition.waited.get(sku, 0), incoming_of(partition, sku)) for sku in skus}


class MemoryBacklog:
    """Mixed into `MemoryLedger`, whose partitions it uses."""

    _clock: Clock
    _partitions: dict[str, Partition]
    _partition: Callable[[str], Partition]

    async def partitions_waiting(self) -> set[str]:
        """As `Backlogging.partitions_waiting`."""
        return {name for name, kept in self._partitions.items() if kept.waits}

    async def ripe(self, partition: str, limit: int) -> list[str]:
        """As `Backlogging.ripe`."""
        ripe = self._partition(partition).ripe
        return sorted(ripe, key=lambda name: ripe[name])[:limit]

    async def waited(self, partition: str) -> dict[str, int]:
        """As `Backlogging.waited`."""
        return dict(self._partition(partition).waited)

    async def queues(self, partition: str, asked: Sequence[QueueAsked]) -> list[Queue]:
        """As `Backlogging.queues`."""
        kept, queues = self._partition(partition), []
        for name, rank, limit in asked:
            orders = [(order_id, at) for order_id, at in kept.waits.get(name, {}).items() if rank is None or at >= rank]
            orders.sort(key=lambda order: (order[1], order[0].encode()))
            queues.append(Queue(str(kept.ripe.get(name, "")), tuple(orders[:limit])))
        return queues

    async def tried(self, partition: str, stamps: Mapping[str, str]) -> None:
        """As `Backlogging.tried`."""
        ripe = self._partition(partition).ripe
        for name, stamp in stamps.items():
            if str(ripe.get(name, "")) == stamp:
                ripe.pop(name, None)

    async def write_incoming(self, partition: str, rows: Sequence[Incoming]) -> list[StockOutcome]:
        """As `Backlogging.write_incoming`."""
        kept, body, outcomes = self._partition(partition), Body(), []
        for row in rows:
            if row.quantity and row.node not in kept.present:
                outcomes.append(StockOutcome.NODE_REMOVED)
                continue
            before = kept.incoming.get(row.incoming_id)
            if before != row and (before is not None or row.quantity):
                put_incoming(kept, row, body)
            outcomes.append(StockOutcome.APPLIED)
        if body.incoming:
            kept.append(self._clock.epoch_ms(), "incoming", body, ())
        return outcomes

    async def incoming(self, partition: str, skus: Sequence[str]) -> list[tuple[Incoming, ...]]:
        """As `Backlogging.incoming`."""
        return [incoming_of(self._partition(partition), sku) for sku in skus]


def waits_of(flat: Sequence[Wait]) -> list[str | int]:
    """What an order waits for, as an entry has it."""
    return [value for wait in flat for value in wait]
