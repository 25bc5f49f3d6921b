"""`apportion replay`: send an order file to a running service, at the pace it was recorded, faster, or flat out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.codes import EPILOG, ExitCode
from api.cli.mapping import load_mapping
from api.cli.orderfile import OrderFile
from api.cli.rejects import RejectFile
from api.cli.rows import Rejected
from api.cli.sending import Sender, first_of
from api.cli.tally import Tally
from api.cli.terminal import CommandError, Terminal, complete
from engine.clock import SystemClock
from engine.domain import Order, epoch_ms

HELP = f"""Send the orders of a CSV or NDJSON file to a running service and report the figures.

Orders keep their ids, so an interrupted replay is simply started again: what was decided answers at once
with its first decision.

Example: apportion replay orders.csv --mapping shop.toml --speed 60

{EPILOG}"""


def replay(
    file: Annotated[Path, typer.Argument(help="Orders, .csv or .ndjson (may end in .gz); docs/import.md.")],
    url: Annotated[str, typer.Option(help="The running service.")] = "http://127.0.0.1:8080",
    mapping: Annotated[Path | None, typer.Option(help="TOML or JSON: how foreign columns become ours.")] = None,
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    speed: Annotated[float, typer.Option(min=0, help="Times real time by placed_at; 0: as fast as possible.")] = 0.0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Orders under way at once.")] = 32,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many orders.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait out a service that is away.")] = 60.0,
    rejects: Annotated[Path | None, typer.Option(help="Where bad rows go; default FILE.rejected.ndjson.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    complete(
        terminal,
        _replay(terminal, file, url, mapping, partition, speed, connections, limit, patience, rejects),
    )


async def _replay(
    terminal: Terminal,
    file: Path,
    url: str,
    mapping: Path | None,
    partition: str,
    speed: float,
    connections: int,
    limit: int | None,
    patience: float,
    rejects: Path | None,
) -> ExitCode:
    source = OrderFile(file, load_mapping(mapping, "orders"))
    with RejectFile(file, rejects) as bad:
        orders = _read(source, bad)[:limit]
        if bad.count:
            terminal.warn(f"{bad.count} bad rows are kept out; see {bad.path}")
        client = connect(url, partition, connections)
        tally = Tally()
        sender = Sender(client, tally, connections, patience)
        started = time.monotonic()
        try:
            with terminal.progress(f"replaying {file.name}", len(orders)) as line:
                await sender.send_all(_paced(orders, speed), lambda *_: line.advance(note=_note(tally, started)))
        except BaseExceptionGroup as errors:  # not except*: what it raises some versions wrap in a group again
            raise first_of(errors) from None
        finally:
            client.close()
    document = tally.document(time.monotonic() - started)
    document |= {
        "rows": source.rows.read,
        "rows_rejected": bad.count,
        "rows_skipped": sum(source.rows.skipped.values()),
        "orders_refused_by_service": len(sender.problems),
        "retries": sender.retries,
    }
    terminal.result(document, [f"{name}: {value}" for name, value in document.items()])
    for order, problem in sender.problems[:20]:
        terminal.warn(f"order {order.order_id}: {problem}")
    return ExitCode.PROBLEMS if sender.problems or bad.count else ExitCode.OK


def connect(url: str, partition: str, connections: int) -> Client:
    """A client that acts in one partition."""
    try:
        return Client(url, connections, {"Apportion-Partition": partition})
    except ValueError as error:
        raise CommandError(str(error)) from error


def _read(source: OrderFile, bad: RejectFile) -> list[Order]:
    """The file's orders by the time they were placed; those without time last, in file order."""
    orders: list[Order] = []
    for item in source:
        if isinstance(item, Rejected):
            bad.add(item)
        else:
            orders.append(item.order)
    return sorted(orders, key=_due_ms)


def _due_ms(order: Order) -> float:
    return epoch_ms(order.placed_at) if order.placed_at is not None else float("inf")


async def _paced(orders: list[Order], speed: float) -> AsyncIterator[Order]:
    """Orders when they are due: `speed` times as fast as they were placed, at once with 0."""
    clock = SystemClock()
    started = clock.monotonic()
    first: int | None = None
    for order in orders:
        if speed > 0 and order.placed_at is not None:
            placed = epoch_ms(order.placed_at)
            first = placed if first is None else first
            wait = (placed - first) / 1000 / speed - (clock.monotonic() - started)
            if wait > 0:
                await asyncio.sleep(wait)
        yield order


def _note(tally: Tally, started: float) -> str:
    return f"{tally.orders / max(1e-9, time.monotonic() - started):,.0f}/s"
