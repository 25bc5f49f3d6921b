"""Work that goes on beside the orders, from `start` to `stop`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

AGAIN_SECONDS = 0.1


class Background:
    """One task that runs `work`, until it returns or is stopped."""

    def __init__(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> None:
        self._work = work
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work(), name=self._name)

    async def stop(self) -> None:
        """Cancel until it has ended: a cancellation that meets a time-out, as after a stall, can be lost."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=AGAIN_SECONDS)
