"""Where the goods of each order may come from and where its parcels may leave.

The nodes of a dock are one origin: the parcels of an order leave from the first of them (by priority, then id) that may
serve the order, with what any of them has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.lowering.question import WindowInput
from engine.network import Network
from solvers.problem import Bools, Ints


@dataclass(frozen=True, slots=True)
class Places:
    """`may` bool[O, N]: the node may serve the order, as far as the order goes.

    `leader` int64[O, N]: the node from which a parcel with goods of this node leaves, mostly the node itself; -1 where
    it may not serve. None where no node has a dock.
    """

    may: Bools
    leader: Ints | None

    def leads(self) -> Bools:
        """bool[O, N]: the nodes from which parcels may leave."""
        return self.may if self.leader is None else self.leader == np.arange(self.may.shape[1])


def places_of(window: WindowInput, allowed: Bools) -> Places:
    """`allowed` bool[O, N]: nodes that neither limits nor rules keep out."""
    network, eligibility = window.network, window.network.eligibility
    may = np.array([
        eligibility.of_order(order) if order.pickup_node is None else eligibility.of_pickup(order, order.pickup_node)
        for order in window.orders
    ]) & allowed  # fmt: skip
    if window.again is not None:
        may &= ~eligibility.named(window.again.excluded)
    return Places(may, _leaders(network, may))


def _leaders(network: Network, may: Bools) -> Ints | None:
    if not network.docks:
        return None
    leader = np.where(may, np.arange(may.shape[1]), -1)
    for members in network.docks:
        first = members[np.argmax(may[:, members], axis=1)]
        leader[:, members] = np.where(may[:, members], first[:, None], -1)
    return leader
