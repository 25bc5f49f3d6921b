"""A job by real processes: killed, hung, refused, resumed. Whatever happens, it ends, and no finished run is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.policy import ReoptimiseTerms
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.desk import Simulations
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.intake import found
from engine.simulation.jobs.job import Progress, State, eta_s, expected
from engine.simulation.jobs.performing import Performing
from engine.simulation.jobs.results import results_of
from engine.simulation.jobs.shelf import Shelf
from engine.simulation.jobs.terms import Terms
from engine.simulation.jobs.worker import Worker
from engine.simulation.recorded import spooled
from tests.engine.simulation.jobs.waiting import until
from tests.engine.simulation.worlds import days_later, order, simulation, with_policy, world

GENERATOR = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 30}
HISTORY = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}
CLOCK = SystemClock()


def job(path: Path, **fields: Any) -> Folder:
    """A job of four runs that was accepted: generated demand on a small merchant, two seeds."""
    path.mkdir()
    folder = Folder(path)
    fields = {"demand": {"generator": GENERATOR}, "pricing": {"on": False}, "seeds": [1, 2]} | fields
    found(Accept(folder, path.name, "default", 0, simulation(**fields)), world(), None)
    return folder


async def performed(folder: Folder, patience_s: float = 100.0) -> Progress:
    """By one worker, to its end."""
    worker = Worker(patience_s)
    try:
        return await Performing(folder, [worker], CLOCK).perform()
    finally:
        await worker.end()


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let a shell script stand for the interpreter that a worker is run with; PYTHON in it is the real one."""
    path = tmp_path / "program"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")).replace("PYTHON", sys.executable))
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.timeout(200)
async def test_a_job_that_was_left_goes_on_and_answers_as_if_it_had_not_been(tmp_path):
    """A restart costs nothing but time: runs that are there stay as they are, and the answer is the same to a byte."""
    whole, parted = job(tmp_path / "whole"), job(tmp_path / "parted")
    assert (await performed(whole)).state is State.DONE
    worker = Worker(100.0)
    performing = Performing(parted, [worker], CLOCK)
    left = asyncio.create_task(performing.perform())
    await until(lambda: parted.has_run(0))
    left.cancel()
    await asyncio.wait({left})
    assert worker.pid is None, "whoever leaves takes the process along"
    assert not parted.answer.exists()
    noted = parted.progress()
    assert (noted.state, noted.ended()) == (State.RUNNING, False)
    before = {each.name: each.stat().st_ino for each in (parted.path / "runs").iterdir() if each.suffix == ""}
    assert (await performed(parted)).state is State.DONE
    after = {each.name: each.stat().st_ino for each in (parted.path / "runs").iterdir()}
    assert before.items() <= after.items()
    assert sorted(after) == ["0000", "0001", "0002", "0003"]
    assert parted.answer.read_bytes() == whole.answer.read_bytes()


@pytest.mark.timeout(200)
async def test_a_killed_worker_is_replaced_and_its_run_made_once_more(tmp_path, monkeypatch):
    """The first process dies at its first task; the job does not."""
    folder = job(tmp_path / "job")
    mark = tmp_path / "died"
    program(tmp_path, monkeypatch, f"if [ ! -e {mark} ]; then touch {mark}; read task; exit 3; fi", 'exec PYTHON "$@"')
    progress = await performed(folder)
    assert (progress.state, progress.problem) == (State.DONE, "")
    assert [course.tries for course in progress.runs] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("read task; exit 3", "its process ended with code 3"),
        ("read task; kill -9 $$", "its process ended with code -9"),
        ("exec sleep 50", "no sign of progress for 0.3 s"),
        ("echo nonsense; exec sleep 50", "its process cannot be understood"),
    ],
)
async def test_a_run_whose_worker_is_lost_twice_is_reported_and_ends_the_job(tmp_path, monkeypatch, does, told):
    """However a process fails, the job ends, says of which run and why, and leaves no process behind."""
    folder = job(tmp_path / "job")
    program(tmp_path, monkeypatch, f"echo $$ >> {tmp_path}/pids", does)
    progress = await performed(folder, 0.3)
    assert progress.state is State.FAILED
    assert told in progress.problem
    assert "scenario 'baseline' with seed 1" in progress.problem
    assert [course.state for course in progress.runs] == [State.FAILED, *[State.CANCELLED] * 3]
    assert folder.progress() == progress
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.timeout(200)
async def test_a_run_that_refuses_its_orders_is_not_tried_again(tmp_path):
    """What was asked cannot be: the job ends at once, and the fault has its place."""
    path = tmp_path / "job"
    path.mkdir()
    folder = Folder(path)
    spool = spooled([order("O-1", 1, policy_id="nowhere")], folder.spool, 10)
    of = simulation(demand={"history": HISTORY}, pricing={"on": False})
    found(Accept(folder, "job", "default", 0, of), world(), spool)
    progress = await performed(folder)
    assert progress.state is State.FAILED
    assert [fault.path for fault in progress.faults] == ["order 'O-1': $.policy_id"]
    assert progress.runs[0].tries == 0


