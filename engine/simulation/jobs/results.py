"""What a run leaves in its directory: figures, trail and every decision."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.simulation import trail
from engine.simulation.figures import Figures
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.job import Job
from engine.simulation.scenario import Run
from engine.simulation.simulating import Result
from engine.simulation.trail import Columns

_figures = msgspec.msgpack.Decoder(Figures).decode


def leave(directory: Path, result: Result) -> None:
    """Write figures and trail into the directory of `Folder.coming`."""
    (directory / "figures").write_bytes(msgspec.msgpack.encode(result.figures))
    trail.save(result.trail, directory / "trail")


class Left:
    """What a run left, read from its directory each time it is asked for: nothing of it stays in memory."""

    def __init__(self, run: Run, directory: Path) -> None:
        self.run = run
        self._directory = directory

    @property
    def figures(self) -> Figures:
        """Its sums."""
        return _figures((self._directory / "figures").read_bytes())

    @property
    def trail(self) -> Columns:
        """Who shipped what from where; mapped, not read."""
        return trail.load(self._directory / "trail")


def results_of(folder: Folder, job: Job) -> list[Left]:
    """What the runs of a job left, those that are there."""
    return [Left(planned.run, folder.run(number)) for number, planned in enumerate(job.runs) if folder.has_run(number)]
