"""What the port says of changes of stock: a write of one cell, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StockKind(Enum):
    """How a stock write changes a cell; `SNAPSHOT` and `COUNT` set on_hand and are logged as deltas."""

    SNAPSHOT = "snapshot"
    RECEIVE = "receive"
    ADJUST = "adjust"
    COUNT = "count"
    DAMAGE = "damage"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class StockWrite:
    """One change of one cell. `safety` only with SNAPSHOT (None keeps it); `movement_id` makes it apply once."""

    sku: str
    node: int
    kind: StockKind
    quantity: int
    safety: int | None = None
    movement_id: str | None = None
    incoming_id: str | None = None
    """With RECEIVE: the incoming units that this brings, which are that many fewer then."""
    vetted: int = -1
    """`Retention.evicted` when the archive said that it does not know this movement; -1: it was not asked."""


class StockOutcome(Enum):
    """What became of a stock write."""

    APPLIED = "applied"
    REPEATED = "repeated"
    """The movement id was applied before, with the same content."""
    CONFLICT = "conflict"
    """The movement id was applied before with other content."""
    BELOW_ZERO = "below_zero"
    """on_hand or blocked would fall below zero."""
    TOO_LARGE = "too_large"
    """on_hand or blocked would pass 2^31 - 1."""
    NODE_REMOVED = "node_removed"
    """The node is being removed from the network, or is not part of it."""
    OTHER_INCOMING = "other_incoming"
    """The incoming id names units of another SKU, or for another node."""
    ASK = "ask"
    """The movement may have been applied and have left: ask the archive. Neither this nor any later write applied."""
