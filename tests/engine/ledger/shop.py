"""A small shop over any ledger: what tests of ledgers say in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from engine.ledger.port import (
    Batch,
    Entry,
    Ledger,
    LoadTake,
    Outcome,
    Proposal,
    Snapshot,
    StockKind,
    StockOutcome,
    StockWrite,
    Take,
    Verdict,
)

DAY = 21_000
"""A day far enough ahead to be open."""

Cells = Mapping[tuple[str, int], int]
"""Units by (sku, node number)."""


RECORD = b'{"window_id":"window"}\n\x00\xffpacked'
"""Of a window: the summary, and what only `engine.recording` reads."""


def content(text: str = "first") -> bytes:
    """A content hash."""
    return text.encode().ljust(16, b".")


@dataclass
class Shop:
    """One partition of a ledger. Nodes are N0, N1, ... with those numbers."""

    ledger: Ledger
    partition: str
    skus: list[str] = field(default_factory=list)

    async def open(self, nodes: int = 3, stock: Cells | None = None) -> Shop:
        """A network, and stock received."""
        await self.ledger.put_network(self.partition, b"{}", [f"N{k}" for k in range(nodes)])
        for (sku, node), units in (stock or {}).items():
            assert await self.write(sku, node, StockKind.RECEIVE, units) is StockOutcome.APPLIED
        return self

    async def write(self, sku: str, node: int, kind: StockKind, quantity: int, **more: Any) -> StockOutcome:
        """One stock write."""
        [outcome] = await self.ledger.write_stock(self.partition, [StockWrite(sku, node, kind, quantity, **more)])
        return outcome

    async def look(self, *skus: str, days: Sequence[int] = (DAY,)) -> Snapshot:
        """A snapshot of SKUs, which later proposals are about."""
        self.skus = sorted({*self.skus, *skus})
        return await self.ledger.snapshot(self.partition, self.skus, days, ())

    def proposal(
        self, seen: Snapshot, order_id: str, cells: Cells, *, short: Sequence[str] = (), **more: Any
    ) -> Proposal:
        """An order that takes these cells as they were seen; a cell that was not there gets slot 99."""
        takes = []
        for (sku, node), units in cells.items():
            row = self.skus.index(sku)
            found = np.flatnonzero(seen.rows[row].slots["node"] == node)
            takes.append(Take(row, int(found[0]) if len(found) else 99, node, units, 0))
        made = Proposal(
            order_id,
            content(),
            b'{"order_id":"%s"}' % order_id.encode(),
            b'{"order_id":"%s","status":"allocated"}' % order_id.encode(),
            "allocated",
            tuple(takes),
            short_skus=tuple(self.skus.index(sku) for sku in short),
        )
        return replace(made, **more)

    def batch(self, seen: Snapshot, *proposals: Proposal) -> Batch:
        """Proposals solved on one snapshot."""
        gains = tuple(row.gain for row in seen.rows)
        day_gains = {day: load.gain for day, load in seen.days.items()}
        return Batch("window", seen.versions, tuple(self.skus), gains, day_gains, proposals, RECORD)

    async def commit(self, seen: Snapshot, *proposals: Proposal) -> list[Verdict]:
        """Verdicts on proposals."""
        return [outcome.verdict for outcome in await self.outcomes(seen, *proposals)]

    async def outcomes(self, seen: Snapshot, *proposals: Proposal) -> list[Outcome]:
        """Outcomes of proposals."""
        return await self.ledger.commit(self.partition, self.batch(seen, *proposals))

    async def order(self, order_id: str, cells: Cells, **more: Any) -> Verdict:
        """Look, and commit one order."""
        seen = await self.look(*(sku for sku, _ in cells))
        return (await self.commit(seen, self.proposal(seen, order_id, cells, **more)))[0]

    async def cell(self, sku: str, node: int) -> tuple[int, int, int, int]:
        """on_hand, held, safety, blocked."""
        row = await self.ledger.stock(self.partition, sku)
        [found] = [slot for slot in row.slots.tolist() if slot[0] == node]
        return tuple(found[1:])

    async def log(self) -> list[Entry]:
        """The whole log."""
        return [entry async for entry in self.ledger.entries(self.partition)]


def load(node: int = 0, parcels: int = 1, units: int = 1, *, most: int = -1, day: int = DAY) -> LoadTake:
    """Capacity of a node, limited in parcels."""
    return LoadTake(day, node, parcels, units, most, -1)
