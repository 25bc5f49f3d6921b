"""Why units of a window do not ship: the funnel of the contract over all unfilled lines at once.

Sizes: U unfilled lines, L lines, I items, N nodes, D buckets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.decisions import Reason
from engine.lowering import Lowered
from solvers.problem import UNLIMITED, Bools, Ints
from solvers.solution import Solution

ELSEWHERE_MAX = 20
"""The most other nodes that one line names, the preferred first."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a solution takes: `by_line` int64[L, N] units; `cells` int64[I, N]; `parcels`, `units` int64[D]."""

    by_line: Ints
    cells: Ints
    parcels: Ints
    units: Ints


@dataclass(frozen=True, slots=True)
class Short:
    """Units of one line that do not ship.

    `days`: ship days whose room, if given back, could change the answer.
    """

    line: int
    quantity: int
    reason: Reason
    free: int
    held: int
    safety: int
    elsewhere: tuple[str, ...]
    days: tuple[int, ...]


def taken(lowered: Lowered, solution: Solution) -> Taken:
    """Add up what the boxes of a solution take."""
    problem, boxes = lowered.problem, solution.boxes
    box_of = np.repeat(np.arange(len(boxes.order)), np.diff(boxes.take_start))
    option = boxes.option[box_of]
    by_line = np.zeros(problem.lines.eligible.shape, np.int64)
    np.add.at(by_line, (boxes.take_line, problem.options.node[option]), boxes.take_units)
    cells = np.zeros(problem.stock.shape, np.int64)
    np.add.at(cells, (problem.lines.item[boxes.take_line], problem.options.node[option]), boxes.take_units)
    parcels = np.zeros(len(problem.bucket_parcels), np.int64)
    units = np.zeros(len(problem.bucket_units), np.int64)
    bucket = problem.options.bucket[boxes.option]
    np.add.at(parcels, bucket[bucket >= 0], 1)
    per_take = bucket[box_of]
    np.add.at(units, per_take[per_take >= 0], boxes.take_units[per_take >= 0])
    return Taken(by_line, cells, parcels, units)


def shortfalls(lowered: Lowered, use: Taken) -> list[Short]:
    """Every line that is not filled, in line order, with the stage of the funnel that stopped it."""
    lines, cells = lowered.problem.lines, lowered.cells
    missing = lines.quantity - use.by_line.sum(axis=1)
    short = np.flatnonzero(missing > 0)
    if not len(short):
        return []
    order = np.searchsorted(lines.start, short, side="right") - 1
    item = lines.item[short]
    eligible: Bools = lines.eligible[short]
    pool = eligible & _carriable(lowered, short, order)
    own = _own(lowered, use, short, order)
    others = use.cells[item] - own
    left = np.where(pool, cells.free[item] - use.cells[item], 0)
    spare = np.where(pool, cells.physical[item] - own, 0)
    within_room, bucket = _within_room(lowered, use, order, left)
    wanted = _queued(order, item, missing[short])
    stages = np.stack([eligible.any(1), pool.any(1), *(units.sum(1) >= wanted for units in (spare, left, within_room))])
    # The first stage that fails; if none does, the last word is the objective's.
    stopped = np.where(stages.all(axis=0), len(stages), np.argmin(stages, axis=0)).tolist()
    last = Reason.UNDECIDED if lowered.problem.objective.fill_always else Reason.UNECONOMIC
    reasons = (*_STAGES, last)
    # Where nothing carries it: the nodes that may ship it. Otherwise those in reach, and the rest is elsewhere.
    unreached = np.array([reasons[stage] is Reason.NO_LANE for stage in stopped])
    basis = np.where(unreached[:, None], eligible, pool)
    free = np.where(basis, np.maximum(cells.free[item] - others, 0), 0).sum(axis=1).tolist()
    held = np.where(basis, cells.held[item] + others, 0).sum(axis=1).tolist()
    safety = np.where(basis, cells.safety[item], 0).sum(axis=1).tolist()
    elsewhere = _names(~basis & (cells.free[item] > use.cells[item]), lowered.window.network.node_ids)
    days = _days((left > 0) & (bucket >= 0), lowered.ship_day[order])
    return [
        Short(
            line=line,
            quantity=int(missing[line]),
            reason=reasons[stopped[u]],
            free=free[u],
            held=held[u],
            safety=safety[u],
            elsewhere=elsewhere.get(u, ()),
            days=days.get(u, ()),
        )
        for u, line in enumerate(short.tolist())
    ]


_STAGES = (Reason.NO_ELIGIBLE_NODE, Reason.NO_LANE, Reason.OUT_OF_STOCK, Reason.HELD, Reason.CAPACITY)


def _queued(order: Ints, item: Ints, missing: Ints) -> Ints:
    """Units that a line and the earlier lines of its order want of its item, in one queue: int64[U]."""
    queued: dict[tuple[int, int], int] = {}
    found = []
    for key, units in zip(zip(order.tolist(), item.tolist(), strict=True), missing.tolist(), strict=True):
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


def _days(mask: Bools, ship_day: Ints) -> dict[int, tuple[int, ...]]:
    """The distinct ship days under each row of a mask bool[U, N], ascending; rows without any are absent."""
    found: dict[int, set[int]] = {}
    for u, node in np.argwhere(mask).tolist():
        found.setdefault(u, set()).add(int(ship_day[u, node]))
    return {u: tuple(sorted(days)) for u, days in found.items()}


def _carriable(lowered: Lowered, short: Ints, order: Ints) -> Bools:
    """Whether any service takes one unit of the line from the node: bool[U, N]."""
    lines, rates = lowered.problem.lines, lowered.window.network.rates
    weight, volume = lines.weight_g[short][:, None], lines.volume_mm3[short][:, None]
    divisor = rates.dim_divisor
    by_volume = np.where(divisor > 0, -(-volume // np.maximum(divisor, 1)), 0)
    takes = (weight <= rates.max_weight_g) & (np.maximum(weight, by_volume) <= rates.heaviest_g)
    result: Bools = np.any(lowered.reachable[order] & takes[:, None, :], axis=2)
    return result


def _own(lowered: Lowered, use: Taken, short: Ints, order: Ints) -> Ints:
    """Units of each line's item that its own order takes, on all its lines: int64[U, N]."""
    lines = lowered.problem.lines
    items, nodes = lowered.problem.stock.shape
    order_of = np.repeat(np.arange(lowered.problem.orders), np.diff(lines.start))
    keys = order_of * items + lines.item
    wanted, of_short = np.unique(order * items + lines.item[short], return_inverse=True)
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    rows = np.flatnonzero(wanted[at] == keys)
    sums = np.zeros((len(wanted), nodes), np.int64)
    np.add.at(sums, at[rows], use.by_line[rows])
    own: Ints = sums[of_short]
    return own


def _within_room(lowered: Lowered, use: Taken, order: Ints, left: Ints) -> tuple[Ints, Ints]:
    """Of the free units left, those the ship date still has room for; and the buckets. int64[U, N] each."""
    problem = lowered.problem
    bucket = lowered.bucket[order]
    if not len(problem.bucket_parcels):
        return left, bucket
    room = np.where(problem.bucket_parcels > use.parcels, problem.bucket_units - use.units, 0)
    return np.minimum(left, np.where(bucket >= 0, room[bucket], UNLIMITED)), bucket
