"""`python -m bench.beside`: the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from api.cli.client import ServiceUnreachableError
from api.cli.codes import EPILOG, ExitCode
from api.cli.terminal import CommandError, Terminal, complete
from bench.beside.run import TIMES_MAX, Beside, Figures, Plan
from bench.load.service import served

HELP = f"""Measure what a very large order and a very large upload do to single orders that come meanwhile.

Starts `apportion serve` with an embedded store in a temporary directory, and sends single orders in an open loop:
alone, beside one order of many lines after another, beside one upload. Their p99 may at most be {TIMES_MAX:.0f} times
that alone.

Example: python -m bench.beside --rate 100

{EPILOG}"""

DEFAULT = Plan()

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def beside(
    nodes: Annotated[int, typer.Option(min=1, max=2_000, help="Nodes of the world.")] = DEFAULT.nodes,
    skus: Annotated[int, typer.Option(min=1, help="SKUs of the world.")] = DEFAULT.skus,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="Single orders a second.")] = DEFAULT.rate,
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="For each part.")] = DEFAULT.seconds,
    lines: Annotated[int, typer.Option(min=1, max=5_000, help="Of a large order.")] = DEFAULT.lines,
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="Of the upload.")] = DEFAULT.orders,
    seed: Annotated[int, typer.Option(min=0, help="Of orders and arrivals.")] = DEFAULT.seed,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    plan = Plan(nodes=nodes, skus=skus, rate=rate, seconds=seconds, lines=lines, orders=orders, seed=seed)
    complete(terminal, _beside(terminal, plan, output), uvloop.new_event_loop)


async def _beside(terminal: Terminal, plan: Plan, output: Path | None) -> ExitCode:
    try:
        with tempfile.TemporaryDirectory(prefix="apportion-beside-") as name:
            async with served(Path(name)) as own:
                figures = await Beside(terminal, plan, own.url, own.pid).run()
    except ServiceUnreachableError as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from error
    return _told(terminal, figures, output)


def _told(terminal: Terminal, figures: Figures, output: Path | None) -> ExitCode:
    document = msgspec.to_builtins(figures)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(msgspec.json.encode(document) + b"\n")
    terminal.result(document, _lines(figures))
    for finding in figures.wrong:
        terminal.warn(finding)
    return ExitCode.PROBLEMS if figures.wrong else ExitCode.OK


def _lines(figures: Figures) -> list[str]:
    head = ["| single orders | orders | p50 ms | p99 ms | worst ms | large | last took s | service peak MB |"]
    return [
        *head,
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {each.name} | {each.orders:,} | {each.p50_ms:.1f} | {each.p99_ms:.1f} | {each.worst_ms:.1f} | "
            f"{each.large:,} | {each.large_s:.2f} | {each.peak_mb:,.0f} |"
            for each in figures.streams
        ),
    ]


if __name__ == "__main__":
    app(prog_name="python -m bench.beside")
