"""Processor time of a service by what it was for, as Linux counts it in `/proc` (in ticks, mostly 10 ms).

What others do on the machine bears on latency far more than on this.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

_PROC = Path("/proc")

SIMULATIONS = "simulations"

ROLES = {
    "engine.crew_worker": "solvers",
    "engine.pricing": "prices",
    "engine.archive": "archive",
    "engine.simulation": SIMULATIONS,
    "bench.peers.ticking": "service",
    "api.cli": "service",
}
"""What a command line has in it, and what its process is for: to decide, to make prices, to feed the archive, to
simulate, to serve. Any other that a service starts is its store or the store's guardian."""

STORE = "store"


def available() -> bool:
    """Whether this system tells the processor time of other processes."""
    return (_PROC / "self" / "stat").is_file()


def machine() -> float:
    """Seconds of everything that runs on this machine, the system included."""
    user, nice, system, _, _, irq, softirq = map(int, (_PROC / "stat").read_text().split(maxsplit=8)[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own() -> float:
    """Seconds of this process, all its threads."""
    return time.process_time()


def of(pid: int) -> float:
    """Seconds of a process and of those of its children that have ended; 0 if it is gone."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def of_thread(pid: int) -> float:
    """Seconds of a process's first thread alone, to the nanosecond; 0 if nobody can tell. A store answers on it."""
    try:
        return int((_PROC / str(pid) / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        return 0.0


def resident_peak(pid: int) -> int:
    """The most bytes of memory that a process ever held; 0 if nobody can tell."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all living descendants of a process, by process id; none where there is no /proc to ask."""
    everyone = [int(entry.name) for entry in _PROC.glob("[0-9]*")]
    parents = {each: int(fields[1]) for each in everyone if (fields := _stat(each))}
    found: dict[int, str] = {}
    family = {pid}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
        found.update((each, _command(each)) for each in more)
    return found


def by_role(pid: int) -> Counter[str]:
    """Seconds of a service's process and of all below it until now, by role; nothing where there is no /proc to ask."""
    seconds: Counter[str] = Counter()
    for each, command in {pid: _command(pid), **descendants(pid)}.items():
        if command:
            role = next((role for part, role in ROLES.items() if part in command), STORE)
            seconds[role] += of(each)  # type: ignore[assignment]
    return seconds


def _stat(pid: int) -> list[str]:
    """The fields behind the program's name: state, parent, ..."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
