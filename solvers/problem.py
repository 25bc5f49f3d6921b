"""One window as arrays: everything a solver may know, and nothing else.

Units: goods in units, money in mills (1/1000 of the currency unit), weight in grams, volume in mm3, distance in metres.
Sizes: O orders, L lines, I items (distinct SKUs of the window), N nodes, J options, D buckets, C curves, B breaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNLIMITED = 2**62
"""No limit: larger than any quantity, weight or money that a window can hold."""


class InvalidProblemError(ValueError):
    """The arrays contradict each other: a fault of the caller, never of the data."""


class Mode(Enum):
    """How a window is routed: jointly optimised, or by one of the rules other systems use (one order after another)."""

    OPTIMISE = "optimise"
    SEQUENCE = "sequence"
    NEAREST = "nearest"
    MOST_STOCK = "most_stock"


@dataclass(frozen=True, slots=True)
class Objective:
    """What a decision costs beside its parcels, in mills.

    `fill_always`: allocated units come first, by descending order priority; money decides among equals.
    Otherwise only money decides, and a unit may stay unfilled when shipping it is dearer than `unfilled_per_unit`.
    """

    fill_always: bool = True
    split_parcel: int = 0
    late_per_day: int = 0
    unfilled_per_unit: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """The demand. Lines of one order are contiguous: those of order o are `start[o]:start[o + 1]`.

    start int64[O + 1]; the rest int64[L]. `item` is a row of `Problem.stock`; one order may name an item on several
    lines. Weight and volume are of one unit. `eligible` bool[L, N]: the node may ship this line at all (capabilities,
    destination).
    """

    start: Ints
    item: Ints
    quantity: Ints
    weight_g: Ints
    volume_mm3: Ints
    eligible: Bools


@dataclass(frozen=True, slots=True)
class Options:
    """The ways a parcel of an order can go: (order, node, carrier service), contiguous by order, `start` int64[O + 1].

    Within an order sorted by (node index, carrier, service): the order of ties. All int64[J] unless said.
    A node without an option is not eligible for the order. With l distinct lines, u units, w grams in one box:

    shipping = curve price at the billable weight + ship_parcel + ship_line * l + ship_unit * u + ship_per_kg * w / 1000
    handling = handle_parcel + handle_line * l + handle_unit * u

    `curve` is a row of `Curves`, -1 where the price is a lane's and has none. `dim_divisor` 0 for none, else
    `billable = max(w, ceil(mm3 / dim_divisor))`. `max_weight_g` is per box; heavier shipments are packed first-fit
    (see `packing`).
    `late_days`: calendar days after the order's `deliver_by`. `bucket`: row of the capacity arrays, -1 for no limit.
    """

    start: Ints
    node: Ints
    curve: Ints
    ship_parcel: Ints
    ship_line: Ints
    ship_unit: Ints
    ship_per_kg: Ints
    handle_parcel: Ints
    handle_line: Ints
    handle_unit: Ints
    max_weight_g: Ints
    dim_divisor: Ints
    late_days: Ints
    bucket: Ints


@dataclass(frozen=True, slots=True)
class Curves:
    """Carrier prices by billable weight. `up_to_g` and `price` int64[C, B], rows ascending in weight.

    The price is that of the first break with `up_to_g >= billable`; rows are padded at the end with UNLIMITED in both,
    and a price of UNLIMITED means that the service does not carry that weight.
    """

    up_to_g: Ints
    price: Ints


@dataclass(frozen=True, slots=True)
class Problem:
    """One window, complete and immutable; `validate` is called once by whoever builds it.

    `priority` int64[O], higher is served first. `stock` int64[I, N], units free, never negative.
    `bucket_parcels`, `bucket_units` int64[D]: room left at a node on a ship date, in boxes and in units.
    `node_rank` int64[N], lower first (mode SEQUENCE). `distance_m` int64[O, N], UNLIMITED where unknown (mode NEAREST).
    """

    lines: Lines
    options: Options
    curves: Curves
    priority: Ints
    stock: Ints
    bucket_parcels: Ints
    bucket_units: Ints
    node_rank: Ints
    distance_m: Ints
    objective: Objective = Objective()
    mode: Mode = Mode.OPTIMISE

    @property
    def orders(self) -> int:
        """How many orders the window holds."""
        return len(self.priority)

    @property
    def nodes(self) -> int:
        """How many nodes the network has."""
        return int(self.stock.shape[1])

    def lines_of(self, order: int) -> slice:
        """The line indexes of one order."""
        return slice(int(self.lines.start[order]), int(self.lines.start[order + 1]))

    def options_of(self, order: int) -> slice:
        """The option indexes of one order."""
        return slice(int(self.options.start[order]), int(self.options.start[order + 1]))

    def validate(self) -> None:
        """Raise InvalidProblemError unless shapes, index ranges and signs agree."""
        for name, holds in self._claims():
            if not holds:
                raise InvalidProblemError(f"problem arrays contradict each other: {name}")

    def _one_node_each(self) -> bool:
        """A bucket is room at a node: all its options leave from there."""
        bucket, node = self.options.bucket, self.options.node
        held = (bucket >= 0) & (bucket < len(self.bucket_parcels))
        if bucket.shape != node.shape or not held.any():
            return True
        node_of = np.zeros(len(self.bucket_parcels), np.int64)
        node_of[bucket[held]] = node[held]
        return bool((node_of[bucket[held]] == node[held]).all())

    def _claims(self) -> list[tuple[str, bool]]:
        lines, options, curves = self.lines, self.options, self.curves
        n_orders, n_lines, n_options = self.orders, len(lines.item), len(options.node)
        n_items, n_nodes = self.stock.shape
        n_curves, n_buckets = len(curves.price), len(self.bucket_parcels)

        def column(values: Ints, length: int) -> bool:
            return values.shape == (length,) and values.dtype == np.int64

        def offsets(start: Ints, length: int) -> bool:
            return (
                column(start, n_orders + 1)
                and start[0] == 0
                and start[-1] == length
                and bool((np.diff(start) >= 0).all())
            )

        def within(values: Ints, low: int, high: int) -> bool:
            return bool(((values >= low) & (values < high)).all())

        per_line = (lines.item, lines.quantity, lines.weight_g, lines.volume_mm3)
        per_option = tuple(getattr(options, name) for name in Options.__slots__ if name != "start")
        return [
            ("lines.start", offsets(lines.start, n_lines)),
            ("options.start", offsets(options.start, n_options)),
            ("line columns", all(column(values, n_lines) for values in per_line)),
            ("option columns", all(column(values, n_options) for values in per_option)),
            (
                "lines.eligible",
                lines.eligible.shape == (n_lines, n_nodes) and lines.eligible.dtype == np.bool_,
            ),
            ("lines.item range", within(lines.item, 0, n_items)),
            ("lines.quantity at least 1", bool((lines.quantity >= 1).all())),
            (
                "weights and volumes not negative",
                bool((lines.weight_g >= 0).all() and (lines.volume_mm3 >= 0).all()),
            ),
            ("options.node range", within(options.node, 0, n_nodes)),
            ("options.curve range", within(options.curve, -1, n_curves)),
            ("options.bucket range", within(options.bucket, -1, n_buckets)),
            ("every bucket at one node", self._one_node_each()),
            ("options.late_days not negative", bool((options.late_days >= 0).all())),
            ("curves", curves.price.shape == curves.up_to_g.shape and curves.price.ndim == 2),
            ("curves ascending", bool((np.diff(curves.up_to_g, axis=1) >= 0).all())),
            ("stock not negative", bool((self.stock >= 0).all()) and self.stock.dtype == np.int64),
            ("buckets", column(self.bucket_units, n_buckets) and column(self.bucket_parcels, n_buckets)),
            ("node_rank", column(self.node_rank, n_nodes)),
            ("distance_m", self.distance_m.shape == (n_orders, n_nodes)),
        ]
