"""CPU seconds of processes, as Linux counts them in `/proc` (in ticks, mostly 10 ms)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Cpu(NamedTuple):
    """Seconds of each part of a system.

    `service`: what routes or serves; `worker`: what decides; `pricer`: what makes shadow prices beside it; `generator`:
    what only sends orders.
    """

    store: float = 0.0
    service: float = 0.0
    worker: float = 0.0
    pricer: float = 0.0
    generator: float = 0.0

    def since(self, before: Cpu) -> Cpu:
        """What came to it since then."""
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


def available() -> bool:
    """Whether this system tells the CPU time of other processes."""
    return (_PROC / "self" / "stat").is_file()


def machine() -> float:
    """Of everything that runs on this machine, the system included."""
    user, nice, system, _, _, irq, softirq = map(int, (_PROC / "stat").read_text().split(maxsplit=8)[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own() -> float:
    """Of this process, all its threads."""
    return time.process_time()


def of(pid: int) -> float:
    """Of a process and those of its children that have ended; 0 if it is gone."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all living descendants of a process, by process id."""
    parents = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    found: dict[int, str] = {}
    family = {pid}
    while more := {each for each, fields in parents.items() if fields and int(fields[1]) in family} - family:
        family |= more
        found.update((each, _command(each)) for each in more)
    return found


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
