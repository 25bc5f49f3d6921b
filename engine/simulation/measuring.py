"""What a run measures, order by order, from the decisions as any caller gets them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from engine.decisions import Cost, ParcelCost, ParcelLine
from engine.domain import Order, ShipTo, epoch_ms, mills
from engine.network import Network
from engine.pricing.observed import zone_of
from engine.pricing.sheet import PriceSheet
from engine.promise import DAY_MS, local_day, to_date, to_day
from engine.simulation.figures import Day, Figures, Flow, Load, Price, Region, Short
from engine.simulation.outcome import Outcome

PLACES_MAX = 4_096
"""Destinations that are remembered."""


class _Parcel(Struct, gc=False):
    node_id: str
    ship_by: str
    deliver_by: str
    lines: list[ParcelLine]
    cost: ParcelCost


class _Left(Struct, gc=False):
    line_id: str
    sku: str
    quantity: int


class _Window(Struct, gc=False):
    window_id: str
    gap: float | None
    cut: bool


class Told(Struct, gc=False):
    """What of a decision is measured."""

    status: str
    parcels: list[_Parcel]
    unallocated: list[_Left]
    backordered: list[_Left]
    cost: Cost
    window: _Window


told = msgspec.json.Decoder(Told).decode
"""A decision's bytes as they are measured."""


