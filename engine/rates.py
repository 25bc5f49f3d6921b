"""Carrier services and lanes as arrays: which way a parcel can go, and what its price is made of.

K services, sorted by (carrier, service, lane before card): the order of ties. A service is either a rate card or all
lanes of one service name. Prices in mills, weights in grams, distances in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.destinations import Destinations, plain_place
from engine.domain import Order, mills
from engine.geography import Distances
from engine.network_document import Carrier, Lane, Node
from engine.zones import NodeZones, ZoneMatrix
from solvers.problem import UNLIMITED, Bools, Curves, Ints

Floats = NDArray[np.float64]

METRES_PER = {"distance_miles": 1609.344, "distance_km": 1000.0}
_SIGNATURES_MAX = 4_096


class Service(NamedTuple):
    """One way to go. `carrier` None: a lane whose service no carrier has. `levels` None: it serves every level.

    `heaviest_g`: the last weight that has a price, of one box by billable weight.
    """

    carrier: str | None
    service: str
    is_lane: bool
    levels: frozenset[str] | None
    max_weight_g: int
    heaviest_g: int
    dim_divisor: int


class LaneTerms(NamedTuple):
    """All lanes as columns, int64[lanes]: money in mills, transit in workdays."""

    parcel: Ints
    line: Ints
    unit: Ints
    per_kg: Ints
    transit_days: Ints


def card_price(money: str, surcharge_percent: str) -> int:
    """A row's price with the surcharge, rounded half up to cents, in mills: "7.20" + 5.5 % = 7.596 -> 7600."""
    # Mills times (100,000 + thousandths of a percent) are mills * 100,000; a cent is ten of those mills.
    scaled = mills(money) * (100_000 + mills(surcharge_percent))
    return (scaled + 500_000) // 1_000_000 * 10


class RateBook:
    """All services of a network, compiled. Immutable; what was worked out for a destination is kept."""

    def __init__(
        self,
        carriers: Sequence[Carrier],
        lanes: Sequence[Lane],
        nodes: Sequence[Node],
        matrices: Mapping[str, ZoneMatrix],
    ) -> None:
        self._source = (tuple(carriers), tuple(lanes), tuple(nodes), dict(matrices))
        node_index = {node.node_id: n for n, node in enumerate(nodes)}
        names = sorted({lane.service for lane in lanes})
        entries: list[tuple[Service, Carrier | None]] = [(_card_service(carrier), carrier) for carrier in carriers]
        entries += [(_lane_service(name, carriers), None) for name in names]
        entries.sort(key=lambda entry: (entry[0].carrier or "", entry[0].service, not entry[0].is_lane))
        self.services: tuple[Service, ...] = tuple(service for service, _ in entries)
        self.max_weight_g = np.array([service.max_weight_g for service in self.services], np.int64)
        self.heaviest_g = np.array([service.heaviest_g for service in self.services], np.int64)
        self.dim_divisor = np.array([service.dim_divisor for service in self.services], np.int64)
        self.curves, self._first_curve = _curves([carrier for _, carrier in entries])
        self._upper_m = tuple(
            np.array(carrier.zones.upper) * METRES_PER.get(carrier.zones.kind, 0.0) if carrier else np.zeros(0)
            for _, carrier in entries
        )
        charts = [
            carrier.zones.matrix if carrier and carrier.zones.kind == "matrix" else None for _, carrier in entries
        ]
        seen = {chart: NodeZones(matrices[chart], nodes) for chart in charts if chart is not None}
        self._chart = {k: seen[chart] for k, chart in enumerate(charts) if chart is not None}
        self._transit_days = tuple(
            np.array(carrier.transit_days if carrier else [], np.int64) for _, carrier in entries
        )
        self.lanes = _lane_terms(lanes)
        self._lane_cells: dict[str, list[tuple[int, int, int]]] = {}
        at = {service.service: k for k, service in enumerate(self.services) if service.is_lane}
        for i, lane in enumerate(lanes):
            self._lane_cells.setdefault(plain_place(lane.to), []).append(
                (at[lane.service], node_index[lane.node_id], i)
            )
        self._destinations = Destinations(self._lane_cells)
        self._nodes = len(nodes)
        self._beaten = [
            [c for c, card in enumerate(self.services) if not card.is_lane and card.service == lane.service]
            if lane.is_lane
            else []
            for lane in self.services
        ]
        self._lanes_to: dict[tuple[str, ...], Ints] = {}
        transit = [int(days.max()) for days in self._transit_days if len(days)]
        self.transit_days_max = max([*transit, *self.lanes.transit_days.tolist()], default=0)

    def __reduce__(self) -> tuple[Any, ...]:
        return RateBook, self._source

    def lanes_to(self, order: Order) -> Ints | None:
        """The lane of each service and node to an order's destination: int64[K, N], -1 for none; None if no lane.

        The most specific lane wins: the order's own zone, the longest postal prefix, the region, the country, `*`.
        """
        keys = self._destinations.of(order)
        if not keys:
            return None
        found = self._lanes_to.get(keys)
        if found is None:
            found = np.full((len(self.services), self._nodes), -1, np.int64)
            for key in keys:
                for service, node, lane in self._lane_cells[key]:
                    found[service, node] = lane
            if len(self._lanes_to) >= _SIGNATURES_MAX:
                self._lanes_to.clear()
            self._lanes_to[keys] = found
        return found

    def ways(self, orders: Sequence[Order], distances: Distances) -> tuple[Bools, Ints]:
        """The services by which each order can go from each node, bool[O, N, K], and the lanes of these.

        Where a distance is unknown, rate cards by distance do not apply, nor do those by matrix where it has no row.
        Lanes int64[O, N, K], -1 for a rate card; int64[O, 1, 1] of -1 if no order has a lane. A lane replaces every
        card of its service.
        """
        services = self.services
        level_of: dict[str, Bools] = {}
        for order in orders:
            if order.level not in level_of:
                serves = [service.levels is None or order.level in service.levels for service in services]
                level_of[order.level] = np.array(serves, bool)
        levels = np.array([level_of[order.level] for order in orders], bool).reshape(len(orders), len(services))
        is_lane = np.array([service.is_lane for service in services], bool)
        known = distances.known()
        valid = np.empty((*known.shape, len(services)), bool)
        for k in range(len(services)):  # one service is a long row, all services of one pair are a short one
            valid[:, :, k] = known & (levels[:, k] & ~is_lane[k])[:, None]
        for k, chart in self._chart.items():
            zones = np.array([chart.to(order) for order in orders], np.int64).reshape(len(orders), self._nodes)
            valid[:, :, k] = (zones >= 0) & levels[:, k, None]
        found = [self.lanes_to(order) for order in orders]
        if all(lanes is None for lanes in found):
            return valid, np.full((len(orders), 1, 1), -1, np.int64)
        none = np.full((len(services), self._nodes), -1, np.int64)
        lanes = np.array([none if each is None else each for each in found]).transpose(0, 2, 1)
        for k, cards in enumerate(self._beaten):
            if services[k].is_lane:
                valid[:, :, k] = (lanes[:, :, k] >= 0) & levels[:, k, None]
            if cards:
                valid[:, :, cards] &= (lanes[:, :, k] < 0)[:, :, None]
        return valid, lanes

    def zone(self, service: int, orders: Sequence[Order], order: Ints, node: Ints, distances: Distances) -> Ints:
        """The zones, from 0, of one card for pairs of indexes of order and node: what its matrix says, or by distance.

        By distance it is the first boundary not below, else the last zone. -1: no row of the matrix.
        """
        chart = self._chart.get(service)
        if chart is not None:
            named, row = np.unique(order, return_inverse=True)
            table = np.array([chart.to(orders[o]) for o in named], np.int64).reshape(len(named), self._nodes)
            found: Ints = table[row, node]
            return found
        zones = np.searchsorted(self._upper_m[service], distances.of(order, node), side="left")
        return np.minimum(zones, len(self._transit_days[service]) - 1)

    def curve(self, service: int, zone: Ints) -> Ints:
        """Rows of `curves` for zones of one card."""
        rows: Ints = self._first_curve[service] + zone
        return rows

    def transit_days(self, service: int, zone: Ints) -> Ints:
        """Workdays under way for zones of one card."""
        days: Ints = self._transit_days[service][zone]
        return days


