"""Waiting for what other processes bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SECONDS = 120.0
"""Workers get only what the machine has to spare, and it may be busy."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 -- other processes do it
            await asyncio.sleep(0.01)
