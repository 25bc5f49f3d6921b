"""One large order as a facility-location scene: demands to be met from sites that cost money to open.

The search of `cover` works in float64 throughout: every figure is an integer below 2^53 and therefore exact, and
nothing can wrap. Its prices are exact for shipments of one box; of several boxes it sees full boxes and a rest,
which is what first-fit packing tends to, and the finalists are priced exactly by `tariff`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from solvers.cover_demands import Floats, demands_of
from solvers.menu import Supply, has_room
from solvers.packing import MAX_BOXES
from solvers.problem import UNLIMITED, Bools, Ints, Problem

HEAVIEST_G = 2.0**40
"""Billable weights above a million tonnes are priced as that: keeps all curves in one sorted float64 array."""

ROW_G = 4.0 * HEAVIEST_G
"""How far the breaks of one curve stand from those of the next in that array."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a shipment from each site costs by each of its services: K sites, S services (padded with `barred`).

    Mills, float64[K, S]: `per_box` (node, lane and split penalty), `per_line`, `per_unit`, `per_kg`; `box_g` and
    `dim_divisor` as in `Options`; `late_days`. `barred` is inf where the site has no such service, else 0.
    `curve_row` int64[K, S] is a row of the order's curves, laid end to end in `breaks` and `prices`.
    `smooth` joins the corners of the steps: what a weight costs once weights have been shifted to meet the breaks.
    """

    per_box: Floats
    per_line: Floats
    per_unit: Floats
    per_kg: Floats
    box_g: Floats
    dim_divisor: Floats
    late_days: Floats
    barred: Floats
    curve_row: Ints
    breaks: Floats
    prices: Floats
    smooth: bool = False

    @property
    def curves(self) -> Floats:
        """float64[rows, B]: breaks in grams of every curve of the order, also of those that no site here goes by."""
        rows = int(self.breaks[-1] // ROW_G) + 1
        found: Floats = self.breaks.reshape(rows, -1) - np.arange(rows)[:, None] * ROW_G
        return found

    def only(self, sites: Ints) -> Tariff:
        """The same tariff for some of the sites."""
        columns = (
            "per_box", "per_line", "per_unit", "per_kg", "box_g", "dim_divisor", "late_days", "barred",
            "curve_row",
        )  # fmt: skip
        return replace(self, **{name: getattr(self, name)[sites] for name in columns})

    def until(self, late_days: float) -> Tariff:
        """The same tariff without the services that arrive later than this."""
        return replace(self, barred=np.where(self.late_days <= late_days, self.barred, np.inf))

    def without_counts(self, none: Floats) -> Tariff:
        """The same tariff without its charges by line and unit."""
        return replace(self, per_line=none, per_unit=none)

    def by_weight(self, billable_g: Floats) -> Floats:
        """Curve price of one box, billable grams [..., K, S] -> mills; inf where the service does not carry it."""
        keys = np.minimum(billable_g, HEAVIEST_G) + self.curve_row * ROW_G
        if self.smooth:
            joined = np.interp(keys, self.breaks, np.minimum(self.prices, 2.0 * HEAVIEST_G))
            return np.where(joined >= HEAVIEST_G, np.inf, joined)
        found: Floats = self.prices[np.searchsorted(self.breaks, keys)]
        return found

    def price(self, units: Floats, lines: Floats, weight_g: Floats, volume_mm3: Floats) -> Floats:
        """Cost of one shipment per site and service, split penalty per box included: [..., K] -> [..., K, S].

        Nothing to ship costs nothing. Boxes after the first are taken as full.
        """
        grams = weight_g[..., None]
        rest, full = grams, None
        if weight_g.size and weight_g.max() > self.box_g.min(initial=np.inf):
            full = np.maximum(np.ceil(grams / self.box_g) - 1.0, 0.0)
            rest = grams - np.where(full > 0.0, full * np.minimum(self.box_g, UNLIMITED), 0.0)
        billable = rest
        if self.dim_divisor.any():
            share = np.divide(rest, grams, out=np.ones_like(rest), where=grams > 0.0)
            bulk = np.ceil(volume_mm3[..., None] * share / np.where(self.dim_divisor > 0, self.dim_divisor, np.inf))
            billable = np.maximum(rest, bulk)
        cost = self.by_weight(billable) + (self.per_box + self.barred)
        if full is not None:
            heavy = np.maximum(self.box_g, billable * (self.box_g / np.maximum(rest, 1.0)))
            each = self.by_weight(np.where(full > 0.0, np.where(billable > rest, heavy, self.box_g), 0.0))
            cost = cost + np.where(full > 0.0, full * (each + self.per_box), 0.0)
        cost += self.per_line * lines[..., None] + self.per_unit * units[..., None]
        if self.per_kg.any():
            cost += np.floor(self.per_kg * grams / 1000.0 + 0.5)
        return np.where(units[..., None] > 0.0, cost, 0.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """G demands (lines of one order that the same cells of stock can serve) against K sites.

    A *site* is a node with services that are interchangeable but for their price: same bucket, same goods carried.
    Per demand, as in `Demands`: `item`, `quantity`, `lines`, weight, volume and value of a unit, `whole`,
    `tied`; `demand_of` is its `of`.
    Per site: `node`, `bucket` (-1 none), `service` int64[K, S] (option indexes, -1 padded), `room_g` (most grams one
    shipment can weigh, inf none). `reach` [G, K]: units of the demand the site could ship,
    `free` [G, K] what its cell of stock holds for all demands together (at most what the order wants in all).
    `toll` [G, K]: mills more for a unit there, None where nothing has a toll.
    `room_units`, `room_boxes` by bucket. `siblings`: some node or cell of stock stands behind two sites or demands.
    `binding`: some room may be too small for what could be asked of it. `most_boxes`, `least_value`: see `Limits`.
    """

    demand_of: Ints
    item: Ints
    quantity: Floats
    lines: Floats
    weight_g: Floats
    volume_mm3: Floats
    value: Floats
    whole: Bools
    tied: Bools
    node: Ints
    bucket: Ints
    service: Ints
    room_g: Floats
    reach: Floats
    free: Floats
    toll: Floats | None
    room_units: Floats
    room_boxes: Floats
    siblings: bool
    binding: bool
    most_boxes: int
    least_value: int
    tariff: Tariff

    @property
    def limited(self) -> bool:
        """Whether an assignment can break a limit."""
        return bool(self.most_boxes < UNLIMITED or self.least_value or self.whole.any())

    def lines_in(self, units: Floats) -> Floats:
        """Lines that a shipment of [..., G, K] units touches; of several lines of a demand, as few as hold them."""
        if (self.lines == 1.0).all():
            return (units > 0.0).astype(np.float64)
        lines: Floats = np.ceil(units * (self.lines / self.quantity)[:, None])
        return lines

    def only(self, sites: Ints) -> Scene:
        """The same scene with some of its sites, in the order given."""
        return replace(
            self,
            node=self.node[sites],
            bucket=self.bucket[sites],
            service=self.service[sites],
            room_g=self.room_g[sites],
            reach=self.reach[:, sites],
            free=self.free[:, sites],
            toll=None if self.toll is None else self.toll[:, sites],
            tariff=self.tariff.only(sites),
        )


def set_scene(problem: Problem, order: int, stock: Ints, room_boxes: Ints, room_units: Ints) -> Scene:
    """Lower one order to a scene. `stock` int64[I, N] and the rooms int64[D] are what is left, not what there was."""
    lines, options, limits = problem.lines, problem.options, problem.limits
    span, ways = problem.lines_of(order), problem.options_of(order)
    demands = demands_of(problem, order)
    weight, quantity = demands.weight_g, demands.quantity
    most_boxes = int(limits.max_parcels[order])

    node, bucket = options.node[ways], options.bucket[ways]
    alive = has_room(problem, np.arange(ways.start, ways.stop), Supply(stock, room_boxes, room_units))
    limit_g = _limits(problem, ways)
    by_row = (lines.weight_g[span][:, None] <= limit_g) & _not_bulky(problem, ways, lines.volume_mm3[span])
    carried = demands.carried(by_row, limit_g)
    service = _sites(node, bucket, carried, alive) + np.int64(ways.start)
    service[service < ways.start] = -1
    lead = service[:, 0]
    site_node, site_bucket = options.node[lead], options.bucket[lead]

    usable = lines.eligible[span][:, site_node] & by_row[:, lead - ways.start]
    reach, free = demands.reach(np.where(usable, stock[lines.item[span]][:, site_node], 0))
    reach = np.where(carried[:, lead - ways.start], reach, 0.0)
    movable = quantity * carried.any(axis=1)
    grams = float((movable * weight).sum())
    density = float((movable * demands.volume_mm3).sum()) / grams if grams else 0.0
    room_g = _shipment_rooms(problem, ways, room_boxes, density, most_boxes)
    room_g = np.where(service >= 0, room_g[np.maximum(service - ways.start, 0)], 0.0).max(axis=1, initial=0.0)
    return Scene(
        demand_of=demands.of,
        item=demands.item,
        quantity=quantity,
        lines=demands.lines,
        weight_g=weight,
        volume_mm3=demands.volume_mm3,
        value=demands.value,
        whole=demands.whole,
        tied=demands.tied,
        node=site_node,
        bucket=site_bucket,
        service=service,
        room_g=room_g,
        reach=reach,
        free=free,
        toll=None if problem.toll is None else demands.tolls(problem.toll[lines.item[span]][:, site_node], usable),
        room_units=room_units.astype(np.float64),
        room_boxes=room_boxes.astype(np.float64),
        siblings=len(set(site_node.tolist())) < len(site_node) or len(set(demands.item.tolist())) < len(demands.item),
        binding=_binding(quantity, weight, limit_g, site_bucket, room_units, room_boxes)
        or bool((room_g < grams).any()),
        most_boxes=most_boxes,
        least_value=int(limits.min_split_value[order]),
        tariff=_tariff(problem, service),
    )


def _binding(quantity: Floats, weight: Floats, limit_g: Ints, bucket: Ints, room_units: Ints, room_boxes: Ints) -> bool:
    """Whether the units or boxes left in some bucket may be too few for what could be asked of it."""
    total_units, total_g = quantity.sum(), float((quantity * weight).sum())
    boxes_needed = np.ceil(2.0 * total_g / np.maximum(limit_g, 1)).max(initial=1.0) + 1.0
    held = bucket >= 0
    tight = held & ((_room(room_units, bucket) < total_units) | (_room(room_boxes, bucket) < boxes_needed))
    shared = bool(held.any()) and len(np.unique(bucket[held])) < int(held.sum())
    tight |= held & shared & (_room(room_boxes, bucket) < boxes_needed * len(bucket))
    return bool(tight.any())


def _room(room: Ints, bucket: Ints) -> Floats:
    """Room behind each site; inf where its bucket is -1."""
    if not len(room):
        return np.full(len(bucket), np.inf)
    return np.where(bucket >= 0, room[bucket].astype(np.float64), np.inf)


def _limits(problem: Problem, ways: slice) -> Ints:
    """Grams one box of each option of the order can hold: its weight limit or the end of its curve."""
    curve, limit = problem.options.curve[ways], problem.options.max_weight_g[ways]
    return np.minimum(limit, _curve_end(problem)[curve])


def _not_bulky(problem: Problem, ways: slice, volume: Ints) -> Bools:
    """bool[G, ways]: one unit of so many mm3 has a price by its dimensional weight."""
    divisor = problem.options.dim_divisor[ways]
    bulk = np.where(divisor > 0, -(-volume[:, None] // np.maximum(divisor, 1)), 0)
    small: Bools = bulk <= _curve_end(problem)[problem.options.curve[ways]]
    return small


def _shipment_rooms(problem: Problem, ways: slice, room_boxes: Ints, density: float, most_boxes: int) -> Floats:
    """Grams a shipment of each option can weigh: as many full boxes as may go, one where the curve ends below a box.

    `density`: mm3 per gram of the order, for where the dimensional weight of a full box is beyond the curve.
    """
    options = problem.options
    curve, limit, bucket = options.curve[ways], options.max_weight_g[ways], options.bucket[ways]
    divisor = options.dim_divisor[ways]
    bulk = np.where(divisor > 0, density / np.maximum(divisor, 1), 0.0)
    end = _curve_end(problem)[curve] / np.maximum(bulk, 1.0)
    boxes = np.minimum(_room(room_boxes, bucket), min(MAX_BOXES, most_boxes))
    return np.where(end < limit, end, limit * boxes)


def _curve_end(problem: Problem) -> Ints:
    """Heaviest billable weight each curve has a price for; a last entry without limit stands for "no curve"."""
    priced = np.where(problem.curves.price < UNLIMITED, problem.curves.up_to_g, 0)
    return np.append(priced.max(axis=1, initial=0), UNLIMITED) if len(priced) else np.array([UNLIMITED])


def _sites(node: Ints, bucket: Ints, carried: Bools, alive: Bools) -> Ints:
    """Group the options into sites: int64[K, S] of positions among the order's options, padded far below zero."""
    uniform = bool(carried.all())
    members: dict[tuple[int, int, bytes], list[int]] = {}
    for way in np.flatnonzero(alive).tolist():
        goods = b"" if uniform else carried[:, way].tobytes()
        members.setdefault((int(node[way]), int(bucket[way]), goods), []).append(way)
    width = max((len(group) for group in members.values()), default=1)
    table = np.full((len(members), width), -UNLIMITED, dtype=np.int64)
    for row, group in enumerate(members.values()):
        table[row, : len(group)] = group
    return table


