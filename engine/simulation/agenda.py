"""What is due when, beside orders and windows."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from itertools import count

from engine.simulation.windows import NEVER_MS

Work = Callable[[int], Awaitable[None]]
"""Something to do, told the instant that it was due at."""


class Agenda:
    """Work by instant; what is due at the same instant is done as it was written down."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Work]] = []
        self._numbers = count()

    @property
    def next_ms(self) -> int:
        """When something is due next."""
        return self._due[0][0] if self._due else NEVER_MS

    def at(self, due_ms: int, work: Work) -> None:
        """Have it done then."""
        heapq.heappush(self._due, (due_ms, next(self._numbers), work))

    def take(self) -> tuple[int, Work]:
        """What is due first."""
        due_ms, _, work = heapq.heappop(self._due)
        return due_ms, work
