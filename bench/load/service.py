"""`apportion serve` on loopback with an embedded store, for as long as a load lasts, and the audit of what it kept."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from api.cli.client import Client
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError
from bench.serving import NotServingError, end, serving, start

AUDIT_S, SETTLE_S = 300.0, 60.0

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
    command = ("-m", "api.cli", "serve", "--json", "--port", "0", "--data-dir", str(directory / "data"))
    with log.open("ab") as errors:
        try:
            async with serving(*command, errors=errors.fileno()) as (url, process):
                yield Served(url, process.pid, directory / "data")
        except NotServingError as error:
            raise CommandError(f"{error}: {log.read_text()[-2_000:]}", ExitCode.UNAVAILABLE) from error


async def audited(data_dir: Path) -> bool:
    """Whether `apportion reconcile --check` finds the store as its log says, and nothing ever oversold."""
    command = ("-m", "api.cli", "reconcile", "--check", "--json", "--data-dir", str(data_dir))
    process = await start(*command, errors=DEVNULL)
    try:
        told, _ = await asyncio.wait_for(process.communicate(), AUDIT_S)
    finally:
        await end(process)
    if process.returncode not in (ExitCode.OK, ExitCode.PROBLEMS):
        raise CommandError(f"the audit could not be made: {told.decode()[-500:]}", ExitCode.UNAVAILABLE)
    return process.returncode == ExitCode.OK


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
