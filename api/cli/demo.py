"""`apportion demo`: one command to see it work. `make run` calls it."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvloop

from api.cli.client import Client
from api.cli.codes import EPILOG, ExitCode
from api.cli.listening import listen, stop_signals
from api.cli.sending import first_of
from api.cli.service import Service, running_service
from api.cli.store import own_store
from api.cli.terminal import CommandError, Terminal, complete
from api.demo.seeding import load_world
from api.demo.stream import Stream
from api.demo.view import line, saving, table, watch
from engine.sample.world import World, build_world
from engine.settings import Settings

HELP = f"""Serve the sample US network and stream realistic orders through the HTTP API, with a live view.

The data stays in the data directory: run it again and it goes on with the stock it left, under new order ids.
After the stream it keeps serving until Ctrl-C.

Example: apportion demo --rate 200 --seconds 60

{EPILOG}"""

PARTITION = "default"
PORT = 8080
PORTS_TRIED = 10


def demo(
    rate: Annotated[float, typer.Option(min=0.1, max=5_000, help="Orders per second.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long to stream; 0: only serve.")] = 60.0,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default 8080, or the next free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded store keeps its data.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Use this Redis or Valkey instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the orders; default: another one each run.")] = None,
    compare: Annotated[bool, typer.Option(help="Route the same orders by the nearest-node rule beside it.")] = True,
    once: Annotated[bool, typer.Option("--once", help="End after the stream instead of serving on.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Only the final figures, as one JSON document.")] = False,
) -> None:
    terminal = Terminal(json)
    given = {"data_dir": data_dir, "redis_url": redis_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    complete(terminal, _demo(terminal, settings, port, rate, seconds, seed, compare, once), uvloop.new_event_loop)


async def _demo(
    terminal: Terminal,
    settings: Settings,
    port: int | None,
    rate: float,
    seconds: float,
    seed: int | None,
    compare: bool,
    once: bool,
) -> ExitCode:
    with stop_signals() as stop:
        listener = open_port(terminal, settings.host, port)
        world = build_world()
        async with (
            own_store(terminal, settings.data_dir, settings.redis_url) as url,
            running_service(settings, url, listener) as service,
        ):
            terminal.say(f"Apportion listens on {service.url}  (API docs: {service.url}/docs)")
            code = await _show(terminal, service, world, rate, seconds, seed, compare, stop)
            if not once and not stop.is_set():
                _invite(terminal, service, world)
                await service.until(stop)
                terminal.say("stopping: answering what was accepted")
    return code


def open_port(terminal: Terminal, host: str, port: int | None) -> socket.socket:
    """The port asked for, or else 8080 or the next free one after it."""
    if port is not None:
        return listen(host, port)
    for candidate in range(PORT, PORT + PORTS_TRIED):
        try:
            listener = listen(host, candidate)
        except CommandError as error:
            if candidate == PORT + PORTS_TRIED - 1 or error.code is not ExitCode.UNAVAILABLE:
                raise
            continue
        if candidate != PORT:
            terminal.warn(f"port {PORT} is taken; using {candidate}")
        return listener
    raise AssertionError("one of the ports was opened or the last one raised")


async def _show(
    terminal: Terminal,
    service: Service,
    world: World,
    rate: float,
    seconds: float,
    seed: int | None,
    compare: bool,
    stop: asyncio.Event,
) -> ExitCode:
    """Load the world if it is not there, stream orders, and print the figures."""
    client = Client(service.url, connections=128)
    run = f"demo-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    stream = Stream(
        client, service.engine.ledger, PARTITION, world, run, time.time_ns() if seed is None else seed, compare
    )
    done = asyncio.Event()
    try:
        if await load_world(client, world):
            terminal.say(
                f"loaded the sample network: 20 nodes, {len(world.skus):,} SKUs, {len(world.stock):,} stock rows"
            )
        else:
            terminal.say("the sample network is there already; going on with the stock as it is")
        if seconds == 0:
            return ExitCode.OK
        await stream.prepare()
        view = asyncio.create_task(watch(terminal, stream.state, done))
        try:
            await stream.send(rate, seconds, stop)
        finally:
            done.set()
            await view
        return _report(terminal, stream, service)
    except BaseExceptionGroup as errors:  # not except*: what it raises some versions wrap in a group again
        raise first_of(errors) from None
    finally:
        await stream.close()
        client.close()


def _report(terminal: Terminal, stream: Stream, service: Service) -> ExitCode:
    state = stream.state
    oversold = state.seen.oversold if state.seen is not None else 0
    document: dict[str, Any] = state.tally.document(state.seconds)
    document |= {
        "url": service.url,
        "oversold": oversold,
        "problems": len(state.problems),
        "delivered": state.delivered,
    }
    if state.shadow is not None and state.shadow.figures is not None:
        document["nearest"] = msgspec.to_builtins(state.shadow.figures)
        gain = saving(state)
        document["saving"] = None if gain is None else round(gain, 4)
    lines = [] if terminal.live else [line(state)]
    terminal.result(document, lines)
    if terminal.live:
        terminal.out.print(table(state))
    for problem in state.problems[:5]:
        terminal.warn(problem)
    return ExitCode.PROBLEMS if oversold or state.problems else ExitCode.OK


def _invite(terminal: Terminal, service: Service, world: World) -> None:
    """URLs, and a request that works as printed (and answers the same when repeated)."""
    best = world.skus[int(world.demand.argmax())].sku
    order = {
        "order_id": f"try-{int(time.time())}",
        "ship_to": {"country": "US", "region": "NY", "postal_code": "10001"},
        "lines": [{"line_id": "1", "sku": best, "quantity": 1}],
    }
    body = msgspec.json.encode(order).decode()
    terminal.say(f"\nServing until Ctrl-C: {service.url}/docs  {service.url}/readyz  {service.url}/metrics\nTry:")
    terminal.say(f"curl -s {service.url}/v1/orders -H 'Content-Type: application/json' -d '{body}'")
