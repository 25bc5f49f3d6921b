"""A service of ours in a process of its own, for as long as it is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

START_S, STOP_S = 120.0, 60.0

ELSEWHERE = ("APPORTION_REDIS_URL", "APPORTION_ARCHIVE_URL", "APPORTION_DATA_DIR", "APPORTION_HOST", "APPORTION_PORT")
"""Settings that would make it another service than the one that is to be measured."""


class NotServingError(Exception):
    """A service did not say where it listens; its own output has why."""


async def start(*arguments: str, errors: int | None = None) -> Process:
    """Run `python` with these arguments; `errors`: where its standard error goes, None for this process's."""
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=errors, env=environment, start_new_session=True
    )


@asynccontextmanager
async def serving(*arguments: str, errors: int | None = None) -> AsyncIterator[tuple[str, Process]]:
    """(URL, process) of a service that says where it listens by a line of JSON. Raises NotServingError."""
    process = await start(*arguments, errors=errors)
    try:
        assert process.stdout is not None, "it was asked for"
        said = b""
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not said:
            raise NotServingError("the service ended before it was ready, or took too long")
        told = msgspec.json.decode(said)
        if "url" not in told:
            raise NotServingError(f"the service did not start, and said {said.decode().strip()}")
        yield told["url"], process
    finally:
        await end(process)


async def end(process: Process) -> None:
    """SIGTERM, and after a while SIGKILL."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
