"""A second opinion on every decision, from the wire form alone: its cost by the contract's formula, and its stock.

It shares no code with the solver or the ledger: plain arithmetic over the decision's JSON, and its own book of stock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from math import asin, cos, radians, sin, sqrt

import msgspec
from msgspec import Struct

from engine.domain import Movement, Order, Sku, mills

EARTH_M = 6_371_008.8
MILE_M = 1_609.344


class _Line(Struct):
    line_id: str
    sku: str
    quantity: int


class _ParcelCost(Struct):
    shipping: str
    handling: str


class _Parcel(Struct):
    node_id: str
    carrier: str
    service: str
    weight_g: int
    lines: list[_Line]
    cost: _ParcelCost


class _Cost(Struct):
    shipping: str
    handling: str
    split: str
    late: str
    unfilled: str
    total: str


class _WindowNote(Struct):
    window_id: str
    solve_ms: float
    solver: str
    gap: float | None = None


class Decision(Struct):
    """The part of a decision that is judged."""

    order_id: str
    status: str
    parcels: list[_Parcel]
    unallocated: list[_Line]
    cost: _Cost
    window: _WindowNote


class Judge:
    """Keeps a book of stock by cell and collects every fault it finds."""

    def __init__(self, network: bytes, skus: Iterable[Sku], unfilled_per_unit: int) -> None:
        document = msgspec.json.decode(network)
        self._nodes = {node["node_id"]: node for node in document["nodes"]}
        card = document["carriers"][0]
        self._upper_m = [miles * MILE_M for miles in card["zones"]["upper"]]
        self._breaks = [row["up_to_g"] for row in card["rates"]]
        self._prices = [[mills(price) for price in row["by_zone"]] for row in card["rates"]]
        self._weights = {sku.sku: sku.weight_g for sku in skus}
        self._unfilled = unfilled_per_unit
        self._decoder = msgspec.json.Decoder(Decision)
        self.free: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.oversold = 0

    def deliver(self, movements: Iterable[Movement]) -> None:
        """Stock arrived."""
        for movement in movements:
            self.free[movement.sku, movement.node_id] += movement.quantity

    def decided(self, order: Order, body: bytes) -> Decision:
        """Judge one decision and book what it takes."""
        decision = self._decoder.decode(body)
        self._quantities(order, decision)
        for parcel in decision.parcels:
            for line in parcel.lines:
                self.free[line.sku, parcel.node_id] -= line.quantity
                self.oversold += max(0, min(line.quantity, -self.free[line.sku, parcel.node_id]))
        self._money(order, decision)
        return decision

    def _quantities(self, order: Order, decision: Decision) -> None:
        """Every ordered unit ships or is said to be unallocated, on its own line."""
        said: Counter[tuple[str, str]] = Counter()
        for lines in (decision.unallocated, *(parcel.lines for parcel in decision.parcels)):
            for line in lines:
                said[line.line_id, line.sku] += line.quantity
        wanted = Counter({(line.line_id, line.sku): line.quantity for line in order.lines})
        if said != wanted:
            self.faults.append(f"{order.order_id}: units do not add up")

    def _money(self, order: Order, decision: Decision) -> None:
        shipping = handling = 0
        for parcel in decision.parcels:
            weight = sum(self._weights[line.sku] * line.quantity for line in parcel.lines)
            fare, work = self._fare(order, parcel, weight), self._work(parcel)
            if (weight, fare, work) != (parcel.weight_g, mills(parcel.cost.shipping), mills(parcel.cost.handling)):
                self.faults.append(
                    f"{order.order_id}: a parcel from {parcel.node_id} is {weight} g, {fare} + {work} mills"
                )
            shipping, handling = shipping + fare, handling + work
        unfilled = self._unfilled * sum(line.quantity for line in decision.unallocated)
        cost = decision.cost
        said = tuple(map(mills, (cost.shipping, cost.handling, cost.split, cost.late, cost.unfilled, cost.total)))
        right = (shipping, handling, 0, 0, unfilled, shipping + handling + unfilled)
        if said != right:
            self.faults.append(f"{order.order_id}: costs are {right}, not {said}")

    def _fare(self, order: Order, parcel: _Parcel, weight_g: int) -> int:
        node = self._nodes[parcel.node_id]
        assert order.ship_to.lat is not None
        assert order.ship_to.lon is not None
        metres = great_circle_m(node["lat"], node["lon"], order.ship_to.lat, order.ship_to.lon)
        row = bisect_left(self._breaks, weight_g)
        if row == len(self._breaks):
            self.faults.append(f"{order.order_id}: a parcel of {weight_g} g is over the limit")
            return 0
        return self._prices[row][bisect_left(self._upper_m, metres)]

    def _work(self, parcel: _Parcel) -> int:
        costs = self._nodes[parcel.node_id]["costs"]
        lines = len({line.line_id for line in parcel.lines})
        units = sum(line.quantity for line in parcel.lines)
        return mills(costs["per_parcel"]) + mills(costs["per_line"]) * lines + mills(costs["per_unit"]) * units


def great_circle_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Haversine distance in metres."""
    phi1, phi2 = radians(lat1), radians(lat2)
    half = sin((phi2 - phi1) / 2) ** 2 + cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * asin(sqrt(half))
