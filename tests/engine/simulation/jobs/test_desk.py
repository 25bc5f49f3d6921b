"""All jobs of a data directory: by turns, by one process of several, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.errors import NotFoundError, UnavailableError
from engine.simulation.jobs.accepting import Accept
from engine.simulation.jobs.desk import Simulations, Standing
from engine.simulation.jobs.intake import found
from engine.simulation.jobs.job import Progress, State
from engine.simulation.jobs.terms import Terms
from tests.engine.simulation.jobs.waiting import until
from tests.engine.simulation.worlds import simulation, world

SMALL = {"generator": {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 5}}
DAY_S = 86_400


class Small:
    """Takes whatever is asked, on a small merchant."""

    async def take(self, accept: Accept) -> None:
        found(accept, world(), None)


class Failing:
    """Takes nothing."""

    async def take(self, accept: Accept) -> None:
        (accept.folder.path / "half").touch()
        raise UnavailableError("not now")


def desk(directory: Path, **terms: int) -> Simulations:
    """A process's end of the jobs in a directory."""
    return Simulations(directory, Small(), Terms(workers=1, **terms), SystemClock())


async def submitted(of: Simulations, partition: str, name: str) -> Standing:
    """A job of a few orders."""
    return await of.submit(partition, simulation(name=name, demand=SMALL, pricing={"on": False}))


def progress_of(of: Simulations, standing: Standing) -> Progress:
    return of.folder(standing.job.partition, standing.job.job_id).progress()


@pytest.mark.timeout(300)
async def test_partitions_take_turns(tmp_path):
    """Protects tenants: who submitted many waits for his own, not others for him."""
    made = desk(tmp_path)
    first, second = [await submitted(made, "many", name) for name in ("first", "second")]
    other = await submitted(made, "one", "other")
    made.start()
    await until(lambda: all(progress_of(made, each).ended() for each in (first, second, other)))
    await made.stop()
    started = {each.job.name: progress_of(made, each).started_ms for each in (first, second, other)}
    assert sorted(started, key=lambda name: started[name] or 0) == ["first", "other", "second"]


@pytest.mark.timeout(300)
async def test_one_process_performs_and_the_next_takes_over(tmp_path):
    """Two service processes on a data directory: no run is made twice at once, and a stopped one holds nothing up."""
    first, second = desk(tmp_path), desk(tmp_path)
    first.start()
    one = await submitted(second, "p", "one")
    await until(lambda: progress_of(first, one).state is State.RUNNING)
    second.start()
    await until(lambda: progress_of(first, one).state is State.DONE)
    assert second.workers[0].pid is None
    await first.stop()
    two = await submitted(first, "p", "two")
    await until(lambda: progress_of(second, two).state is State.DONE)
    await second.stop()
    assert first.workers[0].pid is None


async def test_old_simulations_leave_and_those_that_wait_do_not(tmp_path):
    """Protects the disk: ended ones go after days or beyond a number, the oldest first; uploads go too."""
    made = desk(tmp_path, keep_max=2, keep_days=10)
    ended = [await submitted(made, "p", str(number)) for number in range(4)]
    for number, standing in enumerate(ended):
        folder = made.folder("p", standing.job.job_id)
        folder.note(Progress(state=State.DONE, ended_ms=0, runs=standing.progress.runs))
        if number == 2:
            os.utime(folder.path / "progress.json", (0, SystemClock().epoch_ms() / 1000 - 11 * DAY_S))
    assert [standing.job.name for standing in await made.page("p", "", 10)] == ["3", "2", "1", "0"]
    waiting = await submitted(made, "p", "waiting")
    await made.let_go("p", waiting.job.job_id)
    made.start()
    await until(lambda: not list((tmp_path / "jobs" / "waiting").iterdir()))
    await made.stop()
    uploads = made.uploads("p")
    uploads.directory.mkdir(parents=True)
    for name, age_s in (("old", 11 * DAY_S), ("new", 0)):
        uploads.file(name).write_bytes(b"{}")
        at = SystemClock().epoch_ms() / 1000 - age_s
        os.utime(uploads.file(name), (at, at))
    dead, alive = uploads.coming("dead"), uploads.coming("alive")
    for path, age_s in ((dead, 2 * DAY_S), (alive, 60)):
        path.touch()
        at = SystemClock().epoch_ms() / 1000 - age_s
        os.utime(path, (at, at))
    made.start()
    await until(lambda: not uploads.file("old").exists() and not dead.exists())
    await made.stop()
    assert [standing.job.name for standing in await made.page("p", "", 10)] == ["waiting", "3"]
    assert uploads.file("new").exists()
    assert alive.exists(), "somebody may be writing it"


async def test_what_is_not_taken_leaves_nothing(tmp_path):
    """A refusal, whatever it is, leaves neither a job nor files."""
    made = Simulations(tmp_path, Failing(), Terms(), SystemClock())
    with pytest.raises(UnavailableError):
        await submitted(made, "p", "refused")
    assert await made.page("p", "", 10) == []
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


async def test_a_process_without_a_directory_takes_and_finds_nothing():
    """Protects processes that keep none: no file anywhere is mistaken for a simulation."""
    made = Simulations(None, None, Terms(), SystemClock())
    made.start()
    with pytest.raises(UnavailableError):
        await submitted(made, "p", "nowhere")
    assert await made.page("p", "", 10) == []
    with pytest.raises(NotFoundError):
        await made.look("p", "1795822838790-ff264be93d703111")
    await made.stop()
