"""Making a job in a process of its own, the service's end: checking takes seconds of processor, which orders must not
wait for. The process is told by one line of JSON, and tells by one how it went.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from engine import child
from engine.errors import (
    EngineError,
    Fault,
    InvalidInputError,
    NoNetworkError,
    StoreUnavailableError,
    UnavailableError,
)
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.folder import write

MODULE = "engine.simulation.jobs.intake_process"
LINE_BYTES_MAX = 1 << 20

ERRORS: dict[str, type[EngineError]] = {
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
        process = await child.spawn(MODULE, line_bytes_max=LINE_BYTES_MAX)
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        try:
            process.stdin.write(msgspec.json.encode(begin) + b"\n")
            async with asyncio.timeout(self._seconds_max):
                line = await process.stdout.readline()
        except TimeoutError:
            reason = f"checking the simulation took longer than {self._seconds_max:g} s: a shorter period is quicker"
            raise UnavailableError(reason, retry_after_s=60) from None
        finally:
            await child.kill(process)
        if not line:
            raise UnavailableError("the process that checks simulations died; nothing was taken", retry_after_s=5)
        taken = msgspec.json.decode(line, type=Taken)
        if taken.slug:
            raise ERRORS[taken.slug](taken.detail, taken.faults if taken.slug == InvalidInputError.slug else ())
