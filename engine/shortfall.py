"""Why units of a window do not ship: the funnel of the contract over all unfilled lines at once.

Every line is looked at through its *supplies*: the SKU ordered and the substitutes offered. Stock counts where it is:
a node of a dock other than the first reaches the order through the first.
Sizes: U unfilled lines, S their supplies, P the parts of these, K order lines, I SKUs, N nodes, D buckets, H ship days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.decisions import Reason
from engine.lowering import Lowered
from engine.lowering.days import PLENTY
from engine.lowering.rows import able_of
from engine.relaxing import limiting
from engine.taking import Taken
from solvers.problem import Bools, Ints

ELSEWHERE_MAX = 20
"""The most other nodes that one line names, the preferred first."""


@dataclass(frozen=True, slots=True)
class Short:
    """Units of one order line of the window that do not ship.

    `skus`, `days`: SKUs and ship days whose stock or room, if given back, could change the answer.
    """

    line: int
    quantity: int
    reason: Reason
    free: int
    held: int
    safety: int
    elsewhere: tuple[str, ...]
    skus: tuple[int, ...]
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Supplies:
    """The supplies of the unfilled lines, ascending by line, each line's own SKU first.

    `start` int64[U]: the first of each line; `of` int64[S]: the unfilled line; `good` int64[S];
    `parts` int64[S]: the first of each supply's parts; `sku`, `count` int64[P].
    """

    start: Ints
    of: Ints
    good: Ints
    parts: Ints
    sku: Ints
    count: Ints

    def whole(self, stock: Ints) -> Ints:
        """Units of each supply that units of its parts make: int64[P, N] -> int64[S, N]."""
        stock = np.maximum(stock, 0)
        if self.single.all():
            return stock
        made: Ints = np.minimum.reduceat(stock // self.count[:, None], self.parts, axis=0)
        return made

    @property
    def single(self) -> Bools:
        """bool[S]: the supply is one unit of one SKU, and no more."""
        alone = np.diff(self.parts, append=len(self.sku)) == 1
        single: Bools = alone & (self.count[self.parts] == 1)
        return single

    def by_line(self, units: Ints) -> Ints:
        """Units over all nodes and supplies of each line: int64[S, N] -> int64[U]."""
        total: Ints = np.add.reduceat(units.sum(axis=1), self.start)
        return total

    def any_by_line(self, mask: Bools) -> Bools:
        """bool[S, N] -> bool[U]."""
        found: Bools = np.logical_or.reduceat(mask.any(axis=1), self.start)
        return found


def shortfalls(lowered: Lowered, use: Taken) -> list[Short]:
    """Every line that is not filled, in line order, with the stage of the funnel that stopped it."""
    demand, cells = lowered.demand, lowered.cells
    missing = demand.quantity - use.shipped
    short = np.flatnonzero(missing > 0)
    if not len(short):
        return []
    supplies = _supplies(lowered, short)
    order = demand.order[short]
    owner, sku = order[supplies.of], supplies.sku
    eligible = _eligible(lowered, supplies, owner)
    pool = eligible & _carried(lowered, supplies.good, owner)
    part_of = np.repeat(np.arange(len(owner)), np.diff(supplies.parts, append=len(sku)))
    own = use.own(owner[part_of], sku)
    others = use.cells[sku] - own
    left = np.where(pool, supplies.whole(cells.free[sku] - use.cells[sku]), 0)
    spare = np.where(pool, supplies.whole(cells.physical[sku] - own), 0)
    within_room = np.minimum(left, _room(lowered, use, owner))
    punctual = within_room
    if not all(limit.allow_late for limit in lowered.limits):
        punctual = np.minimum(left, _room(lowered, use, owner, _in_time(lowered, supplies.good, owner)))
    wanted = _queued(order, demand.good[short], missing[short])
    first = supplies.start
    stages = np.stack([
        _known(lowered, short),
        supplies.any_by_line(eligible),
        supplies.any_by_line(pool),
        *(supplies.by_line(units) >= wanted for units in (spare, left, within_room, punctual)),
    ])  # fmt: skip
    # The first stage that fails; if none does, it is a limit of the order or the objective that keeps it back.
    stopped = np.where(stages.all(axis=0), len(stages), np.argmin(stages, axis=0)).tolist()
    reasons = limiting(lowered, use, short, [_STAGES[stage] if stage < len(_STAGES) else None for stage in stopped])
    # Where nothing carries it: the nodes that may ship it. Otherwise those in reach, and the rest is elsewhere.
    unreached = np.array([reason is Reason.NO_LANE for reason in reasons])
    basis = np.where(unreached[:, None], eligible[first], pool[first])
    free = supplies.whole(cells.free[sku] - others)[first]
    held = _held(supplies, cells.held[sku] + others, cells.physical[sku], cells.free[sku] - others)[first]
    safety = _safety(supplies, cells.physical[sku], cells.safety[sku])[first]
    told = [np.where(basis, units, 0).sum(axis=1).tolist() for units in (free, held, safety)]
    there = supplies.whole(cells.free[sku] - use.cells[sku])[first] > 0
    elsewhere = _names(~basis & there, lowered.window.network.node_ids)
    days = _days(lowered, np.logical_or.reduceat(left > 0, first), order)
    parts, ends = sku.tolist(), [*supplies.parts[first].tolist(), len(sku)]
    return [
        Short(line, int(missing[line]), reasons[u], told[0][u], told[1][u], told[2][u], elsewhere.get(u, ()),
              tuple(dict.fromkeys(parts[ends[u] : ends[u + 1]])), days.get(u, ()))
        for u, line in enumerate(short.tolist())
    ]  # fmt: skip


_STAGES = (
    Reason.UNKNOWN_SKU, Reason.NO_ELIGIBLE_NODE, Reason.NO_LANE, Reason.OUT_OF_STOCK, Reason.HELD, Reason.CAPACITY,
    Reason.TOO_LATE,
)  # fmt: skip


def _supplies(lowered: Lowered, short: Ints) -> _Supplies:
    goods, rows = lowered.goods, lowered.rows
    mine = np.flatnonzero((rows.source < 0) & np.isin(rows.line, short))
    of = np.searchsorted(short, rows.line[mine])
    good = rows.good[mine]
    parts = [goods.parts_of(each) for each in good.tolist()]
    sizes = np.array([len(each) for each in parts], np.int64)
    return _Supplies(
        start=np.searchsorted(of, np.arange(len(short))),
        of=of,
        good=good,
        parts=np.cumsum(sizes) - sizes,
        sku=np.array([sku for each in parts for sku in each], np.int64),
        count=np.array([units for each in parts for units in each.values()], np.int64),
    )


def _known(lowered: Lowered, short: Ints) -> Bools:
    if not lowered.window.strict_skus:
        return np.ones(len(short), bool)
    return np.array([lowered.goods.known(sku) for sku in lowered.demand.sku[short].tolist()], bool)


def _eligible(lowered: Lowered, supplies: _Supplies, owner: Ints) -> Bools:
    """Nodes whose stock may serve each supply: bool[S, N]."""
    eligible = lowered.places.may[owner]
    able = able_of(lowered.window.network, lowered.goods)
    if able is not None:
        eligible &= able[supplies.good]
    return eligible


def _takes(lowered: Lowered, good: Ints) -> Bools:
    """The services that take one unit of each good, by weight and volume; the last is for pick-up: bool[S, K + 1]."""
    rates, goods = lowered.window.network.rates, lowered.goods
    weight = np.array(goods.weight_g, np.int64)[good][:, None]
    volume = np.array(goods.volume_mm3, np.int64)[good][:, None]
    by_volume = np.where(rates.dim_divisor > 0, -(-volume // np.maximum(rates.dim_divisor, 1)), 0)
    takes = (weight <= rates.max_weight_g) & (np.maximum(weight, by_volume) <= rates.heaviest_g)
    return np.append(takes, np.ones((len(good), 1), bool), axis=1)


def _carried(lowered: Lowered, good: Ints, owner: Ints) -> Bools:
    """Whether anything takes one unit of the supply from the node's dock: bool[S, N]."""
    takes = _takes(lowered, good)[:, :-1]
    fetched = np.array([order.pickup_node is not None for order in lowered.window.orders], bool)
    goes = np.any(lowered.reachable[owner] & takes[:, None, :], axis=2) | fetched[owner][:, None]
    return _from_leader(lowered, goes, owner)


