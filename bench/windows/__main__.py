"""`python -m bench.windows`: the command line."""

from __future__ import annotations

import gc
import sys
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from api.cli.terminal import Terminal
from bench.publishing import publish, verdict
from bench.windows import report
from bench.windows.run import CURVE, measure
from bench.windows.scene import SCARCITIES, Shape
from solvers.choose import Budget

HELP = """Decide random windows and tell how long it took and how far from the optimum it can be.

Every scarcity with every size, so many windows each; times are CPU time of this process, solving alone (checking is
told apart). Every answer is checked and compared with one-by-one; --prove has some of them proven again by a
mixed-integer program of other code. Exit codes: 0 done, 1 something that must hold does not, 2 unusable arguments,
130 Ctrl-C.

Example: python -m bench.windows --windows 34 --prove 2"""

DEFAULT = Budget()

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def windows(
    windows: Annotated[int, typer.Option(min=1, help="Windows of each scarcity and size.")] = 10,
    orders: Annotated[list[int] | None, typer.Option(min=1, help="Orders; default 50, 200 and 500.")] = None,
    scarcity: Annotated[list[str] | None, typer.Option(help=f"{', '.join(SCARCITIES)}; default all.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 50,
    quantity: Annotated[int, typer.Option(min=1, max=4, help="Units of a line at most.")] = 1,
    single: Annotated[bool, typer.Option("--single", help="One line in every order.")] = False,
    room: Annotated[bool, typer.Option("--room", help="Nodes with little room.")] = False,
    work: Annotated[int, typer.Option(min=1, help="Budget.")] = DEFAULT.work,
    gap: Annotated[float, typer.Option(min=0, help="A proven gap that is good enough.")] = DEFAULT.gap,
    seed: Annotated[int, typer.Option(min=0, help="Of the first window; the others follow.")] = 1,
    prove: Annotated[int, typer.Option(min=0, help="So many of each are proven again.")] = 0,
    prove_seconds: Annotated[float, typer.Option(min=1, help="For each of these.")] = 60,
    curve: Annotated[bool, typer.Option("--curve", help="Also how good smaller budgets are.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of the tables.")] = False,
) -> None:
    if scarcity and set(scarcity) - set(SCARCITIES):
        raise typer.BadParameter(f"{', '.join(set(scarcity) - set(SCARCITIES))}: not one of {', '.join(SCARCITIES)}")
    terminal, budget = Terminal(json), Budget(work=work, gap=gap)
    shapes = [
        Shape(many, one, nodes, quantity, single, room)
        for one, many in product(scarcity or SCARCITIES, orders or (50, 200, 500))
    ]
    # The first window of a process loads what all others find loaded.
    measure(shapes[0], 0, budget, (), None)
    gc.freeze()  # as the worker process of the service does
    found, interrupted = [], False
    with terminal.progress("windows", len(shapes) * windows) as line:
        try:
            for shape, at in product(shapes, range(windows)):
                seconds = prove_seconds if at < prove else None
                found.append(measure(shape, seed + at, budget, CURVE if curve else (), seconds))
                line.advance(note=f"{shape.scarcity}, {shape.orders} orders")
        except KeyboardInterrupt:
            interrupted = True
    body = report.document(found, " ".join(["python -m bench.windows", *sys.argv[1:]]))
    publish(body, report.markdown(found), output, json=json)
    raise typer.Exit(verdict(terminal, report.findings(found), interrupted=interrupted))


if __name__ == "__main__":
    app()
