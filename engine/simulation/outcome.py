"""What became of one order of a run: a row of the table of all decisions."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """One order as it was decided in the end. Instants in ms since the epoch, money in mills.

    `released_ms`: when it went to its nodes; as decided, unless it was held. `nodes`: those that ship, ascending,
    joined by `+`; "" for none. `distance_m`: of all parcels, great-circle; those of unknown length count 0. `gap`: what
    is proven of its window; None if nothing is. `moves`: how often it was decided again.
    """

    order_id: str
    placed_ms: int
    decided_ms: int
    released_ms: int
    status: str
    nodes: str
    parcels: int
    lines: int
    lines_filled: int
    units: int
    units_shipped: int
    shipping: int
    handling: int
    split: int
    late: int
    unfilled: int
    total: int
    late_days: int
    distance_m: int
    moves: int
    window_id: str
    gap: float | None
    cut: bool
