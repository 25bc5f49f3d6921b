"""Why a node that may serve an order does not ship all of it: services, weight, stock, holds, room, lateness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.domain import Order
from engine.explaining.document import Obstacle
from engine.lowering import Lowered
from engine.promise import to_date


class Shelf:
    """What each node could give one order: on what the others left (`lowered`), and if nothing were held (`unheld`).

    Both hold just the one order.
    """

    def __init__(self, lowered: Lowered, unheld: Lowered) -> None:
        self._lowered = lowered
        self._order: Order = lowered.window.orders[0]
        self._free = _supply(lowered)
        self._physical = _supply(unheld)
        self._quantity = [line.quantity for line in self._order.lines]

    def obstacles(self, node: int) -> Iterator[Obstacle]:
        """All that keeps the whole order from leaving this node (by index), which may serve it."""
        lowered, order = self._lowered, self._order
        if order.pickup_node is None and not lowered.reachable[0, node].any():
            to = order.ship_to
            where = " ".join(part for part in (to.country, to.region, to.postal_code) if part)
            yield Obstacle(
                stage="service",
                by="network.carriers, network.lanes",
                text=f"no carrier service or lane of level {order.level!r} goes from here to {where}",
                change=f"a lane to {to.country}, or a carrier service of level {order.level!r} that reaches it",
            )
            return
        for at, line in enumerate(order.lines):
            yield from self._weight(node, at, line.line_id)
            yield from self._short(node, at, line.line_id, line.sku)
        yield from self._timely(node)

    def _weight(self, node: int, at: int, line_id: str) -> Iterator[Obstacle]:
        if self._order.pickup_node is not None:
            return
        lowered, lines = self._lowered, self._lowered.problem.lines
        heaviest = int(lowered.window.network.rates.max_weight_g[lowered.reachable[0, node]].max())
        weight = int(lines.weight_g[lines.line == at].min())
        if weight > heaviest:
            yield Obstacle(
                stage="weight",
                by="network.carriers[].max_weight_g",
                text=f"a unit weighs {weight} g, the heaviest parcel from here is {heaviest} g",
                change=f"a service that takes {weight} g",
                line_id=line_id,
            )

    def _short(self, node: int, at: int, line_id: str, sku: str) -> Iterator[Obstacle]:
        free, physical, wanted = int(self._free[at, node]), int(self._physical[at, node]), self._quantity[at]
        if free >= wanted:
            return
        if physical < wanted:
            yield Obstacle(
                stage="stock",
                by="stock",
                text=f"{free} of {wanted} {sku} free, and {physical} if nothing were held",
                change=f"receive {wanted - physical} more {sku} here",
                line_id=line_id,
                units=wanted - physical,
            )
        else:
            yield Obstacle(
                stage="held",
                by="holds",
                text=f"{free} of {wanted} {sku} free, others hold the rest",
                change=f"{wanted - free} {sku} of other orders released here",
                line_id=line_id,
                units=wanted - free,
            )

    def _timely(self, node: int) -> Iterator[Obstacle]:
        """Room on the ship days, and lateness where it is not allowed. Nodes without stock have no options."""
        lowered, problem = self._lowered, self._lowered.problem
        options = np.flatnonzero(problem.options.node == node)
        if not len(options):
            if not lowered.limits[0].allow_late and (self._free[:, node] > 0).any():
                yield Obstacle(
                    stage="late",
                    by="limits.allow_late",
                    text="nothing that leaves here arrives in time, and the order must not be late",
                    change="a later deliver_by, or allow_late",
                )
            return
        bucket = problem.options.bucket[options]
        if (bucket < 0).any():
            return
        wanted = sum(self._quantity)
        full = (problem.bucket_parcels[bucket] < 1) | (problem.bucket_units[bucket] < wanted)
        if full.all():
            days = sorted({int(day) for day in lowered.ship_day(options)})
            yield Obstacle(
                stage="capacity",
                by="node.capacity",
                text=f"no room for {wanted} units on {', '.join(to_date(day).isoformat() for day in days)}",
                change="a higher capacity, or a longer capacity_horizon_days",
                units=wanted,
            )


def _supply(lowered: Lowered) -> np.ndarray:
    """Units of each line that could leave each node, int64[lines, N], all ways to supply it together."""
    lines, problem = lowered.problem.lines, lowered.problem
    units = np.zeros((int(lines.line.max()) + 1, problem.nodes), np.int64)
    np.add.at(units, lines.line, np.where(lines.eligible, problem.stock[lines.item], 0))
    return units
