"""What a solver answers, and the only judge of it.

A *plan* is how one order ships: a list of shipments, each an option with units per line of that order.
A shipment leaves in one box, or in several where it is over the option's weight limit (see `packing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from solvers.judge import faults
from solvers.problem import Bools, Ints, Problem
from solvers.tariff import BEYOND, Contents, box_handling, box_shipping, boxes_of, tolls


class Shipment(NamedTuple):
    """Units of one order that leave by one option. `units` int64[lines of the order], in line order, not all zero."""

    option: int
    units: Ints


Plan = Sequence[Shipment]
"""All shipments of one order; empty when nothing ships."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Every physical parcel of the window, ascending by (order, option, packing order).

    int64[P]: order, option, weight_g, shipping and handling (mills). Contents of box p are
    `take_start[p]:take_start[p + 1]` of `take_line` (window line index, ascending) and `take_units`.
    """

    order: Ints
    option: Ints
    weight_g: Ints
    shipping: Ints
    handling: Ints
    take_start: Ints
    take_line: Ints
    take_units: Ints


@dataclass(frozen=True, slots=True)
class Costs:
    """The exact cost of every order by term, in mills, int64[O]; `total` is the sum of the other five."""

    shipping: Ints
    handling: Ints
    split: Ints
    late: Ints
    unfilled: Ints
    total: Ints


@dataclass(frozen=True, slots=True)
class Solution:
    """One window decided.

    `guided_total`: what the choice went by, mills of the whole window: `total` with the weights and money of the guide
    (rounded up), or just `total`. `bound`: no solution that fills as many units by priority has less of it; None if
    unproven.
    `work` counts the solver's own steps (never seconds); `cut` says that the budget ended the search.
    """

    plans: tuple[tuple[Shipment, ...], ...]
    boxes: Boxes
    costs: Costs
    solver: str
    work: int
    guided_total: int
    bound: int | None
    cut: bool

    @property
    def total(self) -> int:
        """Cost of the whole window in mills."""
        return int(self.costs.total.sum())

    @property
    def gap(self) -> float | None:
        """Proven distance from the optimum as a fraction of `guided_total`; None if no bound is known."""
        if self.bound is None:
            return None
        return max(0.0, (self.guided_total - self.bound) / max(1, self.guided_total))


class Violation(NamedTuple):
    """One way in which a solution breaks its problem."""

    rule: str
    detail: str


def settle(
    problem: Problem,
    plans: Sequence[Plan],
    *,
    solver: str,
    work: int,
    bound: int | None,
    cut: bool,
    guided_total: int | None = None,
) -> Solution:
    """Pack and price the plans of all orders. Raises ValueError if a shipment cannot go by its option.

    `guided_total`: None for the total itself.
    """
    ordered = tuple(
        tuple(plan) if len(plan) < 2 else tuple(sorted(plan, key=lambda shipment: shipment.option)) for plan in plans
    )
    boxes = _boxes(problem, ordered)
    costs = _costs(problem, boxes)
    goal = int(costs.total.sum()) if guided_total is None else guided_total
    return Solution(ordered, boxes, costs, solver, work, goal, bound, cut)


class Flat(NamedTuple):
    """Shipments of plans: `owner` (place among the plans) and `option` of each; of shipment `of` leave `units` of
    `row` of `Lines`, rows ascending."""

    owner: Ints
    option: Ints
    of: Ints
    row: Ints
    units: Ints


def flat(problem: Problem, orders: Sequence[int], plans: Sequence[Plan]) -> Flat:
    """All shipments of the plans of some orders, one after another."""
    shipments = [shipment for plan in plans for shipment in plan]
    owner = np.repeat(np.arange(len(plans)), [len(plan) for plan in plans])
    option = np.array([option for option, _ in shipments], np.int64)
    every = [units for _, units in shipments]
    units = np.concatenate([np.zeros(0, np.int64), *every])
    size = np.array(list(map(len, every)), np.int64)
    of = np.repeat(np.arange(len(every)), size)
    start = problem.lines.start[np.array(orders, np.int64)[owner]]
    some = np.flatnonzero(units)
    at = of[some]
    return Flat(owner, option, at, some + (start - (np.cumsum(size) - size))[at], units[some])


def in_one_box(problem: Problem, every: Flat) -> Bools:
    """bool[shipments]: clearly one box; others have to be packed to see."""
    count, lines = len(every.option), problem.lines
    # In floating point only to see what is clearly light.
    grams = np.bincount(every.of, every.units.astype(np.float64) * lines.weight_g[every.row], count)
    light: Bools = grams * (1 + 1e-9) < problem.options.max_weight_g[every.option]
    alone = lines.alone[every.row]
    if alone.any():
        light &= np.bincount(every.of, alone, count) == 0
    return light


def _boxes(problem: Problem, plans: Sequence[Plan]) -> Boxes:
    every = flat(problem, range(len(plans)), plans)
    light = in_one_box(problem, every)
    at = light[every.of]
    ship, box, row, taken = [every.of[at]], [np.zeros(int(at.sum()), np.int64)], [every.row[at]], [every.units[at]]
    shipments = [shipment for plan in plans for shipment in plan]
    for heavy in np.flatnonzero(~light).tolist():
        option, units = shipments[heavy]
        rows, groups = boxes_of(problem, int(every.owner[heavy]), option, units)
        if groups is None:
            raise ValueError(f"option {option} cannot carry its shipment")
        first = 0
        for group in groups:
            inside = np.flatnonzero(group.units)
            ship.append(np.full(group.boxes * len(inside), heavy))
            box.append(np.repeat(first + np.arange(group.boxes), len(inside)))
            row.append(np.tile(rows[inside], group.boxes))
            taken.append(np.tile(np.array(group.units, np.int64)[inside], group.boxes))
            first += group.boxes
    ships, number, line, units = (np.concatenate(part) for part in (ship, box, row, taken))
    rank = np.lexsort((line, number, ships))
    ships, number, line, units = ships[rank], number[rank], line[rank], units[rank]
    head = np.flatnonzero((np.diff(ships, prepend=-1) != 0) | (np.diff(number, prepend=-1) != 0))
    start = np.append(head, len(line))
    options, owners = every.option[ships[head]], every.owner[ships[head]]
    weight = _sums(units * problem.lines.weight_g[line], start)
    volume = _sums(units * problem.lines.volume_mm3[line], start)
    lines, draws, more = _counts(problem, options, line, units, start)
    contents = Contents(weight, volume, lines, draws, _sums(units, start), more)
    shipping, handling = box_shipping(problem, options, contents), box_handling(problem, options, contents)
    if (shipping + handling >= BEYOND).any():
        raise ValueError("a box cannot be carried by its option")
    return Boxes(owners, options, weight, shipping, handling, start, line, units)


def _counts(problem: Problem, option: Ints, row: Ints, units: Ints, start: Ints) -> tuple[Ints, Ints, Ints]:
    """(lines, draws, mills more of handling) of each box; rows ascend within a box, and so do lines and draws."""
    lines = problem.lines
    opens = np.zeros(len(row), np.bool_)
    opens[start[:-1]] = True
    new_line = opens | (np.diff(lines.line[row], prepend=-1) != 0)
    new_draw = opens | (np.diff(lines.draw[row], prepend=-1) != 0)
    more = lines.more_unit[row] * units + np.where(new_draw, lines.more_line[row], 0)
    if problem.toll is not None:
        more = more + tolls(problem, row, np.repeat(option, np.diff(start))) * units
    return _sums(new_line.astype(np.int64), start), _sums(new_draw.astype(np.int64), start), _sums(more, start)


def _sums(values: Ints, start: Ints) -> Ints:
    """Sum of each run `values[start[p]:start[p + 1]]`; no run is empty."""
    if len(start) == 1:
        return np.zeros(0, np.int64)
    return np.add.reduceat(values, start[:-1])


def _costs(problem: Problem, boxes: Boxes) -> Costs:
    objective, count = problem.objective, problem.orders
    shipping, handling, late = (np.zeros(count, np.int64) for _ in range(3))
    np.add.at(shipping, boxes.order, boxes.shipping)
    np.add.at(handling, boxes.order, boxes.handling)
    np.maximum.at(late, boxes.order, problem.options.late_days[boxes.option])
    parcels = np.bincount(boxes.order, minlength=count)
    split = objective.split_parcel * np.maximum(parcels - 1, 0)
    late = objective.late_per_day * late
    unfilled = objective.unfilled_per_unit * _missing(problem, boxes)
    total = shipping + handling + split + late + unfilled
    return Costs(shipping, handling, split, late, unfilled, total)


def _missing(problem: Problem, boxes: Boxes) -> Ints:
    """int64[O]: units that neither ship nor may wait uncharged."""
    lines, start = problem.lines, problem.lines.start
    shipped = np.zeros(len(lines.item), np.int64)
    np.add.at(shipped, boxes.take_line, boxes.take_units)
    head = np.flatnonzero(np.diff(lines.line, prepend=-1))
    if not len(head):
        return np.zeros(problem.orders, np.int64)
    left = np.maximum(lines.quantity[head] - np.add.reduceat(shipped, head) - lines.dated[head], 0)
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(left)])
    edge = running[np.searchsorted(head, start)]
    missing: Ints = edge[1:] - edge[:-1]
    return missing


def check(problem: Problem, solution: Solution) -> list[Violation]:
    """Judge feasibility and recompute every cost from scratch; an empty list means the solution holds."""
    return [Violation(rule, detail) for rule, detail in faults(problem, solution)]
