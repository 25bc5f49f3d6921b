"""Time as an argument: the engine reads it only from a `Clock` that it was given."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time."""

    def epoch_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for measuring."""


class SystemClock:
    """The machine's clock."""

    def epoch_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told: for tests, replay and simulation."""

    def __init__(self, epoch_ms: int = 0) -> None:
        self._epoch_ms = epoch_ms

    def epoch_ms(self) -> int:
        return self._epoch_ms

    def monotonic(self) -> float:
        return self._epoch_ms / 1000

    def advance(self, ms: int) -> None:
        """Move forward."""
        self._epoch_ms += ms

    def set(self, epoch_ms: int) -> None:
        """Move to an instant."""
        self._epoch_ms = epoch_ms
