"""Instances one after another, or side by side in processes; what is done when Ctrl-C comes is kept."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from bench.papers.experiments import Draw, Row, rows


class Task(NamedTuple):
    """One instance of an experiment, as its process needs it."""

    name: str
    data: Path
    draw: Draw


def run_task(task: Task) -> list[Row]:
    """All paths of one instance."""
    return list(rows(task.name, task.data, task.draw))


def run_all(tasks: list[Task], jobs: int, done: Callable[[list[Row]], None]) -> bool:
    """Run every task and hand over its rows as they come; True if Ctrl-C ended it early."""
    if jobs == 1:
        try:
            for task in tasks:
                done(run_task(task))
        except KeyboardInterrupt:
            return True
        return False
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupt)
    pending: set[Future[list[Row]]] = {pool.submit(run_task, task) for task in tasks}
    try:
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for each in finished:
                done(each.result())
    except KeyboardInterrupt:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        return True
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return False


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
