"""The pricer's process: told by one line on standard input where the store is, it tells each round by a line of JSON.

It ends when its standard input does, which is when its parent is gone, however it went.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time

import msgspec
import structlog

from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.pricing.pricer import Pricer
from engine.registry import Registry
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

NICENESS = 10
"""Orders come first."""


class Begin(msgspec.Struct):
    """What the parent says first. `settings`: those it runs with, as JSON."""

    url: str
    settings: str


async def serve(begin: Begin) -> None:
    """A round every `price_seconds`, until cancelled."""
    settings = Settings.model_validate_json(begin.settings)
    ledger = RedisLedger(begin.url)
    registry = Registry(ledger, strict_skus=settings.strict_skus)
    pricer = Pricer(ledger, registry, settings, time.monotonic, secrets.token_hex(4))
    try:
        while True:
            due = time.monotonic() + settings.price_seconds
            try:
                for told in await pricer.round():
                    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
                    sys.stdout.buffer.flush()
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("prices_wait", reason=str(error))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        await ledger.close()


async def _until_alone(begin: Begin, stdin: asyncio.StreamReader) -> None:
    serving = asyncio.create_task(serve(begin))
    ended = asyncio.create_task(stdin.read())
    await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def main() -> None:
    """Serve until standard input ends."""
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await _until_alone(msgspec.json.decode(await stdin.readline(), type=Begin), stdin)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
