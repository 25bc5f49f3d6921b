"""The pricer's process: a round every `price_seconds`, each told by a line.

Orders come first, so it has idle time only: prices that come late steer nothing, and nothing piles up behind them.
"""

from __future__ import annotations

import asyncio

import structlog

from engine.archive.database import Archive
from engine.clock import SystemClock
from engine.companion import Begin
from engine.companion_process import Tell, accompany
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.pricing.pricer import Pricer
from engine.registry import Registry
from engine.settings import Settings

log = structlog.get_logger("apportion.pricer")

NICENESS = 19


async def serve(begin: Begin, tell: Tell) -> None:
    """Rounds until cancelled."""
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
                    tell(told)
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("prices_wait", reason=str(error))
            await asyncio.sleep(max(0.0, due - clock.monotonic()))
    finally:
        await archive.close()
        await ledger.close()


if __name__ == "__main__":
    accompany(serve, niceness=NICENESS, idle=True)
