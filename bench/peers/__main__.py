"""`python -m bench.peers`: the command line."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from api.cli.terminal import CommandError, ProgressLine, Terminal
from bench.peers import cpu, report
from bench.peers.bare import Bare
from bench.peers.judge import Judge
from bench.peers.relational import Relational
from bench.peers.routed import Routed, Scripted, Watching
from bench.peers.run import Measured, Skipped, measure
from bench.peers.served import Served
from bench.peers.system import PeerError, System
from bench.peers.world import NODES_MAX, Shape, World
from engine.ledger.server.errors import ServerError

HELP = """Measure the engine and its peers in one run: the same orders, the same stock, every answer on disk first.

(a) rule routing with WATCH/MULTI on the same store, (b) by a script per order, (c) with SELECT ... FOR UPDATE in
PostgreSQL; (d) the bare commit: our script and payloads, one client; (e, h) our server and routes on a 10 ms tick, no
store, no solver; (f) ours in bulk over HTTP, (g) ours one order a request. Each is looked at for --seconds at every
number of connections (in (d): calls under way; in bulk: uploads at once) and then decides all orders at the best of
them. Every outcome is verified and priced by one judge. Linux only. Exit codes: 0 done, 1 something that must hold does
not, 2 unusable arguments, 130 Ctrl-C.

Example: python -m bench.peers --system d --system f --orders 6000"""


def systems() -> list[System]:
    """All systems, in the order of their letters."""
    return [
        Routed("a", "rule routing, WATCH/MULTI", Watching),
        Routed("b", "rule routing, a script per order", Scripted),
        Relational(),
        Bare(),
        Served("e", "server and routes alone, single", ours=False, bulk=False),
        Served("f", "Apportion, bulk", ours=True, bulk=True),
        Served("g", "Apportion, single", ours=True, bulk=False),
        Served("h", "server and routes alone, bulk", ours=False, bulk=True),
    ]  # fmt: skip


LETTERS = [system.key for system in systems()]

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def peers(
    system: Annotated[list[str] | None, typer.Option(help=f"{', '.join(LETTERS)}; default all.")] = None,
    orders: Annotated[int, typer.Option(min=1, help="Orders that each system decides.")] = 12_000,
    seconds: Annotated[float, typer.Option(min=0.05, help="For each look at a number of connections.")] = 2.0,
    connections: Annotated[
        list[int] | None, typer.Option(min=1, max=64, help="Only these; default 1, 4, 16, 64 (bulk: 1, 2, 4).")
    ] = None,
    nodes: Annotated[int, typer.Option(min=2, max=NODES_MAX, help="Nodes.")] = 50,
    skus: Annotated[int, typer.Option(min=3, help="SKUs.")] = 2_000,
    cover: Annotated[float, typer.Option(min=0, help="Units of stock for each unit that is expected to sell.")] = 1.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the world.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of the table.")] = False,
) -> None:
    if system and set(system) - set(LETTERS):
        raise typer.BadParameter(f"{', '.join(set(system) - set(LETTERS))}: not one of {', '.join(LETTERS)}")
    terminal = Terminal(json)
    if not cpu.available():
        terminal.fail(CommandError("bench.peers reads the CPU time of processes from /proc, which is not here"))
    asked = [each for each in systems() if not system or each.key in system]
    world = World(Shape(orders=orders, nodes=nodes, skus=skus, cover=cover, seed=seed))
    measured: list[Measured] = []
    skipped: list[Skipped] = []
    widths = tuple(connections) if connections else None
    interrupted = False
    with terminal.progress("systems", len(asked)) as line:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_all(asked, world, seconds, widths, line, measured, skipped))
        except KeyboardInterrupt:
            interrupted = True
        except (PeerError, ServerError) as error:
            terminal.fail(CommandError(f"bench.peers: {error}"))
    body = report.document(measured, skipped, " ".join(["python -m bench.peers", *sys.argv[1:]]))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(body)
    if json:
        sys.stdout.write(body.decode())
    else:
        print(f"\n{report.markdown(measured, skipped)}")
    wrong = report.findings(measured)
    for finding in wrong:
        terminal.warn(finding)
    raise typer.Exit(130 if interrupted else 1 if wrong else 0)


async def _all(
    asked: list[System],
    world: World,
    seconds: float,
    widths: tuple[int, ...] | None,
    line: ProgressLine,
    measured: list[Measured],
    skipped: list[Skipped],
) -> None:
    judge = Judge(world)
    for system in asked:
        reason = system.missing()
        if reason is not None:
            skipped.append(Skipped(system.key, system.name, reason))
            line.advance(note=f"{system.name}: skipped")
            continue
        measured.append(await measure(system, world, judge, seconds, widths, lambda note: line.advance(0, note)))
        line.advance()


if __name__ == "__main__":
    app()
