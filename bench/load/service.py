"""`apportion serve` on loopback with an embedded store, for as long as a load lasts, and the audit of what it kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from api.cli.client import Client
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError

START_S, STOP_S, AUDIT_S, SETTLE_S = 120.0, 60.0, 300.0, 60.0
ELSEWHERE = ("APPORTION_REDIS_URL", "APPORTION_ARCHIVE_URL", "APPORTION_DATA_DIR", "APPORTION_HOST", "APPORTION_PORT")
"""Settings that would make it another service than the one that is to be measured."""

LAG = "apportion_loop_lag_seconds"


class Served(NamedTuple):
    """A service process on loopback, and where its store is."""

    url: str
    pid: int
    data_dir: Path


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Served]:
    """A service with an empty store in `directory`, which is ended afterwards. Raises CommandError."""
    log = directory / "service.log"
    with log.open("ab") as errors:
        process = await _apportion(
            "serve", "--json", "--port", "0", "--data-dir", str(directory / "data"), errors=errors.fileno()
        )
    try:
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            raise CommandError(f"the service did not start: {log.read_text()[-2_000:]}", ExitCode.UNAVAILABLE)
        yield Served(msgspec.json.decode(line)["url"], process.pid, directory / "data")
    finally:
        await _end(process)


async def audited(data_dir: Path) -> bool:
    """Whether `apportion reconcile --check` finds the store as its log says, and nothing ever oversold."""
    process = await _apportion("reconcile", "--check", "--json", "--data-dir", str(data_dir))
    try:
        told, _ = await asyncio.wait_for(process.communicate(), AUDIT_S)
    finally:
        await _end(process)
    if process.returncode not in (ExitCode.OK, ExitCode.PROBLEMS):
        raise CommandError(f"the audit could not be made: {told.decode()[-500:]}", ExitCode.UNAVAILABLE)
    return process.returncode == ExitCode.OK


async def _apportion(*arguments: str, errors: int = DEVNULL) -> Process:
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    command = (sys.executable, "-m", "api.cli", *arguments)
    return await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=errors, env=environment)


async def _end(process: Process) -> None:
    """SIGTERM, and after a while SIGKILL."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


ROLES = {"engine.crew_worker": "solvers", "engine.pricing": "prices", "api.cli": "service"}
"""What a command line has in it, and what its process is for; the others are the store and its guardian."""


def cpu_seconds(pid: int) -> Counter[str]:
    """Processor time of a process and of all below it until now, by role; nothing where there is no /proc to ask.

    What others do on the machine bears on latency far more than on this.
    """
    processes: dict[int, tuple[int, int, str]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            # After the name in brackets: state, parent, ...; the 14th and 15th of all are user and system time.
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            role = next((role for part, role in ROLES.items() if part in line), "store")
            processes[int(directory.name)] = int(fields[1]), int(fields[11]) + int(fields[12]), role
    seconds: Counter[str] = Counter()
    more = {pid} & processes.keys()
    while more:
        for each in more:
            seconds[processes[each][2]] += processes[each][1] / os.sysconf("SC_CLK_TCK")  # type: ignore[assignment]
        more = {child for child, (parent, _, _) in processes.items() if parent in more}
    return seconds


async def settled(client: Client) -> None:
    """Wait, for a minute at most, until the archive has all that was loaded: no load is to pay for the one before."""
    give_up = time.monotonic() + SETTLE_S
    while time.monotonic() < give_up:
        text = (await client.get("/metrics")).body.decode()
        behind = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "apportion_archive_lag_entries"
        ]
        if sum(behind) == 0:
            return
        await asyncio.sleep(0.2)


Lags = dict[float, float]
"""How often the event loop was late by at most so many seconds."""


async def lags(client: Client) -> Lags:
    """What the service has measured of its event loop until now."""
    text = (await client.get("/metrics")).body.decode()
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        if family.name == LAG
        for sample in family.samples
        if sample.name == f"{LAG}_bucket"
    }


def lag_between(before: Lags, after: Lags, share: float) -> tuple[float, int]:
    """(seconds, samples): the bucket in which this share of the lags between two readings lies, by its upper edge."""
    counts = {edge: after[edge] - before.get(edge, 0.0) for edge in sorted(after)}
    samples = max(counts.values(), default=0.0)
    edge = next((edge for edge, count in counts.items() if count >= share * samples), 0.0)
    return edge, int(samples)
