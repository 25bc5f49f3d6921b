"""Generated stock: as much of each SKU as sells in so many days, spread unevenly over some of the nodes."""

from __future__ import annotations

import msgspec
import numpy as np

from engine.domain import StockRow
from engine.simulation.generated import Generated
from engine.simulation.scenario import Simulation, StockGenerator
from engine.simulation.world import World


def stocked(world: World, terms: StockGenerator, units_per_day: dict[str, float]) -> World:
    """The world with generated stock in place of its own. Every SKU lies somewhere; the same terms give the same."""
    node_ids = sorted(node.node_id for node in world.network.nodes if node.active)
    rng = np.random.default_rng(terms.seed)
    rows: list[StockRow] = []
    for sku, units in sorted(units_per_day.items()):
        carried = rng.random(len(node_ids)) < terms.carried
        share = rng.dirichlet(np.ones(len(node_ids)))
        carried[int(rng.integers(len(node_ids)))] |= not carried.any()
        share = np.where(carried, share, 0.0) / share[carried].sum()
        # What is carried by rounding down at one node lies at the next, so that the sum is kept.
        there = np.diff(np.floor(np.cumsum(share) * np.ceil(units * terms.cover_days) + 1e-9), prepend=0.0)
        rows += [
            StockRow(node_id=node_ids[n], sku=sku, on_hand=int(there[n])) for n in np.flatnonzero(carried).tolist()
        ]
    return msgspec.structs.replace(world, stock=tuple(rows), incoming=())


def furnished(simulation: Simulation, world: World) -> World:
    """The world with what the simulation itself says of catalogue and stock; uploads are in it already.

    Generated stock suits what sells, which is the same for all seeds and scenarios.
    """
    terms, generator = simulation.stock.generator, simulation.demand.generator
    if terms is None or generator is None:
        return world
    demand = Generated(generator, [sku.sku for sku in world.skus], simulation.seeds[0])
    return stocked(world, terms, demand.units_per_day())
