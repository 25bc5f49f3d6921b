"""The pricer in its own process: started by the service, fed by the store's log, gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from uuid import uuid4

import pytest

from engine.archive.database import sqlite_url
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.companion import Begin
from engine.crew import InlineCrew
from engine.domain import Order, StockRow
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.pricing.keeper import pricing_companion
from engine.settings import Settings
from tests.engine.ledger.conftest import Server, server
from tests.engine.test_allocator import network, order

__all__ = ["server"]

SETTINGS = Settings(price_seconds=0.05, price_orders_min=3, price_horizon_days=1 / 24, window_linger_ms=0)


async def published(ledger: RedisLedger, partition: str, version: int) -> None:
    """Wait until so many sheets were published."""
    async with asyncio.timeout(60):
        while (await ledger.versions(partition)).prices < version:  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(0.02)


async def place(engine: Engine, partition: str, count: int) -> None:
    """Place orders and wait for their decisions."""
    made: list[Order] = [order(f"O-{uuid4().hex}", ("A", 1)) for _ in range(count)]
    await asyncio.gather(*(engine.gate.submit(partition, each) for each in made))


@pytest.mark.timeout(150)
async def test_a_process_of_its_own_publishes_prices_and_is_started_again(server: Server, tmp_path: Path) -> None:
    """Orders in the log become a sheet and figures; killed, it is replaced, and goes on; stopped, it is gone."""
    metrics, partition = Metrics(), f"priced-{uuid4().hex[:8]}"
    ledger = RedisLedger(server.url)
    begin = Begin(server.url, "test", sqlite_url(tmp_path), SETTINGS.model_dump_json())
    pricer = pricing_companion(begin, SystemClock(), metrics)
    engine = Engine(SETTINGS, ledger, InlineCrew(time.monotonic), SystemClock(), metrics, pricing=pricer)
    await engine.start()
    try:
        await engine.registry.put_network(
            partition, network({"id": "near", "parcel": "5.00"}, {"id": "far", "parcel": "9.00"})
        )
        rows = [StockRow(node_id=node_id, sku="A", on_hand=on_hand) for node_id, on_hand in (("near", 12), ("far", 90))]
        await engine.stock.write(partition, list(enumerate(rows)))
        await place(engine, partition, 10)
        await published(ledger, partition, 1)
        sheet = await engine.registry.price_sheet(partition)
        assert sheet is not None
        assert {(keep.node, keep.mills) for keep in sheet.keeps("A")} == {(0, 4_000)}
        first = pricer.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        version = (await ledger.versions(partition)).prices
        await place(engine, partition, 1)
        await published(ledger, partition, version + 1)
        assert pricer.pid != first
        assert metrics.registry.get_sample_value("apportion_price_failures_total") == 1.0
        async with asyncio.timeout(60):  # a sheet is published before its maker tells of it
            made = "apportion_price_sheets_total", {"source": "lp"}
            while not metrics.registry.get_sample_value(*made):  # noqa: ASYNC110 (another process does it)
                await asyncio.sleep(0.02)
        last = pricer.pid
    finally:
        await engine.stop()
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)
