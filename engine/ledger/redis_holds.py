"""Soft holds that lapse: what the sweeper asks of the ledger in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.ledger import layout, scripts

_SCAN_KEYS = 2_000
"""Keys looked at in one step of a scan."""


class RedisHolds:
    """Mixed into `RedisLedger`, whose connections and scripts it uses."""

    _client: scripts.PromptRedis

    _run: Callable[..., Awaitable[Any]]

    async def sweep(self, partition: str) -> int:
        """As `Ledger.sweep`."""
        done: int = await self._run("sweep", partition, layout.SWEEP_PLACES, layout.SWEEP_ORDERS)
        return done

    async def overdue(self, partitions: Sequence[str]) -> dict[str, bool]:
        """As `Ledger.overdue`: a command for each, since two may be in different slots.

        Every soft unit is of an order on the list of holds, so that list tells. A damaged one counts as overdue:
        whoever sweeps it sees why.
        """
        found: dict[str, bool] = {}
        for start in range(0, len(partitions), layout.PARTITIONS_ASKED):
            some = partitions[start : start + layout.PARTITIONS_ASKED]
            firsts = [("ZRANGE", f"{{{partition}}}:holds", 0, 0, "WITHSCORES") for partition in some]
            time, *replies = await scripts.send_all(self._client, [("TIME",), *firsts])
            now_ms = time[0] * 1000 + time[1] // 1000
            for partition, first in zip(some, replies, strict=True):
                if isinstance(first, Exception):
                    found[partition] = True
                elif first:
                    found[partition] = float(first[1]) <= now_ms
        return found

    async def partitions_with_holds(self) -> set[str]:
        """As `Ledger.partitions_with_holds`; a scan in short steps."""
        found: set[str] = set()
        cursor = 0
        while True:
            reply = await scripts.send(self._client, "SCAN", cursor, "MATCH", "{*}:holds", "COUNT", _SCAN_KEYS)
            cursor = int(reply[0])
            found.update(key.decode()[1 : -len("}:holds")] for key in reply[1])
            if not cursor:
                return found
