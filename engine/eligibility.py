"""Which nodes may serve an order or a line at all: masks over the nodes, before rates and stock are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.destinations import plain_postal
from engine.domain import Order
from engine.network_document import Node
from solvers.problem import Bools

_DESTINATIONS_MAX = 20_000


class _Area(NamedTuple):
    """Destinations as one or several nodes serve them; all empty: everywhere."""

    countries: frozenset[str]
    prefixes: tuple[str, ...]
    except_prefixes: tuple[str, ...]

    def serves(self, country: str, postal: str | None) -> bool:
        """Whether a destination lies inside; `postal` in plain form. Without a code no prefix matches."""
        if self.countries and country not in self.countries:
            return False
        if self.prefixes and (postal is None or not postal.startswith(self.prefixes)):
            return False
        return postal is None or not postal.startswith(self.except_prefixes)


class Eligibility:
    """Masks bool[N] of a network's nodes; callers must not write to them. Masks of destinations are kept."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._source = tuple(nodes)
        self._index = {node.node_id: n for n, node in enumerate(nodes)}
        self.active = np.array([node.active for node in nodes], bool)
        self._any_channel = np.array([not node.channels for node in nodes], bool)
        self._channels = _named([node.channels for node in nodes])
        self._capabilities = _named([node.capabilities for node in nodes])
        areas = [
            _Area(
                frozenset(node.serves.countries),
                tuple(plain_postal(prefix) for prefix in node.serves.postal_prefixes),
                tuple(plain_postal(prefix) for prefix in node.serves.except_postal_prefixes),
            )
            for node in nodes
        ]
        self._areas = tuple(dict.fromkeys(areas))
        self._area_of = np.array([self._areas.index(area) for area in areas], np.int64)
        self._everywhere = self._areas == (_Area(frozenset(), (), ()),)
        self._by_postal = any(area.prefixes or area.except_prefixes for area in self._areas)
        self._destinations: dict[tuple[str, str | None, str], Bools] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Eligibility, (self._source,)

    def of_order(self, order: Order) -> Bools:
        """Nodes that are active, serve the order's channel and its destination."""
        ship_to = order.ship_to
        postal = plain_postal(ship_to.postal_code) if self._by_postal and ship_to.postal_code is not None else None
        key = (ship_to.country, postal, order.channel)
        mask = self._destinations.get(key)
        if mask is None:
            mask = self.active & self._of_channel(order.channel)
            if not self._everywhere:
                mask = mask & np.array([area.serves(ship_to.country, postal) for area in self._areas])[self._area_of]
            if len(self._destinations) >= _DESTINATIONS_MAX:
                self._destinations.clear()
            self._destinations[key] = mask
        return mask

    def of_pickup(self, order: Order, node_id: str) -> Bools:
        """The node where the customer fetches the order, if it is active and serves the channel, wherever he lives."""
        return self.active & self._of_channel(order.channel) & self.named((node_id,))

    def named(self, node_ids: Sequence[str]) -> Bools:
        """The nodes of these ids; ids of no node are passed over."""
        mask = np.zeros(len(self.active), bool)
        mask[[self._index[node_id] for node_id in node_ids if node_id in self._index]] = True
        return mask

    def able(self, requires: Sequence[str]) -> Bools:
        """Nodes that have all these capabilities."""
        mask = np.ones(len(self.active), bool)
        for name in requires:
            mask &= self._capabilities.get(name, False)
        return mask

    def _of_channel(self, channel: str) -> Bools:
        listed = self._channels.get(channel)
        return self._any_channel if listed is None else self._any_channel | listed


def _named(lists: Sequence[Sequence[str]]) -> dict[str, Bools]:
    """For each name the nodes that list it."""
    return {
        name: np.array([name in names for names in lists], bool) for name in sorted({n for ns in lists for n in ns})
    }
