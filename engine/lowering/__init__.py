"""A window's orders, stock and network as the arrays of `solvers.problem`, and what is needed to go back.

The only place, with `lifting`, that knows both ids and indexes: orders by place in the window, lines by place in the
window, SKUs by place in `WindowInput.skus`, nodes by `Network` index, services by `RateBook` index.

question   what goes in
goods      SKUs, kits and substitutes      cells     the stock of the snapshot
places     which nodes may serve whom      docks     what is drawn from along a dock
rows       the ways to supply each line    options   the ways a parcel can go
days       ship days and the room on them   dues   what stock to come in covers
prices     what stock and room are worth to orders to come
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.domain import Limits as OrderLimits
from engine.domain import mills
from engine.geography import Distances
from engine.lowering.cells import Cells, cells_of
from engine.lowering.days import Days, days_of, days_offered
from engine.lowering.dues import Dues, dues_of
from engine.lowering.goods import Goods, touched
from engine.lowering.options import PICKUP, Ways, priced, ways_of
from engine.lowering.places import Places, places_of
from engine.lowering.prices import Prices, prices_of
from engine.lowering.question import WindowInput
from engine.lowering.rows import Demand, Rows, demand_of, lines_of, own_supplies, values_of, with_substitutes
from engine.policy import ObjectiveTerms
from engine.policy.document import thousandths
from engine.policy.steering import NO_LIMITS, Steering, steer
from solvers.problem import UNLIMITED, Bools, Guide, Ints, Limits, Lines, Mode, Objective, Problem

__all__ = ["PICKUP", "Lowered", "WindowInput", "days_of", "lower", "objective", "touched"]


@dataclass(frozen=True, slots=True)
class Lowered:
    """A problem and the way back from it.

    `limits`: what each order must keep. `reachable` bool[O, N, K]: the service goes from the node to the order, weight
    aside (a pick-up needs none). `dues`: what is to come in for missing units, by order line.
    """

    window: WindowInput
    problem: Problem
    limits: tuple[OrderLimits, ...]
    goods: Goods
    cells: Cells
    places: Places
    days: Days
    demand: Demand
    rows: Rows
    ways: Ways
    reachable: Bools
    dues: Mapping[int, Dues]

    @property
    def priced_by(self) -> int:
        """Version of the price sheet that bears on the choice; 0 where none does."""
        sheet, guide = self.window.prices, self.problem.guide
        return sheet.version if sheet is not None and guide is not None and guide.prices else 0

    def grouped(self, order: int) -> bool:
        """Whether some lines of an order go together or not at all."""
        return any(line.group is not None for line in self.window.orders[order].lines)

    def ship_day(self, option: Ints) -> Ints:
        """The ship days of some options."""
        ways = self.ways
        return self.days.ship_day(ways.turn[option], ways.order[option], ways.node[option])


def lower(window: WindowInput) -> Lowered:
    """The window as a valid problem. Nodes that have nothing of an order free get no options for it."""
    network, orders = window.network, window.orders
    steering = steer(window.policy, orders, network, window.items)
    limits = steering.limits
    goods = Goods(window)
    cells = cells_of(window)
    places = places_of(window, steering.allowed)
    demand = demand_of(window, goods)
    distances = network.distances(orders)
    reachable, lanes = network.rates.ways(orders, distances)
    reachable = _without_pickups(window, reachable)
    supplies = own_supplies(demand)
    if any(limit.allow_substitutes for limit in limits):
        within = _within(window, places, reachable)
        supplies = with_substitutes(window, goods, cells, demand, supplies, limits, within)
    by_rule = any(mode is not Mode.OPTIMISE for mode in steering.modes)
    rows, lines, derived, stock = lines_of(window, goods, cells, places, demand, supplies, by_rule)
    limit_arrays = _limits(limits)
    if limit_arrays.min_split_value.any():
        lines = replace(lines, value=values_of(window, limits)[rows.line])
    dues: dict[int, Dues] = {}
    if window.snapshot.expected:
        dues = dues_of(window, goods, cells, _within(window, places, reachable), limits)
        dated = np.array([sum(due.units for due in dues.get(k, ())) for k in range(len(demand.sku))], np.int64)
        lines = replace(lines, dated=dated[rows.line])
    supplied = _supplied(lines, stock)
    days = days_offered(window, window.policy.capacity_horizon_days)
    wanted = np.add.reduceat(demand.quantity, demand.start[:-1])
    ways = _in_time(ways_of(window, reachable, lanes, supplied, distances, days, wanted), limits)
    problem = Problem(
        lines=lines,
        options=priced(window, ways, days),
        curves=network.rates.curves,
        priority=_priority(window),
        stock=stock,
        bucket_parcels=days.room_parcels,
        bucket_units=days.room_units,
        node_rank=np.arange(len(network.node_ids), dtype=np.int64),
        distance_m=_metres(distances, steering.modes),
        derived=derived,
        limits=limit_arrays,
        source_bucket=days.source_bucket,
        modes=steering.modes,
        objective=objective(window.policy.objective),
        guide=_guide(window.policy.objective, steering, ways, days, prices_of(window, days, stock)),
    )
    problem.validate()
    return Lowered(window, problem, limits, goods, cells, places, days, demand, rows, ways, reachable, dues)


def _supplied(lines: Lines, stock: Ints) -> Bools:
    """bool[O, N]: the node has something for the order."""
    # Several times faster than to look for pairs.
    row, node = np.divmod(np.flatnonzero(lines.eligible & (stock > 0)[lines.item]), stock.shape[1])
    supplied = np.zeros((len(lines.start) - 1, stock.shape[1]), bool)
    supplied[np.searchsorted(lines.start, row, side="right") - 1, node] = True
    return supplied


def _priority(window: WindowInput) -> Ints:
    """int64[O], higher is served first."""
    if window.in_turn:
        return np.arange(len(window.orders), 0, -1, dtype=np.int64)
    return np.array([order.priority for order in window.orders], np.int64)


def _without_pickups(window: WindowInput, reachable: Bools) -> Bools:
    """No service carries what the customer fetches."""
    fetched = [order.pickup_node is not None for order in window.orders]
    if any(fetched):
        reachable[fetched] = False
    return reachable


def _within(window: WindowInput, places: Places, reachable: Bools) -> Bools:
    """bool[O, N]: nodes whose stock may serve the order and leave for it from their own dock."""
    fetched = np.array([order.pickup_node is not None for order in window.orders], bool)
    goes: Bools = reachable.any(axis=2) | fetched[:, None]
    if places.leader is not None:
        goes = np.take_along_axis(goes, np.maximum(places.leader, 0), axis=1)
    return goes & places.may


def _in_time(ways: Ways, limits: tuple[OrderLimits, ...]) -> Ways:
    """Without those that would bring an order late which must not be."""
    punctual = np.array([not limit.allow_late for limit in limits], bool)
    if not punctual.any():
        return ways
    return ways.at(np.flatnonzero(~(punctual[ways.order] & (ways.late_days > 0))))


def _limits(limits: tuple[OrderLimits, ...]) -> Limits:
    """What a plan must keep, as arrays."""
    arrays = Limits.none(len(limits))
    if limits[0] == NO_LIMITS and all(limit is limits[0] for limit in limits):
        return arrays  # as a policy without limits says of orders without them
    for o, limit in enumerate(limits):
        arrays.max_parcels[o] = UNLIMITED if limit.max_parcels is None else limit.max_parcels
        arrays.complete[o] = limit.ship_complete
        arrays.whole_lines[o] = not limit.split_lines
        arrays.min_split_value[o] = 0 if limit.min_split_value is None else mills(limit.min_split_value)
    return arrays


def objective(terms: ObjectiveTerms) -> Objective:
    """A policy's objective in mills."""
    return Objective(
        fill_always=terms.fill == "always",
        split_parcel=mills(terms.split_parcel),
        late_per_day=mills(terms.late_per_day),
        unfilled_per_unit=mills(terms.unfilled_per_unit),
    )