def _card_service(carrier: Carrier) -> Service:
    heaviest = carrier.rates[-1].up_to_g
    return Service(
        carrier.carrier,
        carrier.service,
        False,
        frozenset(carrier.levels) or None,
        min(carrier.max_weight_g or heaviest, heaviest),
        heaviest,
        carrier.dim_divisor or 0,
    )


def _lane_service(name: str, carriers: Sequence[Carrier]) -> Service:
    """A lane goes by the first carrier (by name) with its service, to the levels of all that have it."""
    having = [carrier for carrier in carriers if carrier.service == name]
    levels: frozenset[str] | None = None
    if having and all(carrier.levels for carrier in having):
        levels = frozenset(level for carrier in having for level in carrier.levels)
    first = min((carrier.carrier for carrier in having), default=None)
    return Service(first, name, True, levels, UNLIMITED, UNLIMITED, 0)


def _curves(cards: Sequence[Carrier | None]) -> tuple[Curves, Ints]:
    """Prices by weight, one row per card and zone, and the first row of each card (-1: not a card)."""
    breaks = max((len(card.rates) for card in cards if card), default=1)
    first = np.full(len(cards), -1, np.int64)
    weights: list[list[int]] = []
    prices: list[list[int]] = []
    for k, card in enumerate(cards):
        if card is None:
            continue
        first[k] = len(weights)
        padding = [UNLIMITED] * (breaks - len(card.rates))
        for zone in range(len(card.transit_days)):
            weights.append([row.up_to_g for row in card.rates] + padding)
            prices.append([card_price(row.by_zone[zone], card.surcharge_percent) for row in card.rates] + padding)
    shape = (len(weights), breaks)
    return Curves(np.array(weights, np.int64).reshape(shape), np.array(prices, np.int64).reshape(shape)), first


def _lane_terms(lanes: Sequence[Lane]) -> LaneTerms:
    return LaneTerms(
        np.array([mills(lane.parcel) for lane in lanes], np.int64),
        np.array([mills(lane.line) for lane in lanes], np.int64),
        np.array([mills(lane.unit) for lane in lanes], np.int64),
        np.array([mills(lane.per_kg) for lane in lanes], np.int64),
        np.array([lane.transit_days for lane in lanes], np.int64),
    )
