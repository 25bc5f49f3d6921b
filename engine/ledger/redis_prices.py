"""The price sheet in the store, a document beside the log, and the forecast it may begin from, a document in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.ledger.port import Document


class RedisPrices:
    """Mixed into `RedisLedger`, whose scripts it uses."""

    _enrol: Callable[[str], Awaitable[None]]
    _run: Callable[..., Awaitable[Any]]
    _read: Callable[..., Awaitable[list[Any]]]

    async def put_prices(self, partition: str, body: bytes) -> int:
        """As `Ledger.put_prices`."""
        version: int = await self._run("prices", partition, body)
        return version

    async def prices(self, partition: str) -> Document | None:
        """As `Ledger.prices`."""
        [(version, sheet)] = await self._read(partition, ("HMGET", "prices", "version", "sheet"))
        return None if version is None else Document(int(version), sheet)

    async def put_forecast(self, partition: str, body: bytes) -> int:
        """As `Ledger.put_forecast`."""
        await self._enrol(partition)
        version: int = await self._run("forecast", partition, body)
        return version

    async def forecast(self, partition: str) -> Document | None:
        """As `Ledger.forecast`."""
        [(version, body)] = await self._read(partition, ("HMGET", "forecast", "version", "body"))
        return None if version is None else Document(int(version), body)
