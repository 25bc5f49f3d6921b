"""`apportion serve`: the store, the engine and the HTTP API in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
import uvicorn
import uvloop

from api.app import Application, create_app
from api.cli.codes import EPILOG, ExitCode
from api.cli.store import own_store
from api.cli.terminal import CommandError, Terminal, complete
from engine.assembly import Engine, build
from engine.crew import CrewError
from engine.ledger.port import LedgerUnavailableError
from engine.settings import Settings

HELP = f"""Serve the HTTP API in the foreground, with an embedded store in the data directory or a store by URL.

Options can also be set in the environment: APPORTION_HOST, APPORTION_PORT, APPORTION_DATA_DIR, APPORTION_REDIS_URL.
The archive is in the data directory, or where APPORTION_ARCHIVE_URL says.
SIGTERM or Ctrl-C: takes no new orders, answers those it has, and exits with 0.

Example: apportion serve --port 8080 --data-dir ./data

{EPILOG}"""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; only loopback until there is auth.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded store keeps its data.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Use this Redis or Valkey instead of the embedded store.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Service processes; one, for now.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Say where it listens as one JSON line.")] = False,
) -> None:
    terminal = Terminal(json)
    given = {"host": host, "port": port, "data_dir": data_dir, "redis_url": redis_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    complete(terminal, _serve(terminal, settings, workers), uvloop.new_event_loop)


async def _serve(terminal: Terminal, settings: Settings, workers: int) -> ExitCode:
    if workers != 1:
        raise CommandError(
            "--workers: this version runs one service process; start more of them on one --redis-url, each on its own "
            "port, to use more cores"
        )
    with stop_signals() as stop:
        listener = listen(settings.host, settings.port)
        async with (
            own_store(terminal, settings.data_dir, settings.redis_url) as url,
            running_service(settings, url, listener) as service,
        ):
            terminal.result(
                {"url": service.url, "ready": True},
                [f"Apportion listens on {service.url}  (API docs: {service.url}/docs; Ctrl-C stops it)"],
            )
            await service.until(stop)
    return ExitCode.OK


class Service(NamedTuple):
    """The API as it runs in this process. `ended` finishes when its server does."""

    url: str
    engine: Engine
    ended: asyncio.Task[None]

    async def until(self, stop: asyncio.Event) -> None:
        """Wait for the stop signal. Raises CommandError if the server ends before it."""
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait([asked, self.ended], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not stop.is_set():
            raise CommandError("the HTTP server ended unasked; its log is above", ExitCode.UNAVAILABLE)


@asynccontextmanager
async def running_service(settings: Settings, redis_url: str, listener: socket.socket) -> AsyncIterator[Service]:
    """Serve on an open socket; at the end take no more orders, answer what was accepted, and close."""
    engine = build(settings, redis_url, None if settings.redis_url else settings.data_dir)
    application = create_app(engine)
    server = http_server(application, settings)
    try:
        await engine.start()
    except (LedgerUnavailableError, CrewError) as error:
        await engine.stop()
        raise CommandError(f"the service could not start: {error}", ExitCode.UNAVAILABLE) from error
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn offers no event)
            await asyncio.sleep(0.005)
        yield Service("http://{}:{}".format(*listener.getsockname()[:2]), engine, serving)
        application.retire()
        await engine.gate.drain()
    finally:
        server.should_exit = True
        await serving
        await engine.stop()


def http_server(application: Application, settings: Settings) -> uvicorn.Server:
    """The HTTP server of an application whose engine somebody else starts and stops."""
    return _Server(
        uvicorn.Config(
            application,
            lifespan="off",
            log_level="warning",
            access_log=False,
            http="httptools",
            ws="none",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
        )
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process by the signal instead of with code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl-C set. A second Ctrl-C interrupts at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ask)
    try:
        yield stop
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)


def listen(host: str, port: int) -> socket.socket:
    """An open listening socket, on loopback only. Raises CommandError, saying what to do."""
    if not _loopback(host):
        raise CommandError(
            f"--host {host} can be reached from other machines, and there is no authentication yet: refused. "
            "Use 127.0.0.1, with a proxy of your own in front if others must reach it"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CommandError(
            f"port {port} on {host} is not free ({error.strerror}); choose another with --port, or stop what uses it",
            ExitCode.UNAVAILABLE,
        ) from error
    listener.setblocking(False)
    return listener


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
