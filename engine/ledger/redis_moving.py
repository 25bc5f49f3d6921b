"""Orders that may be decided again: the `Moving` part of the ledger in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.ledger import layout, redis_orders, scripts
from engine.ledger.moving import Place
from engine.ledger.port import Batch, OrderRecord, Verdict
from engine.ledger.redis_commit import Committing


class RedisMoving:
    """Mixed into `RedisLedger`, whose connections and scripts it uses."""

    _client: scripts.PromptRedis
    _run: Callable[..., Awaitable[Any]]
    _read: Callable[..., Awaitable[list[Any]]]

    async def movable(self, partition: str, at: Place, limit: int) -> list[OrderRecord]:
        """As `Moving.movable`."""
        now_ms, orders = await self._run("movable", partition, *at, limit)
        records = (redis_orders.record(order_id.decode(), parts, now_ms) for order_id, *parts in orders)
        return [record for record in records if record is not None]

    async def with_movable(self, partitions: Sequence[str]) -> list[str]:
        """As `Moving.with_movable`: a command for each, since two may be in different slots.

        A damaged list counts: whoever reads it sees why.
        """
        found: list[str] = []
        for start in range(0, len(partitions), layout.PARTITIONS_ASKED):
            some = partitions[start : start + layout.PARTITIONS_ASKED]
            counts = await scripts.send_all(self._client, [("ZCARD", f"{{{each}}}:movable") for each in some])
            found += [each for each, orders in zip(some, counts, strict=True) if orders != 0]
        return found

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
