"""The process that performs runs: told tasks by lines of JSON, it tells how far it is by lines of JSON.

It has only time that nobody else wants: simulations yield first. It ends when its standard input does, which is when
its parent is gone, however it went; what it leaves is there wholly or not at all.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import logging
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import msgspec
import structlog

from engine import garbage
from engine.clock import SystemClock
from engine.companion_process import settle_in
from engine.errors import InvalidInputError
from engine.simulation.answering import answered
from engine.simulation.decisions_file import DecisionsFile
from engine.simulation.jobs.folder import DECISIONS, Folder, write
from engine.simulation.jobs.results import leave, results_of
from engine.simulation.jobs.worker import ANSWER, Task, Told
from engine.simulation.scenario import Simulation
from engine.simulation.simulating import performed
from engine.simulation.world import World

NICENESS = 19
TELL_SECONDS = 0.5
"""Between two lines that tell how far a run is."""

Tell = Callable[[Told], None]


class Performer:
    """Does tasks one by one; documents of the job that it is at are kept from one to the next."""

    def __init__(self, tell: Tell, monotonic: Callable[[], float]) -> None:
        self._tell = tell
        self._monotonic = monotonic
        self._at: tuple[str, Simulation, World] | None = None

    def do(self, task: Task) -> None:
        """One task, from its begin to the line that says how it ended."""
        try:
            folder = Folder(Path(task.folder))
            if self._at is None or self._at[0] != task.folder:
                self._at = task.folder, folder.simulation(), folder.world()
            _, simulation, world = self._at
            if task.run == ANSWER:
                self._answer(folder, simulation, world)
            else:
                self._run(folder, simulation, world, task.run)
            self._tell(Told(run=task.run, done=True))
        except InvalidInputError as error:
            self._tell(Told(run=task.run, refused=error.detail, faults=error.faults))
        except Exception as error:
            traceback.print_exc()
            self._tell(Told(run=task.run, broken=f"{type(error).__name__}: {error}"))

    def _run(self, folder: Folder, simulation: Simulation, world: World, number: int) -> None:
        job = folder.job()
        spool = folder.spool if job.recorded is not None else None
        told_s = self._monotonic()

        def through(orders: int, _: int) -> None:
            nonlocal told_s
            if self._monotonic() >= told_s + TELL_SECONDS:
                told_s = self._monotonic()
                self._tell(Told(run=number, orders=orders))

        with folder.coming(number) as directory:
            decisions = DecisionsFile(directory / DECISIONS)
            result = asyncio.run(performed(simulation, world, job.runs[number].run, spool, decisions.add, through))
            decisions.close()
            leave(directory, result)
        self._tell(Told(run=number, orders=result.figures.orders))

    def _answer(self, folder: Folder, simulation: Simulation, world: World) -> None:
        results = results_of(folder, folder.job())
        write(folder.answer, msgspec.json.encode(answered(simulation, world, results)))


def main() -> None:
    """Do what standard input says, until it ends."""
    tell = settle_in(NICENESS, idle=True)
    # What the engine tells of an ordinary day (each look at orders that may move) would be thousands of lines of days
    # that never were. Warnings stay.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(ValueError, OSError):  # each run's trail is a file that is mapped for the answer
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    garbage.settle(garbage.ALONE)
    tasks: SimpleQueue[Task] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            tasks.put(msgspec.json.decode(line, type=Task))
        os._exit(0)  # in the middle of a run, too: nobody waits for it any more

    threading.Thread(target=listen, daemon=True).start()
    performer = Performer(tell, SystemClock().monotonic)
    while True:
        performer.do(tasks.get())


if __name__ == "__main__":
    atexit.register(gc.freeze)  # see `api.cli.main`
    main()
