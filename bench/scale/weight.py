"""What a partition weighs in the store's memory, as the store itself says."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

SAMPLE = 500
"""Rows that are weighed one by one."""


class Scales:
    """Asks a store beside the ledger."""

    def __init__(self, url: str, partition: str) -> None:
        self._client: Any = Redis.from_url(url)
        self._tag = f"{{{partition}}}"

    async def used(self) -> int:
        """Bytes of everything that the store keeps."""
        info = await self._client.info("memory")
        return int(info["used_memory"])

    async def row(self, skus: list[str]) -> float:
        """Bytes of one SKU's row with its name, in the mean over some of these."""
        some = skus[:: max(1, len(skus) // SAMPLE)]
        asking = self._client.pipeline(transaction=False)
        for sku in some:
            asking.memory_usage(f"{self._tag}:stock:{sku}", samples=0)
        weights = await asking.execute()
        return sum(weights) / len(weights)

    async def names(self) -> int:
        """Bytes of the lists of stocked SKUs, by which pages of stock are read in order."""
        key = f"{self._tag}:stocked"
        asking = self._client.pipeline(transaction=False)
        asking.memory_usage(key, samples=0)
        for head in await self._client.zrange(key, 0, -1):
            asking.memory_usage(key.encode() + b":" + head, samples=0)
        return sum(each or 0 for each in await asking.execute())

    async def settled(self) -> None:
        """Wait until the store does not write its file anew: that process is measured by nobody."""
        while (await self._client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """End the connection."""
        await self._client.aclose()
