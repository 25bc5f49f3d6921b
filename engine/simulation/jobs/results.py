"""What a run leaves in its directory: figures, trail and every decision."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.simulation import trail
from engine.simulation.figures import Figures
from engine.simulation.jobs.folder import Folder
from engine.simulation.jobs.job import Job
from engine.simulation.simulating import Result

_figures = msgspec.msgpack.Decoder(Figures).decode


def leave(directory: Path, result: Result) -> None:
    """Write figures and trail into the directory of `Folder.coming`."""
    (directory / "figures").write_bytes(msgspec.msgpack.encode(result.figures))
    trail.save(result.trail, directory / "trail")


def results_of(folder: Folder, job: Job) -> list[Result]:
    """What the runs of a job left, those that are there."""
    found = []
    for number, planned in enumerate(job.runs):
        if folder.has_run(number):
            directory = folder.run(number)
            figures = _figures((directory / "figures").read_bytes())
            found.append(Result(planned.run, figures, trail.load(directory / "trail")))
    return found
