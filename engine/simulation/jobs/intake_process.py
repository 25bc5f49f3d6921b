"""The process that makes one job: reads store and archive, writes the job's folder, tells how it went.

It ends when its standard input does, which is when its parent is gone. It stands back behind orders, but not as far as
runs: a caller waits for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import msgspec
import structlog

from engine.archive.database import Archive
from engine.archive.history import History
from engine.companion_process import settle_in
from engine.errors import EngineError, StoreUnavailableError, UnavailableError
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.checking import ERRORS, Begin, Taken
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.intake import InPlace

log = structlog.get_logger("apportion.simulation")

NICENESS = 10


async def _take(begin: Begin) -> Taken:
    """Make the job; what the caller is to be told of it."""
    source, folder = begin.source, Folder(Path(begin.folder))
    ledger = RedisLedger(source.url, refusal=lambda: "a simulation only reads")
    archive = Archive(source.archive)
    accept = Accept(folder, begin.job_id, begin.partition, begin.submitted_ms, folder.simulation())
    try:
        intake = InPlace(ledger, History(ledger, archive), Path(source.uploads), strict_skus=source.strict_skus)
        await intake.take(accept)
    except LedgerUnavailableError as error:
        log.warning("simulation_intake", error=str(error))
        return Taken(slug=StoreUnavailableError.slug, detail="the store does not answer")
    except LedgerRefusedError as error:
        return Taken(slug=StoreUnavailableError.slug, detail=str(error))
    except EngineError as error:
        slug = error.slug if error.slug in ERRORS else UnavailableError.slug
        return Taken(slug=slug, detail=error.detail, faults=error.faults)
    finally:
        await archive.close()
        await ledger.close()
    return Taken()


def main() -> None:
    """One job."""
    tell = settle_in(NICENESS)
    begin = msgspec.json.decode(sys.stdin.buffer.readline(), type=Begin)

    def listen() -> None:
        sys.stdin.buffer.read()
        os._exit(0)  # nobody waits for it any more

    threading.Thread(target=listen, daemon=True).start()
    tell(asyncio.run(_take(begin)))
    os._exit(0)


if __name__ == "__main__":
    main()
