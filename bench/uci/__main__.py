"""`python -m bench.uci`: the command line of the replay."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from api.cli.terminal import ProgressLine, Terminal
from bench.uci import report
from bench.uci.recipe import Workload, workload
from bench.uci.run import Figures, Run, replay
from bench.uci.source import DEFAULT, ENVIRONMENT, data_directory, read_centres, read_invoices, read_regions
from bench.uci.targets import HttpTarget, MemoryTarget, Target

MODES = ("optimise", "nearest", "sequence", "most_stock")
CUTS = ("retail", "wholesale")
DAYS = (3, 10, 30)
HELP = f"""Replay the UCI orders over a US network and compare joint decisions with routing by rule.

The recorded peak is six orders a minute, so the replay is compressed in time: windows of a fixed number of orders, one
after the other as fast as they are decided; dates and deliveries follow the recorded time.
The data is read from --data, ${ENVIRONMENT} or {DEFAULT.parent.name}/{DEFAULT.name} beside the project; without it this
says so and ends with 0. Exit codes: 0 done, 1 a promise does not hold in the figures, 2 unusable arguments, 130 Ctrl-C.

Example: python -m bench.uci --cut retail --days 10 --limit 1000"""


class Task(NamedTuple):
    """One run, as its process needs it."""

    data: Path
    run: Run
    window: int
    seed: int
    limit: int | None
    http: str | None
    tag: str


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def uci(
    data: Annotated[Path | None, typer.Option(help="The data directory.")] = None,
    cut: Annotated[list[str] | None, typer.Option(help="retail, wholesale; default both.")] = None,
    days: Annotated[list[int] | None, typer.Option(min=1, help="Stock for k days; default 3, 10 and 30.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help=f"{', '.join(MODES)}; default all.")] = None,
    window: Annotated[int, typer.Option(min=1, max=5_000, help="Orders decided together.")] = 100,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many orders.")] = None,
    seed: Annotated[int, typer.Option(help="Of places, weights and stock.")] = 7,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, each in its own process.")] = 1,
    http: Annotated[str | None, typer.Option(help="Decide in this running service instead of in memory.")] = None,
    tag: Annotated[str, typer.Option(help="With --http: partitions are named TAG-CUT-DAYS-MODE.")] = "uci",
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write the markdown table.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of the table.")] = False,
) -> None:
    directory = data_directory(data)
    if directory is None:
        print("bench.uci: the UCI data is not here (see --help); skipped")
        return
    for given, known in ((cut, CUTS), (mode, MODES)):
        if given and set(given) - set(known):
            raise typer.BadParameter(f"{', '.join(set(given) - set(known))}: not one of {', '.join(known)}")
    tasks = [
        Task(directory, Run(*each), window, seed, limit, http, tag)
        for each in product(cut or CUTS, days or DAYS, mode or MODES)
    ]
    terminal = Terminal(json)
    results, interrupted = _run_all(terminal, tasks, jobs)
    where = f"HTTP, {http}" if http else "in process, on the memory twin"
    _write(output, report.document(results, where))
    _write(table, report.markdown(results).encode())
    if json:
        sys.stdout.write(report.document(results, where).decode())
    else:
        print(f"\nwindows of {window} orders, seed {seed}, {where}\n\n{report.markdown(results)}")
    wrong = report.findings(results)
    for finding in wrong:
        terminal.warn(finding)
    raise typer.Exit(130 if interrupted else 1 if wrong else 0)


def _write(path: Path | None, body: bytes) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _run_all(terminal: Terminal, tasks: list[Task], jobs: int) -> tuple[list[Figures], bool]:
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


if __name__ == "__main__":
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
