"""`python -m bench.peers`: the command line."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from api.cli.terminal import CommandError, ProgressLine, Terminal
from bench import processor
from bench.peers import report
from bench.peers.bare import Bare
from bench.peers.judge import Judge
from bench.peers.relational import Relational
from bench.peers.routed import WIDTHS, Routed, Scripted, Watching
from bench.peers.run import Measured, Skipped, look, run
from bench.peers.served import Served
from bench.peers.system import PeerError, System
from bench.peers.world import NODES_MAX, Shape, World
from bench.publishing import publish, verdict
from engine.ledger.server.errors import ServerError

HELP = """Measure the engine and its peers in one run: the same orders, the same stock, every answer on disk first.

(a) rule routing with WATCH/MULTI on the same store, (b) by a script per order, (c) with SELECT ... FOR UPDATE in
PostgreSQL; (d) the bare commit: our script and payloads, one client; (e, h) our server and routes on a 10 ms tick, no
store, no solver; (f) ours in bulk over HTTP, (g) ours one order a request. Each is looked at for --seconds at every
number of connections (in (d): calls under way; in bulk: uploads at once). At its best it then decides all orders, in
--rounds that go round all systems; of those that others disturbed least the one of the median speed is told. Every
outcome is verified and priced by one judge. Linux only. Exit codes: 0 done, 1 something that must hold does not,
2 unusable arguments, 130 Ctrl-C or SIGTERM: what was measured is told.

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
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each system with all orders.")] = 3,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait at most, before a run, for others to be quiet.")
    ] = 0.0,
    connections: Annotated[
        list[int] | None, typer.Option(min=1, max=64, help="Only these; default 1, 4, 16, 64 (bulk: 1, 2, 4).")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="KEY=N: this system at N connections, without a look at others.")
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
    if not processor.available():
        terminal.fail(CommandError("bench.peers reads the CPU time of processes from /proc, which is not here"))
    asked = [each for each in systems() if not system or each.key in system]
    shape = Shape(orders=orders, nodes=nodes, skus=skus, cover=cover, seed=seed)
    bench = Bench(World(shape), seconds, patience, connections, _known(at or []))
    interrupted, failed = False, []
    with terminal.progress("runs", len(asked) * (rounds + 1)) as line:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(bench.measure(asked, rounds, line))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
        except (PeerError, ServerError) as error:
            failed.append(f"not measured to the end: {error}")
    measured, skipped = bench.measured(), bench.skipped
    body = report.document(measured, skipped, " ".join(["python -m bench.peers", *sys.argv[1:]]))
    publish(body, report.markdown(measured, skipped), output, json=json)
    raise typer.Exit(verdict(terminal, report.findings(measured) + failed, interrupted=interrupted))


def _known(told: list[str]) -> dict[str, int]:
    """Connections by system. Raises BadParameter."""
    known = {}
    for each in told:
        key, _, width = each.partition("=")
        if key not in LETTERS or not width.isdigit() or not 1 <= int(width) <= WIDTHS[-1]:
            raise typer.BadParameter(f"--at {each}: not a system's letter and a number of connections, as a=16")
        known[key] = int(width)
    return known


class Bench:
    """Looks at the systems, then runs them in rounds; what was measured until an interruption stays."""

    def __init__(
        self, world: World, seconds: float, patience_s: float, widths: list[int] | None, known: dict[str, int]
    ) -> None:
        self._world = world
        self._seconds = seconds
        self._patience_s = patience_s
        self._widths = widths
        self._known = known
        self._found: dict[str, Measured] = {}
        self.skipped: list[Skipped] = []

    async def measure(self, asked: list[System], rounds: int, line: ProgressLine) -> None:
        """Measure these systems. Raises PeerError, ServerError; CancelledError by SIGTERM."""
        this = asyncio.current_task()
        assert this is not None, "a task runs this"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        judge = Judge(self._world)
        widths: dict[str, int] = {}
        for system in asked:
            reason = system.missing()
            if reason is not None:
                self.skipped.append(Skipped(system.key, system.name, reason))
                line.advance(rounds + 1, f"({system.key}) skipped")
                continue
            width, sweep, faults = await look(
                system, self._world, judge, self._seconds, self._tried(system.key), lambda note: line.advance(0, note)
            )
            widths[system.key] = width
            self._found[system.key] = Measured(system.key, system.name, sweep, (), faults)
            line.advance()
        for _ in range(rounds):
            for system in (each for each in asked if each.key in widths):
                one = await run(system, self._world, judge, widths[system.key], patience_s=self._patience_s)
                found = self._found[system.key]
                self._found[system.key] = found._replace(rounds=(*found.rounds, one))
                line.advance(note=f"({system.key}) {one.orders_per_s:,.0f}/s")

    def _tried(self, key: str) -> list[int] | None:
        return [self._known[key]] if key in self._known else self._widths

    def measured(self) -> list[Measured]:
        """The systems that decided all orders at least once."""
        return [one for one in self._found.values() if one.rounds]


if __name__ == "__main__":
    app()
