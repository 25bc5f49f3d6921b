"""Sending orders to a running service: paced or as fast as it takes them, patient while it is away.

An order keeps its id over every attempt, so a repeat answers with the first decision and nothing is decided twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from api.cli.client import Client, Response, ServiceUnreachableError
from api.cli.codes import ExitCode
from api.cli.tally import Tally
from api.cli.terminal import CommandError
from engine.domain import Order

RETRY_PAUSE_S = 0.2


class Sender:
    """Posts orders one by one over a bounded number of connections and counts the answers."""

    def __init__(self, client: Client, tally: Tally, at_once: int, patience_s: float) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._patience_s = patience_s
        self._tally = tally
        self.problems: list[tuple[Order, str]] = []
        self.retries = 0

    async def send_all(
        self, orders: AsyncIterator[Order], answered: Callable[[Order, Response], None] | None = None
    ) -> None:
        """Send as they come, at most so many at once; returns when all are answered."""
        async with asyncio.TaskGroup() as group:
            async for order in orders:
                await self._turn.acquire()
                group.create_task(self._send_in_turn(order, answered))

    async def _send_in_turn(self, order: Order, answered: Callable[[Order, Response], None] | None) -> None:
        try:
            response = await self.send(order)
        finally:
            self._turn.release()
        if answered is not None:
            answered(order, response)

    async def send(self, order: Order) -> Response:
        """One order until it is answered: the service's 429 and 503 and a dropped connection are waited out."""
        body = msgspec.json.encode(order)
        give_up = time.monotonic() + self._patience_s
        while True:
            started = time.monotonic()
            pause = RETRY_PAUSE_S
            try:
                response = await self._client.post("/v1/orders", body)
                if response.status not in (429, 503):
                    self._count(order, response, (time.monotonic() - started) * 1000)
                    return response
                trouble = response.problem
                pause = float(response.headers.get("retry-after", RETRY_PAUSE_S))
            except ServiceUnreachableError as error:
                trouble = str(error)
            self.retries += 1
            if time.monotonic() + pause > give_up:
                raise CommandError(f"gave up on order {order.order_id}: {trouble}", ExitCode.UNAVAILABLE)
            await asyncio.sleep(pause)

    def _count(self, order: Order, response: Response, latency_ms: float) -> None:
        if response.status in (200, 201):
            self._tally.add(response.body, latency_ms, repeat=response.status == 200)
        else:
            self.problems.append((order, response.problem))


def first_of(errors: BaseExceptionGroup) -> BaseException:
    """The error that a person should see of those that a task group collected."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [errors]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, CommandError)), leaves[0])
