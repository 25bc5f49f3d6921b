"""A window's orders, stock and network as the arrays of `solvers.problem`, and what is needed to go back.

The only room, with `lifting`, that knows both ids and indexes: orders by place in the window, lines by place in the
order, items by place in `skus`, nodes by `Network` index, services by `RateBook` index.
Sizes: O orders, L lines, I items, N nodes, K services, J options, D buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.domain import Order, Sku, epoch_ms, mills
from engine.ledger.port import SLOT, Again, Snapshot
from engine.network import Network
from engine.policy import ObjectiveTerms, Policy
from engine.promise import late_days, local_day
from engine.rates import Floats
from solvers.problem import UNLIMITED, Bools, Derived, Ints, Limits, Lines, Mode, Objective, Options, Problem

VOLUME_MAX_MM3 = 2**40
"""The largest volume of one unit that arithmetic sees, about a thousand cubic metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowInput:
    """Everything that deciding one window depends on. `contents`, `idempotency_keys`, `waited_ms` parallel to `orders`.

    `skus`: the distinct SKUs of the window, parallel to `snapshot.rows`. `items`: the catalogue entries known of them;
    an absent one weighs nothing. `as_placed`: dates run from `placed_at` alone, as replay and simulation need it.
    """

    window_id: str
    partition: str = "default"
    orders: tuple[Order, ...]
    contents: tuple[bytes, ...]
    idempotency_keys: tuple[str | None, ...]
    waited_ms: tuple[float, ...]
    skus: tuple[str, ...]
    items: Mapping[str, Sku]
    snapshot: Snapshot
    network: Network
    policy: Policy
    as_placed: bool = False
    again: Again | None = None
    """Of a window that decides one standing order again: the snapshot counts its hold as free."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Stock of the window as the snapshot saw it, int64[I, N]; 0 where a node never stocked the SKU.

    `place`: the cell's slot in its row, -1 for none. `physical`: on_hand - safety - blocked without holds, at least 0.
    """

    place: Ints
    held: Ints
    safety: Ints
    physical: Ints
    free: Ints


@dataclass(frozen=True, slots=True)
class Lowered:
    """A problem and the way back from it.

    `ship_day` int64[O, N]; `bucket` int64[O, N], -1 for no limit; `reachable` bool[O, N, K]: the service goes from
    the node to the order, weight aside; `service`, `transit_days` int64[J].
    """

    window: WindowInput
    problem: Problem
    cells: Cells
    ship_day: Ints
    bucket: Ints
    reachable: Bools
    service: Ints
    transit_days: Ints


@dataclass(frozen=True, slots=True)
class _Ways:
    """The options chosen for a problem, int64[J] each: indexes of order, node, service, and lane or -1."""

    order: Ints
    node: Ints
    service: Ints
    lane: Ints


def lower(window: WindowInput) -> Lowered:
    """The window as a valid problem. Nodes that have nothing of an order free get no options for it."""
    network, orders = window.network, window.orders
    cells = _cells(window)
    lines = _lines(window)
    distance_m = network.distances_m(orders)
    reachable, lanes = network.rates.ways(orders, distance_m)
    has_stock = np.logical_or.reduceat(lines.eligible & (cells.free > 0)[lines.item], lines.start[:-1], axis=0)
    order, node, service = np.nonzero(reachable & has_stock[:, :, None])
    ways = _Ways(order, node, service, np.broadcast_to(lanes, reachable.shape)[order, node, service])
    # Orders of one window mostly share one instant: dates and buckets are worked out once per distinct one.
    instants, of_order = np.unique(_instants(orders, window.snapshot.at_ms, window.as_placed), return_inverse=True)
    days = network.calendars.ship_days(instants)
    buckets, bucket_parcels, bucket_units = _buckets(window, days)
    ship_day, bucket = days[of_order], buckets[of_order]
    options, transit_days = _options(window, ways, distance_m, ship_day, bucket)
    problem = Problem(
        lines=lines,
        options=options,
        curves=network.rates.curves,
        priority=np.array([order.priority for order in orders], np.int64),
        stock=cells.free,
        bucket_parcels=bucket_parcels,
        bucket_units=bucket_units,
        node_rank=np.arange(len(network.node_ids), dtype=np.int64),
        distance_m=_whole_metres(distance_m),
        derived=Derived.none(),
        limits=Limits.none(len(orders)),
        source_bucket=np.zeros((0, len(network.node_ids)), np.int64),
        modes=(Mode(window.policy.mode),) * len(orders),
        objective=objective(window.policy.objective),
    )
    problem.validate()
    return Lowered(window, problem, cells, ship_day, bucket, reachable, service, transit_days)


