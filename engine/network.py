"""The network, compiled for deciding: one immutable, picklable value per version; nodes are indexes here.

Node indexes run by (priority, node_id), so a tie between nodes goes to the one the merchant prefers. Inactive nodes
keep their index: their stock still tells a caller where else something is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.domain import Order, mills
from engine.eligibility import Eligibility
from engine.geography import CentroidTable, Distances, centroids
from engine.network_document import NetworkDocument, Node, parse_network, patch_node
from engine.promise import Calendars, NodeCalendar
from engine.rates import Floats, RateBook
from engine.zones import ZoneMatrix
from solvers.problem import Ints

__all__ = ["Network", "NetworkDocument", "parse_network", "patch_node"]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """N nodes with everything that lowering asks of them, all arrays by node index.

    `numbers`: the ledger's number of each node id; `number_of` int64[N] the same by index; `index_of`
    int64[highest number + 1]: back to indexes, -1 for numbers of nodes that left.
    `handle_*` int64[N] mills; `parcels_max`, `units_max` int64[N] per day, -1 for no limit;
    `safety` int64[N] default units.
    `docks`: the active nodes of each dock that has several, ascending: by priority, then id.
    """

    version: int
    document: NetworkDocument
    matrices: Mapping[str, ZoneMatrix]
    node_ids: tuple[str, ...]
    numbers: Mapping[str, int]
    number_of: Ints
    index_of: Ints
    lat: Floats
    lon: Floats
    handle_parcel: Ints
    handle_line: Ints
    handle_unit: Ints
    parcels_max: Ints
    units_max: Ints
    safety: Ints
    docks: tuple[Ints, ...]
    calendars: Calendars
    rates: RateBook
    eligibility: Eligibility
    centroids: CentroidTable

    @classmethod
    def compile(
        cls,
        document: NetworkDocument,
        numbers: Mapping[str, int],
        version: int,
        matrices: Mapping[str, ZoneMatrix] | None = None,
        table: CentroidTable | None = None,
    ) -> Network:
        """A valid document as arrays. `numbers`: the ledger's number of every node, `matrices`: those that it names.

        KeyError if one is missing.
        """
        table = table or centroids()
        charts = {name: (matrices or {})[name] for name in document.matrices}
        nodes = sorted(document.nodes, key=lambda node: (node.priority, node.node_id))
        node_ids = tuple(node.node_id for node in nodes)
        numbered = np.array([numbers[node_id] for node_id in node_ids], np.int64)
        index_of = np.full(int(numbered.max(initial=-1)) + 1, -1, np.int64)
        index_of[numbered] = np.arange(len(nodes))
        rates = RateBook(document.carriers, document.lanes, nodes, charts)
        places = [_place(node, table) for node in nodes]
        limits = [node.capacity for node in nodes]
        return cls(
            version=version,
            document=document,
            matrices=charts,
            node_ids=node_ids,
            numbers={node_id: numbers[node_id] for node_id in node_ids},
            number_of=numbered,
            index_of=index_of,
            lat=np.array([lat for lat, _ in places]),
            lon=np.array([lon for _, lon in places]),
            handle_parcel=_column(mills(node.costs.per_parcel) for node in nodes),
            handle_line=_column(mills(node.costs.per_line) for node in nodes),
            handle_unit=_column(mills(node.costs.per_unit) for node in nodes),
            parcels_max=_column(-1 if limit.parcels_per_day is None else limit.parcels_per_day for limit in limits),
            units_max=_column(-1 if limit.units_per_day is None else limit.units_per_day for limit in limits),
            safety=_column(node.safety_units for node in nodes),
            docks=_docks(nodes),
            calendars=Calendars([_calendar(node) for node in nodes], rates.transit_days_max),
            rates=rates,
            eligibility=Eligibility(nodes),
            centroids=table,
        )

    def indexes_of(self, numbers: Ints) -> Ints:
        """The index of each ledger's number, -1 for numbers of nodes that left."""
        known = numbers < len(self.index_of)
        return np.where(known, self.index_of[np.where(known, numbers, 0)], -1)

    def node_id_of(self, number: int) -> str | None:
        """The node that has a ledger's number; None if it left."""
        index = self.index_of[number] if number < len(self.index_of) else -1
        return self.node_ids[index] if index >= 0 else None

    def distances(self, orders: Sequence[Order]) -> Distances:
        """Great-circle metres from nodes to orders."""
        places = np.array([self._destination(order) for order in orders], np.float64).reshape(len(orders), 2)
        return Distances(places[:, 0], places[:, 1], self.lat, self.lon)

    def _destination(self, order: Order) -> tuple[float, float]:
        to = order.ship_to
        if to.lat is not None and to.lon is not None:
            return to.lat, to.lon
        return self.centroids.locate(to.country, to.postal_code)


def _column(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)


def _docks(nodes: Sequence[Node]) -> tuple[Ints, ...]:
    """The indexes of the active nodes of each dock that has several."""
    members: dict[str, list[int]] = {}
    for n, node in enumerate(nodes):
        if node.active and node.dock is not None:
            members.setdefault(node.dock, []).append(n)
    return tuple(np.array(found, np.int64) for found in members.values() if len(found) > 1)


def _place(node: Node, table: CentroidTable) -> tuple[float, float]:
    if node.lat is not None and node.lon is not None:
        return node.lat, node.lon
    return table.locate(node.country, node.postal_code)


def _calendar(node: Node) -> NodeCalendar:
    minutes = 1440
    if node.cutoff is not None:
        hours, _, rest = node.cutoff.partition(":")
        minutes = int(hours) * 60 + int(rest)
    return NodeCalendar(
        node.timezone, minutes, node.handling_minutes, tuple(node.workdays), tuple(sorted(set(node.holidays)))
    )