def _from_leader(lowered: Lowered, mask: Bools, owner: Ints) -> Bools:
    """What holds of the nodes that parcels leave from, told of the nodes where the goods are: bool[S, N] both."""
    leader = lowered.places.leader
    return mask if leader is None else np.take_along_axis(mask, np.maximum(leader[owner], 0), axis=1)


def _in_time(lowered: Lowered, good: Ints, owner: Ints) -> Bools:
    """Whether there is a way for the supply that keeps the promise, where the order insists on it: bool[H, S, N].

    By the day and by the node that parcels leave from.
    """
    options, ways = lowered.problem.options, lowered.ways
    mask = np.ones((len(lowered.days.ship), len(good), lowered.problem.nodes), bool)
    insists = np.flatnonzero([not lowered.limits[o].allow_late for o in owner.tolist()])
    takes = _takes(lowered, good[insists])
    for at, s in enumerate(insists.tolist()):
        mine = lowered.problem.options_of(int(owner[s]))
        carried = takes[at][ways.service[mine]]
        mask[:, s] = False
        mask[ways.turn[mine][carried], s, options.node[mine][carried]] = True
    return mask


def _room(lowered: Lowered, use: Taken, owner: Ints, when: Bools | None = None) -> Ints:
    """Units for which the ship days have room left, where the node's parcels leave and where its goods are: [S, N].

    `when` bool[H, S, N]: the days that count at the nodes that parcels leave from; None for all.
    """
    problem, days = lowered.problem, lowered.days
    nodes = np.arange(problem.nodes)
    leader = nodes if lowered.places.leader is None else np.maximum(lowered.places.leader[owner], 0)
    instant, supply = days.of_order[owner][:, None], np.arange(len(owner))[:, None]
    parcels = np.append(problem.bucket_parcels - use.parcels, 1)
    units = np.append(np.minimum(problem.bucket_units - use.units, PLENTY), PLENTY)
    room = np.zeros((len(owner), len(nodes)), np.int64)
    for turn in range(len(days.ship)):
        bucket = days.bucket[turn, instant, leader]
        at = days.source_bucket[days.number[turn, instant, leader], nodes] if len(days.source_bucket) else bucket
        open_then = (days.ship[turn, instant, leader] >= 0) & (parcels[bucket] > 0)
        if when is not None:
            open_then &= when[turn, supply, leader]
        room += np.where(open_then, units[at], 0)
    return room


