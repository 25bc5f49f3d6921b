"""One run of the demo's stream: orders at a steady rate through the API, the same to the shadow, stock kept up."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from api.cli.client import Client
from api.cli.sending import Sender
from api.cli.tally import Tally
from api.demo.compare import Shadow, network_with_load_taken
from api.demo.restock import Restock
from api.demo.scan import Scan, scan
from engine.domain import Order
from engine.ledger.port import Ledger
from engine.sample.orders import OrderGenerator
from engine.sample.world import World

SCAN_S = 2.0
AT_ONCE = 128
"""Orders under way at most; if the service is slower than the rate, the stream waits for it."""
RATE_SPAN_S = 5.0
PATIENCE_S = 30.0
CATCH_UP_S = 15.0
DAY_S = 86_400


@dataclass(slots=True)
class State:
    """What the view shows. Written by the stream, read by the view; both on one event loop."""

    tally: Tally
    started: float = 0.0
    seconds: float = 0.0
    seen: Scan | None = None
    delivered: int = 0
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))
    shadow: Shadow | None = None
    problems: list[str] = field(default_factory=list)
    """What the service said of orders that it did not decide."""

    def mark(self) -> None:
        """Remember how many orders were answered by now."""
        self.marks.append((time.monotonic(), self.tally.orders))

    @property
    def rate(self) -> float:
        """Orders answered per second: over the last few seconds, and over the whole stream once it has ended."""
        if self.seconds:
            return self.tally.orders / self.seconds
        if len(self.marks) < 2:
            return 0.0
        newest = self.marks[-1]
        oldest = next(mark for mark in self.marks if newest[0] - mark[0] <= RATE_SPAN_S)
        if oldest is newest:
            oldest = self.marks[-2]
        return (newest[1] - oldest[1]) / max(1e-9, newest[0] - oldest[0])


class Stream:
    """Everything one run needs. `run` is a name that no earlier run had: order and movement ids begin with it."""

    def __init__(
        self, client: Client, ledger: Ledger, partition: str, world: World, run: str, seed: int, compare: bool
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._partition = partition
        self._world = world
        self._orders = OrderGenerator(world, seed, run)
        self._restock = Restock(world, run)
        self._compare = compare
        self._numbers: dict[str, int] = {}
        self.state = State(Tally())

    async def prepare(self) -> None:
        """Read the stock as it stands and tell the shadow."""
        stored = await self._ledger.network(self._partition)
        assert stored is not None
        document, self._numbers = stored
        await self._look()
        if self._compare:
            today = int(time.time()) // DAY_S
            network = await network_with_load_taken(self._ledger, self._partition, document.body, today)
            names = {number: node_id for node_id, number in self._numbers.items()}
            self.state.shadow = await Shadow.spawn()
            assert self.state.seen is not None
            self.state.shadow.start(network, self._world, self.state.seen, names)

    async def send(self, rate: float, seconds: float, stop: asyncio.Event) -> None:
        """Stream for so long, or until `stop`; then wait for the last answers and for the shadow."""
        state = self.state
        state.started = time.monotonic()
        sender = Sender(self._client, state.tally, AT_ONCE, PATIENCE_S)
        stock = asyncio.create_task(self._keep_stock())
        try:
            await sender.send_all(self._paced(rate, seconds, stop))
        finally:
            state.seconds = time.monotonic() - state.started
            state.problems = [f"{order.order_id}: {problem}" for order, problem in sender.problems]
            stock.cancel()
        await self._look()
        if state.shadow is not None:
            await state.shadow.finish(CATCH_UP_S)

    async def close(self) -> None:
        """End the shadow, whatever it does."""
        if self.state.shadow is not None:
            await self.state.shadow.kill()

    async def _paced(self, rate: float, seconds: float, stop: asyncio.Event) -> AsyncIterator[Order]:
        started = time.monotonic()
        sent = 0
        while not stop.is_set():
            passed = time.monotonic() - started
            if passed >= seconds:
                return
            if sent < passed * rate:
                order = self._orders.order(datetime.now(UTC))
                sent += 1
                if self.state.shadow is not None:
                    self.state.shadow.order(order)
                yield order
            else:
                await asyncio.sleep(min(0.02, 1 / rate))

    async def _keep_stock(self) -> None:
        """Look at the stock again and again, and have low SKUs delivered."""
        while True:
            await asyncio.sleep(SCAN_S)
            seen = await self._look()
            movements = self._restock.due(seen, self._numbers)
            if not movements:
                continue
            body = b"\n".join(map(msgspec.json.encode, movements)) + b"\n"
            response = await self._client.post("/v1/stock/movements", body, "application/x-ndjson")
            if response.status < 300:
                self.state.delivered += sum(movement.quantity for movement in movements)
                if self.state.shadow is not None:
                    self.state.shadow.deliver(movements)

    async def _look(self) -> Scan:
        self.state.seen = await scan(self._ledger, self._partition)
        return self.state.seen
