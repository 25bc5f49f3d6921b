"""The parent's end of the pricer's process: starts it, starts it again when it died, and shows how it fares."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys

import msgspec
import structlog

from engine.archive.database import sqlite_url
from engine.background import Background
from engine.clock import Clock
from engine.metrics import Metrics
from engine.pricing.pricer import Told
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

AGAIN_SECONDS = 1.0
"""Before a process that ended is started again."""

STOP_SECONDS = 1.0


class Keeper:
    """Keeps one pricer running, from `start` to `stop`. Orders never wait for it."""

    def __init__(self, settings: Settings, url: str, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._url = url
        self._clock = clock
        self._metrics = metrics
        self._holder = secrets.token_hex(4)
        self._process: asyncio.subprocess.Process | None = None
        self._task = Background(self._run, "pricer")

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
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            await self._kill()

    async def _kill(self) -> None:
        """End the process by force, if there is one that runs."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except (OSError, ValueError, msgspec.DecodeError) as error:
                log.warning("pricer_lost", error=repr(error))
                await self._kill()  # whoever cannot be understood is not left alive beside the next
            self._metrics.price_failures.inc()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _serve(self) -> None:
        """One process from its start to its end."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.pricing.process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        settings = self._settings
        begin = {
            "url": self._url,
            "holder": self._holder,
            "archive": settings.archive_url or sqlite_url(settings.data_dir),
            "settings": settings.model_dump_json(),
        }
        process.stdin.write(msgspec.json.encode(begin) + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            self._tell(msgspec.json.decode(line, type=Told))
        log.warning("pricer_ended", code=await process.wait())

    def _tell(self, told: Told) -> None:
        self._metrics.price_failures.inc(bool(told.error))
        if told.source:
            self._metrics.priced(told.source, told.seconds, self._clock.epoch_ms() - told.at_ms)
