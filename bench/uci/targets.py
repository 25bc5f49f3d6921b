"""Where a replay is decided: the engine on the memory twin in this process, or a running service over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from api.cli.client import Client
from bench.uci.recipe import Workload
from engine.assembly import Engine, build_memory
from engine.clock import ManualClock
from engine.domain import IncomingRow, Movement, Order, epoch_ms
from engine.policy import ObjectiveTerms, Policy, WindowTerms
from engine.settings import Settings

PARTITION = "default"
NDJSON = "application/x-ndjson"
HOUR_MS = 3_600_000


class Answered(NamedTuple):
    """A decision and how long its caller waited."""

    decision: bytes
    ms: float


class TargetError(Exception):
    """The replay cannot go on here; the text says why."""


class Target(Protocol):
    """What the replay asks of whoever decides."""

    async def load(self, work: Workload, mode: str, window: int) -> None:
        """Take network, catalogue and policy."""

    async def deliver(self, movements: Sequence[Movement], at_ms: int) -> None:
        """Receive stock."""

    async def decide(self, orders: Sequence[Order]) -> list[Answered]:
        """Decide these orders, sent at once."""

    async def free(self) -> dict[tuple[str, str], int]:
        """on_hand - held by (sku, node id), of all cells."""

    async def close(self) -> None:
        """Release everything."""


def policy_of(mode: str, window: int) -> Policy:
    """The default policy with the mode and window size of a run."""
    terms = WindowTerms(max_orders=window)
    return Policy(mode=mode, window=terms, objective=ObjectiveTerms())  # type: ignore[arg-type]


def as_announced(movements: Sequence[Movement]) -> list[Movement]:
    """The movements as the arrival of what was announced."""
    return [msgspec.structs.replace(each, incoming_id=each.movement_id) for each in movements]


class MemoryTarget:
    """The production allocator on the memory twin, its clock set to the recorded time."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        settings = Settings(
            window_linger_ms=0,
            queue_orders_max=10**6,
            queue_lines_max=10**8,
            window_lines_max=10**6,
            order_timeout_ms=HOUR_MS,
        )
        self.engine: Engine = build_memory(settings, clock=self._clock)

    async def load(self, work: Workload, mode: str, window: int) -> None:
        await self.open(work, policy_of(mode, window))

    async def open(self, work: Workload, policy: Policy) -> None:
        """Take network, catalogue and policy; standing orders are looked at only when the replay says so."""
        self._clock.set(epoch_ms(work.deliveries[0].at))
        await self.engine.start()
        await self.engine.reoptimiser.stop()
        await self.engine.registry.put_network(PARTITION, work.network)
        await self.engine.registry.put_policy(PARTITION, "default", msgspec.json.encode(policy))
        await self.engine.registry.put_skus(PARTITION, work.skus)

    async def deliver(self, movements: Sequence[Movement], at_ms: int) -> None:
        self._clock.set(at_ms)
        tally = await self.engine.stock.write(PARTITION, list(enumerate(movements, start=1)))
        if tally.faults:
            raise TargetError(f"a delivery was refused: {tally.faults[0]}")

    async def decide(self, orders: Sequence[Order]) -> list[Answered]:
        last = orders[-1].placed_at
        assert last is not None
        self._clock.set(max(self._clock.epoch_ms(), epoch_ms(last)))
        return await self.decide_now(orders)

    async def decide_now(self, orders: Sequence[Order]) -> list[Answered]:
        """Decide these orders whatever the time is."""
        return list(await asyncio.gather(*map(self._decide, orders)))

    async def _decide(self, order: Order) -> Answered:
        started = time.perf_counter()
        answer = await self.engine.gate.submit(PARTITION, order, patient=True)
        return Answered(answer.decision, (time.perf_counter() - started) * 1000)

    def set(self, at_ms: int) -> None:
        """Let it be an instant, or later."""
        self._clock.set(max(self._clock.epoch_ms(), at_ms))

    async def announce(self, movements: Sequence[Movement], due: datetime) -> None:
        """Say what will arrive, and when; each may then be received as announced (`as_announced`)."""
        rows = [
            IncomingRow(
                incoming_id=each.movement_id,
                node_id=each.node_id,
                sku=each.sku,
                quantity=each.quantity,
                expected_at=due,
            )
            for each in movements
        ]
        tally = await self.engine.stock.write_incoming(PARTITION, list(enumerate(rows, start=1)))
        if tally.faults:
            raise TargetError(f"an announcement was refused: {tally.faults[0]}")

    def seconds(self) -> float:
        """The instant in seconds, for pacing."""
        return self._clock.monotonic()

    async def saved(self) -> float:
        """What moving orders saved so far, in currency units."""
        return self.engine.metrics.get_sample_value("apportion_reoptimised_saving_total", {"mode": "on"}) or 0.0

    async def free(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        cursor = ""
        while True:
            cursor, rows = await self.engine.stock.page(PARTITION, None, cursor, 1_000)
            found.update({(row.sku, cell.node_id): cell.on_hand - cell.held for row in rows for cell in row.nodes})
            if not cursor:
                return found

    async def close(self) -> None:
        await self.engine.stop()


class HttpTarget:
    """A running service; each run has a partition of its own, which must be empty."""

    def __init__(self, url: str, partition: str, connections: int) -> None:
        self._client = Client(url, connections, {"Apportion-Partition": partition}, timeout_s=120)
        self._partition = partition

    async def load(self, work: Workload, mode: str, window: int) -> None:
        if (await self._client.get("/v1/network")).status == 200:
            raise TargetError(f"partition {self._partition!r} of that service is not empty; name another --tag")
        await self._put("/v1/network", work.network)
        await self._put("/v1/policies/default", msgspec.json.encode(policy_of(mode, window)))
        await self._put("/v1/skus", b"\n".join(map(msgspec.json.encode, work.skus)) + b"\n", NDJSON)

    async def _put(self, path: str, body: bytes, kind: str = "application/json") -> None:
        response = await self._client.put(path, body, kind)
        if response.status >= 300:
            raise TargetError(f"PUT {path}: {response.problem}")

    async def deliver(self, movements: Sequence[Movement], at_ms: int) -> None:  # noqa: ARG002
        body = b"\n".join(map(msgspec.json.encode, movements)) + b"\n"
        response = await self._client.post("/v1/stock/movements", body, NDJSON)
        if response.status >= 300 or response.json().get("faulty"):
            raise TargetError(f"a delivery was refused: {response.problem}")

    async def decide(self, orders: Sequence[Order]) -> list[Answered]:
        return list(await asyncio.gather(*map(self._decide, orders)))

    async def _decide(self, order: Order) -> Answered:
        body = msgspec.json.encode(order)
        started = time.perf_counter()
        response = await self._client.post("/v1/orders", body)
        if response.status not in (200, 201):
            raise TargetError(f"order {order.order_id}: {response.problem}")
        return Answered(response.body, (time.perf_counter() - started) * 1000)

    async def free(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        path = "/v1/stock?limit=1000"
        while True:
            page = (await self._client.get(path)).json()
            for row in page["items"]:
                found.update({(row["sku"], cell["node_id"]): cell["on_hand"] - cell["held"] for cell in row["nodes"]})
            if not page["next_cursor"]:
                return found
            path = f"/v1/stock?limit=1000&cursor={page['next_cursor']}"

    async def close(self) -> None:
        self._client.close()
