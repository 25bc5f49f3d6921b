"""`python -m bench.scale`: the command line."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from api.cli.terminal import CommandError, Terminal
from bench import processor
from bench.publishing import publish, verdict
from bench.scale.deciding import PARTS, WHOLE
from bench.scale.run import BYTES_MAX, FLAT_MAX, Measured, measure, wrong
from bench.scale.world import Size

HELP = f"""Measure what an order costs, and what a stocked cell weighs, in worlds of growing size.

Each world is loaded into an embedded store of its own, fsync on, by the paths that uploads take; every SKU lies at ten
nodes. Then windows of three-line orders are read, decided and committed, in all worlds by turns. An order may cost at
most {FLAT_MAX - 1:.0%} more processor time than in the first world, a stocked cell at most {BYTES_MAX:.0f} bytes of the
store's memory, its log aside. The default worlds take ten minutes, 2 GB of memory and 2 GB of disk.

Exit codes: 0 done, 1 something that must hold does not, 2 unusable arguments, 130 Ctrl-C.

Example: python -m bench.scale --size 10x10000 --size 100x100000"""

DEFAULT = ("10x10000", "100x100000", "1000x1000000")
HEADS = (
    "| nodes x SKUs | options an order | us an order | to the first | " + " | ".join(WHOLE) + " | "
    "of decide: " + " | ".join(PARTS) + " |\n|---|" + "---:|" * (3 + len(WHOLE) + len(PARTS)),
    "| nodes x SKUs | cells | bytes a cell | row | list | keys | log until trimmed | loaded s | cells/s | catalogue s "
    "| catalogue read s | store MB | process MB |\n|---|" + "---:|" * 12,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def scale(
    size: Annotated[list[str] | None, typer.Option(help=f"NODESxSKUS; default {', '.join(DEFAULT)}.")] = None,
    scattered: Annotated[bool, typer.Option("--scattered", help="Lines of an order lie at different nodes.")] = False,
    windows: Annotated[int, typer.Option(min=1, help="Windows that are measured in each.")] = 20,
    orders: Annotated[int, typer.Option(min=1, max=1_000, help="Orders of a window.")] = 200,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of the tables.")] = False,
) -> None:
    terminal = Terminal(json)
    if not processor.available():
        terminal.fail(CommandError("bench.scale reads the CPU time of the store from /proc, which is not here"))
    sizes = [_size(each, scattered) for each in size or DEFAULT]
    found: list[Measured] = []
    interrupted = False
    try:
        with (
            tempfile.TemporaryDirectory(prefix="apportion-scale-") as name,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            found = runner.run(measure(sizes, Path(name), windows, orders, terminal))
    except KeyboardInterrupt:
        interrupted = True
    document = {"command": " ".join(["python -m bench.scale", *sys.argv[1:]]), "worlds": found}
    publish(msgspec.json.encode(document) + b"\n", _markdown(found), output, json=json)
    raise typer.Exit(verdict(terminal, wrong(found), interrupted=interrupted))


def _size(text: str, scattered: bool) -> Size:
    nodes, _, skus = text.partition("x")
    if not (nodes.isdigit() and skus.isdigit() and 1 <= int(nodes) <= 2_000 and 3 <= int(skus) < 10_000_000):
        raise typer.BadParameter(f"--size {text}: not nodes (to 2,000) and SKUs (3 to 9,999,999), as 10x10000")
    return Size(int(nodes), int(skus), scattered)


def _markdown(measured: Sequence[Measured]) -> str:
    costs = [
        f"| {one.size.label} | {one.options:.1f} | {one.total:.0f} | {one.total / measured[0].total:.2f} | "
        + " | ".join(f"{one.us[phase]:.0f}" for phase in (*WHOLE, *PARTS))
        + " |"
        for one in measured
    ]
    return "\n".join([HEADS[0], *costs, "", HEADS[1], *map(_weights, measured)])


def _weights(one: Measured) -> str:
    told = one.loaded
    weights = (told.cell_bytes, told.row_bytes, told.list_bytes, told.key_bytes, told.log_bytes)
    return (
        f"| {one.size.label} | {one.size.cells:,} | {' | '.join(f'{each:.1f}' for each in weights)} "
        f"| {told.stock_s:.0f} | {told.cells_per_s:,.0f} | {told.catalogue_s:.0f} | {told.books_s:.1f} "
        f"| {told.store_mb:,.0f} | {told.process_mb:,.0f} |"
    )


if __name__ == "__main__":
    app()