class Meter:
    """Adds orders up. `figures` are the sums so far."""

    def __init__(self) -> None:
        self.figures = Figures()

    def window(self, gap: float | None, cut: bool) -> None:
        """One more window was decided."""
        figures = self.figures
        figures.windows += 1
        figures.windows_cut += cut
        if gap is not None:
            figures.windows_proven += 1
            figures.gap_sum += gap
            figures.gap_max = max(figures.gap_max, gap)

    def sheet(self, source: str) -> None:
        """One more price sheet was made."""
        self.figures.sheets[source] = self.figures.sheets.get(source, 0) + 1

    def prices(self, sheet: PriceSheet, skus: Iterable[str], network: Network) -> None:
        """What that sheet says of some SKUs."""
        for sku in skus:
            for keep in sheet.keeps(sku):
                node_id = network.node_id_of(keep.node)
                if node_id is not None:
                    price = self.figures.prices.setdefault(sku, {}).setdefault(node_id, Price())
                    price.mills += keep.mills
                    price.sheets += 1

    def order(self, order: Order, decided: Told, at: Instants, way: Way) -> Outcome:
        """One more order, as it was decided in the end."""
        figures, cost = self.figures, decided.cost
        parcels = len(decided.parcels)
        lines, units = len(order.lines), sum(line.quantity for line in order.lines)
        left = decided.unallocated + decided.backordered if decided.unallocated else decided.backordered
        units_left = sum(each.quantity for each in left)
        lines_left = len({each.line_id for each in left}) if left else 0
        shipping, handling, split, late = map(mills, (cost.shipping, cost.handling, cost.split, cost.late))
        unfilled, total = mills(cost.unfilled), mills(cost.total)
        length_m, nodes = self._parcels(decided, way)
        late_days = self._lateness(order, decided)
        figures.orders += 1
        figures.statuses[decided.status] = figures.statuses.get(decided.status, 0) + 1
        figures.lines += lines
        figures.lines_filled += lines - lines_left
        figures.units += units
        figures.units_shipped += units - units_left
        figures.orders_filled += not left
        figures.parcels += parcels
        figures.orders_shipped += parcels > 0
        figures.orders_split += parcels > 1
        figures.parcels_per_order[parcels] = figures.parcels_per_order.get(parcels, 0) + 1
        figures.moves += at.moves
        figures.shipping += shipping
        figures.handling += handling
        figures.split += split
        figures.late += late
        figures.unfilled += unfilled
        figures.total += total
        for each in left:
            self._short(each)
        self._day(at.placed_ms, parcels, total, late_days > 0, units, units - units_left)
        return Outcome(
            order.order_id,
            at.placed_ms,
            at.decided_ms,
            at.released_ms,
            decided.status,
            nodes,
            parcels,
            lines,
            lines - lines_left,
            units,
            units - units_left,
            shipping,
            handling,
            split,
            late,
            unfilled,
            total,
            late_days,
            length_m,
            at.moves,
            decided.window.window_id,
            decided.window.gap,
            decided.window.cut,
        )

    def _parcels(self, decided: Told, way: Way) -> tuple[int, str]:
        """Book loads and flows; metres of all parcels, and the nodes that ship."""
        figures, length = self.figures, 0
        region, place, metres = way
        if place is not None and decided.parcels:
            self._place(region, place, len(decided.parcels))
        for parcel in decided.parcels:
            node_id = parcel.node_id
            units = sum([line.quantity for line in parcel.lines])
            length += metres[node_id]
            loads = figures.loads.setdefault(node_id, {})
            date = parcel.ship_by[:10]
            load = loads.get(date)
            if load is None:
                load = loads[date] = Load()
            load.parcels += 1
            load.units += units
            flows = figures.flows.setdefault(node_id, {})
            flow = flows.get(region)
            if flow is None:
                flow = flows[region] = Flow()
            flow.parcels += 1
            flow.units += units
            flow.mills += mills(parcel.cost.shipping) + mills(parcel.cost.handling)
        figures.distance_m += length
        if len(decided.parcels) == 1:
            return length, decided.parcels[0].node_id
        return length, "+".join(sorted({parcel.node_id for parcel in decided.parcels}))

    def _place(self, region: str, place: tuple[int, int], parcels: int) -> None:
        known = self.figures.regions.get(region)
        if known is None:
            known = self.figures.regions[region] = Region()
        known.parcels += parcels
        known.lat += parcels * place[0]
        known.lon += parcels * place[1]

    def _lateness(self, order: Order, decided: Told) -> int:
        """Days from the order's date to the last parcel's arrival where it goes; 0 without a date or parcels."""
        if order.deliver_by is None or not decided.parcels:
            return 0
        due = local_day(epoch_ms(order.deliver_by), order.ship_to.timezone or "UTC")
        last = max(parcel.deliver_by[:10] for parcel in decided.parcels)
        late = max(0, _day_of(last) - due)
        self.figures.orders_dated += 1
        self.figures.orders_late += late > 0
        self.figures.late_days += late
        return late

    def _short(self, left: _Left) -> None:
        short = self.figures.short.setdefault(left.sku, Short())
        short.orders += 1
        short.units += left.quantity

    def _day(self, placed_ms: int, parcels: int, total: int, late: bool, units: int, shipped: int) -> None:
        date = _date(placed_ms // DAY_MS)
        day = self.figures.days.get(date)
        if day is None:
            day = self.figures.days[date] = Day()
        day.orders += 1
        day.parcels += parcels
        day.total += total
        day.late_orders += late
        day.units += units
        day.units_shipped += shipped


class Instants(Struct, gc=False):
    """When an order was placed, decided and released, in ms since the epoch, and how often it moved in between."""

    placed_ms: int
    decided_ms: int
    released_ms: int
    moves: int = 0


class Way(NamedTuple):
    """To one destination: its region, its place in millionths of a degree, and whole metres from each node, 0 where
    unknown."""

    region: str
    place: tuple[int, int] | None
    metres: dict[str, int]


class Ways:
    """Ways in one network, those to the same place reckoned once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[ShipTo, Way] = {}

    def to(self, order: Order) -> Way:
        """Where an order goes."""
        way = self._known.get(order.ship_to)
        if way is None:
            if len(self._known) >= PLACES_MAX:
                self._known.clear()
            found = self._network.distances([order])
            metres = np.nan_to_num(np.rint(found.every()[0])).astype(np.int64).tolist()
            lat, lon = float(found.lat_to[0]), float(found.lon_to[0])
            place = (round(lat * 1e6), round(lon * 1e6)) if isfinite(lat + lon) else None
            way = Way(region_of(order.ship_to), place, dict(zip(self._network.node_ids, metres, strict=True)))
            self._known[order.ship_to] = way
        return way


def region_of(ship_to: ShipTo) -> str:
    """A destination as flows tell it: country and region, else a zone by postal code or place."""
    return f"{ship_to.country}-{ship_to.region}" if ship_to.region is not None else zone_of(ship_to)


@lru_cache(4_096)
def _date(day: int) -> str:
    return to_date(day).isoformat()


@lru_cache(4_096)
def _day_of(date: str) -> int:
    return to_day(datetime.fromisoformat(date).date())
