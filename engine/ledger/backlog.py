"""What the port says of orders that wait for stock, and of stock that is to come in.

An order waits under names: the SKUs of which a unit would help it, and "" for room at a node. A name is *ripe* from
when something of it becomes available until all orders that wait under it were tried on that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from engine.ledger.writes import StockOutcome

ROOM = ""
"""The name under which orders wait for capacity."""

PRIORITY_STEP = 2**43
"""More milliseconds than any instant has; a thousand priorities of them fit the 53 bits of a store's score."""

INCOMING_MAX = 500
"""The earliest incoming units of one SKU that a snapshot tells of."""


def rank(priority: int, placed_ms: int) -> int:
    """An order's place among those that wait, lower first: the higher priority, then the earlier instant."""
    return placed_ms - priority * PRIORITY_STEP


class Wait(NamedTuple):
    """A name under which an order waits, and the units of it that it misses (0 for what would only do instead)."""

    name: str
    units: int


class Incoming(NamedTuple):
    """Units of a SKU on their way to a node. A quantity of 0 cancels."""

    incoming_id: str
    sku: str
    node: int
    quantity: int
    expected_ms: int


class Expected(NamedTuple):
    """Of one SKU: the units that orders wait for, and what is to come in, the earliest first."""

    waited: int
    incoming: tuple[Incoming, ...]


class QueueAsked(NamedTuple):
    """Some of the orders that wait under a name: from a rank on (None: from the first), at most so many."""

    name: str
    rank: int | None
    limit: int


class Queue(NamedTuple):
    """Some of the orders that wait under a name, (order id, rank) ascending by rank. `stamp`: what was ripe then."""

    stamp: str
    orders: tuple[tuple[str, int], ...]


class Backlogging(Protocol):
    """The part of the ledger's port about orders that wait. Errors as in `Ledger`."""

    async def partitions_waiting(self) -> set[str]:
        """The partitions in which orders ever waited."""

    async def ripe(self, partition: str, limit: int) -> list[str]:
        """Some of the names that are ripe."""

    async def waited(self, partition: str) -> dict[str, int]:
        """All names under which orders wait, and the units of each."""

    async def queues(self, partition: str, asked: Sequence[QueueAsked]) -> list[Queue]:
        """The first orders that wait under each of these names."""

    async def tried(self, partition: str, stamps: Mapping[str, str]) -> None:
        """All orders under these names were tried on what made each ripe then; a name of which nothing came since is
        ripe no more."""

    async def write_incoming(self, partition: str, rows: Sequence[Incoming]) -> list[StockOutcome]:
        """Insert, replace or (quantity 0) cancel incoming units, in sequence: APPLIED or NODE_REMOVED."""

    async def incoming(self, partition: str, skus: Sequence[str]) -> list[tuple[Incoming, ...]]:
        """What is to come in of each of these SKUs, the earliest first."""
