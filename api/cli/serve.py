"""`apportion serve`: the store, the engine and the HTTP API in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Protocol

import typer
import uvloop

from api.cli.codes import EPILOG, ExitCode
from api.cli.listening import listen, stop_signals, url_of
from api.cli.store import own_store
from api.cli.terminal import Terminal, complete
from api.cli.workers import running_workers
from engine.settings import Settings

HELP = f"""Serve the HTTP API in the foreground, with an embedded store in the data directory or a store by URL.

Options can also be set in the environment: APPORTION_HOST, APPORTION_PORT, APPORTION_DATA_DIR, APPORTION_REDIS_URL.
The archive is in the data directory, or where APPORTION_ARCHIVE_URL says.
SIGTERM or Ctrl-C: takes no new orders, answers those it has, and exits with 0.
With --workers 2 or more, so many processes serve the one port and store, each with a solver process of its own.

Example: apportion serve --port 8080 --data-dir ./data

{EPILOG}"""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; only loopback until there is auth.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded store keeps its data.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Use this Redis or Valkey instead of the embedded store.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Service processes on the port and the store.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Say where it listens as one JSON line.")] = False,
) -> None:
    terminal = Terminal(json)
    given = {"host": host, "port": port, "data_dir": data_dir, "redis_url": redis_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    complete(terminal, _serve(terminal, settings, workers), uvloop.new_event_loop)


async def _serve(terminal: Terminal, settings: Settings, workers: int) -> ExitCode:
    with stop_signals() as stop:
        listener = listen(settings.host, settings.port)
        url = url_of(listener)
        async with (
            own_store(terminal, settings.data_dir, settings.redis_url) as store,
            _serving(terminal, settings, store, listener, workers) as service,
        ):
            terminal.result(
                {"url": url, "ready": True},
                [f"Apportion listens on {url}  (API docs: {url}/docs; Ctrl-C stops it)"],
            )
            await service.until(stop)
    return ExitCode.OK


class _Running(Protocol):
    async def until(self, stop: asyncio.Event, /) -> None:
        """Wait for the stop signal. Raises CommandError if the service ends before it."""


def _serving(
    terminal: Terminal, settings: Settings, store: str, listener: socket.socket, workers: int
) -> AbstractAsyncContextManager[_Running]:
    if workers > 1:
        return running_workers(terminal, settings, store, listener, workers)
    # Imported here, for the parent of workers would only wait for it, and keep 60 MB.
    from api.cli.service import running_service

    return running_service(settings, store, listener)
