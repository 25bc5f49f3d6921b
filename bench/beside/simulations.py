"""Single orders without and with a simulation that all its workers perform: pairs of phases in one service."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError
from bench.beside.singles import TIMES_MAX, Singles, Times
from bench.load.service import settled
from bench.processor import SIMULATIONS, by_role
from bench.whatif import document
from engine.simulation.jobs.terms import Terms

ORDERS, DAYS = 5_000_000, 50.0
"""Of each run: more than any phase leaves time for."""
BUSY_S, CANCELLED_S = 120.0, 30.0
"""How long the workers may take to load and begin, and the job to end once it is cancelled."""
LOOK_S = 0.2


class Pair(Struct, frozen=True):
    """Two phases, one after the other. `simulated`: orders that runs went through in the second, and `busy` how many
    runs did; `processor_s`: what its workers had of the processors meanwhile."""

    quiet: Times
    beside: Times
    simulated: int
    busy: int
    processor_s: float

    @property
    def times(self) -> float:
        """How many times the quiet phase's p99 the other's is."""
        return self.beside.p99_ms / self.quiet.p99_ms


class Figures(Struct, frozen=True):
    """All pairs, and what went against the contract."""

    workers: int
    pairs: list[Pair]
    faults: list[str]

    @property
    def times(self) -> float:
        """The median of the pairs."""
        return median(pair.times for pair in self.pairs)

    @property
    def wrong(self) -> list[str]:
        """What does not hold. A phase in which not every worker simulated says nothing, and is a fault."""
        found = [
            f"pair {number}: {pair.busy} of {self.workers} workers simulated {pair.simulated:,} orders"
            for number, pair in enumerate(self.pairs, start=1)
            if pair.busy < self.workers
        ]
        if self.times > TIMES_MAX:
            found.append(f"single orders beside a simulation: p99 is {self.times:.2f} times that alone in the median")
        return [*found, *self.faults]

    @property
    def lines(self) -> list[str]:
        """A table for people."""
        return [
            f"| pair | quiet p50 / p99 / worst ms | beside {self.workers} workers p50 / p99 / worst ms | p99 ratio | "
            "orders of both | simulated | workers' processor s |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(
                f"| {number} | {_said(pair.quiet)} | {_said(pair.beside)} | {pair.times:.2f} | "
                f"{pair.quiet.orders + pair.beside.orders:,} | {pair.simulated:,} | {pair.processor_s:.1f} |"
                for number, pair in enumerate(self.pairs, start=1)
            ),
            f"| median | | | {self.times:.2f} | | | |",
            f"{len(self.faults)} faults",
        ]


def _said(times: Times) -> str:
    return f"{times.p50_ms:.1f} / {times.p99_ms:.1f} / {times.worst_ms:.1f}"


class BesideSimulations:
    """The pairs on one service."""

    def __init__(self, singles: Singles, pid: int) -> None:
        self._singles = singles
        self._client = singles.client
        self._pid = pid
        self._workers = Terms().workers

    async def measured(self) -> Figures:
        """Measure. Raises CommandError, as `Client` does."""
        pairs = [await self._pair(number) for number in range(1, self._singles.plan.pairs + 1)]
        return Figures(self._workers, pairs, self._singles.all_faults)

    async def _pair(self, number: int) -> Pair:
        seconds = self._singles.plan.seconds
        quiet = await self._singles.phase(f"alone ({number})", seconds)
        path = await self._begun()
        before, processor_s = await self._until_busy(path), self._processor_s()
        times = await self._singles.phase(f"beside a simulation ({number})", seconds)
        after, processor_s = await self._runs(path), self._processor_s() - processor_s
        await self._cancelled(path)
        await settled(self._client)
        came = [now - then for now, then in zip(after, before, strict=True)]
        return Pair(quiet, times, sum(came), sum(orders > 0 for orders in came), processor_s)

    async def _begun(self) -> str:
        """The path of a simulation that was taken: two runs for each worker."""
        asked = document(self._singles.world, ORDERS, DAYS) | {"seeds": list(range(1, self._workers + 1))}
        answer = await self._client.request(
            "POST", "/v1/simulations", msgspec.json.encode(asked), timeout_s=Terms().intake_seconds
        )
        if answer.status != 202:
            raise CommandError(f"no simulation was taken: {answer.problem}", ExitCode.PROBLEMS)
        return f"/v1/simulations/{answer.json()['simulation_id']}"

    async def _show(self, path: str) -> Any:
        return (await self._client.get(path)).json()

    async def _runs(self, path: str) -> list[int]:
        """Orders that came, by run."""
        return [run["orders"] for run in (await self._show(path))["runs"]]

    async def _until_busy(self, path: str) -> list[int]:
        """Wait until each worker simulates: orders by run then."""
        give_up = time.monotonic() + BUSY_S
        while time.monotonic() < give_up:
            runs = await self._runs(path)
            if sum(orders > 0 for orders in runs) >= self._workers:
                return runs
            await asyncio.sleep(LOOK_S)
        raise CommandError(f"the workers simulated nothing within {BUSY_S:.0f} s", ExitCode.PROBLEMS)

    async def _cancelled(self, path: str) -> None:
        """End it, and wait until its workers are gone. It must not have ended by itself before."""
        if (state := (await self._client.request("DELETE", path)).json()["state"]) != "cancelled":
            raise CommandError(f"the simulation was {state} before the phase was over", ExitCode.PROBLEMS)
        give_up = time.monotonic() + CANCELLED_S
        while (state := (await self._show(path))["state"]) != "cancelled":
            if time.monotonic() > give_up:
                raise CommandError(f"a cancelled simulation is still {state}", ExitCode.PROBLEMS)
            await asyncio.sleep(LOOK_S)

    def _processor_s(self) -> float:
        return by_role(self._pid)[SIMULATIONS]
