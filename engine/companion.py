"""A process of its own beside the service, the parent's end: starts it, starts it again when it died, hears its lines.

The child's end is `engine.companion_process`. It is told once, by a line of JSON, what to work on (`Begin`); it tells
how it fares by lines of JSON; and it ends when its standard input does. Orders never wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from engine import child
from engine.background import Background

log = structlog.get_logger("apportion.companion")

AGAIN_SECONDS = 1.0
"""Before a process that ended is started again."""

STOP_SECONDS = 1.0


class Begin(msgspec.Struct, frozen=True):
    """What the parent says first. `url`: the store's; `holder`: a name for leases, so that the next process takes up
    what a dead one left; `archive`: the database's URL; `settings`: those it runs with, as JSON."""

    url: str
    holder: str
    archive: str
    settings: str


class Companion:
    """Keeps one process of `python -m module` running, from `start` to `stop`.

    `hear`: called with each line that it told; raises ValueError or msgspec.DecodeError if it cannot be understood,
    and then the process is replaced. `ended`: called whenever a process came to an end that was not asked to.
    """

    def __init__(self, module: str, begin: Begin, hear: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._module = module
        self._begin = begin
        self._hear = hear
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._task = Background(self._run, module)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now, or ran last; None before the first."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin; never fails."""
        self._task.start()

    async def stop(self) -> None:
        """End the process: politely by closing its input, then by force."""
        await self._task.stop()
        if self._process is not None:
            await child.end(self._process, STOP_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except (OSError, ValueError, msgspec.DecodeError) as error:
                log.warning("companion_lost", module=self._module, error=repr(error))
                if self._process is not None:  # whoever cannot be understood is not left alive beside the next
                    await child.kill(self._process)
            self._ended()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _serve(self) -> None:
        """One process from its start to its end."""
        self._process = process = await child.spawn(self._module)
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        process.stdin.write(msgspec.json.encode(self._begin) + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            self._hear(line)
        log.warning("companion_ended", module=self._module, code=await process.wait())
