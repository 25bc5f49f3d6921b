"""The sample merchant at any size: as many nodes and SKUs as asked for, and as much stock as the scarcity says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from bench.windows.scene import SCARCITIES, spread
from engine.domain import Order, StockRow
from engine.sample.places import METROS
from engine.sample.world import SEED, World, build_world, network_document
from solvers.problem import Ints

UNITS_PER_ORDER = 3.2
"""What an order of `engine.sample.orders` asks for in the mean: 2.3 lines, most of one unit."""

SUBURB_DEGREES = 0.4
"""How far from the centre of its metro a node lies whose place the sample does not know."""


def merchant(nodes: int, skus: int, seed: int = SEED) -> World:
    """Network, catalogue and demand without stock. The same arguments give the same, to the byte."""
    sample = build_world(seed, skus=skus)
    return replace(sample, network=msgspec.json.encode(network(nodes, seed)), stock=())


def network(nodes: int, seed: int = SEED) -> dict[str, Any]:
    """The sample's network with this many nodes: centres and shops by turns, further ones like them in other metros."""
    document = network_document()
    known = document["nodes"]
    half = len(known) // 2
    by_turns = [known[at // 2 + (at % 2) * half] for at in range(len(known))]
    rng = np.random.default_rng([seed, nodes])
    made = []
    for at in range(nodes):
        node = dict(by_turns[at % len(known)], priority=at + 1)
        if at >= len(known):
            metro = METROS[(at - len(known)) % len(METROS)]
            north, east = rng.uniform(-SUBURB_DEGREES, SUBURB_DEGREES, 2).tolist()
            node |= {
                "node_id": f"{node['node_id']}-{at // len(known) + 1}",
                "lat": round(metro.lat + north, 4),
                "lon": round(metro.lon + east, 4),
                "postal_code": metro.postal_code,
                "timezone": metro.timezone,
            }
        made.append(node)
    return document | {"nodes": made}


def stocked(world: World, demand: Ints, scarcity: str, seed: int = SEED) -> World:
    """The merchant with stock: for every unit of `demand` int64[SKUs] as many as the scarcity says, spread unevenly."""
    node_ids = [node["node_id"] for node in msgspec.json.decode(world.network)["nodes"]]
    units = spread(np.random.default_rng([seed, len(node_ids)]), demand, SCARCITIES[scarcity], len(node_ids))
    sku, node = np.nonzero(units)
    rows = tuple(
        StockRow(node_id=node_ids[n], sku=world.skus[s].sku, on_hand=count)
        for s, n, count in zip(sku.tolist(), node.tolist(), units[sku, node].tolist(), strict=True)
    )
    return replace(world, stock=rows)


def expected_demand(world: World, orders: int) -> Ints:
    """Units of each SKU that so many orders ask for, about."""
    return np.ceil(world.demand * orders * UNITS_PER_ORDER).astype(np.int64)


def cut(order: Order, lines_max: int) -> Order:
    """The order with its first lines only, if it has more."""
    return order if len(order.lines) <= lines_max else msgspec.structs.replace(order, lines=order.lines[:lines_max])
