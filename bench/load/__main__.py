"""`apportion bench load`, and `python -m bench.load`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from api.cli.client import ServiceUnreachableError
from api.cli.codes import EPILOG, ExitCode
from api.cli.sending import first_of
from api.cli.terminal import CommandError, Terminal, complete
from bench.load.figures import Figures, lines
from bench.load.run import Load, Plan
from bench.load.saturation import CONNECTIONS
from bench.load.service import served
from bench.windows.scene import SCARCITIES

HELP = f"""Put a service under load and print two numbers: decisions a second at a p99, and what an order costs.

Starts `apportion serve` with an embedded store in a temporary directory (or uses --url), loads a seeded world, finds
saturation in a closed loop (and by wrk, if that is installed), then asks for a share of it in an open loop: orders come
when a Poisson process says, and latency counts from that instant. Every answer is judged, decided orders are sent again
and must answer byte for byte, and the store is audited. With --url, --data-dir says where its store is.

Example: apportion bench load --seconds 30

{EPILOG}"""

DEFAULT = Plan()

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def load(
    url: Annotated[str | None, typer.Option(help="A running service; otherwise one is started.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="With --url: its data directory, to be audited.")] = None,
    partition: Annotated[str, typer.Option(help="Stock partition; empty, or of an earlier load.")] = DEFAULT.partition,
    nodes: Annotated[int, typer.Option(min=1, max=2_000, help="Nodes of the world.")] = DEFAULT.nodes,
    skus: Annotated[int, typer.Option(min=1, help="SKUs of the world.")] = DEFAULT.skus,
    scarcity: Annotated[str, typer.Option(help=f"Of stock: {', '.join(SCARCITIES)}.")] = DEFAULT.scarcity,
    lines_max: Annotated[int, typer.Option(min=1, help="Longer orders are cut; 6 % have 6 to 40.")] = DEFAULT.lines_max,
    stock_for: Annotated[int, typer.Option(min=1, help="Orders the stock would serve, times the scarcity.")] = (
        DEFAULT.stock_for
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of orders and arrivals.")] = DEFAULT.seed,
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="How long the open loop lasts.")] = DEFAULT.seconds,
    saturation_seconds: Annotated[float, typer.Option(min=1, max=600, help="How long saturation is looked for.")] = (
        DEFAULT.saturation_s
    ),
    connections: Annotated[int, typer.Option(min=1, max=512, help="Clients of the closed loop.")] = CONNECTIONS,
    share: Annotated[float, typer.Option(min=0.01, max=2, help="Of saturation, asked for.")] = DEFAULT.share,
    rate: Annotated[float | None, typer.Option(min=0.1, max=50_000, help="Orders a second, instead.")] = None,
    day: Annotated[bool, typer.Option("--day", help="The rate is the peak of a day pressed into the time.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    if scarcity not in SCARCITIES:
        terminal.fail(CommandError(f"no scarcity {scarcity}: one of {', '.join(SCARCITIES)}"))
    if data_dir is not None and url is None:
        terminal.fail(CommandError("--data-dir goes with --url: the service that is started here has its own"))
    plan = Plan(
        partition=partition,
        nodes=nodes,
        skus=skus,
        scarcity=scarcity,
        lines_max=lines_max,
        stock_for=stock_for,
        seed=seed,
        seconds=seconds,
        saturation_s=saturation_seconds,
        connections=connections,
        share=share,
        rate=rate,
        day=day,
    )
    complete(terminal, _load(terminal, plan, url, data_dir, output), uvloop.new_event_loop)


async def _load(
    terminal: Terminal, plan: Plan, url: str | None, data_dir: Path | None, output: Path | None
) -> ExitCode:
    try:
        if url is not None:
            figures = await Load(terminal, plan, url, data_dir).run()
        else:
            with tempfile.TemporaryDirectory(prefix="apportion-load-") as name:
                async with served(Path(name)) as own:
                    figures = await Load(terminal, plan, own.url, own.data_dir, own.pid).run()
    except ServiceUnreachableError as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from error
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    except ValueError as error:
        raise CommandError(str(error)) from error
    _tell(terminal, figures, output)
    return ExitCode.OK if figures.sound else ExitCode.PROBLEMS


def _tell(terminal: Terminal, figures: Figures, output: Path | None) -> None:
    document = msgspec.to_builtins(figures)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(msgspec.json.encode(document) + b"\n")
    terminal.result(document, lines(figures))


if __name__ == "__main__":
    app(prog_name="python -m bench.load")
