"""`python -m bench.beside`: the command line."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer
import uvloop

from api.cli.client import ServiceUnreachableError
from api.cli.codes import EPILOG, ExitCode
from api.cli.terminal import CommandError, Terminal, complete
from bench.beside import large, simulations
from bench.beside.singles import TIMES_MAX, Plan, Singles
from bench.load.service import served

HELP = f"""Measure what is large does to single orders that come meanwhile.

Starts `apportion serve` with an embedded store in a temporary directory for each part, and sends single orders in an
open loop. `large`: alone, beside one order of many lines after another, beside one upload. `simulations`: pairs of
phases without and with a simulation that all workers perform (APPORTION_SIMULATION_WORKERS of them). Their p99 may at
most be {TIMES_MAX:.0f} times that alone, beside simulations in the median of the pairs.

Example: python -m bench.beside --part simulations --rate 100

{EPILOG}"""

DEFAULT = Plan()


class Part(StrEnum):
    """What is measured."""

    LARGE = "large"
    SIMULATIONS = "simulations"


PARTS = {Part.LARGE: large.BesideLarge, Part.SIMULATIONS: simulations.BesideSimulations}
Figures: TypeAlias = large.Figures | simulations.Figures

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def beside(
    part: Annotated[list[Part] | None, typer.Option(help="May be repeated; else all.")] = None,
    nodes: Annotated[int, typer.Option(min=1, max=2_000, help="Nodes of the world.")] = DEFAULT.nodes,
    skus: Annotated[int, typer.Option(min=1, help="SKUs of the world.")] = DEFAULT.skus,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="Single orders a second.")] = DEFAULT.rate,
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="For each phase.")] = DEFAULT.seconds,
    lines: Annotated[int, typer.Option(min=1, max=5_000, help="Of a large order.")] = DEFAULT.lines,
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="Of the upload.")] = DEFAULT.orders,
    pairs: Annotated[int, typer.Option(min=1, max=100, help="Without and with a simulation.")] = DEFAULT.pairs,
    seed: Annotated[int, typer.Option(min=0, help="Of orders and arrivals.")] = DEFAULT.seed,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    plan = Plan(nodes=nodes, skus=skus, rate=rate, seconds=seconds, lines=lines, orders=orders, pairs=pairs, seed=seed)
    complete(terminal, _beside(terminal, plan, part or list(Part), output), uvloop.new_event_loop)


async def _beside(terminal: Terminal, plan: Plan, parts: list[Part], output: Path | None) -> ExitCode:
    try:
        figures = {part: await _measured(terminal, plan, part) for part in parts}
    except ServiceUnreachableError as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from error
    return _told(terminal, figures, output)


async def _measured(terminal: Terminal, plan: Plan, part: Part) -> Figures:
    """One part on a service of its own."""
    with tempfile.TemporaryDirectory(prefix="apportion-beside-") as name:
        async with served(Path(name)) as own:
            singles = Singles(terminal, plan, own.url)
            try:
                await singles.begin()
                return await PARTS[part](singles, own.pid).measured()
            finally:
                singles.client.close()


def _told(terminal: Terminal, figures: dict[Part, Figures], output: Path | None) -> ExitCode:
    document = msgspec.to_builtins(figures)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(msgspec.json.encode(document) + b"\n")
    terminal.result(document, [line for each in figures.values() for line in [*each.lines, ""]])
    wrong = [finding for each in figures.values() for finding in each.wrong]
    for finding in wrong:
        terminal.warn(finding)
    return ExitCode.PROBLEMS if wrong else ExitCode.OK


if __name__ == "__main__":
    app(prog_name="python -m bench.beside")
