"""Quotes and explanations over the real store: every key stays as it was (R15, quiet)."""

from __future__ import annotations

import time
from typing import Any

import httpx
import redis

from api.app import create_app
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.settings import Settings
from tests.api.conftest import NETWORK, STOCK, order
from tests.engine.ledger.conftest import Server, partition, server  # noqa: F401 -- fixtures


def dumped(client: redis.Redis, within: str) -> dict[bytes, Any]:
    """Every key of a partition, byte for byte."""
    return {key: client.dump(key) for key in client.scan_iter(match="{" + within + "}:*", count=1000)}


async def test_two_hundred_questions_change_no_key(server: Server, partition: str):  # noqa: F811
    """Protects R15: whoever asks what would be, or why something was, changes nothing at all."""
    crew = InlineCrew(time.monotonic)
    engine = Engine(Settings(), RedisLedger(server.url), crew, SystemClock(), Metrics())
    app = create_app(engine)
    headers = {"Apportion-Partition": partition}
    await engine.start()
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", headers=headers
        ) as client:
            assert (await client.put("/v1/network", json=NETWORK)).status_code == 200
            assert (await client.put("/v1/stock", json=STOCK)).status_code == 200
            assert (await client.post("/v1/orders", json=order("O-1", quantity=2))).status_code == 201
            before = dumped(server.client(), partition)
            for number in range(200):
                asked = order(f"Q-{number}", quantity=number % 15 + 1, backorder=number % 2 == 0)
                assert (await client.post("/v1/quotes", json=asked)).status_code == 200
                if number % 10 == 0:
                    assert (await client.get("/v1/orders/O-1/explanation")).status_code == 200
            assert dumped(server.client(), partition) == before
    finally:
        await engine.stop()
