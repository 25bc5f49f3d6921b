"""How long a window may be thought about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _never() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a window may be thought about.

    `work`: menu cells priced (about 50 million a second): decides, so that runs repeat. `seconds` on the clock `now` is
    only a safety cut. `gap`: a plan proven this close to the best, as a share of its cost, is good enough.
    `order_work` bounds one order's search. `floor`: the cheapest rung at once, one by one.
    """

    work: int = 30_000_000
    seconds: float = float("inf")
    now: Callable[[], float] = _never
    gap: float = 0.0005
    order_work: int = 3_000_000
    floor: bool = False
