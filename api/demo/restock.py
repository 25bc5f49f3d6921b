"""Deliveries: what sold low is received again up to its first level, so that the stream can go on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import count

from api.demo.scan import Scan
from engine.domain import Movement
from engine.sample.world import World

LOW = 0.25
"""A SKU is ordered again when less than this share of its first stock is free over all nodes."""


class Restock:
    """Decides deliveries. `run` makes the movement ids unique between runs."""

    def __init__(self, world: World, run: str) -> None:
        self._targets: dict[str, dict[str, int]] = defaultdict(dict)
        for row in world.stock:
            self._targets[row.sku][row.node_id] = row.on_hand
        self._numbers = count(1)
        self._run = run

    def due(self, seen: Scan, numbers: Mapping[str, int]) -> list[Movement]:
        """Receipts that bring every low SKU back to its first level; `numbers` are the ledger's node numbers."""
        movements: list[Movement] = []
        for sku, target in self._targets.items():
            free = seen.free.get(sku, {})
            if sum(free.values()) >= LOW * sum(target.values()):
                continue
            for node_id, level in target.items():
                missing = level - free.get(numbers[node_id], 0)
                if missing > 0:
                    movement_id = f"{self._run}-delivery-{next(self._numbers)}"
                    movements.append(
                        Movement(movement_id=movement_id, node_id=node_id, sku=sku, kind="receive", quantity=missing)
                    )
        return movements
