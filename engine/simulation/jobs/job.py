"""What is known of a job: what it is, which is written once, and how far it is, which its performer writes anew."""

from __future__ import annotations

from enum import StrEnum
from math import ceil

from msgspec import Struct, field

from engine.errors import Fault
from engine.simulation.scenario import Run

TRIES_MAX = 2
"""How often a run is begun whose worker crashes or hangs."""


class State(StrEnum):
    """Of a job, and (but for `cancelled`) of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Planned(Struct, frozen=True):
    """A run to be made, and about how many orders it will have."""

    scenario: str
    seed: int
    orders: float

    @property
    def run(self) -> Run:
        """What a worker performs."""
        return Run(self.scenario, self.seed)


class Job(Struct, frozen=True, kw_only=True):
    """What a job is, from its acceptance on. `runs`: all of them; a run's number is its place here.

    `recorded`: how many orders were written down for it; None where orders are generated.
    """

    job_id: str
    partition: str
    name: str
    submitted_ms: int
    runs: tuple[Planned, ...]
    recorded: int | None = None


class Course(Struct):
    """How far a run is. `orders`: that came so far; `tries`: how often it was begun and its worker was lost."""

    state: State = State.QUEUED
    orders: int = 0
    tries: int = 0


class Progress(Struct, kw_only=True):
    """How far a job is. `session`: the instant and the orders at which those who perform it now took it up."""

    state: State = State.QUEUED
    started_ms: int | None = None
    ended_ms: int | None = None
    problem: str = ""
    """Why it failed, for people."""
    faults: tuple[Fault, ...] = ()
    """Where in the document, or in which order, as far as that is known."""
    runs: list[Course] = field(default_factory=list)
    session: tuple[int, float] | None = None

    def ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in ENDED


def come(job: Job, progress: Progress) -> float:
    """How many of the job's orders have come, by the measure of `Planned.orders`: a run that is done counts whole."""
    return sum(
        planned.orders if course.state is State.DONE else min(planned.orders, course.orders)
        for planned, course in zip(job.runs, progress.runs, strict=True)
    )


def expected(job: Job) -> float:
    """How many orders all runs will have, about."""
    return sum(planned.orders for planned in job.runs)


def eta_s(job: Job, progress: Progress, now_ms: int) -> int | None:
    """Seconds until it will be done at the pace so far; None while nothing is known."""
    if progress.state is not State.RUNNING or progress.session is None:
        return None
    since_ms, before = progress.session
    so_far = come(job, progress)
    if so_far <= before or now_ms <= since_ms:
        return None
    return ceil((expected(job) - so_far) * (now_ms - since_ms) / 1000 / (so_far - before))
