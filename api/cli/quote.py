"""`apportion quote`: what an order would get now, without taking anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.plans import alternatives_table, cost_line, missing_lines, plan_table
from api.cli.replay import connect
from api.cli.terminal import CommandError, Terminal, complete
from engine.explaining.document import Quote

HELP = f"""Show what an order would get now: plan, dates, cost and the next best plans. Nothing is held.

FILE holds the order as JSON, as POST /v1/orders takes it; - reads it from standard input.

Example: apportion quote order.json

{EPILOG}"""


def quote(
    file: Annotated[str, typer.Argument(help="The order as JSON; - for standard input.")],
    url: Annotated[str, typer.Option(help="The running service.")] = "http://127.0.0.1:8080",
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    json: Annotated[bool, typer.Option("--json", help="The quote as JSON on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    complete(terminal, _quote(terminal, file, url, partition))


async def _quote(terminal: Terminal, file: str, url: str, partition: str) -> ExitCode:
    body = _read(file)
    client = connect(url, partition, 1)
    try:
        response = await client.post("/v1/quotes", body)
    finally:
        client.close()
    if response.status != 200:
        raise CommandError(response.problem, ExitCode.PROBLEMS)
    if terminal.json:
        terminal.result(response.json(), [])
    else:
        _show(terminal, msgspec.json.decode(response.body, type=Quote))
    return ExitCode.OK


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def _show(terminal: Terminal, quote: Quote) -> None:
    instant = quote.as_of.isoformat(timespec="seconds")
    terminal.say(f"Order {quote.order_id} would be {quote.status.replace('_', ' ')} (as of {instant})")
    if quote.chosen.parcels:
        terminal.out.print(plan_table("Plan", quote.chosen))
    terminal.say(cost_line(quote.chosen))
    for line in missing_lines(quote.chosen):
        terminal.say(line)
    if quote.alternatives:
        terminal.out.print(alternatives_table(quote))