def _tariff(problem: Problem, service: Ints) -> Tariff:
    """Gather the columns of the services and lay their curves end to end."""
    options, curves = problem.options, problem.curves
    rows, inverse = np.unique(options.curve[service], return_inverse=True)
    width = curves.up_to_g.shape[1] + 2 if len(curves.price) else 3
    breaks = np.full((len(rows), width), HEAVIEST_G)
    prices = np.full((len(rows), width), np.inf)
    for position, row in enumerate(rows.tolist()):
        if row < 0:
            prices[position] = 0.0
            continue
        price = curves.price[row].astype(np.float64)
        breaks[position, 1:-1] = np.minimum(curves.up_to_g[row], HEAVIEST_G)
        prices[position, 1:-1] = np.where(curves.price[row] < UNLIMITED, price, np.inf)
        prices[position, 0] = prices[position, 1]
    breaks[:, 0], breaks[:, -1] = 0.0, 2.0 * HEAVIEST_G
    breaks += np.arange(len(rows))[:, None] * ROW_G

    def column(values: Ints) -> Floats:
        return values[service].astype(np.float64)

    return Tariff(
        per_box=column(options.ship_parcel) + column(options.handle_parcel) + problem.objective.split_parcel,
        per_line=column(options.ship_line) + column(options.handle_line),
        per_unit=column(options.ship_unit) + column(options.handle_unit),
        per_kg=column(options.ship_per_kg),
        box_g=np.maximum(column(options.max_weight_g), 1.0),
        dim_divisor=column(options.dim_divisor),
        late_days=column(options.late_days),
        barred=np.where(service >= 0, 0.0, np.inf),
        curve_row=inverse.reshape(service.shape).astype(np.int64),
        breaks=breaks.reshape(-1),
        prices=prices.reshape(-1),
    )
