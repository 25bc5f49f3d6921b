"""Orders of the sample merchant as bytes, and a poster that repeats each until it is decided."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import msgspec

from api.cli.client import Client, ServiceUnreachableError
from bench.load.contract import Said, judge
from bench.merchant import cut
from engine.sample.orders import OrderGenerator
from engine.sample.world import World

PATIENCE_S = 15.0
"""An order that is not decided in this time counts as a missing decision."""

PAUSE_S = 0.05
"""Before an order is sent again whose connection broke."""

FAULTS_TOLD = 20


class Orders:
    """Orders from a seed, made before they are sent. `run` begins every order id; longer orders are cut."""

    def __init__(self, world: World, seed: int, run: str, lines_max: int) -> None:
        self._lines_max = lines_max
        self._generator = OrderGenerator(world, seed, run)
        self.ids: list[str] = []
        self.bodies: list[bytes] = []

    def more(self, count: int) -> range:
        """Make so many; their numbers."""
        first, now = len(self.bodies), datetime.now(UTC)
        for order in self._generator.orders(count, now):
            self.ids.append(order.order_id)
            self.bodies.append(msgspec.json.encode(cut(order, self._lines_max)))
        return range(first, first + count)


class Poster:
    """Posts orders by number and keeps what was decided. `faults` counts what the contract forbids."""

    def __init__(self, client: Client, orders: Orders, patience_s: float = PATIENCE_S) -> None:
        self._client = client
        self._orders = orders
        self._patience_s = patience_s
        self.decisions: dict[int, bytes] = {}
        self.later = 0
        """Answers 429 and 503 with Retry-After."""
        self.faults = 0
        self.told: list[str] = []

    async def send(self, number: int) -> None:
        """One order until it is decided, or until patience or the contract ends."""
        order_id, body = self._orders.ids[number], self._orders.bodies[number]
        give_up = time.monotonic() + self._patience_s
        trouble = ""
        while time.monotonic() < give_up:
            pause = PAUSE_S
            try:
                answer = await self._client.post("/v1/orders", body)
            except ServiceUnreachableError as error:
                trouble = str(error)
            else:
                verdict = judge(order_id, answer.status, answer.headers, answer.body, self.decisions.get(number))
                if verdict.said is Said.DECIDED:
                    self.decisions[number] = answer.body
                    return
                if verdict.said is Said.FAULT:
                    self.fault(verdict.text)
                    return
                self.later += 1
                trouble, pause = answer.problem, verdict.after_s
            await asyncio.sleep(min(pause, max(0.0, give_up - time.monotonic())))
        self.fault(f"{order_id}: no decision within {self._patience_s:.0f} s: {trouble}")

    def fault(self, text: str) -> None:
        """Count a fault; the first ones are told."""
        self.faults += 1
        if len(self.told) < FAULTS_TOLD:
            self.told.append(text)