def days_of(orders: Iterable[Order], network: Network, now_ms: int, as_placed: bool = False) -> set[int]:
    """The days whose load a snapshot must bring: ship days of the nodes with capacity, and the workday after each.

    The day after is there because the ledger's clock may pass a cut-off before the snapshot is taken.
    """
    limited = np.flatnonzero((network.parcels_max >= 0) | (network.units_max >= 0))
    if not len(limited):
        return set()
    instants = np.unique(_instants(tuple(orders), now_ms, as_placed))
    days = {int(day) for day in np.unique(network.calendars.ship_days(instants)[:, limited])}
    following = [network.calendars.next_open(day)[limited] for day in days]
    return days | {int(day) for column in following for day in column}


def objective(terms: ObjectiveTerms) -> Objective:
    """A policy's objective in mills."""
    return Objective(
        fill_always=terms.fill == "always",
        split_parcel=mills(terms.split_parcel),
        late_per_day=mills(terms.late_per_day),
        unfilled_per_unit=mills(terms.unfilled_per_unit),
    )


def _instants(orders: tuple[Order, ...], now_ms: int, as_placed: bool) -> Ints:
    """From when each order's dates run, int64[O]: never before now, except where the past is replayed."""
    placed = [now_ms if order.placed_at is None else epoch_ms(order.placed_at) for order in orders]
    return np.array(placed if as_placed else [max(now_ms, at) for at in placed], np.int64)


def _whole_metres(distance_m: Floats) -> Ints:
    known = np.isfinite(distance_m)
    return np.where(known, np.rint(np.where(known, distance_m, 0.0)), UNLIMITED).astype(np.int64)


