"""`python -m bench.papers`, and `apportion bench`: the literature's experiments, one command each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, Terminal
from bench.papers import report
from bench.papers.experiments import NAMES, Draw, Row
from bench.papers.runs import Task, run_all
from bench.papers.source import DEFAULT, ENVIRONMENT, data_directory
from bench.publishing import publish

HELP = f"""Run one of the literature's experiments on the engine and print its table.

{"; ".join(f"{name}: {what}" for name, what in NAMES.items())}.

The network is read from --data, ${ENVIRONMENT} or {DEFAULT.parent.name}/{DEFAULT.name} beside the project; without it
this says so and ends with 0. Exit codes: 0 done, 2 unusable arguments, 130 Ctrl-C (the table holds what was done).

Example: apportion bench e1 --instances 30 --sequences 30 --jobs 2"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def bench(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help=", ".join(NAMES))],
    instances: Annotated[int, typer.Option(min=1, help="Instances drawn.")] = 30,
    sequences: Annotated[int, typer.Option(min=1, help="Sequences of arrivals of each.")] = 30,
    first: Annotated[int, typer.Option(min=0, help="Number of the first instance.")] = 0,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 7,
    futures: Annotated[int, typer.Option(min=1, help="Sampled futures of the long tail.")] = 4,
    only: Annotated[list[str] | None, typer.Option(help="Only policies with this in their name; repeatable.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Instances at once, in processes.")] = 1,
    data: Annotated[Path | None, typer.Option(help="The data directory.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write all rows as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of the table.")] = False,
) -> None:
    """One experiment."""
    terminal = Terminal(json)
    if name not in NAMES:
        terminal.fail(CommandError(f"no experiment {name}: one of {', '.join(NAMES)}", ExitCode.USAGE))
    directory = data_directory(data)
    if directory is None:
        print("apportion bench: the network of the papers is not here (see --help); skipped")
        return
    draws = [Draw(seed, first + at, sequences, tuple(only or ()), futures) for at in range(instances)]
    tasks = [Task(name, directory, draw) for draw in draws]
    rows: list[Row] = []
    with terminal.progress(name, instances) as line:

        def done(some: list[Row]) -> None:
            rows.extend(some)
            line.advance(1)

        interrupted = run_all(tasks, jobs, done)
    rows.sort(key=lambda row: (row.instance, row.sequence))
    settings = {"seed": seed, "sequences": sequences, "futures": futures}
    if rows:
        body = report.document(name, rows, settings)
        count = len({row.instance for row in rows})
        title = f"{name}: {count} instances, {len(rows)} paths, seed {seed}"
        publish(body, f"{title}\n\n{report.markdown(rows)}", output, json=json)
    raise typer.Exit(int(ExitCode.INTERRUPTED) if interrupted else 0)


if __name__ == "__main__":
    app(prog_name="python -m bench.papers")