@pytest.mark.timeout(200)
async def test_what_the_engine_tells_of_an_ordinary_day_is_not_told_of_simulated_ones(tmp_path, capfd):
    """Who simulates on a terminal sees how far it is, not a line for each look at orders that may move."""
    path = tmp_path / "job"
    path.mkdir()
    folder = Folder(path)
    arrival = {"at": days_later(0.05).isoformat(), "node_id": "E", "sku": "P", "quantity": 5}
    of = simulation(
        demand={"history": HISTORY}, pricing={"on": False}, baseline=[{"hold": {"hours": 3}}],
        stock={"replenishment": {"arrivals": [arrival]}},
    )  # fmt: skip
    base = with_policy(world({("W", "P"): 5}), reoptimise=ReoptimiseTerms(mode="on", every_seconds=600))
    found(Accept(folder, "job", "default", 0, of), base, spooled([order("O-1", 1)], folder.spool, 10))
    assert (await performed(folder)).state is State.DONE
    assert [result.figures.moves for result in results_of(folder, folder.job())] == [1, 1]
    assert "reoptimised" not in capfd.readouterr().err


async def test_a_job_makes_room_where_the_disk_gets_full(tmp_path):
    """Protects orders: a store on a full disk takes none, so a simulation ends and lets go of what it wrote."""
    folder = job(tmp_path / "job")
    progress = await Performing(folder, [Worker(100.0)], CLOCK, refusal=lambda: "the disk is nearly full").perform()
    assert (progress.state, "the disk is nearly full" in progress.problem) == (State.FAILED, True)
    assert not (folder.path / "runs").exists()


@pytest.mark.timeout(200)
async def test_workers_stand_back_and_end_with_their_parent(tmp_path):
    """Protects orders: a run has only time that nobody wants, and no process of it outlives who started it."""
    folder = job(tmp_path / "job", demand={"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}})
    worker = Worker(100.0)
    doing = asyncio.create_task(Performing(folder, [worker], CLOCK).perform())
    await until(lambda: worker.pid is not None and os.sched_getscheduler(worker.pid) == os.SCHED_IDLE)
    pid = worker.pid
    assert pid is not None
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    process = worker._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0
    doing.cancel()
    await asyncio.wait({doing})


@pytest.mark.timeout(200)
async def test_a_killed_process_leaves_no_half_result(tmp_path):
    """A run is there wholly or not at all: what was coming when its process died is made anew."""
    folder = job(tmp_path / "job", demand={"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}})
    worker = Worker(100.0)
    doing = asyncio.create_task(worker.do(folder.path, 0))
    coming = folder.run(0).with_suffix(".coming")
    await until((coming / "decisions.parquet.part").exists)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    await asyncio.wait({doing})
    assert doing.exception() is not None
    assert not folder.has_run(0)
    assert half(folder), "it was in the middle of it"
    (folder.path / "progress.json.coming").touch()
    Performing(folder, [], CLOCK)
    assert half(folder) == [], "whoever goes on clears up first"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "left"])
async def test_a_run_that_was_ended_leaves_nothing_half_there(tmp_path, cancelled):
    """Protects the disk: whether somebody cancelled the job or its performer leaves it, what was coming goes."""
    folder = job(tmp_path / "job", demand={"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}})
    worker = Worker(100.0)
    doing = asyncio.create_task(Performing(folder, [worker], CLOCK).perform())
    await until((folder.run(0).with_suffix(".coming") / "decisions.parquet.part").exists)
    if cancelled:
        folder.cancel()
    else:
        doing.cancel()
    await asyncio.wait({doing})
    assert half(folder) == []
    assert (folder.progress().state is State.CANCELLED) == cancelled
    await worker.end()


async def test_a_job_that_had_ended_when_its_process_was_killed_is_cleared_up_at_the_next_start(tmp_path):
    """Between its last note and its leaving the list a process may die: the next one finishes that."""
    made = Simulations(tmp_path, None, Terms(), CLOCK)
    shelf = Shelf(tmp_path / "jobs")
    _, reserved = shelf.reserve("default", CLOCK.epoch_ms())
    found(Accept(reserved, "job", "default", 0, simulation(demand={"generator": GENERATOR})), world(), None)
    folder = shelf.place(reserved)
    folder.note(Progress(state=State.CANCELLED))
    folder.run(0).with_suffix(".coming").mkdir()
    made.start()
    await until(lambda: not shelf.waiting())
    await made.stop()
    assert half(folder) == []
    assert folder.progress().state is State.CANCELLED


def half(folder: Folder) -> list[Path]:
    """What is half there."""
    return [path for path in folder.path.rglob("*") if path.suffix in (".coming", ".part")]


def test_the_time_left_is_told_by_the_pace_since_it_was_taken_up(tmp_path):
    """After a restart the pause does not count: 10 orders came in 10 s since then, so 118 of 138 take 118 s more."""
    folder = job(tmp_path / "job")
    performing = Performing(folder, [], CLOCK)
    of, progress = folder.job(), performing.progress
    assert expected(of) == pytest.approx(30 * 2 * (1 + 1.3))
    progress.session = 1_000, 10.0
    progress.runs[0].orders = 20
    assert eta_s(of, progress, 11_000) == 118
    assert eta_s(of, progress, 1_000) is None
    progress.runs[0].orders = 10
    assert eta_s(of, progress, 11_000) is None, "nothing came yet"
