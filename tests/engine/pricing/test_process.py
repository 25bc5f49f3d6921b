"""The pricer in its own process: started by the service, fed by the store's log, gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.domain import Order, StockRow
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.pricing import keeper as keeping
from engine.pricing.keeper import Keeper
from engine.pricing.process import Begin
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
async def test_a_process_of_its_own_publishes_prices_and_is_started_again(server: Server) -> None:
    """Orders in the log become a sheet and figures; killed, it is replaced, and goes on; stopped, it is gone."""
    metrics, partition = Metrics(), f"priced-{uuid4().hex[:8]}"
    ledger = RedisLedger(server.url)
    keeper = Keeper(SETTINGS, server.url, SystemClock(), metrics)
    engine = Engine(SETTINGS, ledger, InlineCrew(time.monotonic), SystemClock(), metrics, pricing=keeper)
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
        assert {(keep.node_id, keep.mills) for keep in sheet.keeps("A")} == {("near", 4_000)}
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        version = (await ledger.versions(partition)).prices
        await place(engine, partition, 1)
        await published(ledger, partition, version + 1)
        assert keeper.pid != first
        assert metrics.registry.get_sample_value("apportion_price_failures_total") == 1.0
        async with asyncio.timeout(60):  # a sheet is published before its maker tells of it
            made = "apportion_price_sheets_total", {"source": "lp"}
            while not metrics.registry.get_sample_value(*made):  # noqa: ASYNC110 (another process does it)
                await asyncio.sleep(0.02)
        last = keeper.pid
    finally:
        await engine.stop()
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@pytest.mark.timeout(60)
async def test_a_process_that_cannot_be_understood_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, counted, and another is started: pricing never stops for a stray line."""
    started, program = tmp_path / "started", tmp_path / "program"
    started.touch()
    program.write_text(f"#!/bin/sh\necho $$ >> {started}\necho stray\nexec sleep 50\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.01)
    metrics = Metrics()
    keeper = Keeper(SETTINGS, "redis://nowhere", SystemClock(), metrics)
    keeper.start()
    try:
        while len(started.read_text().split()) < 2:  # noqa: ASYNC110 (processes do it)
            await asyncio.sleep(0.01)
    finally:
        await keeper.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text().split()[0]), 0)
    failures = metrics.registry.get_sample_value("apportion_price_failures_total")
    assert failures is not None
    assert failures >= 1


BUSY = """
import asyncio, time
from engine.pricing import process

async def serve(begin, telling):
    print("stray", flush=True)
    await asyncio.to_thread(time.sleep, 300)

process.serve = serve
asyncio.run(process.main())
"""


def test_the_process_ends_with_its_parent_in_the_middle_of_a_programme() -> None:
    """What runs in a thread keeps it no longer; and what somebody prints is no line for the parent."""
    begin = msgspec.json.encode(Begin("redis://nowhere", "test", "sqlite://", "{}")) + b"\n"
    ended = subprocess.run([sys.executable, "-c", BUSY], input=begin, capture_output=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"stray\n")
