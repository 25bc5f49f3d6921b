"""What every system of a run is given: one network, one catalogue, one stock, one sequence of orders, from a seed.

Nodes are the first metros of the sample merchant's country with the public ground tariff, each SKU lies at about a
third of them, orders have three lines and come from where people live. Nothing restricts who ships what: all nodes are
eligible, days are open, parcels unlimited, nothing is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from engine.domain import Order, OrderLine, ShipTo, Sku, StockRow, content_hash, decimal
from engine.geography.distance import distances_m
from engine.sample.places import METROS
from engine.sample.tariff import ground_card

NODES_MAX = len(METROS)
LINES = 3
CARRIED = 0.3
"""Chance that a node stocks a SKU; two nodes always do."""
SKEW = 0.8
"""Zipf exponent of demand, that of the sample merchant."""
GRAMS_MAX = 4_000
"""The heaviest SKU: no order needs two boxes at one node."""
PLACED_AT = datetime(2026, 11, 23, 10, tzinfo=UTC)

Cells = dict[tuple[str, str], int]
"""Units by (SKU, node id)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a world is. `cover`: units of stock for each unit that the orders are expected to ask for."""

    orders: int = 12_000
    nodes: int = 50
    skus: int = 2_000
    cover: float = 1.5
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Posted:
    """One order as every system gets it. `body`: its JSON; `near`: all nodes by distance, a byte each."""

    order: Order
    body: bytes
    content: bytes
    near: bytes


class World:
    """The world of a shape. Node number n, from 0, is `node_ids[n]`."""

    def __init__(self, shape: Shape) -> None:
        rng = np.random.default_rng(shape.seed)
        self.shape = shape
        sites = METROS[: shape.nodes]
        self.node_ids = tuple(f"FC-{number:02d}-{site.region}" for number, site in enumerate(sites))
        self.nodes = [_node(rng, *each) for each in zip(self.node_ids, sites, strict=True)]
        weights = np.clip(np.rint(rng.lognormal(np.log(150), 0.8, shape.skus)), 5, GRAMS_MAX).astype(int).tolist()
        self.skus = tuple(Sku(sku=f"SKU-{k:05d}", weight_g=grams) for k, grams in enumerate(weights))
        demand = rng.permutation(np.arange(1, shape.skus + 1) ** -SKEW)
        demand /= demand.sum()
        self.stock = _stock(rng, shape, demand)
        self._orders = _orders(rng, shape, demand, self.skus)

    @cached_property
    def network(self) -> bytes:
        """The document, as `PUT /v1/network` takes it."""
        document = {"currency": "USD", "nodes": self.nodes, "carriers": [ground_card()], "lanes": []}
        return msgspec.json.encode(document)

    @cached_property
    def rows(self) -> list[StockRow]:
        """The stock, as `PUT /v1/stock` takes it."""
        return [
            StockRow(node_id=self.node_ids[node], sku=self.skus[sku].sku, on_hand=int(self.stock[sku, node]))
            for sku, node in zip(*self.stock.nonzero(), strict=True)
        ]

    @property
    def cells(self) -> Cells:
        """The stock by cell."""
        return {(row.sku, row.node_id): row.on_hand for row in self.rows}

    @cached_property
    def orders(self) -> list[Posted]:
        """All orders, in the order in which they are sent."""
        lat, lon = np.array([(node["lat"], node["lon"]) for node in self.nodes]).T
        home_lat, home_lon = np.array([(order.ship_to.lat, order.ship_to.lon) for order in self._orders]).T
        near = distances_m(home_lat, home_lon, lat, lon).argsort(axis=1, kind="stable").astype(np.uint8)
        return [
            Posted(order, msgspec.json.encode(order), content_hash(order), row.tobytes())
            for order, row in zip(self._orders, near, strict=True)
        ]


def _node(rng: np.random.Generator, node_id: str, site: Any) -> dict[str, Any]:
    per_parcel, per_line, per_unit = (int(money) * 10 for money in (rng.integers(70, 190), rng.integers(15, 40), 5))
    return {
        "node_id": node_id,
        "lat": site.lat,
        "lon": site.lon,
        "country": "US",
        "postal_code": site.postal_code,
        "timezone": site.timezone,
        "costs": {"per_parcel": decimal(per_parcel), "per_line": decimal(per_line), "per_unit": decimal(per_unit)},
    }


def _stock(rng: np.random.Generator, shape: Shape, demand: np.ndarray) -> np.ndarray:
    """int64[SKUs, nodes]: `cover` times the expected demand, spread unevenly over the nodes that carry the SKU."""
    carried = rng.random((shape.skus, shape.nodes)) < CARRIED
    always = rng.permuted(np.tile(np.arange(shape.nodes), (shape.skus, 1)), axis=1)[:, :2]
    np.put_along_axis(carried, always, True, axis=1)
    share = np.where(carried, 0.2 + rng.gamma(1.0, size=carried.shape), 0.0)
    units = shape.cover * 1.2 * LINES * shape.orders * demand[:, None] * share / share.sum(axis=1, keepdims=True)
    return np.where(carried, np.ceil(units), 0).astype(np.int64)


def _orders(rng: np.random.Generator, shape: Shape, demand: np.ndarray, skus: Sequence[Sku]) -> list[Order]:
    """Three different SKUs by demand, mostly one unit of each."""
    people = np.array([metro.thousands for metro in METROS], float)
    metros = rng.choice(len(METROS), shape.orders, p=people / people.sum())
    quantity = np.where(rng.random((shape.orders, LINES)) < 0.8, 1, 2)
    orders = []
    for number, metro in enumerate(metros.tolist()):
        chosen = rng.choice(shape.skus, LINES, replace=False, p=demand)
        lat, lon = METROS[metro].lat + rng.normal(0, 0.12), METROS[metro].lon + rng.normal(0, 0.15)
        lines = [
            OrderLine(line_id=str(k + 1), sku=skus[sku].sku, quantity=int(quantity[number, k]), unit_price="19.90")
            for k, sku in enumerate(chosen.tolist())
        ]
        home = ShipTo(
            country="US",
            region=METROS[metro].region,
            postal_code=METROS[metro].postal_code,
            lat=round(lat, 4),
            lon=round(lon, 4),
            timezone=METROS[metro].timezone,
        )
        orders.append(Order(order_id=f"P-{number:07d}", placed_at=PLACED_AT, ship_to=home, lines=lines))
    return orders
