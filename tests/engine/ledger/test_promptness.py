"""Calls to the store end when they are to end: cancelled at once, unanswered in time."""

from __future__ import annotations

import asyncio

import pytest

from engine.ledger.port import LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from tests.engine.ledger.conftest import Server

ROUNDS = 400
"""The driver's own limit on sending forgets one cancellation in twenty on Python 3.11."""


async def test_a_cancelled_loop_of_calls_ends(store: RedisLedger):
    """Protects a process that stops: a loop over the store ends at its first cancellation, wherever that meets it."""
    await store.ping()

    async def loop() -> None:
        while True:
            await store.ping()

    for k in range(ROUNDS):
        task = asyncio.create_task(loop())
        for _ in range(k % 20):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done, f"the cancellation after {k % 20} turns was forgotten"
    await asyncio.wait_for(store.ping(), 30)


async def test_a_silent_store_is_given_up_in_time(server: Server):
    """Protects callers: a store that does not answer is unavailable after the limit, and usable when it is back."""
    ledger = RedisLedger(server.url, timeout_s=0.5)
    await ledger.ping()
    server.client().execute_command("CLIENT", "PAUSE", 2_000, "ALL")
    with pytest.raises(LedgerUnavailableError):
        await ledger.ping()
    server.client().execute_command("CLIENT", "UNPAUSE")
    await ledger.ping()
    await ledger.close()
