"""When requests are due, fixed before the first is sent: a seeded Poisson process, steady or over a peak day."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

HOURS = (
    0.18, 0.12, 0.09, 0.08, 0.08, 0.10, 0.18, 0.30, 0.45, 0.58, 0.66, 0.70,
    0.72, 0.70, 0.68, 0.66, 0.68, 0.74, 0.84, 0.94, 1.00, 0.90, 0.62, 0.34,
)  # fmt: skip
"""Orders at each full hour of a shop's peak day, as shares of the busiest: an assumption, quiet before dawn and busiest
at eight in the evening."""


def steady(part: float) -> float:  # noqa: ARG001
    """The same all the time."""
    return 1.0


def peak_day(part: float) -> float:
    """Share of the peak at a part of the day (0 and 1 are midnight), linear between the full hours."""
    at = 24 * (part % 1.0)
    hour = int(at)
    this, following = HOURS[hour % 24], HOURS[(hour + 1) % 24]
    return this + (at - hour) * (following - this)


def arrivals(peak: float, seconds: float, seed: int, curve: Callable[[float], float] = steady) -> list[float]:
    """Instants in seconds from the start, ascending, of a Poisson process with `peak` arrivals a second at its height.

    `curve`: the share of the peak at a part of the time, at most 1 (arrivals of the peak's process are thinned by it).
    """
    rng = Random(seed)
    found = []
    at = rng.expovariate(peak)
    while at < seconds:
        if rng.random() < curve(at / seconds):
            found.append(at)
        at += rng.expovariate(peak)
    return found
