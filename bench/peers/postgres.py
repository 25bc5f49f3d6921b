"""A PostgreSQL server of the bench's own: a directory of its own, a unix socket, the durability that it comes with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.peers.system import PeerError

PORT = 5432
"""Names the socket; nothing listens on the network."""
CONNECTIONS_MAX = 100
_PROGRAMS = Path("/usr/lib/postgresql")
_START_S = 30.0
_STOP_S = 30.0
_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """The directory of the newest server's programs: Debian's, or where PATH has `initdb`; None if there is none."""
    versions = sorted(_PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].partition(".")[0]))
    if versions:
        return versions[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path is not None else None


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    if programs() is None:
        return "no PostgreSQL server is installed (Debian: apt install postgresql)"
    if find_spec("psycopg") is None:
        return "the client is not installed (pip install 'apportion[postgres]')"
    return None


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, int]]:
    """(connection string, process id) of a fresh server. It refuses to run as root, so it is another user's then."""
    place = programs()
    assert place is not None, "asked for before"
    directory = Path(tempfile.mkdtemp(prefix="apportion-pg-"))
    try:
        user = _unprivileged()
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        await asyncio.to_thread(_initialise, place, directory, user)
        process = _start(place, directory, user)
        try:
            conninfo = f"host={directory} port={PORT} user=bench dbname=postgres"
            await _ready(process, conninfo, directory)
            yield conninfo, process.pid
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown, whoever is still connected
            try:
                await asyncio.to_thread(process.wait, _STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server where this process is root; None where it is not. Raises PeerError."""
    if os.getuid() != 0:
        return None
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PeerError("PostgreSQL does not run as root, and there is no other user")


def _run_as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _initialise(place: Path, directory: Path, user: pwd.struct_passwd | None) -> None:
    command: list[str | Path] = [
        place / "initdb",
        "-D",
        directory / "data",
        "-U",
        "bench",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]
    made = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=120, check=False, **_run_as(user)
    )
    if made.returncode:
        raise PeerError(f"initdb failed: {made.stderr.strip()[-300:]}")


def _start(place: Path, directory: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    settings = {
        "unix_socket_directories": str(directory),
        "listen_addresses": "",
        "port": str(PORT),
        "max_connections": str(CONNECTIONS_MAX),
        "fsync": "on",
        "synchronous_commit": "on",
        "shared_buffers": "256MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            [place / "postgres", "-D", directory / "data", *options],
            cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_run_as(user),
        )  # fmt: skip


async def _ready(process: subprocess.Popen[bytes], conninfo: str, directory: Path) -> None:
    import psycopg  # An optional dependency.

    deadline = asyncio.get_running_loop().time() + _START_S
    while process.poll() is None and asyncio.get_running_loop().time() < deadline:
        try:
            connection = await psycopg.AsyncConnection.connect(conninfo)
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)
            continue
        await connection.close()
        return
    raise PeerError(f"PostgreSQL did not start: {(directory / 'log').read_text(errors='replace').strip()[-300:]}")
