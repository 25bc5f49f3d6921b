"""Worlds of any size with the same orders: each SKU lies at ten nodes, whatever the number of nodes and SKUs.

SKUs come in families. Those of a family lie at the same nodes unless the world is scattered; an order's lines are of
one family. So an order has as many nodes to choose from in a small world as in a large one, and what differs is the
size alone. Scattered, three lines see up to thirty nodes and no node has all of them: the question itself is harder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np

from bench.merchant import network
from engine.domain import Order, OrderLine, ShipTo, Sku, StockRow
from engine.sample.places import METROS
from solvers.problem import Ints

STOCKED = 10
"""Nodes that have a SKU, in a world of at least so many."""
LINES = 3
FAMILY = 100
"""SKUs that lie at the same nodes."""
UNITS = 1_000
"""In each cell: nothing runs out, so every window is decided on the same stock."""
CHUNK = 10_000
"""SKUs that are made at a time."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a world is."""

    nodes: int
    skus: int
    scattered: bool = False
    seed: int = 5

    @property
    def label(self) -> str:
        """As in the tables."""
        return f"{self.nodes:,} x {self.skus:,}{' scattered' if self.scattered else ''}"

    @property
    def cells(self) -> int:
        """Stocked cells."""
        return self.skus * min(STOCKED, self.nodes)


class World:
    """The world of a size; nothing of it is kept but the network."""

    def __init__(self, size: Size) -> None:
        self.size = size
        document = network(size.nodes, size.seed)
        self.network = msgspec.json.encode(document)
        self.node_ids = [node["node_id"] for node in document["nodes"]]

    def catalogue(self) -> Iterator[list[Sku]]:
        """All entries, a chunk at a time."""
        for first in range(0, self.size.skus, CHUNK):
            rng = np.random.default_rng([self.size.seed, 1, first])
            grams = rng.integers(50, 1_500, CHUNK).tolist()
            many = min(CHUNK, self.size.skus - first)
            yield [Sku(sku=name_of(first + k), weight_g=grams[k]) for k in range(many)]

    def stock(self) -> Iterator[list[StockRow]]:
        """All stocked cells, a chunk of SKUs at a time."""
        for first in range(0, self.size.skus, CHUNK):
            many = min(CHUNK, self.size.skus - first)
            at = self._nodes(first, many)
            yield [
                StockRow(node_id=self.node_ids[node], sku=name_of(first + k), on_hand=UNITS)
                for k in range(many)
                for node in at[k]
            ]

    def _nodes(self, first: int, many: int) -> list[list[int]]:
        """Where each SKU of a chunk lies."""
        rng = np.random.default_rng([self.size.seed, 2, first])
        alike = 1 if self.size.scattered else FAMILY
        drawn = rng.random((-(-many // alike), self.size.nodes))
        chosen: Ints = np.sort(np.argsort(drawn, axis=1)[:, :STOCKED], axis=1)
        at: list[list[int]] = np.repeat(chosen, alike, axis=0)[:many].tolist()
        return at

    def windows(self, count: int, orders: int) -> Iterator[list[Order]]:
        """Windows of orders placed now. In every world the same people ask for as many different SKUs."""
        homes, goods = (np.random.default_rng([self.size.seed, which]) for which in (3, 4))
        people = np.array([metro.thousands for metro in METROS], float)
        families = -(-self.size.skus // FAMILY)
        now = datetime.now(UTC)
        for window in range(count):
            metros = homes.choice(len(METROS), orders, p=people / people.sum())
            asked = goods.permutation(np.arange(max(families, orders)) % families)[:orders]
            yield [
                _order(f"S-{window:04d}-{k:05d}", now, metro, homes, self._skus(goods, family))
                for k, (metro, family) in enumerate(zip(metros.tolist(), asked.tolist(), strict=True))
            ]

    def _skus(self, goods: np.random.Generator, family: int) -> list[int]:
        first = family * FAMILY
        chosen: list[int] = goods.choice(min(FAMILY, self.size.skus - first), LINES, replace=False).tolist()
        return [first + k for k in chosen]


def name_of(sku: int) -> str:
    """The id of a SKU by its number: as long in every world."""
    return f"SKU-{sku:07d}"


def _order(order_id: str, now: datetime, metro: int, homes: np.random.Generator, skus: list[int]) -> Order:
    place = METROS[metro]
    north, east = homes.normal(0, 0.12, 2).tolist()
    home = ShipTo(
        country="US",
        region=place.region,
        postal_code=place.postal_code,
        lat=round(place.lat + north, 4),
        lon=round(place.lon + east, 4),
        timezone=place.timezone,
    )
    lines = [OrderLine(line_id=str(k), sku=name_of(sku), quantity=1) for k, sku in enumerate(skus, start=1)]
    return Order(order_id=order_id, placed_at=now, ship_to=home, lines=lines)
