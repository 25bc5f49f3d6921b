"""When each node would ship, and what room it has then.

A node with a capacity may offer several days: the first, and the workdays after it within the policy's horizon.
Sizes: O orders, U distinct instants, N nodes, H days offered at most, D buckets, T ship days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine.domain import Order, epoch_ms
from engine.lowering.question import WindowInput
from engine.network import Network
from solvers.problem import UNLIMITED, Bools, Ints

PLENTY = 2**40
"""Room that no window can use up, small enough to be added up."""


@dataclass(frozen=True, slots=True)
class Days:
    """`of_order` int64[O]: the instant from which the order's dates run. Orders of one window mostly share one.

    `ship` int64[H, U, N]: the ship days, ascending, -1 for none; the first is always there.
    `bucket` int64[H, U, N]: rows of the capacity arrays, -1 for no limit.
    `room_parcels`, `room_units` int64[D]; `least` int64[D]: the least room there, or at any node of its dock.
    `load` int64[D]: thousandths of the node's capacity already used.
    `number` int64[H, U, N]: row of `source_bucket` int64[T, N]; without docks zeros, and no rows.
    """

    of_order: Ints
    ship: Ints
    bucket: Ints
    room_parcels: Ints
    room_units: Ints
    least: Ints
    load: Ints
    number: Ints
    source_bucket: Ints

    def ship_day(self, turn: Ints, order: Ints, node: Ints) -> Ints:
        """The days of some options. Elementwise."""
        days: Ints = self.ship[turn, self.of_order[order], node]
        return days

    def offered(self, wanted: Ints) -> Bools:
        """bool[H, U, N]: the days worth offering: as long as those before have less room than int64[N] `wanted`."""
        room = np.append(np.minimum(self.least, PLENTY), PLENTY)[self.bucket]
        offered = self.ship >= 0
        offered[1:] &= np.cumsum(room, axis=0)[:-1] < wanted
        return offered


def days_of(
    orders: Iterable[Order], network: Network, now_ms: int, as_placed: bool = False, horizon: int = 0
) -> set[int]:
    """The days whose load a snapshot must bring: all ship days of the nodes with capacity, and the workday after each.

    The day after is there because the ledger's clock may pass a cut-off before the snapshot is taken.
    """
    limited = np.flatnonzero(_limited(network))
    if not len(limited):
        return set()
    instants = np.unique(_instants(tuple(orders), now_ms, as_placed))
    first = network.calendars.ship_days(instants)
    days = {int(day) for day in np.unique(_ahead(network, first, horizon)[:, :, limited])} - {-1}
    following = [network.calendars.next_open(day)[limited] for day in days]
    return days | {int(day) for column in following for day in column}


def days_offered(window: WindowInput, horizon: int) -> Days:
    """The ship days of a window's orders at every node."""
    network = window.network
    at = _instants(window.orders, window.snapshot.at_ms, window.as_placed)
    instants, of_order = np.unique(at, return_inverse=True)
    limited = _limited(network)
    first = network.calendars.ship_days(instants)
    if horizon and limited.any():
        ship = _ahead(network, first, horizon)
        ship[1:, :, ~limited] = -1
    else:
        ship = first[None]
    if not limited.any():
        none = np.zeros(0, np.int64)
        bucket, number = np.full(ship.shape, -1, np.int64), np.zeros(ship.shape, np.int64)
        nowhere = np.full((1 if network.docks else 0, limited.size), -1, np.int64)
        return Days(of_order, ship, bucket, none, none, none, none, number, nowhere)
    if network.docks:
        distinct, number = np.unique(ship, return_inverse=True)
        number = number.reshape(ship.shape)
        source_bucket = np.full((len(distinct), limited.size), -1, np.int64)
        source_bucket[:, limited] = np.arange(len(distinct) * int(limited.sum())).reshape(len(distinct), -1)
        bucket = np.where(ship >= 0, source_bucket[number, np.arange(limited.size)], -1)
        day, node = np.nonzero(source_bucket >= 0)
        parcels, units, used = _room(window, node, distinct[day])
        least = np.minimum(parcels, units)
        for members in network.docks:
            together = source_bucket[:, members[limited[members]]]
            least[together] = least[together].min(axis=1, initial=UNLIMITED)[:, None]
    else:
        number, source_bucket = np.zeros(ship.shape, np.int64), np.zeros((0, limited.size), np.int64)
        nodes = np.flatnonzero(limited)
        low, span = int(first.min()), int(ship.max()) - int(first.min()) + 1
        there = ship[:, :, nodes] >= 0
        keys = (nodes * span + ship[:, :, nodes] - low)[there]
        distinct, index = np.unique(keys, return_inverse=True)
        bucket = np.full(ship.shape, -1, np.int64)
        within = np.full(there.shape, -1, np.int64)
        within[there] = index
        bucket[:, :, nodes] = within
        parcels, units, used = _room(window, distinct // span, distinct % span + low)
        least = np.minimum(parcels, units)
    return Days(of_order, ship, bucket, parcels, units, least, used, number, source_bucket)


def _limited(network: Network) -> Bools:
    """The nodes with a capacity, and those that leave from one dock with them."""
    limited: Bools = (network.parcels_max >= 0) | (network.units_max >= 0)
    for members in network.docks:
        limited[members] |= limited[members].any()
    return limited


def _ahead(network: Network, first: Ints, horizon: int) -> Ints:
    """The first days int64[U, N] and the workdays of the horizon after each: int64[H, U, N], -1 beyond."""
    if not horizon:
        return first[None]
    return np.stack([network.calendars.open_days(days, horizon) for days in first], axis=1)


def _instants(orders: tuple[Order, ...], now_ms: int, as_placed: bool) -> Ints:
    """From when each order's dates run, int64[O]: never before now, except where the past is replayed."""
    placed = [now_ms if order.placed_at is None else epoch_ms(order.placed_at) for order in orders]
    return np.array(placed if as_placed else [max(now_ms, at) for at in placed], np.int64)


def _room(window: WindowInput, node: Ints, day: Ints) -> tuple[Ints, Ints, Ints]:
    """The room left in parcels and in units, and the load in thousandths, of (node, day) pairs: int64[D] each.

    A day that the snapshot did not bring counts as empty: the commit judges it again.
    """
    network = window.network
    parcels, units = np.zeros(len(node), np.int64), np.zeros(len(node), np.int64)
    for which in np.unique(day):
        load = window.snapshot.days.get(int(which))
        if load is None:
            continue
        number = network.number_of[node]
        rows = np.flatnonzero((day == which) & (number < len(load.nodes)))
        parcels[rows] = load.nodes["parcels"][number[rows]]
        units[rows] = load.nodes["units"][number[rows]]
    parcels_max, units_max = network.parcels_max[node], network.units_max[node]
    used = np.maximum(_share(parcels, parcels_max), _share(units, units_max))
    return _left(parcels_max, parcels), _left(units_max, units), used


def _left(limit: Ints, used: Ints) -> Ints:
    room: Ints = np.where(limit < 0, UNLIMITED, np.maximum(limit - used, 0))
    return room


def _share(used: Ints, limit: Ints) -> Ints:
    """Thousandths of a limit that are used, at most 1000; 0 where there is none."""
    share: Ints = np.where(limit < 0, 0, np.minimum(used * 1000 // np.maximum(limit, 1), 1000))
    return share
