"""The open port of a service, and the signals that close it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError


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


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