def _guide(terms: ObjectiveTerms, steering: Steering, ways: Ways, days: Days, prices: Prices) -> Guide | None:
    """What steers the choice beside costs; None where nothing does.

    Balance is in proportion to the part of the node's capacity that the ship day has used already.
    """
    shipping, handling, balance = thousandths(terms.shipping), thousandths(terms.handling), mills(terms.balance)
    money = steering.money.any()
    if shipping == handling == 1000 and not balance and not money and not prices.any:
        return None
    nothing = np.zeros(len(ways.order), np.int64)
    used = np.append(days.load, 0)[days.bucket[ways.turn, days.of_order[ways.order], ways.node]]
    return Guide(
        shipping,
        handling,
        rules=steering.money[ways.order, ways.node] if money else nothing,
        balance=balance * used // 1000,
        stock=prices.stock,
        room=prices.room,
        prices_refuse=terms.stock_price_refuses,
    )


def _metres(distances: Distances, modes: tuple[Mode, ...]) -> Ints:
    """int64[O, N]; all UNLIMITED where no order is routed by distance."""
    if Mode.NEAREST not in modes:
        return np.broadcast_to(np.int64(UNLIMITED), (len(distances.lat_to), len(distances.lat_from)))
    distance_m = distances.every()
    known = np.isfinite(distance_m)
    return np.where(known, np.rint(np.where(known, distance_m, 0.0)), UNLIMITED).astype(np.int64)
