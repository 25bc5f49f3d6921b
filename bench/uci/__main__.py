"""`python -m bench.uci`: the command line of the replay."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from api.cli.client import ServiceUnreachableError
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, Terminal
from bench.uci import report
from bench.uci.run import Run
from bench.uci.runs import Task, run_all
from bench.uci.source import DEFAULT, ENVIRONMENT, data_directory
from bench.uci.targets import TargetError

MODES = ("optimise", "nearest", "sequence", "most_stock")
CUTS = ("retail", "wholesale")
DAYS = (3, 10, 30)
HELP = f"""Replay the UCI orders over a US network and compare joint decisions with routing by rule.

The recorded peak is six orders a minute, so the replay is compressed in time: windows of a fixed number of orders, one
after the other as fast as they are decided; dates and deliveries follow the recorded time.
The data is read from --data, ${ENVIRONMENT} or {DEFAULT.parent.name}/{DEFAULT.name} beside the project; without it this
says so and ends with 0. Exit codes: 0 done, 1 a promise does not hold in the figures, 2 unusable arguments,
3 the service of --http is not there or cannot do it, 130 Ctrl-C.

Example: python -m bench.uci --cut retail --days 10 --limit 1000"""


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
    try:
        results, interrupted = run_all(terminal, tasks, jobs)
    except (TargetError, ServiceUnreachableError) as error:
        terminal.fail(CommandError(f"bench.uci: {error}", ExitCode.UNAVAILABLE))
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


if __name__ == "__main__":
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
