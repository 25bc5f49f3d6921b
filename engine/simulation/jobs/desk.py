"""What a service asks of simulations: submit, look, cancel, forget. And who performs them: one process of all that
share the data directory, one job after the other, the partitions by turns.

A job is what lies in its folder, so every process sees all jobs, and a restart changes nothing but the time it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from engine.background import Background
from engine.clock import Clock
from engine.errors import NotFoundError, OverloadedError, TooManyError, UnavailableError
from engine.promise import DAY_MS
from engine.simulation.jobs.accepting import Accept, Intake
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.job import Course, Job, Progress, State
from engine.simulation.jobs.performing import Performing
from engine.simulation.jobs.shelf import Shelf
from engine.simulation.jobs.terms import Terms
from engine.simulation.jobs.uploads import Uploads
from engine.simulation.jobs.worker import Worker
from engine.simulation.scenario import Simulation

log = structlog.get_logger("apportion.simulation")

LOOK_SECONDS = 0.5
"""Between two looks for jobs to perform, while there are none."""
CLEAR_UP_SECONDS = 60.0
UPLOADS = "uploads"
NOWHERE = Path(os.devnull)
"""Nothing can be in it."""
PRESSURE_MAX = 0.1
"""How full the queue of orders may be when a simulation is taken."""
QUEUE_RETRY_S, INTAKE_RETRY_S = 60, 5


class Standing(NamedTuple):
    """A job, how it stands, and where its files are."""

    job: Job
    progress: Progress
    folder: Folder


class Simulations:
    """One process's end of all jobs. `directory`: where they are kept.

    `refusal` may say why nothing may be written now. Without `directory` and `intake` nothing is taken at all.
    """

    def __init__(
        self,
        directory: Path | None,
        intake: Intake | None,
        terms: Terms,
        clock: Clock,
        refusal: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._terms = terms
        self._clock = clock
        self._refusal = refusal
        self.pressure: Callable[[], float] = lambda: 0.0
        """How full the queue of orders is: simulations are shed before anything else is (R19)."""
        self.count: Callable[[int, int], None] = lambda *_: None
        """Told how many wait and how many run, by the process that performs."""
        self._intakes = 0
        self._turns: dict[str, int] = {}
        """By partition: when one of its jobs was performed last."""
        self.workers = [Worker(terms.patience_seconds) for _ in range(terms.workers)]
        self._shelf = Shelf((directory or NOWHERE) / "jobs")
        self._task = Background(self._perform, "simulations")

    def start(self) -> None:
        """Perform what waits, if no other process does."""
        if self._directory is not None:
            self._task.start()

    async def stop(self) -> None:
        """Leave what is performed to be resumed."""
        await self._task.stop()
        for worker in self.workers:
            await worker.end()
        self._shelf.unlock()

    async def submit(self, partition: str, simulation: Simulation) -> Standing:
        """Accept a job. Raises InvalidInputError with every fault, NoNetworkError, TooManyError, OverloadedError,
        UnavailableError, and what the ledger raises."""
        intake = self._intake
        if intake is None:
            raise UnavailableError("this process keeps no simulations", retry_after_s=60)
        await asyncio.to_thread(self._require_room, partition)
        async with self._turn():
            now_ms = self._clock.epoch_ms()
            job_id, folder = self._shelf.reserve(partition, now_ms)
            try:
                await intake.take(Accept(folder, job_id, partition, now_ms, simulation))
                placed = self._shelf.place(folder)
            finally:
                shutil.rmtree(folder.path, ignore_errors=True)
        return _standing(placed)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._intakes >= self._terms.intakes_max:
            reason = f"{self._intakes} simulations are being checked, which is the limit; nothing was taken"
            raise OverloadedError(reason, INTAKE_RETRY_S)
        self._intakes += 1
        try:
            yield
        finally:
            self._intakes -= 1

    def _require_room(self, partition: str) -> None:
        self._require_calm()
        waiting = [folder.path.parent.name for folder in self._shelf.waiting() if not folder.cancelled()]
        if (own := waiting.count(partition)) >= self._terms.queue_per_partition_max:
            raise TooManyError(f"{own} simulations of this partition wait or run, which is the limit", QUEUE_RETRY_S)
        if len(waiting) >= self._terms.queue_max:
            raise OverloadedError(f"{len(waiting)} simulations wait or run, which is the limit", QUEUE_RETRY_S)

    def _require_calm(self) -> None:
        if (reason := self._refusal()) is not None:
            raise OverloadedError(f"nothing is taken for simulations now: {reason}", QUEUE_RETRY_S)
        if self.pressure() >= PRESSURE_MAX:
            reason = "orders wait in large number, and simulations are the first to step back"
            raise OverloadedError(f"nothing is taken for simulations now: {reason}", INTAKE_RETRY_S)

    async def page(self, partition: str, before: str, limit: int) -> list[Standing]:
        """Jobs of a partition, the latest first; those before the id `before`, or from the latest on ("")."""
        return await asyncio.to_thread(self._page, partition, before, limit)

    def _page(self, partition: str, before: str, limit: int) -> list[Standing]:
        ids = [job_id for job_id in self._shelf.ids(partition) if not before or job_id < before]
        found: list[Standing] = []
        for job_id in reversed(ids):
            with contextlib.suppress(NotFoundError, FileNotFoundError):  # it was removed since
                found.append(_standing(self._shelf.find(partition, job_id)))
            if len(found) == limit:
                break
        return found

    async def look(self, partition: str, job_id: str) -> Standing:
        """How a job stands. Raises NotFoundError."""
        return await asyncio.to_thread(lambda: _standing(self.folder(partition, job_id)))

    def folder(self, partition: str, job_id: str) -> Folder:
        """A job's folder. Raises NotFoundError."""
        return self._shelf.find(partition, job_id)

    async def let_go(self, partition: str, job_id: str) -> Standing:
        """Cancel a job that has not ended, or forget one that has; how it stands then, or stood.

        Raises NotFoundError.
        """
        standing = await self.look(partition, job_id)
        if standing.folder.progress().ended():
            await asyncio.to_thread(self._shelf.remove, standing.folder)
            return standing
        standing.folder.cancel()
        return await self.look(partition, job_id)

    def uploads(self, partition: str) -> Uploads:
        """The uploaded files of a partition."""
        if self._directory is None:
            raise UnavailableError("this process keeps no simulations", retry_after_s=60)
        return Uploads(self._directory / UPLOADS / partition)

    def upload_expires_ms(self, created_ms: float) -> float:
        """When an upload that came at that instant is removed."""
        return created_ms + self._terms.keep_days * DAY_MS

    def require_upload_room(self, partition: str, name: str) -> None:
        """Raise TooManyError if one more file is too many, OverloadedError if nothing may be written now."""
        uploads = self.uploads(partition)
        self._require_calm()
        if not uploads.file(name).exists() and uploads.count() >= self._terms.uploads_max:
            reason = f"{self._terms.uploads_max} uploads are kept in a partition: replace or remove one"
            raise TooManyError(reason, QUEUE_RETRY_S)

    async def _perform(self) -> None:
        """Whatever waits, for ever."""
        clear_up_s = 0.0
        while True:
            try:
                if self._shelf.lock():
                    if self._clock.monotonic() >= clear_up_s:
                        clear_up_s = self._clock.monotonic() + CLEAR_UP_SECONDS
                        await asyncio.to_thread(self._clear_up)
                    while (folder := self._next()) is not None:
                        await self._perform_one(folder)
                    self._count(None)
            except Exception as error:  # a disk that fails now may serve later, and orders do not depend on it
                log.error("simulation_desk", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    def _next(self) -> Folder | None:
        """A job that was cancelled while it waited, to be ended; else the oldest of the partition whose turn it is."""
        first: dict[str, Folder] = {}
        for folder in self._shelf.waiting():
            if folder.cancelled():
                return folder
            first.setdefault(folder.path.parent.name, folder)
        if not first:
            return None
        partition = min(first, key=lambda name: (self._turns.get(name, 0), first[name].path.name))
        self._turns[partition] = 1 + max(self._turns.values(), default=0)
        return first[partition]

    async def _perform_one(self, folder: Folder) -> None:
        try:
            if not folder.progress().ended():
                count = partial(self._count, folder)
                await Performing(folder, self.workers, self._clock, self._refusal, count).perform()
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.error("simulation_unreadable", job=folder.path.name, exc_info=error)
            now_ms = self._clock.epoch_ms()
            folder.note(Progress(state=State.FAILED, ended_ms=now_ms, problem=f"its files cannot be used: {error}"))
        finally:
            for worker in self.workers:
                await worker.end()
        folder.drop_coming()  # of one that ended while its process was killed
        self._shelf.ended(folder)

    def _count(self, performed: Folder | None, *_: object) -> None:
        """Tell how many wait beside the one that is performed."""
        waiting = {folder.path for folder in self._shelf.waiting() if not folder.cancelled()}
        running = performed is not None and performed.path in waiting
        self.count(len(waiting) - running, int(running))

    def _clear_up(self) -> None:
        """Let go of what is old, and of what a killed process left half there."""
        now_ms = self._clock.epoch_ms()
        oldest_ms = now_ms - self._terms.keep_days * DAY_MS
        self._shelf.clear_up(now_ms)
        waiting = {folder.path for folder in self._shelf.waiting()}
        for partition in self._shelf.partitions():
            ended = [folder for folder in self._shelf.folders(partition) if folder.path not in waiting]
            surplus = len(ended) - self._terms.keep_max
            for number, folder in enumerate(ended):
                if number < surplus or folder.last_noted_ms() < oldest_ms:
                    self._shelf.remove(folder)
        assert self._directory is not None, "only then anything is performed"
        for directory in (self._directory / UPLOADS).glob("*/"):
            Uploads(directory).clear_up(oldest_ms, now_ms)


def _standing(folder: Folder) -> Standing:
    """Raises NotFoundError for one that was removed meanwhile."""
    try:
        job, progress = folder.job(), folder.progress()
    except FileNotFoundError:
        raise NotFoundError(f"there is no simulation {folder.path.name!r} in this partition") from None
    if not progress.runs:
        progress.runs = [Course() for _ in job.runs]
    if folder.cancelled() and not progress.ended():
        progress.state = State.CANCELLED
    return Standing(job, progress, folder)
