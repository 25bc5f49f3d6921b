"""The projector's process: from the store's log to the database beside the service, whose event loop must not wait.

In the service, reading pages and the SQL of a thread took half of the interpreter's time under load. Killed anywhere it
goes on where it was (see `engine.archive.projector`), so it needs no drain.
"""

from __future__ import annotations

from engine.archive.database import Archive
from engine.archive.projector import Projector
from engine.clock import SystemClock
from engine.companion import Begin
from engine.companion_process import Tell, accompany
from engine.ledger.redis import RedisLedger
from engine.settings import Settings

NICENESS = 10
"""It stands back, for who places an order waits and who reads history does not. But it is owed a share of a busy
machine: with idle time only (as the pricer has) the log would grow while the machine is saturated, without bound."""


async def serve(begin: Begin, tell: Tell) -> None:
    """Feed the archive until cancelled."""
    settings = Settings.model_validate_json(begin.settings)
    ledger, archive = RedisLedger(begin.url), Archive(begin.archive)
    try:
        await Projector(ledger, archive, SystemClock(), settings, tell, begin.holder).run()
    finally:
        await archive.close()
        await ledger.close()


if __name__ == "__main__":
    accompany(serve, niceness=NICENESS)
