"""A process that this one starts and speaks to over pipes: its start, and its end. What is said is the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process

from engine.metrics import SHARED

LINE_BYTES_MAX = 64 * 1024
"""The longest line that is read from one, unless the caller says another."""


async def spawn(module: str, *arguments: str, line_bytes_max: int = LINE_BYTES_MAX) -> Process:
    """Run `python -m module` with these arguments, in a session of its own and with one thread of linear algebra.

    Its figures are not among those that service processes share: what it has to tell, it tells its parent. Raises
    OSError.
    """
    environment = {name: value for name, value in os.environ.items() if name != SHARED}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True, limit=line_bytes_max,
    )  # fmt: skip


async def end(process: Process, patience_s: float) -> None:
    """End it: politely by closing its input, then by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        await kill(process)


async def kill(process: Process) -> None:
    """End it by force, if it still runs."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it died, which is not known yet
            process.kill()
        await process.wait()
