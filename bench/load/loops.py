"""Two ways to send: as fast as answers come (closed loop), and when requests are due whatever comes (open loop)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

Send = Callable[[int], Awaitable[None]]
"""Sends the request of this number and waits until all is said; raises nothing."""

Now = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Times:
    """Seconds; one entry for each request that was finished.

    `latency`: to its answer, from when it was *due* (open loop) or sent (closed loop); `late`: how long after it was
    due it was begun, which latency includes; `lasted`: from the first due to the last answer.
    """

    latency: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    lasted: float = 0.0


async def open_loop(due: Sequence[float], send: Send, now: Now, sleep: Sleep = asyncio.sleep) -> Times:
    """Begin request number n when `due[n]` seconds have passed, ascending, whether earlier ones are answered or not.

    Latency counts from the instant that was intended: a service that stalls, and a sender that comes too late, both
    make the requests behind them slow. Nothing is left out and nothing waits for its turn. Returns when all are done.
    """
    times = Times()
    started = now()

    async def one(number: int, intended: float) -> None:
        await send(number)
        times.latency.append(now() - intended)

    async with asyncio.TaskGroup() as group:
        for number, offset in enumerate(due):
            intended = started + offset
            while (wait := intended - now()) > 0:
                await sleep(wait)
            times.late.append(now() - intended)
            group.create_task(one(number, intended))
    times.lasted = now() - started
    return times


async def closed_loop(numbers: Iterator[int], send: Send, clients: int, seconds: float, now: Now) -> Times:
    """So many clients, each sending its next request when the last is answered, until the time is up."""
    times = Times()
    started = now()

    async def client() -> None:
        while (begun := now()) - started < seconds:
            number = next(numbers, None)
            if number is None:
                return
            await send(number)
            times.latency.append(now() - begun)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    times.lasted = now() - started
    return times
