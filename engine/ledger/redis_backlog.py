"""Orders that wait and stock that is to come in: the `Backlogging` part of the ledger in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from engine.ledger import redis_orders, scripts
from engine.ledger.backlog import INCOMING_MAX, Incoming, Queue
from engine.ledger.layout import STOCK_CHUNK
from engine.ledger.port import StockOutcome

_pack = msgspec.msgpack.Encoder().encode

OUTCOMES = {
    1: StockOutcome.APPLIED,
    2: StockOutcome.REPEATED,
    3: StockOutcome.CONFLICT,
    4: StockOutcome.BELOW_ZERO,
    5: StockOutcome.TOO_LARGE,
    6: StockOutcome.NODE_REMOVED,
    7: StockOutcome.ASK,
    8: StockOutcome.OTHER_INCOMING,
}
_WAITING = "{}:waiting"


class RedisBacklog:
    """Mixed into `RedisLedger`, whose connections and scripts it uses."""

    _client: scripts.PromptRedis
    _waiting_in: set[str]
    """Partitions that are on the list of those where orders wait."""

    _run: Callable[..., Awaitable[Any]]
    _read: Callable[..., Awaitable[list[Any]]]

    async def _enrol_waiting(self, partition: str) -> None:
        """Put a partition on the list before an order waits in it."""
        if partition not in self._waiting_in:
            await scripts.send(self._client, "SADD", _WAITING, partition)
            self._waiting_in.add(partition)

    async def partitions_waiting(self) -> set[str]:
        """As `Backlogging.partitions_waiting`."""
        return {name.decode() for name in await scripts.send(self._client, "SMEMBERS", _WAITING)}

    async def ripe(self, partition: str, limit: int) -> list[str]:
        """As `Backlogging.ripe`, those first that are ripe the longest."""
        [found] = await self._read(partition, ("ZRANGE", "ripe", 0, limit - 1))
        return [name.decode() for name in found]

    async def waited(self, partition: str) -> dict[str, int]:
        """As `Backlogging.waited`."""
        [found] = await self._read(partition, ("ZRANGE", "waited", 0, -1, "WITHSCORES"))
        return {found[at].decode(): int(found[at + 1]) for at in range(0, len(found), 2)}

    async def queue(self, partition: str, name: str, rank: int | None, limit: int) -> Queue:
        """As `Backlogging.queue`."""
        stamp, found = await self._run("queue", partition, name, "-inf" if rank is None else rank, limit)
        orders = tuple((found[at].decode(), int(found[at + 1])) for at in range(0, len(found), 2))
        return Queue(stamp.decode(), orders)

    async def tried(self, partition: str, name: str, stamp: str) -> None:
        """As `Backlogging.tried`."""
        await self._run("tried", partition, name, stamp)

    async def write_incoming(self, partition: str, rows: Sequence[Incoming]) -> list[StockOutcome]:
        """As `Backlogging.write_incoming`."""
        outcomes: list[StockOutcome] = []
        for start in range(0, len(rows), STOCK_CHUNK):
            flat = [value for row in rows[start : start + STOCK_CHUNK] for value in row]
            outcomes += [OUTCOMES[code] for code in await self._run("incoming", partition, _pack(flat))]
        return outcomes

    async def incoming(self, partition: str, skus: Sequence[str]) -> list[tuple[Incoming, ...]]:
        """As `Backlogging.incoming`; two readings only where there is some."""
        ids = await self._read(partition, *(("ZRANGE", f"coming:{sku}", 0, INCOMING_MAX - 1) for sku in skus))
        named = [identifier.decode() for found in ids for identifier in found]
        if not named:
            return [()] * len(skus)
        [packed] = await self._read(partition, ("HMGET", "incoming", *named))
        kept = dict(zip(named, packed, strict=True))
        there = [[each for each in found if kept[each.decode()] is not None] for found in ids]
        return [
            redis_orders.incoming([part for each in some for part in (each, kept[each.decode()])]) for some in there
        ]
