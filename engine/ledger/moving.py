"""What the port says of orders that may be decided again in the background.

They are allocated, wholly or in part, not with their nodes yet, and their ship days are open: until when, says
`OrderRecord.closes_ms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from engine.ledger.orders import OrderRecord
    from engine.ledger.port import Batch


class Place(NamedTuple):
    """Where a walk over these orders is: all that close before `closes_ms` were seen, and the first `seen` that close
    then. Orders that come or go meanwhile may be met twice or not at all: the next walk finds them."""

    closes_ms: int
    seen: int = 0

    def past(self, records: Sequence[OrderRecord]) -> Place:
        """The place after some more orders, ascending by when they close."""
        if not records:
            return self
        last = records[-1].closes_ms
        same = sum(record.closes_ms == last for record in records)
        return Place(last, same + (self.seen if last == self.closes_ms else 0))

    def back(self, left: int) -> Place:
        """The place once so many of the orders seen no longer close then, lest the walk pass over as many others."""
        return Place(self.closes_ms, self.seen - left)


class Moving(Protocol):
    """The part of the ledger's port about orders that may be decided again. Errors as in `Ledger`."""

    async def movable(self, partition: str, at: Place, limit: int) -> list[OrderRecord]:
        """The next orders from a place on, those first that close first."""

    async def with_movable(self, partitions: Sequence[str]) -> list[str]:
        """Those of the partitions in which any order may be decided again, or might have before it closed."""

    async def swap(self, partition: str, batch: Batch, parts: Sequence[Sequence[int]]) -> list[bool]:
        """Exchange the holds of standing orders: each part, some of the batch's proposals, whole or not at all.

        What the orders of a part hold is free for any of them. A part is dropped if one of its orders changed, may not
        be decided again, or finds a cell or day short. Says which parts were written; those are durable.
        """

    async def received(self, partition: str) -> str:
        """The last log entry by which more stock came, "" for none."""

    async def put_report(self, partition: str, name: str, body: bytes) -> None:
        """Keep what was last found under a name, JSON. No part of the truth: not logged."""

    async def reports(self, partition: str) -> dict[str, bytes]:
        """What is kept so, by name."""