def _held(supplies: _Supplies, held: Ints, physical: Ints, free: Ints) -> Ints:
    """Units of each supply that other orders hold: of a single SKU all of them, of a kit the whole kits they cost."""
    kits = supplies.whole(physical) - supplies.whole(free)
    return np.where(supplies.single[:, None], held[supplies.parts], kits)


def _safety(supplies: _Supplies, physical: Ints, safety: Ints) -> Ints:
    """Units of each supply that are kept back."""
    kits = supplies.whole(physical + safety) - supplies.whole(physical)
    return np.where(supplies.single[:, None], safety[supplies.parts], kits)


def _queued(order: Ints, good: Ints, missing: Ints) -> Ints:
    """Units that a line and the earlier lines of its order want of its good, in one queue: int64[U]."""
    queued: dict[tuple[int, int], int] = {}
    found = []
    for key, units in zip(zip(order.tolist(), good.tolist(), strict=True), missing.tolist(), strict=True):
        queued[key] = queued.get(key, 0) + units
        found.append(queued[key])
    return np.array(found, np.int64)


def _names(mask: Bools, node_ids: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The first nodes of each row of a mask bool[U, N]; rows without any are absent."""
    found: dict[int, list[str]] = {}
    for u, node in np.argwhere(mask).tolist():
        names = found.setdefault(u, [])
        if len(names) < ELSEWHERE_MAX:
            names.append(node_ids[node])
    return {u: tuple(names) for u, names in found.items()}


def _days(lowered: Lowered, stocked: Bools, order: Ints) -> dict[int, tuple[int, ...]]:
    """The ship days with limited room of the nodes under each row of bool[U, N], ascending; rows without are absent."""
    days, leader = lowered.days, lowered.places.leader
    if not len(days.room_parcels):
        return {}
    found: dict[int, set[int]] = {}
    for u, node in np.argwhere(stocked).tolist():
        o = int(order[u])
        at = (slice(None), int(days.of_order[o]), node if leader is None else int(leader[o, node]))
        there = days.ship[at][days.bucket[at] >= 0].tolist()
        if there:
            found.setdefault(u, set()).update(there)
    return {u: tuple(sorted(which)) for u, which in found.items()}
