"""Making a job in a process of its own: checking takes seconds of processor, which orders must not wait for.

The service's end is `ProcessIntake`. The process is told by one line of JSON, and tells by one how it went; it ends
when its standard input does. It stands back behind orders, but not as far as runs: a caller waits for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from engine import child
from engine.archive.database import Archive
from engine.archive.history import History
from engine.companion_process import give_way
from engine.errors import (
    EngineError,
    Fault,
    InvalidInputError,
    NoNetworkError,
    StoreUnavailableError,
    UnavailableError,
)
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from engine.ledger.redis import RedisLedger
from engine.simulation.jobs.folder import Folder, write
from engine.simulation.jobs.intake import Accept, InPlace

MODULE = "engine.simulation.jobs.intake_process"
NICENESS = 10
LINE_BYTES_MAX = 1 << 20

_ERRORS: dict[str, type[EngineError]] = {
    kind.slug: kind for kind in (InvalidInputError, NoNetworkError, UnavailableError, StoreUnavailableError)
}


class Source(Struct, frozen=True, kw_only=True):
    """Where the process reads: the URLs of store and archive, and the directory of all uploads."""

    url: str
    archive: str
    uploads: str
    strict_skus: bool


class Begin(Struct, frozen=True, kw_only=True):
    """What it is told. The document lies in the folder."""

    source: Source
    folder: str
    job_id: str
    partition: str
    submitted_ms: int


class Taken(Struct, frozen=True, kw_only=True):
    """How it went; `slug`: of the error, "" for none."""

    slug: str = ""
    detail: str = ""
    faults: tuple[Fault, ...] = ()


class ProcessIntake:
    """`Intake` by a process for each job."""

    def __init__(self, source: Source, seconds_max: float) -> None:
        self._source = source
        self._seconds_max = seconds_max

    async def take(self, accept: Accept) -> None:
        """As `Intake.take`. Raises UnavailableError too if the process dies or takes longer than it may."""
        write(accept.folder.path / "simulation.json", msgspec.json.encode(accept.simulation), settled=False)
        begin = Begin(
            source=self._source,
            folder=str(accept.folder.path),
            job_id=accept.job_id,
            partition=accept.partition,
            submitted_ms=accept.submitted_ms,
        )
        process = await child.spawn(MODULE, LINE_BYTES_MAX)
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        try:
            process.stdin.write(msgspec.json.encode(begin) + b"\n")
            line = await asyncio.wait_for(process.stdout.readline(), self._seconds_max)
        except TimeoutError:
            reason = f"checking the simulation took longer than {self._seconds_max:g} s: a shorter period is quicker"
            raise UnavailableError(reason, retry_after_s=60) from None
        finally:
            await child.kill(process)
        if not line:
            raise UnavailableError("the process that checks simulations died; nothing was taken", retry_after_s=5)
        taken = msgspec.json.decode(line, type=Taken)
        if taken.slug:
            raise _ERRORS[taken.slug](taken.detail, taken.faults if taken.slug == InvalidInputError.slug else ())


async def _take(begin: Begin) -> Taken:
    """Make the job; what the caller is to be told of it."""
    source, folder = begin.source, Folder(Path(begin.folder))
    ledger = RedisLedger(source.url, refusal=lambda: "a simulation only reads")
    archive = Archive(source.archive)
    accept = Accept(folder, begin.job_id, begin.partition, begin.submitted_ms, folder.simulation())
    try:
        intake = InPlace(ledger, History(ledger, archive), Path(source.uploads), strict_skus=source.strict_skus)
        await intake.take(accept)
    except LedgerUnavailableError:
        return Taken(slug=StoreUnavailableError.slug, detail="the store does not answer")
    except LedgerRefusedError as error:
        return Taken(slug=StoreUnavailableError.slug, detail=str(error))
    except EngineError as error:
        slug = error.slug if error.slug in _ERRORS else UnavailableError.slug
        return Taken(slug=slug, detail=error.detail, faults=error.faults)
    finally:
        await archive.close()
        await ledger.close()
    return Taken()


def main() -> None:
    """One job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    give_way(NICENESS, idle=False)
    telling = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not stand in the line
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    begin = msgspec.json.decode(sys.stdin.buffer.readline(), type=Begin)

    def listen() -> None:
        sys.stdin.buffer.read()
        os._exit(0)  # nobody waits for it any more

    threading.Thread(target=listen, daemon=True).start()
    telling.write(msgspec.json.encode(asyncio.run(_take(begin))) + b"\n")
    telling.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
