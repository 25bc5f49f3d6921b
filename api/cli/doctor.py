"""`apportion doctor`: would a service start here? One line per check, and what to do where the answer is no."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.terminal import Terminal
from engine.ledger.server import files
from engine.ledger.server.binary import find_binary
from engine.ledger.server.errors import ServerError

HELP = f"""Check that a service can run here: Python, store program, data directory, disk, port, socket, clock, zones.

Example: apportion doctor --data-dir ./data --port 8080

{EPILOG}"""

PYTHONS = ((3, 11), (3, 13))
CLOCK_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)


class Finding(NamedTuple):
    """One check: `good` True, False, or None for something worth knowing."""

    check: str
    good: bool | None
    detail: str


def doctor(
    data_dir: Annotated[Path, typer.Option(help="The data directory that the service would use.")] = Path("data"),
    host: Annotated[str, typer.Option(help="The address it would listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port it would listen on.")] = 8080,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    findings = list(examine(data_dir, host, port))
    healthy = all(finding.good is not False for finding in findings)
    marks = {True: "ok  ", False: "BAD ", None: "note"}
    terminal.result(
        {"healthy": healthy, "findings": [finding._asdict() for finding in findings]},
        [f"{marks[finding.good]}  {finding.check}: {finding.detail}" for finding in findings],
    )
    raise typer.Exit(int(ExitCode.OK if healthy else ExitCode.PROBLEMS))


def examine(data_dir: Path, host: str, port: int) -> Iterator[Finding]:
    """All checks, in the order a start would meet them."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _distribution,
        lambda: _store_program(data_dir),
        lambda: _data_dir(data_dir),
        lambda: _disk(data_dir),
        lambda: _socket_path(data_dir),
        lambda: _port(host, port),
        _clock,
        _zones,
        _memory,
    ]
    for check in checks:
        yield check()


def _python() -> Finding:
    have = sys.version_info[:2]
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    good = PYTHONS[0] <= have <= PYTHONS[1]
    return Finding("python", good, detail if good else f"{detail}; 3.11 to 3.13 are supported")


def _distribution() -> Finding:
    try:
        return Finding("apportion", True, version("apportion"))
    except PackageNotFoundError:
        return Finding("apportion", None, "runs from a source tree, not installed")


def _store_program(data_dir: Path) -> Finding:
    try:
        binary = find_binary(None, data_dir / "run")
    except ServerError as error:
        return Finding("store program", False, str(error))
    return Finding("store program", True, f"{binary.flavour} {'.'.join(map(str, binary.version))} at {binary.path}")


def _data_dir(data_dir: Path) -> Finding:
    if not data_dir.exists():
        parent = next(each for each in data_dir.absolute().parents if each.exists())
        good = os.access(parent, os.W_OK)
        detail = f"{data_dir} will be created" if good else f"{data_dir} cannot be created: {parent} is not writable"
        return Finding("data directory", good, detail)
    if not data_dir.is_dir() or not os.access(data_dir, os.W_OK):
        return Finding("data directory", False, f"{data_dir} is not a directory that this user can write to")
    url = files.running_url(data_dir)
    if url is not None:
        return Finding("data directory", None, f"{data_dir} is served by a running store at {url}")
    return Finding("data directory", True, f"{data_dir} is free")


def _disk(data_dir: Path) -> Finding:
    place = data_dir if data_dir.exists() else next(each for each in data_dir.absolute().parents if each.exists())
    try:
        free = files.require_free(place)
    except ServerError as error:
        return Finding("free disk", False, str(error))
    return Finding("free disk", True, f"{free / 2**30:,.1f} GiB")


def _socket_path(data_dir: Path) -> Finding:
    path = data_dir.absolute() / "run" / "store.sock"
    length = len(os.fsencode(path))
    if length > files.SOCKET_PATH_BYTES_MAX:
        limit = files.SOCKET_PATH_BYTES_MAX
        return Finding("socket path", None, f"{length} bytes is over {limit}: the socket goes to a temporary directory")
    return Finding("socket path", True, f"{length} bytes")


def _port(host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            return Finding("port", False, f"{host}:{port} is not free ({error.strerror}); choose another with --port")
    return Finding("port", True, f"{host}:{port} is free")


def _clock() -> Finding:
    now = datetime.now(UTC)
    step = time.get_clock_info("monotonic").resolution
    if now < CLOCK_EARLIEST:
        return Finding("clock", False, f"it says {now:%Y-%m-%d}, which is in the past: ship dates would be wrong")
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M:%S} UTC, monotonic to {step * 1e9:.0f} ns")


def _zones() -> Finding:
    try:
        ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return Finding("time zones", False, "no time zone data: pip install tzdata")
    return Finding("time zones", True, "present")


def _memory() -> Finding:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return Finding("memory", None, "unknown")
    good = True if size >= 2**30 else None
    return Finding("memory", good, f"{size / 2**30:,.1f} GiB" + ("" if good else "; 1 GiB or more is advised"))
