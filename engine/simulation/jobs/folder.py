"""One job's directory. Every file is there wholly or not at all, whenever its writers are killed.

simulation.json   the document                     job.json       what the job is; it is the last to be written
world             documents and stock of all runs  orders.ndjson  recorded orders, where demand is that
progress.json     how far it is                    cancelled      somebody asked it to end
runs/0003/        what run 3 left: `figures`, `trail`, `decisions.parquet`; `0003.coming` until it is all there
answer.json       what all of it says
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.simulation.jobs.job import Job, Progress
from engine.simulation.recorded import Spool
from engine.simulation.scenario import Simulation
from engine.simulation.world import World, packed, unpacked

COMING = ".coming"
DECISIONS = "decisions.parquet"

_json = msgspec.json.encode
_job = msgspec.json.Decoder(Job).decode
_progress = msgspec.json.Decoder(Progress).decode
_simulation = msgspec.json.Decoder(Simulation).decode


class Folder:
    """Reads and writes the files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def spool(self) -> Path:
        """Where recorded orders are written down."""
        return self.path / "orders.ndjson"

    @property
    def answer(self) -> Path:
        """The answer, once the job is done."""
        return self.path / "answer.json"

    def found(self, simulation: Simulation, world: World, job: Job) -> None:
        """Write a job down that can be performed."""
        write(self.path / "simulation.json", _json(simulation))
        write(self.path / "world", packed(world))
        (self.path / "runs").mkdir(exist_ok=True)
        write(self.path / "job.json", _json(job))

    def is_founded(self) -> bool:
        """Whether there is a job."""
        return (self.path / "job.json").is_file()

    def job(self) -> Job:
        """What the job is. Raises FileNotFoundError once it was removed."""
        return _job((self.path / "job.json").read_bytes())

    def simulation(self) -> Simulation:
        """The document."""
        return _simulation((self.path / "simulation.json").read_bytes())

    def world(self) -> World:
        """What every run begins with."""
        return unpacked((self.path / "world").read_bytes())

    def spooled(self) -> Spool | None:
        """The recorded orders, if demand is that; when they were placed is not told."""
        recorded = self.job().recorded
        return None if recorded is None else Spool(self.spool, recorded, 0, 0)

    def progress(self) -> Progress:
        """As it was last written; as before the first run, if it never was."""
        try:
            return _progress((self.path / "progress.json").read_bytes())
        except FileNotFoundError:
            return Progress()

    def note(self, progress: Progress) -> None:
        """Write down how far it is."""
        write(self.path / "progress.json", _json(progress), settled=progress.ended())

    def last_noted_ms(self) -> float:
        """When progress was last written; of a job that ended, when it did. Ms since the epoch; 0 for never."""
        try:
            return (self.path / "progress.json").stat().st_mtime * 1000
        except FileNotFoundError:
            return 0.0

    def cancel(self) -> None:
        """Ask whoever performs it to end it."""
        (self.path / "cancelled").touch()

    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return (self.path / "cancelled").exists()

    def has_run(self, number: int) -> bool:
        """Whether a run's results are there."""
        return self.run(number).is_dir()

    def decisions(self, number: int) -> Path:
        """The table of all decisions of a run that is there."""
        return self.run(number) / DECISIONS

    def run(self, number: int) -> Path:
        """The directory of a run's results, once they are there."""
        return self.path / "runs" / f"{number:04d}"

    def drop_runs(self) -> None:
        """Remove what all runs left."""
        shutil.rmtree(self.path / "runs", ignore_errors=True)

    def drop_coming(self) -> None:
        """Remove what somebody who is gone left half there. Only for who performs the job, while no process writes."""
        for path in (*self.path.glob(f"*{COMING}"), *self.path.glob(f"runs/*{COMING}")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def coming(self, number: int) -> Iterator[Path]:
        """A directory for the results of a run, which becomes its own at the end, unless something is raised."""
        directory = self.run(number).with_suffix(COMING)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        yield directory
        for file in directory.iterdir():
            settle(file)
        settle(directory)
        directory.rename(self.run(number))
        settle(directory.parent)


def write(path: Path, body: bytes, *, settled: bool = True) -> None:
    """Replace a file. `settled`: it is on the disk when this returns, also if the machine stops."""
    fresh = path.with_name(path.name + COMING)
    fresh.write_bytes(body)
    if settled:
        settle(fresh)
    fresh.replace(path)
    if settled:
        settle(path.parent)


def settle(path: Path) -> None:
    """Have a file or directory on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
