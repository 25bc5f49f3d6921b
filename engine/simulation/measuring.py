"""What a run measures, order by order, from the decisions as any caller gets them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec import Struct

from engine.decisions import ParcelCost, ParcelLine
from engine.domain import Order, ShipTo, epoch_ms
from engine.domain import mills as exact_mills
from engine.pricing.observed import zone_of
from engine.promise import local_day, to_day
from engine.rates import Floats
from engine.simulation.figures import Day, Figures, Flow, Load, Short
from engine.simulation.outcome import Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

mills = lru_cache(1 << 16)(exact_mills)


class _Parcel(Struct):
    node_id: str
    ship_by: str
    deliver_by: str
    lines: list[ParcelLine]
    cost: ParcelCost


class _Left(Struct):
    line_id: str
    sku: str
    quantity: int


class _Cost(Struct):
    shipping: str
    handling: str
    split: str
    late: str
    unfilled: str
    total: str


class _Window(Struct):
    window_id: str
    gap: float | None
    cut: bool


class Told(Struct):
    """What of a decision is measured."""

    status: str
    parcels: list[_Parcel]
    unallocated: list[_Left]
    backordered: list[_Left]
    cost: _Cost
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

    def order(
        self, order: Order, decided: Told, at: Instants, distances: Floats, index_of: Mapping[str, int]
    ) -> Outcome:
        """One more order, as it was decided in the end.

        `distances` float64[N]: metres from each node, NaN where unknown; `index_of`: places in it by node id.
        """
        figures, cost = self.figures, decided.cost
        parcels = len(decided.parcels)
        lines, units = len(order.lines), sum(line.quantity for line in order.lines)
        left = decided.unallocated + decided.backordered if decided.unallocated else decided.backordered
        units_left = sum(each.quantity for each in left)
        lines_left = len({each.line_id for each in left}) if left else 0
        shipping, handling, split, late = map(mills, (cost.shipping, cost.handling, cost.split, cost.late))
        unfilled, total = mills(cost.unfilled), mills(cost.total)
        length_m, nodes = self._parcels(order, decided, distances, index_of)
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

    def _parcels(self, order: Order, decided: Told, distances: Floats, index_of: Mapping[str, int]) -> tuple[int, str]:
        """Book loads and flows; metres of all parcels, and the nodes that ship."""
        figures, region, length = self.figures, region_of(order.ship_to), 0
        for parcel in decided.parcels:
            node_id = parcel.node_id
            units = sum([line.quantity for line in parcel.lines])
            metres = float(distances[index_of[node_id]])
            length += round(metres) if metres == metres else 0
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


class Instants(Struct):
    """When an order was placed, decided and released, in ms since the epoch, and how often it moved in between."""

    placed_ms: int
    decided_ms: int
    released_ms: int
    moves: int = 0


@lru_cache(4_096)
def region_of(ship_to: ShipTo) -> str:
    """A destination as flows tell it: country and region, else a zone by postal code or place."""
    return f"{ship_to.country}-{ship_to.region}" if ship_to.region is not None else zone_of(ship_to)


@lru_cache(4_096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


@lru_cache(4_096)
def _day_of(date: str) -> int:
    return to_day(datetime.fromisoformat(date).date())