def _cells(window: WindowInput) -> Cells:
    """Scatter the packed rows into dense arrays; numbers of nodes that left the network are passed over."""
    network, rows = window.network, window.snapshot.rows
    shape = (len(window.skus), len(network.node_ids))
    lengths = np.array([len(row.slots) for row in rows], np.int64)
    # Joining bytes is several times faster than concatenating a thousand small structured arrays.
    slots = np.frombuffer(b"".join(row.slots.tobytes() for row in rows), SLOT)
    item = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(len(slots)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    number = slots["node"].astype(np.int64)
    known = number < len(network.index_of)
    node = np.where(known, network.index_of[np.where(known, number, 0)], -1)
    here = node >= 0
    at = (item[here], node[here])
    safety = slots["safety"].astype(np.int64)[here]
    safety = np.where(safety < 0, network.safety[at[1]], safety)
    held = slots["held"].astype(np.int64)[here]
    stocked = slots["on_hand"].astype(np.int64)[here] - slots["blocked"].astype(np.int64)[here] - safety

    def dense(values: Ints, fill: int = 0) -> Ints:
        grid = np.full(shape, fill, np.int64)
        grid[at] = values
        return grid

    return Cells(
        place=dense(place[here], -1),
        held=dense(held),
        safety=dense(safety),
        physical=dense(np.maximum(stocked, 0)),
        free=dense(np.maximum(stocked - held, 0)),
    )


def _lines(window: WindowInput) -> Lines:
    orders, eligibility = window.orders, window.network.eligibility
    index = {sku: i for i, sku in enumerate(window.skus)}
    item = np.array([index[line.sku] for order in orders for line in order.lines], np.int64)
    counts = np.array([len(order.lines) for order in orders], np.int64)
    entries = [window.items.get(sku) for sku in window.skus]
    weight_g = np.array([entry.weight_g if entry else 0 for entry in entries], np.int64)
    volume = np.array([min(entry.volume_mm3, VOLUME_MAX_MM3) if entry else 0 for entry in entries], np.int64)
    by_order = np.array([eligibility.of_order(order) for order in orders], bool)
    if window.again is not None:
        by_order &= ~np.isin(np.array(window.network.node_ids), window.again.excluded)
    eligible: Bools = np.repeat(by_order, counts, axis=0)
    needs = {tuple(entry.requires) for entry in entries if entry and entry.requires}
    if needs:
        able = {requires: eligibility.able(requires) for requires in needs}
        everyone = eligibility.able(())
        by_item = np.array([able[tuple(entry.requires)] if entry and entry.requires else everyone for entry in entries])
        eligible &= by_item[item]
    return Lines(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        item=item,
        quantity=np.array([line.quantity for order in orders for line in order.lines], np.int64),
        weight_g=weight_g[item],
        volume_mm3=volume[item],
        eligible=eligible,
        line=np.arange(len(item), dtype=np.int64),
        draw=np.arange(len(item), dtype=np.int64),
        more_line=np.zeros(len(item), np.int64),
        more_unit=np.zeros(len(item), np.int64),
        group=np.full(len(item), -1, np.int64),
        value=np.zeros(len(item), np.int64),
        alone=np.zeros(len(item), np.bool_),
        dated=np.zeros(len(item), np.int64),
    )


def _buckets(window: WindowInput, ship_day: Ints) -> tuple[Ints, Ints, Ints]:
    """The bucket of each instant and node (-1: no limit), and the room left in parcels and units, int64[D].

    `ship_day` int64[instants, N]. A day that the snapshot did not bring counts as empty: the commit judges it again.
    """
    network = window.network
    limited = (network.parcels_max >= 0) | (network.units_max >= 0)
    bucket = np.full(ship_day.shape, -1, np.int64)
    if not limited.any():
        return bucket, np.zeros(0, np.int64), np.zeros(0, np.int64)
    nodes = np.flatnonzero(limited)
    first = int(ship_day.min())
    span = int(ship_day.max()) - first + 1
    keys, index = np.unique(nodes * span + (ship_day[:, nodes] - first), return_inverse=True)
    bucket[:, nodes] = index.reshape(len(ship_day), len(nodes))
    node, day = keys // span, keys % span + first
    used_parcels, used_units = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
    for which in np.unique(day):
        load = window.snapshot.days.get(int(which))
        if load is None:
            continue
        number = network.number_of[node]
        rows = np.flatnonzero((day == which) & (number < len(load.nodes)))
        used_parcels[rows] = load.nodes["parcels"][number[rows]]
        used_units[rows] = load.nodes["units"][number[rows]]
    return bucket, _room(network.parcels_max[node], used_parcels), _room(network.units_max[node], used_units)


def _room(limit: Ints, used: Ints) -> Ints:
    room: Ints = np.where(limit < 0, UNLIMITED, np.maximum(limit - used, 0))
    return room


def _options(
    window: WindowInput, ways: _Ways, distance_m: Floats, ship_day: Ints, bucket: Ints
) -> tuple[Options, Ints]:
    """Price terms, lateness and capacity of each option, and its transit days int64[J]."""
    network, rates = window.network, window.network.rates
    order, node, service, lane = ways.order, ways.node, ways.service, ways.lane
    curve = np.full(len(order), -1, np.int64)
    transit = np.zeros(len(order), np.int64)
    for k, way in enumerate(rates.services):
        if not way.is_lane:
            rows = np.flatnonzero(service == k)
            zone = rates.zone(k, distance_m[order[rows], node[rows]])
            curve[rows] = rates.curve(k, zone)
            transit[rows] = rates.transit_days(k, zone)
    by_lane = np.flatnonzero(lane >= 0)
    terms = {name: np.zeros(len(order), np.int64) for name in ("parcel", "line", "unit", "per_kg")}
    for name, column in terms.items():
        column[by_lane] = getattr(rates.lanes, name)[lane[by_lane]]
    transit[by_lane] = rates.lanes.transit_days[lane[by_lane]]
    counts = np.bincount(order, minlength=len(window.orders))
    options = Options(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        node=node,
        curve=curve,
        ship_parcel=terms["parcel"],
        ship_line=terms["line"],
        ship_unit=terms["unit"],
        ship_per_kg=terms["per_kg"],
        handle_parcel=network.handle_parcel[node],
        handle_line=network.handle_line[node],
        handle_unit=network.handle_unit[node],
        max_weight_g=rates.max_weight_g[service],
        dim_divisor=rates.dim_divisor[service],
        late_days=_late_days(window, ways, ship_day, transit),
        bucket=bucket[order, node],
        day=np.zeros(len(order), np.int64),
    )
    return options, transit


def _late_days(window: WindowInput, ways: _Ways, ship_day: Ints, transit: Ints) -> Ints:
    late = np.zeros(len(ways.order), np.int64)
    due = np.full(len(window.orders), UNLIMITED, np.int64)
    for o, order in enumerate(window.orders):
        if order.deliver_by is not None:
            due[o] = local_day(epoch_ms(order.deliver_by), order.ship_to.timezone or "UTC")
    promised = np.flatnonzero(due[ways.order] < UNLIMITED)
    days = ship_day[ways.order[promised], ways.node[promised]]
    for day in np.unique(days):
        rows = promised[days == day]
        arrival = window.network.calendars.arrivals(int(day))[ways.node[rows], transit[rows]]
        late[rows] = late_days(arrival, due[ways.order[rows]])
    return late
