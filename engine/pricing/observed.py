"""What the log tells a pricer of one partition: demand, its pace, where it goes, and what was taken since prices."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import msgspec

from engine.destinations import plain_postal
from engine.domain import ShipTo, mills
from engine.forecast import ForecastRow
from engine.ledger import states
from engine.ledger.journal import CELL_STRIDE, Logged, again_of
from engine.ledger.layout import DAY_MS
from engine.ledger.retention import START, place
from engine.pricing.demand import Demand
from engine.pricing.kinds import Kind

HALF_LIFE = 20_000.0
"""Orders after which one counts half in what is known of demand."""

PACE_ORDERS = 2_000
"""The last so many orders tell how fast they come."""

PACE_MS = 3_600_000
"""Orders of a shorter time are taken as those of an hour: a burst is not a pace."""

STANDARD = "standard"
"""The service level of orders that are forecast, as of those that name none."""

MOVING = frozenset({states.REPLACE, states.REROUTE, states.REOPTIMISE})
"""Commands that decide an order again which holds stock; a fill takes for the first time what was wanted before."""

POSTAL_LENGTH = 3
"""Characters of a postal code that make a destination zone."""


class Destination(NamedTuple):
    """Orders that go to one zone at one service level are alike."""

    zone: str
    level: str


class _Line(msgspec.Struct, gc=False):
    sku: str
    quantity: int


class _Came(msgspec.Struct, gc=False):
    """What of an order is demand."""

    ship_to: ShipTo
    lines: list[_Line]
    level: str = STANDARD
    pickup_node: str | None = None


class _Cost(msgspec.Struct, gc=False):
    shipping: str
    handling: str


class _Told(msgspec.Struct, gc=False):
    """What of a decision tells the price of a parcel."""

    parcels: list[msgspec.Raw]
    cost: _Cost


_came = msgspec.json.Decoder(_Came).decode
_told = msgspec.json.Decoder(_Told).decode


def zone_of(ship_to: ShipTo) -> str:
    """A destination by name: the merchant's own zone, else by postal prefix, region, or place to a degree."""
    if ship_to.zone is not None:
        return ship_to.zone
    if ship_to.postal_code is not None:
        return f"{ship_to.country}:{plain_postal(ship_to.postal_code)[:POSTAL_LENGTH]}"
    if ship_to.region is not None:
        return f"{ship_to.country}-{ship_to.region}"
    if ship_to.lat is not None and ship_to.lon is not None:
        return f"{ship_to.country} {ship_to.lat:.0f},{ship_to.lon:.0f}"
    return ship_to.country


@dataclass(slots=True)
class Observed:
    """One partition's log up to the entry `at`. `orders`: new ones seen; `places`: one destination of each zone.

    `forecast`: version of the one that the log told last, 0 for none; `expect` takes what it says.
    `taken`: units held by (SKU, node number) since they were last counted (`counted`), in `since` orders; what stands
    and ships from elsewhere is no demand. `received`: SKUs of which some node got more since then.
    """

    at: str = START
    orders: int = 0
    forecast: int = 0
    demand: Demand = field(default_factory=lambda: Demand(half_life=HALF_LIFE))
    places: dict[str, ShipTo] = field(default_factory=dict)
    taken: Counter[tuple[str, int]] = field(default_factory=Counter)
    since: int = 0
    received: set[str] = field(default_factory=set)
    parcel_mills: float = 0.0
    first_ms: int = 0
    """When the first order came, 0 before it."""
    _came_ms: deque[int] = field(default_factory=lambda: deque(maxlen=PACE_ORDERS))
    _expected_pace: float = 0.0

    def take(self, logged: Logged) -> None:
        """One more entry of the log."""
        self.at = logged.entry_id
        if logged.kind == "forecast":
            self.forecast = logged.body.version
        if logged.kind == "stock":
            rows, cells = logged.body.rows, logged.body.cells
            more = [at for at in range(0, len(cells), CELL_STRIDE) if cells[at + 7] > cells[at + 9]]
            self.received.update(rows[2 * cells[at]] for at in more)
        if logged.kind != "commit":
            return
        again, at_ms = [again_of(kept) for kept in logged.body.orders], place(logged.entry_id)[0]
        for k, before in enumerate(again):
            if before is None:
                self._new(_came(logged.raw[4 * k + 2]), logged.raw[4 * k + 3], at_ms)
        if any(before is not None and before[0] in MOVING for before in again):
            return  # such a window has no other orders
        rows, cells, taken = logged.body.rows, logged.body.cells, self.taken
        for row, node, held in zip(cells[::CELL_STRIDE], cells[2::CELL_STRIDE], cells[8::CELL_STRIDE], strict=True):
            if held > 0:
                cell = rows[2 * row], node
                taken[cell] = taken.get(cell, 0) + held

    def _new(self, order: _Came, decision: bytes, at_ms: int) -> None:
        self.orders += 1
        self.since += 1
        self._came_ms.append(at_ms)
        self.first_ms = self.first_ms or at_ms
        if order.pickup_node is not None:
            return  # it has no choice of nodes, so no price decides anything of it
        basket: dict[str, int] = {}
        for line in order.lines:
            basket[line.sku] = basket.get(line.sku, 0) + line.quantity
        zone = zone_of(order.ship_to)
        self.places[zone] = order.ship_to
        if self.demand.observe(Kind(tuple(sorted(basket.items())), Destination(zone, order.level))):
            self._forget_places()
        told = _told(decision)
        if told.parcels:
            each = (mills(told.cost.shipping) + mills(told.cost.handling)) / len(told.parcels)
            self.parcel_mills += (each - self.parcel_mills) / min(self.orders, PACE_ORDERS)

    def expect(self, rows: Sequence[ForecastRow]) -> None:
        """Take a forecast for the one before it: orders of one unit each."""
        kinds = []
        for row in rows:
            zone = zone_of(row.ship_to)
            self.places.setdefault(zone, row.ship_to)
            kinds.append((Kind(((row.sku, 1),), Destination(zone, STANDARD)), row.units_per_day))
        self.demand.expect(kinds)
        self._forget_places()
        self._expected_pace = sum(row.units_per_day for row in rows) / DAY_MS

    def _forget_places(self) -> None:
        """A zone goes with its last kind."""
        known = {to.zone for to in self.demand.zones() if isinstance(to, Destination)}
        self.places = {zone: place for zone, place in self.places.items() if zone in known}

    def pace(self) -> float:
        """Orders in a millisecond; a forecast counts as the orders it weighs, come as it says."""
        orders, during = float(len(self._came_ms)), 0.0
        if self._came_ms:
            during = float(max(self._came_ms[-1] - self._came_ms[0], PACE_MS))
        if self._expected_pace:
            orders += self.demand.foreseen
            during += self.demand.foreseen / self._expected_pace
        return orders / during if during else 0.0

    def foresight_ms(self) -> float:
        """How far ahead this demand says anything: as far as orders go back, at least the hour that a pace is taken
        of; with a forecast for ever."""
        return inf if self._expected_pace else float(max(place(self.at)[0] - self.first_ms, PACE_MS))

    def counted(self) -> None:
        """What was taken is in the prices now."""
        self.taken.clear()
        self.received.clear()
        self.since = 0
