"""What a shipment costs, exactly: one at a time and for many candidates at once.

Terms and rounding: `problem.Options`. All money is in mills; only the term per kilogram needs rounding (half up).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.packing import MAX_BOXES, BoxGroup, pack
from solvers.problem import UNLIMITED, Bools, Curves, Ints, Problem
from solvers.runs import heads

BEYOND = 2**50
"""A price from here on counts as "cannot go": sums of thousands of them, times a thousand, still fit an int64."""

HEAVIEST = 2**60
"""Weights and volumes are held at this; no price reaches so far."""


class ShipmentCost(NamedTuple):
    """Shipping and handling of one shipment over all its boxes, in mills, and how many boxes."""

    shipping: int
    handling: int
    boxes: int


class Contents(NamedTuple):
    """What lies in one box, for many boxes at once: arrays that broadcast against each other.

    `lines` and `draws` are counts, `more` is the handling that the draws and units add (see `Lines`).
    """

    weight_g: Ints
    volume_mm3: Ints
    lines: Ints
    draws: Ints
    units: Ints
    more: Ints | int = 0


def shipment_cost(problem: Problem, option: int, units: Ints) -> ShipmentCost | None:
    """The exact cost of one shipment, or None if it cannot go by this option (see `packing`, `Curves`).

    units int64[lines of the option's order], not all zero. Stock, eligibility and capacity are not looked at.
    """
    options = problem.options
    order = int(np.searchsorted(options.start, option, side="right")) - 1
    rows, groups = boxes_of(problem, order, option, units)
    if groups is None:
        return None
    volume = problem.lines.volume_mm3[rows].tolist()
    divisor = int(options.dim_divisor[option])
    shipping = handling = boxes = 0
    for same, inside, grams in groups:
        n_lines, draws, more = _counted(problem, option, rows, inside)
        pieces = sum(inside)
        mm3 = sum(v * u for v, u in zip(volume, inside, strict=True))
        carried = _curve_price(problem.curves, int(options.curve[option]), grams, mm3, divisor)
        per_box = (
            carried
            + int(options.ship_parcel[option])
            + int(options.ship_line[option]) * n_lines
            + int(options.ship_unit[option]) * pieces
            + (int(options.ship_per_kg[option]) * grams + 500) // 1000
        )
        at_node = (
            int(options.handle_parcel[option])
            + int(options.handle_line[option]) * draws
            + int(options.handle_unit[option]) * pieces
            + more
        )
        if per_box + at_node >= BEYOND or max(grams, mm3) >= HEAVIEST:
            return None
        shipping += same * per_box
        handling += same * at_node
        boxes += same
    return ShipmentCost(shipping, handling, boxes) if shipping + handling < BEYOND else None


def boxes_of(problem: Problem, order: int, option: int, units: Ints) -> tuple[Ints, list[BoxGroup] | None]:
    """(rows of `Lines` that ship, the boxes they make as units of these rows); None where they cannot be packed.

    units int64[rows of the order]. The time goes with the rows that ship, however many the order has.
    """
    lines, some = problem.lines, np.flatnonzero(units)
    rows = some + problem.lines.start[order]
    limit = int(problem.options.max_weight_g[option])
    return rows, pack(lines.weight_g[rows].tolist(), units[some].tolist(), limit, lines.alone[rows].tolist())


def _counted(problem: Problem, option: int, rows: Ints, inside: Sequence[int]) -> tuple[int, int, int]:
    """(lines, draws, mills more of handling) of one box by an option; `inside`: units by row."""
    lines = problem.lines
    held = [(row, units) for row, units in zip(rows.tolist(), inside, strict=True) if units]
    draws = {int(lines.draw[row]): int(lines.more_line[row]) for row, _ in held}
    more = sum(draws.values()) + sum(int(lines.more_unit[row]) * units for row, units in held)
    if problem.toll is not None:
        at_node = problem.toll[:, int(problem.options.node[option])]
        more += sum(int(at_node[int(lines.item[row])]) * units for row, units in held)
    return len({int(lines.line[row]) for row, _ in held}), len(draws), more


def _curve_price(curves: Curves, curve: int, grams: int, mm3: int, divisor: int) -> int:
    if curve < 0:
        return 0
    billable = max(grams, -(-mm3 // divisor)) if divisor else grams
    at = int(np.searchsorted(curves.up_to_g[curve], min(billable, UNLIMITED)))
    return int(curves.price[curve, at]) if at < curves.price.shape[1] else UNLIMITED


LIGHT = 1 << 17
"""Grams up to which a weight finds its step in a table instead of by search."""


class _Steps(NamedTuple):
    """All curves over the union of their breaks, ascending in `up_to_g`: curve c has price[c, step] int64.

    `step` int64[grams + 1] is the step of each weight up to the last break that is any use, None where that is heavy.
    The step after the last finds no carrier.
    """

    curves: Curves
    up_to_g: Ints
    price: Ints
    step: Ints | None

    def of(self, curve: Ints, billable: Ints) -> Ints:
        """Prices by curve at billable weights, BEYOND where it does not carry them."""
        if self.step is None:
            return self.price[curve, np.searchsorted(self.up_to_g, billable)]
        return self.price[curve, self.step[np.minimum(billable, len(self.step) - 1)]]


_last_steps: _Steps | None = None
# The steps of the curves used last. Only a saving: another window's curves are recognised by identity and rebuilt.


def steps_of(curves: Curves) -> _Steps:
    """All curves over the union of their breaks."""
    global _last_steps
    known = _last_steps
    if known is not None and known.curves is curves:
        return known
    up_to_g = np.unique(curves.up_to_g)
    # One sentinel column: a weight over the last break finds no carrier.
    price = np.full((len(curves.price), len(up_to_g) + 1), BEYOND, np.int64)
    held = np.hstack([np.minimum(curves.price, BEYOND), np.full((len(curves.price), 1), BEYOND, np.int64)])
    for row, (breaks, prices) in enumerate(zip(curves.up_to_g, held, strict=True)):
        price[row, :-1] = prices[np.searchsorted(breaks, up_to_g)]
    useful = up_to_g[(price[:, :-1] < BEYOND).any(axis=0)]
    step = None
    if len(useful) and useful[-1] < LIGHT:
        # The last entry stands for all that is heavier.
        step = np.searchsorted(up_to_g, np.arange(int(useful[-1]) + 2))
    _last_steps = _Steps(curves, up_to_g, price, step)
    return _last_steps


def times(left: Ints, right: Ints) -> Ints:
    """The product of two non-negative arrays, held at HEAVIEST instead of overflowing."""
    if left.size == 0 or right.size == 0 or int(left.max()) * int(right.max()) < HEAVIEST:
        return left * right
    over = left.astype(np.float64) * right.astype(np.float64) >= HEAVIEST
    with np.errstate(over="ignore"):
        return np.where(over, HEAVIEST, left * right)


def box_prices(problem: Problem, option: Ints, inside: Contents) -> Ints:
    """Shipping plus handling of many boxes, in mills; BEYOND where the option cannot carry the box.

    `option` int64[...] broadcasts against the contents. The weight limit is not looked at (see `shipment_table`).
    """
    price: Ints = np.minimum(box_shipping(problem, option, inside) + box_handling(problem, option, inside), BEYOND)
    return price


def box_handling(problem: Problem, option: Ints, inside: Contents) -> Ints:
    """What the node charges for many boxes, in mills."""
    options = problem.options
    total = options.handle_parcel[option] + times(options.handle_line[option], inside.draws)
    return total + times(options.handle_unit[option], inside.units) + inside.more


def box_shipping(problem: Problem, option: Ints, inside: Contents) -> Ints:
    """What the carrier charges for many boxes, in mills; at least BEYOND where it does not carry them."""
    options = problem.options
    weight, volume, lines, _, units, _ = inside
    total = options.ship_parcel[option] + times(options.ship_line[option], lines)
    total = total + times(options.ship_unit[option], units)
    per_kg = options.ship_per_kg[option]
    if per_kg.any():
        total = total + (times(per_kg, weight) + 500) // 1000
    curve = options.curve[option]
    if problem.curves.price.size and (curve >= 0).any():
        divisor = options.dim_divisor[option]
        billable = weight
        if divisor.any():
            billable = np.maximum(weight, np.where(divisor > 0, -(-volume // np.maximum(divisor, 1)), 0))
        steps = steps_of(problem.curves)
        carried = steps.of(np.maximum(curve, 0), billable)
        total = total + (carried if (curve >= 0).all() else np.where(curve >= 0, carried, 0))
    if max(int(weight.max(initial=0)), int(volume.max(initial=0))) >= HEAVIEST:
        total = np.where((weight >= HEAVIEST) | (volume >= HEAVIEST), BEYOND, total)
    held: Ints = np.minimum(total, BEYOND)
    return held


def shipment_table(problem: Problem, option: Ints, owner: Ints, states: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Price many candidate shipments by many options at once.

    option int64[R]; owner int64[R]: which of G orders the option serves; states int64[M, n]: units of every candidate
    by row; rows int64[G, n]: the rows of `Lines` of each order, alike in which share a line or a draw and are alone.
    Returns (mills, boxes), int64[M, R] both: BEYOND where the option cannot carry the candidate; the empty candidate
    costs what an empty box would.
    """
    alone = problem.lines.alone[rows[0]] if len(rows) else np.zeros(rows.shape[1], np.bool_)
    if not alone.any():
        return _together(problem, option, owner, states, rows)
    shared = np.where(alone, 0, states)
    cost, boxes = _together(problem, option, owner, shared, rows)
    only_alone = (shared.sum(axis=1) == 0) & (states.sum(axis=1) > 0)
    cost[only_alone], boxes[only_alone] = 0, 0
    for column in np.flatnonzero(alone).tolist():
        count = states[:, column, None]
        unit = np.zeros((1, states.shape[1]), np.int64)
        unit[0, column] = 1
        each, _ = _together(problem, option, owner, unit, rows)
        each[each >= BEYOND] = HEAVIEST
        cost = np.minimum(cost + times(np.broadcast_to(each, cost.shape), count), BEYOND)
        boxes = boxes + count
    return np.where(boxes > MAX_BOXES, BEYOND, cost), boxes


def _together(problem: Problem, option: Ints, owner: Ints, states: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """`shipment_table` where no unit needs a box of its own."""
    weight = totals(states, problem.lines.weight_g[rows])
    at_weight = weight[:, owner]
    at_volume = totals(states, problem.lines.volume_mm3[rows])[:, owner]
    cost = box_prices(problem, option, _contents(problem, option, states, rows, at_weight, at_volume, owner))
    boxes = np.ones(cost.shape, np.int64)
    limit = problem.options.max_weight_g[option]
    over = at_weight > limit
    if over.any():
        # Options of one order with one limit pack alike: pack once, price the boxes for all of them.
        columns = np.flatnonzero(over.any(axis=0))
        for order, grams in sorted({(int(owner[r]), int(limit[r])) for r in columns.tolist()}):
            same = columns[(owner[columns] == order) & (limit[columns] == grams)]
            which = np.flatnonzero(weight[:, order] > grams)
            priced, count = _packed(problem, option[same], states[which], rows[order], grams)
            cost[np.ix_(which, same)], boxes[np.ix_(which, same)] = priced, count[:, None]
    return cost, boxes


def _contents(
    problem: Problem, option: Ints, states: Ints, rows: Ints, weight: Ints, volume: Ints, owner: Ints
) -> Contents:
    """One box for every state: states int64[M, n], rows int64[G, n]; weight, volume int64[M, R] as given."""
    lines, some = problem.lines, states > 0
    units = states.sum(axis=1)[:, None]
    if len(rows) == 0:
        return Contents(weight, volume, units, units, units)
    draw, line = lines.draw[rows[0]], lines.line[rows[0]]
    more: Ints | int = 0
    more_line, more_unit = lines.more_line[rows], lines.more_unit[rows]
    if more_line.any() or more_unit.any():
        _, head = np.unique(draw, return_index=True)
        more = (states @ more_unit.T + _present(some, draw) @ more_line[:, head].T)[:, owner]
    if problem.toll is not None:
        more = more + totals(states, np.asarray(tolls(problem, rows[owner], option[:, None])))
    n_lines = some.sum(axis=1)[:, None]
    if len(set(line.tolist())) == len(line):
        # As mostly: each row a line and a draw of its own.
        return Contents(weight, volume, n_lines, n_lines, units, more)
    n_lines = _present(some, line).sum(axis=1)[:, None]
    return Contents(weight, volume, n_lines, _present(some, draw).sum(axis=1)[:, None], units, more)


def _present(some: Bools, label: Ints) -> Ints:
    """int64[M, labels]: 1 where a column of the label, ascending, is there. some bool[M, n], label int64[n]."""
    order = np.argsort(label, kind="stable")
    first = heads(label[order])
    if len(first) == len(label):
        return some[:, order].astype(np.int64)
    return np.maximum.reduceat(some[:, order].astype(np.int64), first, axis=1)


def totals(states: Ints, per_unit: Ints) -> Ints:
    """int64[M, G]: states int64[M, n] times per_unit int64[G, n], summed over lines and held at HEAVIEST."""
    # In floating point only to see that nothing comes near.
    if float((per_unit.astype(np.float64) @ states.max(axis=0).astype(np.float64)).max(initial=0)) < HEAVIEST // 2:
        return states @ per_unit.T
    exact = states.astype(object) @ per_unit.astype(object).T
    held: Ints = np.minimum(exact, HEAVIEST).astype(np.int64)
    return held


def _packed(problem: Problem, option: Ints, states: Ints, rows: Ints, limit_g: int) -> tuple[Ints, Ints]:
    """(mills int64[m, r], boxes int64[m]) of candidates over one weight limit; BEYOND where they cannot be packed."""
    by_row = np.argsort(rows)
    states, rows = states[:, by_row], rows[by_row]
    weights = problem.lines.weight_g[rows].tolist()
    inside: list[tuple[int, ...]] = []
    counts: list[int] = []
    starts: list[int] = []
    carried: list[int] = []
    boxes = np.zeros(len(states), np.int64)
    cost = np.full((len(states), len(option)), BEYOND, np.int64)
    for at, units in enumerate(states.tolist()):
        groups = pack(weights, units, limit_g)
        if groups is None:
            continue
        carried.append(at)
        starts.append(len(inside))
        inside += [group.units for group in groups]
        counts += [group.boxes for group in groups]
        boxes[at] = sum(group.boxes for group in groups)
    if not carried:
        return cost, boxes
    packed, one, every = np.array(inside, np.int64), rows[None, :], np.zeros(len(option), np.int64)
    weight, volume = totals(packed, problem.lines.weight_g[one]), totals(packed, problem.lines.volume_mm3[one])
    each = box_prices(problem, option, _contents(problem, option, packed, one, weight, volume, every))
    whole = np.minimum(times(each, np.array(counts, np.int64)[:, None]), BEYOND)
    cost[carried] = np.minimum(np.add.reduceat(whole, starts, axis=0), BEYOND)
    return cost, boxes


def tolls(problem: Problem, row: Ints, option: Ints) -> Ints | int:
    """Mills of toll for a unit of each row that leaves by an option; the two broadcast against each other."""
    if problem.toll is None:
        return 0
    each: Ints = problem.toll[problem.lines.item[row], problem.options.node[option]]
    return each


def about(problem: Problem, option: Ints, takes: Ints, rows: slice) -> Ints:
    """About what candidate shipments cost, one by each option, for ranking them: int64[R] mills, BEYOND at most.

    takes int64[n, R]: units of the n `rows` of `Lines`, those of an order. Over the weight limit a shipment counts as
    so many equal boxes; every row in it as a line. The split penalty of boxes after the first is in.
    """
    units, lines, of = takes.sum(axis=0), (takes > 0).sum(axis=0), problem.lines
    weight, volume = (totals(takes.T, column[rows][None, :])[:, 0] for column in (of.weight_g, of.volume_mm3))
    boxes = np.maximum(1, -(-weight // np.maximum(problem.options.max_weight_g[option], 1)))
    inside = Contents(weight // boxes, volume // boxes, lines, lines, -(-units // boxes))
    split = problem.objective.split_parcel * (boxes - 1)
    price = times(box_prices(problem, option, inside), boxes) + split
    if problem.toll is not None:
        at = np.arange(rows.start, rows.stop)[:, None]
        price = price + (takes * tolls(problem, at, option)).sum(axis=0)
    held: Ints = np.minimum(price, BEYOND)
    return held
