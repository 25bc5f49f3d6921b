"""What a plan must keep whatever it costs: one order's limits, groups and alternatives (`problem.Limits`, `Lines`).

The one place that says what each limit means, for whoever builds plans. (The judge says it again, in its own words.)
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.runs import heads, opens, owners
from solvers.solution import Shipment
from solvers.tariff import boxes_of


class Broken(Enum):
    """The limit that a plan breaks."""

    QUANTITY = "quantity"
    """More units of a line than it wants, over its alternatives."""
    GROUP = "group"
    """Some of a group ships, and not all of it in one box."""
    WHOLE_LINES = "split_lines"
    """A line leaves in two shipments."""
    MIN_SPLIT_VALUE = "min_split_value"
    """One of several shipments holds too little."""
    MAX_PARCELS = "max_parcels"
    """Too many boxes."""
    COMPLETE = "ship_complete"
    """Something ships, and not everything."""


def limited(problem: Problem) -> Bools:
    """bool[O]: the order has a limit, a group or alternatives, so that not every set of shipments is a plan of it."""
    limits, lines = problem.limits, problem.lines
    found = (limits.max_parcels < UNLIMITED) | limits.complete | limits.whole_lines | (limits.min_split_value > 0)
    odd = (lines.group >= 0) | ~opens(lines.line)
    owner = owners(lines.start)
    found[owner[odd]] = True
    return found


def broken(problem: Problem, order: int, plan: Sequence[Shipment]) -> Broken | None:
    """The first limit that a plan of the order breaks, None if it keeps them all. Stock and room are not looked at."""
    if not plan:
        return None
    lines, limits, at = problem.lines, problem.limits, problem.lines_of(order)
    head = heads(lines.line[at])
    quantity, group = lines.quantity[at][head], lines.group[at][head]
    units = np.array([np.add.reduceat(shipment.units, head) for shipment in plan])
    shipped = units.sum(axis=0)
    boxes = [_boxes(problem, order, shipment) for shipment in plan]
    if (shipped > quantity).any():
        return Broken.QUANTITY
    for one in np.unique(group[group >= 0]).tolist():
        mine = group == one
        holding = np.flatnonzero(units[:, mine].any(axis=1)).tolist()
        if holding and (len(holding) > 1 or (shipped < quantity)[mine].any() or boxes[holding[0]] > 1):
            return Broken.GROUP
    if limits.whole_lines[order] and ((units > 0).sum(axis=0) > 1).any():
        return Broken.WHOLE_LINES
    least = int(limits.min_split_value[order])
    if least and len(plan) > 1 and min(value_of(problem, order, shipment.units) for shipment in plan) < least:
        return Broken.MIN_SPLIT_VALUE
    if sum(boxes) > limits.max_parcels[order]:
        return Broken.MAX_PARCELS
    if limits.complete[order] and (shipped < quantity).any():
        return Broken.COMPLETE
    return None


def value_of(problem: Problem, order: int, units: Ints) -> int:
    """Mills that goods of an order are worth (`Limits.min_split_value`); units int64[rows]. Never wraps."""
    value, some = problem.lines.value[problem.lines_of(order)], np.flatnonzero(units)
    return sum(mills * count for mills, count in zip(value[some].tolist(), units[some].tolist(), strict=True))


def _boxes(problem: Problem, order: int, shipment: Shipment) -> int:
    """Boxes of a shipment; 0 if it cannot go at all."""
    _, groups = boxes_of(problem, order, *shipment)
    return sum(group.boxes for group in groups) if groups else 0
