"""Several runs at once, each in a process of its own: its data read, its workload built, its figures sent back."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from api.cli.terminal import ProgressLine, Terminal
from bench.uci.recipe import Workload, workload
from bench.uci.run import Figures, Run, replay
from bench.uci.source import read_centres, read_invoices, read_regions
from bench.uci.targets import HttpTarget, MemoryTarget, Target


class Task(NamedTuple):
    """One run, as its process needs it."""

    data: Path
    run: Run
    window: int
    seed: int
    limit: int | None
    http: str | None
    tag: str


def run_all(terminal: Terminal, tasks: list[Task], jobs: int) -> tuple[list[Figures], bool]:
    """Every run in a process of its own; what is done when Ctrl-C comes is kept."""
    results: list[Figures] = []
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        steps = manager.Queue()
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupt)
        pending: set[Future[Figures]] = {pool.submit(run_task, task, steps) for task in tasks}
        try:
            with terminal.progress("orders", None) as line:
                while pending:
                    done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    _drain(steps, line)
                    for each in done:
                        results.append(each.result())
                        _say(terminal, each.result(), len(results), len(tasks))
        except KeyboardInterrupt:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            return results, True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return results, False


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _drain(steps: Any, line: ProgressLine) -> None:
    while True:
        try:
            kind, amount = steps.get_nowait()
        except queue.Empty:
            return
        if kind == "total":
            line.extend(amount)
        else:
            line.advance(amount)


def _say(terminal: Terminal, figures: Figures, done: int, total: int) -> None:
    terminal.say(
        f"[{done}/{total}] {figures.cut} k={figures.days} {figures.mode}: cost/order {figures.cost_per_order:.2f}, "
        f"parcels/order {figures.parcels_per_order:.3f}, fill {figures.fill:.3%}, "
        f"{figures.orders_per_s:,.0f} orders/s, window p99 {figures.window_p99_ms:.0f} ms"
    )


def run_task(task: Task, steps: Any) -> Figures:
    """One run from the raw data to its figures."""
    work = build(task)
    steps.put(("total", len(work.orders)))
    return asyncio.run(_replay(task, work, lambda count: steps.put(("done", count))))


def build(task: Task) -> Workload:
    """The workload of a run; stock and prices do not depend on `limit`, only the number of orders does."""
    invoices = read_invoices(task.data)
    whole = workload(invoices, read_regions(task.data), read_centres(task.data), task.run.cut, task.run.days, task.seed)
    return whole if task.limit is None else replace(whole, orders=whole.orders[: task.limit])


async def _replay(task: Task, work: Workload, progress: Any) -> Figures:
    run = task.run
    target: Target = MemoryTarget()
    if task.http is not None:
        target = HttpTarget(task.http, f"{task.tag}-{run.cut}-{run.days}-{run.mode}".replace("_", "-"), task.window)
    try:
        return await replay(target, work, run, task.window, task.seed, progress)
    finally:
        await target.close()
