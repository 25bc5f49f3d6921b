"""Asking a store one question over its unix socket, before and beside the real client.

Blocking, without retries and without a connection pool, so that "does not answer" means just that.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import NamedTuple

_ANSWER_TIMEOUT_S = 1.0


class Answer(NamedTuple):
    """State of a store that answers. `loaded_percent` 100: it takes commands. `pid`: its process id or 0."""

    loaded_percent: float
    pid: int

    @property
    def ready(self) -> bool:
        """It has loaded its data and takes commands."""
        return self.loaded_percent >= 100


def probe(socket_path: Path) -> Answer | None:
    """What the store behind this socket says of itself; None if it does not answer within a second."""
    try:
        with _connected(socket_path) as connection:
            pong = _ask(connection, b"PING")
            info = _fields(_ask(connection, b"INFO"))
    except OSError:
        return None
    if pong == b"+PONG" and info.get("loading") == "0":
        return Answer(100.0, int(info.get("process_id", "0")))
    if info.get("loading") == "1":
        return Answer(min(99.9, _number(info.get("loading_loaded_perc"))), 0)
    return Answer(99.9, 0) if pong.startswith(b"-LOADING") else None


def shut_down(socket_path: Path, within_s: float) -> bool:
    """Ask the store behind this socket to end, and wait for it to stop listening. True if nobody listens any more."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            with _connected(socket_path) as connection, contextlib.suppress(TimeoutError):
                _ask(connection, b"SHUTDOWN NOSAVE")
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def _connected(socket_path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_ANSWER_TIMEOUT_S)
        connection.connect(str(socket_path))
    except BaseException:
        connection.close()
        raise
    return connection


def _ask(connection: socket.socket, command: bytes) -> bytes:
    """One inline command; the answer's first line, or the body of a bulk answer. Raises OSError where it ends early."""
    connection.sendall(command + b"\r\n")
    received = _until(connection, b"", 1, ends=b"\r\n")
    line, _, rest = received.partition(b"\r\n")
    if not line.startswith(b"$"):
        return line
    length = int(line[1:])
    return _until(connection, rest, length + 2)[:length]


def _until(connection: socket.socket, received: bytes, length: int, ends: bytes = b"") -> bytes:
    while len(received) < length or ends not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            raise ConnectionError("the store closed the connection")
        received += chunk
    return received


def _fields(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode(errors="replace").split("\r\n"))
    return {name: value for name, colon, value in pairs if colon}


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
