"""Orders that may be decided again: the `Moving` part of the ledger in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.ledger import layout, redis_orders
from engine.ledger.moving import Place
from engine.ledger.port import Batch, OrderRecord, Verdict
from engine.ledger.redis_commit import Committing


class RedisMoving:
    """Mixed into `RedisLedger`, whose scripts it uses."""

    _run: Callable[..., Awaitable[Any]]
    _read: Callable[..., Awaitable[list[Any]]]

    async def movable(self, partition: str, at: Place, limit: int) -> list[OrderRecord]:
        """As `Moving.movable`."""
        now_ms, orders = await self._run("movable", partition, *at, limit)
        records = (redis_orders.record(order_id.decode(), parts, now_ms) for order_id, *parts in orders)
        return [record for record in records if record is not None]

    async def swap(self, partition: str, batch: Batch, parts: Sequence[Sequence[int]]) -> list[bool]:
        """As `Moving.swap`; one script call for each part, however large it is."""
        layout.require_proposals(batch.proposals, len(batch.skus))
        swapping = Committing(batch, together=True)
        for part in parts:
            told = swapping.call(part)
            while not (answer := await self._run("commit", partition, *told)):
                pass  # as in `commit`
            swapping.answered(part, answer)
        return [all(swapping.verdict(k) is Verdict.COMMITTED for k in part) for part in parts]

    async def received(self, partition: str) -> str:
        """As `Moving.received`."""
        [found] = await self._read(partition, ("HGET", "meta", "received"))
        return (found or b"").decode()

    async def put_report(self, partition: str, name: str, body: bytes) -> None:
        """As `Moving.put_report`."""
        await self._run("report", partition, name, body)

    async def reports(self, partition: str) -> dict[str, bytes]:
        """As `Moving.reports`."""
        [found] = await self._read(partition, ("HGETALL", "reports"))
        return {found[at].decode(): found[at + 1] for at in range(0, len(found), 2)}
