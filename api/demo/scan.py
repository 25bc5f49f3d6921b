"""The stock as the store holds it, read cell by cell: what is free, and whether more was ever held than is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from engine.ledger.port import Ledger

PAGE = 500
"""SKUs read at once."""


@dataclass(frozen=True, slots=True)
class Scan:
    """All cells at about one instant. `free` is by SKU and node number: on_hand - held - blocked, never negative."""

    free: dict[str, dict[int, int]]
    on_hand: int
    held: int
    oversold: int
    """Units held beyond what is there."""


async def scan(ledger: Ledger, partition: str) -> Scan:
    """Read every stock row."""
    free: dict[str, dict[int, int]] = {}
    on_hand = held = oversold = 0
    cursor = ""
    while True:
        cursor, rows = await ledger.stock_page(partition, cursor, PAGE)
        for sku, row in rows:
            slots = row.slots
            there = slots["on_hand"].astype(np.int64) - slots["blocked"]
            left = there - slots["held"]
            if sku in free:
                continue  # a page may repeat a SKU
            free[sku] = dict(zip(slots["node"].tolist(), np.maximum(left, 0).tolist(), strict=True))
            on_hand += int(slots["on_hand"].sum())
            held += int(slots["held"].sum())
            oversold += int(np.maximum(-left, 0).sum())
        if not cursor:
            return Scan(free, on_hand, held, oversold)
        await asyncio.sleep(0)
