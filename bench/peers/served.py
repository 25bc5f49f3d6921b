"""Systems behind HTTP: ours as `apportion serve` runs it, and the same server and routes with nothing behind them.

The service is a process of its own on a store that the bench starts under the supervisor's rules, all else as by
default: archive, pricing and the rest run beside it and count. Orders come one by one (a request each, keep-alive) or
in bulk (NDJSON uploads of `UPLOAD` orders); this process only sends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench import processor
from bench.peers import wire
from bench.peers.ours import PARTITION, engine_on, left_in, put
from bench.peers.routed import WIDTHS, store
from bench.peers.system import Answer, Cpu, Outcome, PeerError, Standing
from bench.peers.world import Posted, World
from bench.serving import START_S, NotServingError, serving
from engine.ledger.redis import RedisLedger

UPLOAD = 1_000
NDJSON = "application/x-ndjson"
WARM = "warm"
"""A partition with the same world, decided in before the clock starts, so that all code is loaded and compiled."""
_WARM_ORDERS = 400


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
            pid, ledger, command = 0, None, ("-m", "bench.peers.ticking")
            if self._ours:
                server = await stack.enter_async_context(store(directory))
                pid, ledger = server.status.pid or 0, RedisLedger(server.url)
                stack.push_async_callback(ledger.close)
                for partition in (PARTITION, WARM):
                    await put(engine_on(ledger), world, partition)
                where = "--data-dir", str(directory / "service"), "--redis-url", server.url
                command = ("-m", "api.cli", "serve", "--port", "0", "--json", *where)
            try:
                url, process = await stack.enter_async_context(serving(*command))
            except NotServingError as error:
                raise PeerError(str(error)) from error
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
        used = processor.by_role(self._service_pid)
        store = processor.of(self._store_pid)
        return Cpu(store, used["service"], used["solvers"], used["prices"], used["archive"], processor.own())

    async def outcome(self, answers: Sequence[Answer]) -> Outcome | None:
        """As `Standing.outcome`."""
        return None if self._ledger is None else await left_in(self._ledger, answers)


async def _warm(url: str, world: World) -> None:
    body = _ndjson(world.orders[:_WARM_ORDERS])
    upload = wire.request(url, "/v1/orders/bulk", body, NDJSON, {"Apportion-Partition": WARM})
    await wire.send(url, [upload], 1, time.perf_counter() + START_S)


def _ndjson(orders: Sequence[Posted]) -> bytes:
    return b"\n".join(posted.body for posted in orders) + b"\n"


def _uploads(url: str, orders: Sequence[Posted]) -> list[bytes]:
    parts = [orders[at : at + UPLOAD] for at in range(0, len(orders), UPLOAD)]
    return [wire.request(url, "/v1/orders/bulk", _ndjson(part), NDJSON) for part in parts]


def _singles(url: str, orders: Sequence[Posted]) -> list[bytes]:
    return [wire.request(url, "/v1/orders", posted.body) for posted in orders]
