"""The ways a parcel of each order can go: node, service and ship day, with prices, lateness and capacity.

Sizes: O orders, N nodes, K services, J options.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from engine.domain import epoch_ms
from engine.geography import Distances
from engine.lowering.days import Days
from engine.lowering.question import WindowInput
from engine.promise import late_days, local_day
from solvers.problem import UNLIMITED, Bools, Ints, Options

PICKUP = -1
"""The service of an option that is no service: the customer fetches the order, any weight of it."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The options of a problem as indexes, int64[J] each, in the options' order.

    `service`: row of `RateBook.services`, or PICKUP. `lane`: row of its lanes, -1 for none; `curve`: row of the price
    curves, -1 for none. `turn`: row of `Days.ship`. `transit_days`: workdays under way.
    """

    order: Ints
    node: Ints
    service: Ints
    lane: Ints
    curve: Ints
    turn: Ints
    transit_days: Ints
    late_days: Ints

    def at(self, rows: Ints) -> Ways:
        """Some of them."""
        return Ways(*(getattr(self, field.name)[rows] for field in fields(self)))


def ways_of(
    window: WindowInput, reachable: Bools, lanes: Ints, supplied: Bools, distances: Distances, days: Days, demand: Ints
) -> Ways:
    """Every way to go, one for each ship day worth offering.

    `reachable` bool[O, N, K] and `lanes` as of `RateBook.ways`; `supplied` bool[O, N]: the node has something for the
    order; `demand` int64[O]: its units.
    """
    # Few of all pairs: only these are looked at service by service.
    order, node = np.divmod(np.flatnonzero(supplied), supplied.shape[1])
    pair, service = np.nonzero(reachable[order, node])
    order, node = order[pair], node[pair]
    lane = np.broadcast_to(lanes, reachable.shape)[order, node, service]
    pickups = [o for o, each in enumerate(window.orders) if each.pickup_node is not None]
    if pickups:
        at, fetched = np.nonzero(supplied[pickups])
        fetching = np.array(pickups, np.int64)[at]
        nothing = np.full(len(fetching), -1, np.int64)
        order, node = np.append(order, fetching), np.append(node, fetched)
        service, lane = np.append(service, nothing), np.append(lane, nothing)
        sequence = np.argsort(order, kind="stable")
        order, node, service, lane = order[sequence], node[sequence], service[sequence], lane[sequence]
    curve, transit = _carried(window, order, node, service, lane, distances)
    if len(days.ship) == 1:
        turn = np.zeros(len(order), np.int64)
    else:
        offered = days.offered(_wanted(order, node, demand, reachable.shape[1]))
        row, turn = np.nonzero(offered[:, days.of_order[order], node].T)
        order, node, service, lane, curve, transit = (
            column[row] for column in (order, node, service, lane, curve, transit)
        )
    late = _late_days(window, order, node, turn, transit, days)
    return Ways(order, node, service, lane, curve, turn, transit, late)


def _wanted(order: Ints, node: Ints, demand: Ints, nodes: int) -> Ints:
    """int64[N]: units that the orders with an option at each node want."""
    pairs = np.unique(order * nodes + node)
    wanted = np.zeros(nodes, np.int64)
    np.add.at(wanted, pairs % nodes, demand[pairs // nodes])
    return wanted


def _carried(
    window: WindowInput, order: Ints, node: Ints, service: Ints, lane: Ints, distances: Distances
) -> tuple[Ints, Ints]:
    """The row of the price curves (-1: none) and the workdays under way of each way, int64[J]."""
    rates = window.network.rates
    curve, transit = np.full(len(order), -1, np.int64), np.zeros(len(order), np.int64)
    for k, way in enumerate(rates.services):
        if not way.is_lane:
            rows = np.flatnonzero(service == k)
            zone = rates.zone(k, window.orders, order[rows], node[rows], distances)
            curve[rows] = rates.curve(k, zone)
            transit[rows] = rates.transit_days(k, zone)
    by_lane = np.flatnonzero(lane >= 0)
    transit[by_lane] = rates.lanes.transit_days[lane[by_lane]]
    return curve, transit


def _late_days(window: WindowInput, order: Ints, node: Ints, turn: Ints, transit: Ints, days: Days) -> Ints:
    late = np.zeros(len(order), np.int64)
    due = np.full(len(window.orders), UNLIMITED, np.int64)
    for o, each in enumerate(window.orders):
        if each.deliver_by is not None:
            due[o] = local_day(epoch_ms(each.deliver_by), each.ship_to.timezone or "UTC")
    promised = np.flatnonzero(due[order] < UNLIMITED)
    ship_day = days.ship_day(turn[promised], order[promised], node[promised])
    for day in np.unique(ship_day):
        rows = promised[ship_day == day]
        arrival = window.network.calendars.arrivals(int(day))[node[rows], transit[rows]]
        late[rows] = late_days(arrival, due[order[rows]])
    return late


def priced(window: WindowInput, ways: Ways, days: Days) -> Options:
    """Price terms, lateness and capacity of each way."""
    network, rates = window.network, window.network.rates
    order, node, service = ways.order, ways.node, ways.service
    by_lane = np.flatnonzero(ways.lane >= 0)
    terms = {name: np.zeros(len(order), np.int64) for name in ("parcel", "line", "unit", "per_kg")}
    for name, column in terms.items():
        column[by_lane] = getattr(rates.lanes, name)[ways.lane[by_lane]]
    counts = np.bincount(order, minlength=len(window.orders))
    at = (ways.turn, days.of_order[order], node)
    return Options(
        start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        node=node,
        curve=ways.curve,
        ship_parcel=terms["parcel"],
        ship_line=terms["line"],
        ship_unit=terms["unit"],
        ship_per_kg=terms["per_kg"],
        handle_parcel=network.handle_parcel[node],
        handle_line=network.handle_line[node],
        handle_unit=network.handle_unit[node],
        max_weight_g=np.append(rates.max_weight_g, UNLIMITED)[service],
        dim_divisor=np.append(rates.dim_divisor, 0)[service],
        late_days=ways.late_days,
        bucket=days.bucket[at] if len(days.room_parcels) else np.full(len(order), -1, np.int64),
        day=days.number[at] if len(days.source_bucket) else np.zeros(len(order), np.int64),
    )
