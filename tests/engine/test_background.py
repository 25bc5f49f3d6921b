"""Background work ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib

from engine.background import Background


async def test_stopping_does_not_depend_on_one_cancellation():
    """A cancellation that a client library turns into a time-out must not leave a process that never ends."""
    lost = []

    async def work() -> None:
        while True:
            if lost:
                await asyncio.sleep(60)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            lost.append(1)

    background = Background(work, "work")
    background.start()
    await asyncio.sleep(0)
    await asyncio.wait_for(background.stop(), 5)
    assert lost == [1]
