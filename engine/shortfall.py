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
    lines = lowered.problem.lines
    missing = lines.quantity - use.by_line.sum(axis=1)
    short = np.flatnonzero(missing > 0)
    if not len(short):
        return []
    order = np.searchsorted(lines.start, short, side="right") - 1
    eligible: Bools = lines.eligible[short]
    pool = eligible & _carriable(lowered, short, order)
    item = lines.item[short]
    own = _own(lowered, use, short, order)
    others = use.cells[item] - own
    cells = lowered.cells
    free = np.maximum(cells.free[item] - others, 0)
    left = np.where(pool, cells.free[item] - use.cells[item], 0)
    spare = np.where(pool, cells.physical[item] - own, 0)
    open_left, bucket = _within_room(lowered, use, order, left)
    found = []
    earlier: dict[tuple[int, int], int] = {}
    for u, line in enumerate(short.tolist()):
        # Lines of one order that want the same item wait behind each other.
        queue = (int(order[u]), int(item[u]))
        wanted = earlier[queue] = earlier.get(queue, 0) + int(missing[line])
        reason = _reason(lowered, eligible[u], pool[u], (spare[u], left[u], open_left[u]), wanted)
        limited = (left[u] > 0) & (bucket[u] >= 0)
        elsewhere = np.flatnonzero(~pool[u] & (cells.free[item[u]] > use.cells[item[u]]))[:ELSEWHERE_MAX]
        found.append(
            Short(
                line=line,
                quantity=int(missing[line]),
                reason=reason,
                free=int(free[u][eligible[u]].sum()),
                held=int((cells.held[item[u]] + others[u])[eligible[u]].sum()),
                safety=int(cells.safety[item[u]][eligible[u]].sum()),
                elsewhere=tuple(lowered.window.network.node_ids[n] for n in elsewhere),
                days=tuple(np.unique(lowered.ship_day[order[u]][limited]).tolist()),
            )
        )
    return found


def _reason(lowered: Lowered, eligible: Bools, pool: Bools, stages: tuple[Ints, Ints, Ints], wanted: int) -> Reason:
    """The first stage that leaves too little; `stages`: units spare without holds, left free, left within room."""
    if not eligible.any():
        return Reason.NO_ELIGIBLE_NODE
    if not pool.any():
        return Reason.NO_LANE
    for stage, reason in zip(stages, (Reason.OUT_OF_STOCK, Reason.HELD, Reason.CAPACITY), strict=True):
        if int(stage.sum()) < wanted:
            return reason
    return Reason.UNDECIDED if lowered.problem.objective.fill_always else Reason.UNECONOMIC


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
    own = np.zeros((len(short), use.by_line.shape[1]), np.int64)
    for u, line in enumerate(short.tolist()):
        rows = slice(int(lines.start[order[u]]), int(lines.start[order[u] + 1]))
        own[u] = use.by_line[rows][lines.item[rows] == lines.item[line]].sum(axis=0)
    return own


def _within_room(lowered: Lowered, use: Taken, order: Ints, left: Ints) -> tuple[Ints, Ints]:
    """Of the free units left, those the ship date still has room for; and the buckets. int64[U, N] each."""
    problem = lowered.problem
    bucket = lowered.bucket[order]
    if not len(problem.bucket_parcels):
        return left, bucket
    room = np.where(problem.bucket_parcels > use.parcels, problem.bucket_units - use.units, 0)
    return np.minimum(left, np.where(bucket >= 0, room[bucket], UNLIMITED)), bucket
