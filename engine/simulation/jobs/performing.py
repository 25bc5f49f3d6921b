"""One job from its first run to its answer. What is there is not made again, so it resumes wherever it was left.

A run whose worker crashes, hangs or fails is begun once more. A second time ends the job, and so does a run that
refuses what was asked: a job always ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import structlog

from engine.background import AGAIN_SECONDS
from engine.clock import Clock
from engine.errors import InvalidInputError
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.job import TRIES_MAX, Course, Job, Progress, State, come
from engine.simulation.jobs.worker import ANSWER, Worker, WorkerLostError

log = structlog.get_logger("apportion.simulation")

NOTE_SECONDS = 0.5
"""Between two looks at how far it is, which are written down, and at whether somebody cancelled."""


class Performing:
    """One job under way. `refusal` may say why nothing may be written now, which ends the job; `told` sees every note
    of how far it is. What a process that was killed left half there goes at once, and so does what this leaves so."""

    def __init__(
        self,
        folder: Folder,
        workers: list[Worker],
        clock: Clock,
        refusal: Callable[[], str | None] = lambda: None,
        told: Callable[[Job, Progress], None] = lambda *_: None,
    ) -> None:
        self._folder = folder
        self._workers = workers
        self._clock = clock
        self._refusal = refusal
        self._told = told
        self._job = folder.job()
        folder.drop_coming()
        self.progress = self._taken_up()

    def _taken_up(self) -> Progress:
        """Where it was left: runs are done if their results are there, whatever was noted."""
        job, noted = self._job, self._folder.progress()
        courses = noted.runs or [Course() for _ in job.runs]
        for number, course in enumerate(courses):
            done = self._folder.has_run(number)
            course.state = State.DONE if done else State.QUEUED
            course.orders = course.orders if done else 0
        now_ms = self._clock.epoch_ms()
        progress = Progress(state=State.RUNNING, started_ms=noted.started_ms or now_ms, runs=courses)
        progress.session = now_ms, come(job, progress)
        return progress

    async def perform(self) -> Progress:
        """To its end, whichever that is. Cancelled (by asyncio) it is left to be resumed."""
        if self._folder.cancelled():
            return self._end(State.CANCELLED)
        working = asyncio.create_task(self._work())
        try:
            while not working.done():
                if self._folder.cancelled():
                    await _over(working)
                    return self._end(State.CANCELLED)
                if (refusal := self._refusal()) is not None:
                    await _over(working)
                    self._folder.drop_runs()  # orders need the room more
                    return self._fail(f"it was ended, and what its runs left was dropped: {refusal}")
                self._note()
                await asyncio.wait({working}, timeout=NOTE_SECONDS)
            await working
        except InvalidInputError as error:
            return self._fail(error.detail, error)
        except (WorkerLostError, OSError) as error:
            return self._fail(str(error))
        finally:
            await _over(working)
            self._folder.drop_coming()
        return self._end(State.DONE)

    async def _work(self) -> None:
        """All runs by all workers, then the answer by one of them."""
        numbers = iter([n for n, course in enumerate(self.progress.runs) if course.state is not State.DONE])
        working = [asyncio.create_task(self._runs(worker, numbers)) for worker in self._workers]
        try:
            await asyncio.wait(working, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for each in working:
                await _over(each)
        for each in working:
            if not each.cancelled():
                each.result()
        await self._twice(self._workers[0], ANSWER, "the answer", Course())

    async def _runs(self, worker: Worker, numbers: Iterator[int]) -> None:
        for number in numbers:
            planned, course = self._job.runs[number], self.progress.runs[number]
            course.state = State.RUNNING
            try:
                await self._twice(worker, number, f"scenario {planned.scenario!r} with seed {planned.seed}", course)
            except BaseException as error:
                failed = isinstance(error, InvalidInputError | WorkerLostError)
                course.state = State.FAILED if failed else State.QUEUED
                raise
            course.state = State.DONE

    async def _twice(self, worker: Worker, number: int, name: str, course: Course) -> None:
        """A task, once more if its worker is lost. `tries` outlive a restart, so that no run is begun for ever."""

        def orders(came: int) -> None:
            course.orders = came

        while True:
            try:
                await worker.do(self._folder.path, number, orders)
                return
            except WorkerLostError as error:
                course.tries += 1
                course.orders = 0
                log.warning("simulation_worker_lost", job=self._job.job_id, task=name, error=str(error))
                if course.tries >= TRIES_MAX:
                    raise WorkerLostError(f"{name}: {error} ({course.tries} tries)") from error

    def _fail(self, problem: str, error: InvalidInputError | None = None) -> Progress:
        self.progress.problem = problem
        self.progress.faults = () if error is None else error.faults
        return self._end(State.FAILED)

    def _end(self, state: State) -> Progress:
        self.progress.state = state
        self.progress.ended_ms = self._clock.epoch_ms()
        for course in self.progress.runs:
            if course.state in (State.RUNNING, State.QUEUED):
                course.state = State.CANCELLED
        self._note()
        return self.progress

    def _note(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # it was removed
            self._folder.note(self.progress)
        self._told(self._job, self.progress)


async def _over(task: asyncio.Task[None]) -> None:
    """Cancel what is left of a task, and wait until its processes are gone.

    A cancellation that meets the end of what was waited for can be lost, so it is said again. One of the caller is kept
    waiting until then.
    """
    while not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # it was told already, or comes too late to matter
