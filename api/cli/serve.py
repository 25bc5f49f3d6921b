"""`apportion serve`: the store, the engine and the HTTP API in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from api.cli.codes import EPILOG, ExitCode
from api.cli.service import running_service, stop_signals, url_of
from api.cli.store import own_store
from api.cli.terminal import CommandError, Terminal, complete
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
        async with own_store(terminal, settings.data_dir, settings.redis_url) as store:
            serving = (
                running_service(settings, store, listener)
                if workers == 1
                else running_workers(terminal, settings, store, listener, workers)
            )
            async with serving as service:
                terminal.result(
                    {"url": url, "ready": True},
                    [f"Apportion listens on {url}  (API docs: {url}/docs; Ctrl-C stops it)"],
                )
                await service.until(stop)
    return ExitCode.OK


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
