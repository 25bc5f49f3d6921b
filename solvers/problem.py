"""One window as arrays: everything a solver may know, and nothing else.

Units: goods in units, money in mills (1/1000 of the currency unit), weight in grams, volume in mm3, distance in metres.
Sizes: O orders, L rows of `Lines`, I items (distinct goods of the window), N nodes, J options, D buckets, C curves,
B breaks, V derived items, T ship days.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from solvers.runs import opens, owners, sizes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNLIMITED = 2**62
"""No limit: larger than any quantity, weight or money that a window can hold."""

DEAREST = 2**30
"""Mills of a shadow price at most, so that none is ever taken for a price at which nothing can go."""


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
    """The demand, a row for each way to supply a line. Rows of order o are `start[o]:start[o + 1]`, int64[O + 1].

    The rest int64[L] unless said. `line` ascends: rows of one `line` are alternatives (the SKU itself, a substitute,
    the same from another node of a dock) and ship at most `quantity` together, which all of them repeat. Mostly every
    line has one row. `item` is a row of `Problem.stock`; one order may name an item on several lines. Weight and volume
    are of one unit. `eligible` bool[L, N]: the node may ship this row at all (capabilities, destination).
    `draw` ascends: rows of one line drawn from one place share it; each draw in a box is a line to who packs it.
    `more_line`, `more_unit`: mills added to (or taken from) the handling of each draw and unit, because another node
    of the dock than the option's packs it.
    `group`: lines with one number >= 0 (never of two orders) ship whole in one box together, or not at all; -1: none.
    `value`: mills of one unit (`Limits.min_split_value`). `alone` bool[L]: each unit is a box of its own.
    `dated`: units of the line that may wait without being charged as unfilled, equal on rows of one line.
    """

    start: Ints
    line: Ints
    item: Ints
    quantity: Ints
    weight_g: Ints
    volume_mm3: Ints
    eligible: Bools
    draw: Ints
    more_line: Ints
    more_unit: Ints
    group: Ints
    value: Ints
    alone: Bools
    dated: Ints


@dataclass(frozen=True, slots=True)
class Derived:
    """Items without stock of their own: kits, substitutes by ratio, stock of another node of a dock.

    `item` int64[V], ascending rows of `Problem.stock`. A unit of item[v] leaving node n takes `count` int64[M] units of
    each of `part` int64[M] (rows that are not derived) in `start[v]:start[v + 1]`, at node `source[v]`, or at n where
    `source` int64[V] is -1. An item with a source can leave one node only. `Problem.stock` holds what each derived item
    could give if nobody else took its parts: true for one taker, an upper bound for several.
    """

    item: Ints
    start: Ints
    part: Ints
    count: Ints
    source: Ints

    @staticmethod
    def none() -> Derived:
        """Every item has stock of its own."""
        empty = np.zeros(0, np.int64)
        return Derived(empty, np.zeros(1, np.int64), empty, empty, empty)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan must keep, by order.

    `max_parcels` int64[O]: boxes at most, UNLIMITED for any. `complete` bool[O]: all lines whole, or nothing.
    `whole_lines` bool[O]: no line leaves in two shipments. `min_split_value` int64[O], mills: where there are several
    shipments, each holds goods of at least so much; 0 for none.
    """

    max_parcels: Ints
    complete: Bools
    whole_lines: Bools
    min_split_value: Ints

    @staticmethod
    def none(orders: int) -> Limits:
        """Any plan will do."""
        nothing = np.zeros(orders, np.int64)
        off = np.zeros(orders, np.bool_)
        return Limits(np.full(orders, UNLIMITED, np.int64), off, off.copy(), nothing)


