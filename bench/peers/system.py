"""What the bench asks of every system, and how orders go over a number of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from bench.peers.world import Cells, Posted, World

Link = TypeVar("Link")


class Cpu(NamedTuple):
    """Seconds of processor time of each part of a system.

    `service`: what routes or serves; `worker`: what decides; `pricer`: what makes shadow prices beside it; `archive`:
    what feeds the archive; `generator`: what only sends orders.
    """

    store: float = 0.0
    service: float = 0.0
    worker: float = 0.0
    pricer: float = 0.0
    archive: float = 0.0
    generator: float = 0.0

    def since(self, before: Cpu) -> Cpu:
        """What came to it since then."""
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


class Answer(NamedTuple):
    """An acknowledged decision, as the caller got it."""

    order_id: str
    decision: bytes


class Outcome(NamedTuple):
    """What a system holds after a run: units left by cell, decisions by order id, and what it finds wrong itself."""

    left: Cells
    stored: dict[str, bytes]
    faults: tuple[str, ...] = ()


class PeerError(Exception):
    """A system cannot be measured; the text says why."""


class Standing(Protocol):
    """A system with the world's whole stock and no orders yet."""

    async def run(self, until: float) -> list[Answer]:
        """Have the world's orders decided, beginning none after the instant `until` of `time.perf_counter`."""

    def cpu(self) -> Cpu:
        """CPU used so far."""

    async def outcome(self, answers: Sequence[Answer]) -> Outcome | None:
        """What is stored now; None for a system that stores nothing."""


class System(Protocol):
    """A way to decide orders. `key` is its letter, `widths` the numbers of connections that are tried."""

    key: str
    name: str
    widths: tuple[int, ...]

    def missing(self) -> str | None:
        """Why it cannot run here; None if it can."""

    def standing(self, world: World, directory: Path, width: int) -> AbstractAsyncContextManager[Standing]:
        """Start it in an empty directory, with so many connections. Raises PeerError."""


async def take_turns(
    orders: Iterable[Posted], links: Sequence[Link], until: float, decide: Callable[[Link, Posted], Awaitable[bytes]]
) -> list[Answer]:
    """Every connection takes the next order as soon as it has decided its last. Raises what `decide` raises first."""
    source, answers = iter(orders), []

    async def turn(link: Link) -> None:
        while time.perf_counter() < until and (posted := next(source, None)) is not None:
            answers.append(Answer(posted.order.order_id, await decide(link, posted)))

    try:
        async with asyncio.TaskGroup() as group:
            for link in links:
                group.create_task(turn(link))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return answers
