"""Jobs as callers see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from api.problems import FaultView
from engine.simulation.answering import Answer
from engine.simulation.jobs.desk import Standing
from engine.simulation.jobs.job import State, come, eta_s, expected


class SimulationEntry(Struct, frozen=True, kw_only=True):
    """One simulation of a list; `GET /v1/simulations/{simulation_id}` has all of it.

    `state`: queued, running, done, failed or cancelled. `orders`: that came so far, of about `orders_expected` in all
    runs. `eta_seconds`: until it will be done at the pace so far; null while nothing is known. `problem`: why it
    failed, and `errors`: where.
    """

    simulation_id: str
    name: str
    state: str
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    runs_done: int
    runs_total: int
    orders: int
    orders_expected: int
    eta_seconds: int | None
    problem: str | None
    errors: tuple[FaultView, ...]


class RunView(Struct, frozen=True, kw_only=True):
    """One scenario with one seed."""

    scenario: str
    seed: int
    state: str
    orders: int
    orders_expected: int


class SimulationView(SimulationEntry, frozen=True, kw_only=True):
    """A simulation. `answer`: once it is done, its reports and what its questions asked; null before."""

    runs: tuple[RunView, ...]
    answer: Answer | None = None


class SimulationList(Struct, frozen=True, kw_only=True):
    """A page of simulations, the latest first. `next_cursor` is null at the end."""

    items: list[SimulationEntry]
    next_cursor: str | None


def entry_of(standing: Standing, now_ms: int) -> SimulationEntry:
    """Without its runs."""
    return SimulationEntry(**_fields(standing, now_ms))


def view_of(standing: Standing, now_ms: int) -> bytes:
    """All of it as JSON; the answer, if it is done, is passed on as it was written."""
    job, progress, folder = standing
    runs = tuple(
        RunView(
            scenario=planned.scenario,
            seed=planned.seed,
            state=course.state,
            orders=course.orders,
            orders_expected=round(planned.orders),
        )
        for planned, course in zip(job.runs, progress.runs, strict=True)
    )
    answer = None
    if progress.state is State.DONE:
        answer = msgspec.Raw(folder.answer.read_bytes())
    return msgspec.json.encode(SimulationView(**_fields(standing, now_ms), runs=runs, answer=answer))  # type: ignore[arg-type]


def _fields(standing: Standing, now_ms: int) -> dict[str, Any]:
    job, progress, _ = standing
    return {
        "simulation_id": job.job_id,
        "name": job.name,
        "state": progress.state,
        "submitted_at": _instant(job.submitted_ms),
        "started_at": _instant(progress.started_ms),
        "ended_at": _instant(progress.ended_ms),
        "runs_done": sum(course.state is State.DONE for course in progress.runs),
        "runs_total": len(job.runs),
        "orders": round(come(job, progress)),
        "orders_expected": round(expected(job)),
        "eta_seconds": eta_s(job, progress, now_ms),
        "problem": progress.problem or None,
        "errors": tuple(FaultView(fault.path, fault.reason) for fault in progress.faults),
    }


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