@dataclass(frozen=True, slots=True)
class Guide:
    """What steers the choice beside what it costs; never part of a cost.

    `shipping`, `handling`: weights in thousandths. `rules`, `balance` int64[J]: mills for every box by an option, not
    negative. Shadow prices, what it is worth to keep something for orders to come, at most DEAREST each: `stock`
    int64[I, N], mills for every unit of a real item drawn at a node (0 in the rows of derived items), and `room`
    int64[D], mills for every box in a bucket.

    A price says where units come from, never whether they ship: with `Objective.fill_always` units come first, and
    where money decides, what ships is decided without the two prices first. Only with `prices_refuse` may a unit stay
    because it is worth more elsewhere.
    """

    shipping: int
    handling: int
    rules: Ints
    balance: Ints
    stock: Ints
    room: Ints
    prices_refuse: bool = False

    @property
    def prices(self) -> bool:
        """Whether anything has a shadow price."""
        return bool(self.stock.any() or self.room.any())


@dataclass(frozen=True, slots=True)
class Options:
    """The ways a parcel of an order can go: (order, node, carrier service), contiguous by order, `start` int64[O + 1].

    Within an order sorted by (node index, carrier, service, ship day): the order of ties. All int64[J] unless said.
    A node without an option is not eligible for the order. With l distinct lines, d draws, u units, w grams in a box:

    shipping = curve price at the billable weight + ship_parcel + ship_line * l + ship_unit * u + ship_per_kg * w / 1000
    handling = handle_parcel + handle_line * d + handle_unit * u + more_line of each draw + more_unit of each unit
               + `Problem.toll` of each unit

    `curve` is a row of `Curves`, -1 where the price is a lane's and has none. `dim_divisor` 0 for none, else
    `billable = max(w, ceil(mm3 / dim_divisor))`. `max_weight_g` is per box; heavier shipments are packed first-fit
    (see `packing`).
    `late_days`: calendar days after the order's `deliver_by`. `bucket`: row of the capacity arrays, -1 for no limit.
    `day`: row of `Problem.source_bucket`; 0 where that has none.
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
    day: Ints


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

    `priority` int64[O], higher is served first. `stock` int64[I, N], units free, never negative (see `Derived`).
    `bucket_parcels`, `bucket_units` int64[D]: room left at a node on a ship date, in boxes and in units. Boxes count
    in the option's bucket; units too, but those of an item with a source in `source_bucket[option's day, source]`,
    int64[T, N], -1 for no limit.
    `node_rank` int64[N], lower first (mode SEQUENCE). `distance_m` int64[O, N], UNLIMITED where unknown (mode
    NEAREST).
    `modes`: how each order is routed. `toll` int64[I, N]: mills more of handling for each unit of an item that leaves
    by an option of the node, derived items included; None for none. Only guided problems have tolls: see `guided`.
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
    derived: Derived
    limits: Limits
    source_bucket: Ints
    modes: tuple[Mode, ...]
    objective: Objective = Objective()
    guide: Guide | None = None
    toll: Ints | None = None

    @property
    def orders(self) -> int:
        """How many orders the window holds."""
        return len(self.priority)

    @property
    def nodes(self) -> int:
        """How many nodes the network has."""
        return int(self.stock.shape[1])

    def lines_of(self, order: int) -> slice:
        """The rows of `Lines` of one order."""
        return slice(int(self.lines.start[order]), int(self.lines.start[order + 1]))

    def demand_of(self, order: int) -> int:
        """Units that an order wants, whatever the ways to supply them."""
        at = self.lines_of(order)
        line = self.lines.line[at]
        return int(self.lines.quantity[at][opens(line)].sum())

    def demand(self) -> int:
        """Units that all orders together want."""
        head = opens(self.lines.line)
        return int(self.lines.quantity[head].sum())

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

    def _ascending_lines(self) -> bool:
        """Line numbers ascend; rows of a line agree on what is the line's, rows of a draw on what is the draw's."""
        lines = self.lines
        if lines.line.shape != lines.item.shape:
            return False
        same = np.diff(lines.line) == 0
        first = lines.start[(lines.start > 0) & (lines.start < len(lines.line))]
        equal = all((np.diff(column)[same] == 0).all() for column in (lines.quantity, lines.group, lines.dated))
        equal &= bool((np.diff(lines.more_line)[np.diff(lines.draw) == 0] == 0).all())
        ascending = (np.diff(lines.line) >= 0).all() and (np.diff(lines.draw) >= ~same).all()
        return bool(ascending and equal and not same[first - 1].any())

    def _groups_of_one_order(self) -> bool:
        """No group holds lines of two orders."""
        group = self.lines.group
        if group.shape != self.lines.item.shape or not (group >= 0).any():
            return True
        pairs = np.stack([group, owners(self.lines.start)])[:, group >= 0]
        return len(np.unique(pairs, axis=1).T) == len(np.unique(pairs[0]))

    def _derived_of_stock(self) -> bool:
        """Derived items are rows of the stock table, their parts are rows that are not derived."""
        derived, (n_items, n_nodes) = self.derived, self.stock.shape
        count = len(derived.item)
        if derived.source.shape != (count,) or derived.start.shape != (count + 1,) or int(derived.start[0]) != 0:
            return False
        if len(derived.part) != int(derived.start[-1]) or len(derived.count) != len(derived.part):
            return False
        listed = (derived.item >= 0) & (derived.item < n_items)
        parts = (derived.part >= 0) & (derived.part < n_items) & ~np.isin(derived.part, derived.item)
        places = (derived.source >= -1) & (derived.source < n_nodes)
        rows = (sizes(derived.start) >= 1).all() and (derived.count >= 1).all() and (np.diff(derived.item) > 0).all()
        return bool(listed.all() and parts.all() and places.all() and rows)

    def _guide_not_negative(self) -> bool:
        guide, size = self.guide, self.options.node.shape
        if guide is None:
            return True
        shapes = guide.rules.shape == size and guide.balance.shape == size
        shapes = shapes and guide.stock.shape == self.stock.shape and guide.room.shape == self.bucket_parcels.shape
        return shapes and min(guide.shipping, guide.handling) >= 0 and bool((guide.rules + guide.balance >= 0).all())

    def _prices_within(self) -> bool:
        """Shadow prices are of real goods, not negative and not beyond DEAREST."""
        guide, toll = self.guide, self.toll
        if toll is not None and (toll.shape != self.stock.shape or not bool((toll >= 0).all())):
            return False
        if guide is None:
            return True
        held = all(bool(((column >= 0) & (column <= DEAREST)).all()) for column in (guide.stock, guide.room))
        return held and not guide.stock[self.derived.item].any()

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
                and bool((sizes(start) >= 0).all())
            )

        def within(values: Ints, low: int, high: int) -> bool:
            return bool(((values >= low) & (values < high)).all())

        limits = self.limits
        names = [name for name in Lines.__slots__ if name not in ("start", "eligible", "alone")]
        per_line = tuple(getattr(lines, name) for name in names)
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
            ("lines.alone", lines.alone.shape == (n_lines,) and lines.alone.dtype == np.bool_),
            ("lines.line", self._ascending_lines()),
            ("lines.group of one order", self._groups_of_one_order()),
            ("lines.value and lines.dated not negative", bool((lines.value >= 0).all() and (lines.dated >= 0).all())),
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
            ("stock not negative", self.stock.min(initial=0) >= 0 and self.stock.dtype == np.int64),
            ("buckets", column(self.bucket_units, n_buckets) and column(self.bucket_parcels, n_buckets)),
            ("node_rank", column(self.node_rank, n_nodes)),
            ("distance_m", self.distance_m.shape == (n_orders, n_nodes)),
            ("derived", self._derived_of_stock()),
            ("source_bucket", self.source_bucket.ndim == 2 and within(self.source_bucket, -1, n_buckets)),
            ("options.day range", within(options.day, 0, max(1, len(self.source_bucket)))),
            ("modes", len(self.modes) == n_orders),
            ("limits", all(getattr(limits, name).shape == (n_orders,) for name in Limits.__slots__)),
            ("limits.max_parcels at least 1", bool((limits.max_parcels >= 1).all())),
            ("limits.min_split_value not negative", bool((limits.min_split_value >= 0).all())),
            ("guide", self._guide_not_negative()),
            ("shadow prices", self._prices_within()),
        ]
