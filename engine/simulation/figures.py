"""The figures of a run: sums that are added up order by order and can be merged, and what they say.

Money in mills, lengths in metres, days as dates of the order's placing (UTC) or, of loads, of the node's calendar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field

from engine.network_document import Capacity


class Day(Struct):
    """Orders placed on one day."""

    orders: int = 0
    parcels: int = 0
    total: int = 0
    late_orders: int = 0
    units: int = 0
    units_shipped: int = 0


class Load(Struct):
    """What a node ships on one day."""

    parcels: int = 0
    units: int = 0


class Flow(Struct):
    """What goes from a node to a region, and what that costs (shipping and handling)."""

    parcels: int = 0
    units: int = 0
    mills: int = 0


class Region(Struct):
    """Where parcels of a region go: how many whose place is known, and the sums of their degrees, in millionths."""

    parcels: int = 0
    lat: int = 0
    lon: int = 0


class Price(Struct):
    """What a unit that lies there was expected to save later, summed over the price sheets in which it had a price."""

    mills: int = 0
    sheets: int = 0


class Short(Struct):
    """Units of a SKU that did not ship, and in how many orders."""

    orders: int = 0
    units: int = 0


class Figures(Struct, kw_only=True):
    """Sums over orders. `parcels_per_order`: how many orders ship in so many parcels, 0 included."""

    orders: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    lines_filled: int = 0
    units: int = 0
    units_shipped: int = 0
    orders_filled: int = 0
    parcels: int = 0
    orders_shipped: int = 0
    orders_split: int = 0
    shipping: int = 0
    handling: int = 0
    split: int = 0
    late: int = 0
    unfilled: int = 0
    total: int = 0
    orders_dated: int = 0
    orders_late: int = 0
    late_days: int = 0
    distance_m: int = 0
    moves: int = 0
    windows: int = 0
    windows_proven: int = 0
    windows_cut: int = 0
    gap_sum: float = 0.0
    gap_max: float = 0.0
    sheets: dict[str, int] = field(default_factory=dict)
    """Price sheets by source, and those that "failed"."""
    parcels_per_order: dict[int, int] = field(default_factory=dict)
    days: dict[str, Day] = field(default_factory=dict)
    loads: dict[str, dict[str, Load]] = field(default_factory=dict)
    """By node and date."""
    flows: dict[str, dict[str, Flow]] = field(default_factory=dict)
    """By node and region."""
    short: dict[str, Short] = field(default_factory=dict)
    """By SKU."""
    regions: dict[str, Region] = field(default_factory=dict)
    """By region: what `flows` go to."""
    prices: dict[str, dict[str, Price]] = field(default_factory=dict)
    """By SKU, of those that were asked about, and node."""

    def merge(self, other: Figures) -> None:
        """Add another run's or part's sums."""
        gap_max = max(self.gap_max, other.gap_max)
        for name in self.__struct_fields__:
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        self.gap_max = gap_max


def _sum(one: Any, other: Any) -> Any:
    """The sum of two numbers, of two structs field by field, or of two dicts key by key."""
    if isinstance(one, dict):
        found = dict(one)
        for key, value in other.items():
            found[key] = _sum(found[key], value) if key in found else value
        return found
    if isinstance(one, Struct):
        return type(one)(*(_sum(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__))
    return one + other


class Kpis(Struct, frozen=True, kw_only=True):
    """What sums say. Money in currency units; rates from 0 to 1; per parcel and per order in the mean.

    `split_rate`: orders that ship in several parcels, of those that ship. `fill_*`: what ships of what was ordered.
    `late_rate`: orders that arrive late, of those with a date that ship. `gap`: mean of the proven windows; None if
    there are none.
    """

    orders: int
    cost: float
    cost_per_order: float
    shipping: float
    handling: float
    split: float
    late: float
    unfilled: float
    parcels: int
    parcels_per_order: float
    split_rate: float
    fill_units: float
    fill_lines: float
    fill_orders: float
    late_rate: float
    late_days: int
    km_per_parcel: float
    carbon_kg: float
    moves: int
    gap: float | None


def kpis(figures: Figures, grams_per_parcel_km: float) -> Kpis:
    """The indicators of a run."""
    km = figures.distance_m / 1000
    return Kpis(
        orders=figures.orders,
        cost=figures.total / 1000,
        cost_per_order=_share(figures.total / 1000, figures.orders),
        shipping=figures.shipping / 1000,
        handling=figures.handling / 1000,
        split=figures.split / 1000,
        late=figures.late / 1000,
        unfilled=figures.unfilled / 1000,
        parcels=figures.parcels,
        parcels_per_order=_share(figures.parcels, figures.orders_shipped),
        split_rate=_share(figures.orders_split, figures.orders_shipped),
        fill_units=_share(figures.units_shipped, figures.units),
        fill_lines=_share(figures.lines_filled, figures.lines),
        fill_orders=_share(figures.orders_filled, figures.orders),
        late_rate=_share(figures.orders_late, figures.orders_dated),
        late_days=figures.late_days,
        km_per_parcel=_share(km, figures.parcels),
        carbon_kg=km * grams_per_parcel_km / 1000,
        moves=figures.moves,
        gap=figures.gap_sum / figures.windows_proven if figures.windows_proven else None,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


class Utilisation(NamedTuple):
    """How full a node's day was: the fuller of parcels and units, 1 for full; None where the node has no limit."""

    node_id: str
    date: str
    parcels: int
    units: int
    used: float | None


def utilisation(figures: Figures, capacities: Mapping[str, Capacity]) -> Iterator[Utilisation]:
    """By node and date, ascending."""
    for node_id, days in sorted(figures.loads.items()):
        limit = capacities.get(node_id, Capacity())
        for date, load in sorted(days.items()):
            used = [
                _share(part, most)
                for part, most in ((load.parcels, limit.parcels_per_day), (load.units, limit.units_per_day))
                if most is not None
            ]
            yield Utilisation(node_id, date, load.parcels, load.units, max(used, default=None))
