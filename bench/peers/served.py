"""Systems behind HTTP: ours as `apportion serve` runs it, and the same server and routes with nothing behind them.

The service is a process of its own on a store that the bench starts under the supervisor's rules, all else as by
default: archive, pricing and the rest run beside it and count. Orders come one by one (a request each, keep-alive) or
in bulk (NDJSON uploads of `UPLOAD` orders); this process only sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from bench.peers import cpu, wire
from bench.peers.cpu import Cpu
from bench.peers.ours import PARTITION, engine_on, left_in, put
from bench.peers.routed import WIDTHS, store
from bench.peers.system import Answer, Outcome, PeerError, Standing
from bench.peers.world import Posted, World
from engine.ledger.redis import RedisLedger

UPLOAD = 1_000
NDJSON = "application/x-ndjson"
WARM = "warm"
"""A partition with the same world, decided in before the clock starts, so that all code is loaded and compiled."""
_WARM_ORDERS = 400
PRICER = "engine.pricing"
"""Stands in the command line of that process."""
_START_S = 120.0
_STOP_S = 30.0


class Served:
    """The system. `ours`: with store and solver; else the route stack alone."""

    def __init__(self, key: str, name: str, *, ours: bool, bulk: bool) -> None:
        self.key = key
        self.name = name
        self._ours = ours
        self._bulk = bulk
        # The service reads at most eight uploads at once.
        self.widths: tuple[int, ...] = (1, 2, 4) if bulk else WIDTHS

    def missing(self) -> str | None:
        """Nothing."""
        return None

    @asynccontextmanager
    async def standing(self, world: World, directory: Path, width: int) -> AsyncIterator[Standing]:
        async with AsyncExitStack() as stack:
            pid, ledger, command = 0, None, ["-m", "bench.peers.ticking"]
            if self._ours:
                server = await stack.enter_async_context(store(directory))
                pid, ledger = server.status.pid or 0, RedisLedger(server.url)
                stack.push_async_callback(ledger.close)
                for partition in (PARTITION, WARM):
                    await put(engine_on(ledger), world, partition)
                command = ["-m", "api.cli", "serve", "--port", "0", "--json"]
                command += ["--data-dir", str(directory / "service"), "--redis-url", server.url]
            url, process = await stack.enter_async_context(_service(command))
            await _warm(url, world)
            size = UPLOAD if self._bulk else 1
            made = _uploads(url, world.orders) if self._bulk else _singles(url, world.orders)
            yield _Served(pid, process.pid, ledger, url, made, world.orders, size, width)


class _Served:
    def __init__(
        self,
        store_pid: int,
        service_pid: int,
        ledger: RedisLedger | None,
        url: str,
        requests: Sequence[bytes],
        orders: Sequence[Posted],
        size: int,
        width: int,
    ) -> None:
        self._store_pid = store_pid
        self._service_pid = service_pid
        self._ledger = ledger
        self._url = url
        self._requests = requests
        self._orders = orders
        self._size = size
        self._width = width

    async def run(self, until: float) -> list[Answer]:
        """As `Standing.run`. What is no decision is an answer all the same: the judge will not like it."""
        answers = []
        for number, status, body in await wire.send(self._url, self._requests, self._width, until):
            if status not in (200, 201):
                raise PeerError(f"the service answered {status}: {body[:200].decode(errors='replace')}")
            some = self._orders[number * self._size : (number + 1) * self._size]
            lines = body.split(b"\n")[: len(some)] if self._size > 1 else [body]
            answers += [Answer(posted.order.order_id, line) for posted, line in zip(some, lines, strict=True)]
        return answers

    def cpu(self) -> Cpu:
        """As `Standing.cpu`, told apart by what the service started."""
        family = cpu.descendants(self._service_pid)
        pricer = sum(cpu.of(pid) for pid, command in family.items() if PRICER in command)
        return Cpu(
            store=cpu.of(self._store_pid),
            service=cpu.of(self._service_pid),
            worker=sum(map(cpu.of, family)) - pricer,
            pricer=pricer,
            generator=cpu.own(),
        )

    async def outcome(self, answers: Sequence[Answer]) -> Outcome | None:
        """As `Standing.outcome`."""
        return None if self._ledger is None else await left_in(self._ledger, answers)


@asynccontextmanager
async def _service(command: list[str]) -> AsyncIterator[tuple[str, Process]]:
    """(URL, process) of a service that says where it listens."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), _START_S)
        if not said:
            raise PeerError("the service ended before it was ready; see its output above")
        yield msgspec.json.decode(said)["url"], process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _warm(url: str, world: World) -> None:
    body = _ndjson(world.orders[:_WARM_ORDERS])
    upload = wire.request(url, "/v1/orders/bulk", body, NDJSON, {"Apportion-Partition": WARM})
    await wire.send(url, [upload], 1, time.perf_counter() + _START_S)


def _ndjson(orders: Sequence[Posted]) -> bytes:
    return b"\n".join(posted.body for posted in orders) + b"\n"


def _uploads(url: str, orders: Sequence[Posted]) -> list[bytes]:
    parts = [orders[at : at + UPLOAD] for at in range(0, len(orders), UPLOAD)]
    return [wire.request(url, "/v1/orders/bulk", _ndjson(part), NDJSON) for part in parts]


def _singles(url: str, orders: Sequence[Posted]) -> list[bytes]:
    return [wire.request(url, "/v1/orders", posted.body) for posted in orders]
