"""The pricer's process: told by one line on standard input where the store is, it tells each round by a line of JSON.

It ends when its standard input does, which is when its parent is gone, however it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import BinaryIO

import msgspec
import structlog

from engine.archive.database import Archive
from engine.clock import SystemClock
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.pricing.pricer import Pricer
from engine.registry import Registry
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

NICENESS = 19
"""Orders come first: where the system knows idle time, the pricer has only that."""


class Begin(msgspec.Struct):
    """What the parent says first. `holder`: its name for the lease, so that the next process takes up what a dead one
    left; `archive`: the database's URL; `settings`: those it runs with, as JSON."""

    url: str
    holder: str
    archive: str
    settings: str


async def serve(begin: Begin, telling: BinaryIO) -> None:
    """A round every `price_seconds`, until cancelled, told line by line."""
    settings = Settings.model_validate_json(begin.settings)
    ledger, clock = RedisLedger(begin.url), SystemClock()
    registry = Registry(ledger, strict_skus=settings.strict_skus)
    archive = Archive(begin.archive)
    pricer = Pricer(ledger, registry, settings, clock.monotonic, begin.holder, archive)
    try:
        while True:
            due = clock.monotonic() + settings.price_seconds
            try:
                for told in await pricer.round():
                    telling.write(msgspec.json.encode(told) + b"\n")
                    telling.flush()
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("prices_wait", reason=str(error))
            await asyncio.sleep(max(0.0, due - clock.monotonic()))
    finally:
        await archive.close()
        await ledger.close()


async def _until_alone(begin: Begin, stdin: asyncio.StreamReader, telling: BinaryIO) -> None:
    serving = asyncio.create_task(serve(begin, telling))
    ended = asyncio.create_task(stdin.read())
    await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        ended.cancel()
        await serving
        return
    sys.stderr.flush()
    # The event loop would not end before its threads do, and a programme in one may take seconds. Nothing is
    # lost with it: each line was flushed, a sheet is written in one command, and the lease runs out or is taken up.
    os._exit(0)


async def main() -> None:
    """Serve until standard input ends."""
    telling = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not stand between the lines
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await _until_alone(msgspec.json.decode(await stdin.readline(), type=Begin), stdin, telling)


def _give_way() -> None:
    os.nice(NICENESS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not allowed everywhere
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _give_way()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
