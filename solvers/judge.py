"""The judge's arithmetic: recomputes a solution from its problem by means of its own, sharing no code with the solvers.

Public entry: `solution.check`. Everything a decision costs or takes is derived here again from the plans alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from solvers.problem import Bools, Ints, Problem

if TYPE_CHECKING:
    from solvers.solution import Boxes, Shipment, Solution

Faults = list[tuple[str, str]]
"""(rule, detail)."""

MOST = 2**62
"""Sums from here on are not trusted to an int64."""


class _Taken(NamedTuple):
    """All shipments, flat: order, option int64[H]; units `take_units` of `Lines` rows `take_line` by `of`."""

    order: Ints
    option: Ints
    of: Ints
    take_line: Ints
    take_units: Ints


class _Packed(NamedTuple):
    """The boxes that shipments make: of shipment `of` int64[P], contents `start[p]:start[p + 1]` of line and units."""

    of: Ints
    line: Ints
    units: Ints
    start: Ints


def faults(problem: Problem, solution: Solution) -> Faults:
    """Every rule that the solution breaks; if its shape is wrong, only that."""
    found = _shape(problem, solution.plans)
    if found:
        return found
    taken = _flat(problem, solution.plans)
    if (taken.take_units < 0).any():
        return [("units", "a shipment has negative units")]
    found += _goods(problem, taken)
    packed = _first_fit_boxes(problem, taken)
    found += _limits(problem, taken, packed)
    found += _box_shape(problem, solution.boxes)
    if found and found[-1][0] == "shape":
        return found
    found += _packing(problem, taken, packed, solution.boxes)
    found += _capacity(problem, taken, solution.boxes)
    found += _money(problem, taken, solution)
    found += _guided(problem, solution)
    if solution.bound is not None and solution.bound > solution.guided_total:
        found.append(("bound", f"bound {solution.bound} is above {solution.guided_total}"))
    return found


def _shape(problem: Problem, plans: Sequence[Sequence[Shipment]]) -> Faults:
    if len(plans) != problem.orders:
        return [("shape", f"{len(plans)} plans for {problem.orders} orders")]
    start, size = problem.options.start.tolist(), np.diff(problem.lines.start).tolist()
    found: Faults = []
    for order, plan in enumerate(plans):
        for option, units in plan:
            if not start[order] <= option < start[order + 1]:
                found.append(("ownership", f"order {order} ships by option {option} of another order"))
            elif units.shape != (size[order],) or units.dtype != np.int64:
                found.append(("shape", f"order {order}, option {option}: units are not int64[{size[order]}]"))
    return found


def _flat(problem: Problem, plans: Sequence[Sequence[Shipment]]) -> _Taken:
    order = [at for at, plan in enumerate(plans) for _ in plan]
    shipments = [shipment for plan in plans for shipment in plan]
    none = np.zeros(0, np.int64)
    units = np.concatenate([none, *(shipment.units for shipment in shipments)])
    owner = np.array(order, np.int64)
    size = np.diff(problem.lines.start)[owner]
    of = np.repeat(np.arange(len(shipments)), size)
    within = np.arange(len(units)) - (np.cumsum(size) - size)[of]
    line = problem.lines.start[owner][of] + within
    some = units != 0
    option = np.array([shipment.option for shipment in shipments], np.int64)
    return _Taken(owner, option, of[some], line[some], units[some])


def _goods(problem: Problem, taken: _Taken) -> Faults:
    """Quantities, eligibility and stock."""
    lines, at = problem.lines, problem.options.node[taken.option][taken.of]
    empty = np.bincount(taken.of, minlength=len(taken.order)) == 0
    found: Faults = [("units", f"order {o} has an empty shipment") for o in taken.order[empty].tolist()]
    first, shipped = _shipped(problem, taken)
    for line in np.flatnonzero(shipped > lines.quantity[first]).tolist():
        found.append(("quantity", f"line {first[line]} ships {shipped[line]} of {lines.quantity[first[line]]}"))
    barred = ~lines.eligible[taken.take_line, at]
    for line, k in zip(taken.take_line[barred].tolist(), at[barred].tolist(), strict=True):
        found.append(("eligibility", f"line {line} may not ship from node {k}"))
    (item, k), used = _drawn(problem, lines.item[taken.take_line], at, taken.take_units)
    over = used > problem.stock[item, k]
    for i, n, units in zip(item[over].tolist(), k[over].tolist(), used[over].tolist(), strict=True):
        found.append(("stock", f"item {i} at node {n}: {units} of {problem.stock[i, n]}"))
    return found


def _shipped(problem: Problem, taken: _Taken) -> tuple[Ints, Ints]:
    """The first row of every line, and the units of it that ship, over all its rows."""
    _, first, line_of = np.unique(problem.lines.line, return_index=True, return_inverse=True)
    shipped = np.zeros(len(first), np.int64)
    np.add.at(shipped, line_of[taken.take_line], taken.take_units)
    return first, shipped


def _recipe(problem: Problem, item: Ints) -> tuple[Ints, Ints]:
    """(row of `Derived`, or -1; node that the item is always drawn from, or -1) of each item."""
    derived, row = problem.derived, np.full(len(problem.stock), -1, np.int64)
    row[derived.item] = np.arange(len(derived.item))
    row = row[item]
    return row, np.where(row >= 0, np.append(derived.source, -1)[row], -1)


def _drawn(problem: Problem, item: Ints, node: Ints, units: Ints) -> tuple[tuple[Ints, Ints], Ints]:
    """What these units take from the stock of real goods: the cells (item, node), each once, and units of each."""
    derived, (row, source) = problem.derived, _recipe(problem, item)
    own, place = row < 0, np.where(source >= 0, source, node)
    cells, amounts = [item[own] * problem.nodes + node[own]], [units[own]]
    for one in np.unique(row[~own]).tolist():
        mine = row == one
        for at in range(int(derived.start[one]), int(derived.start[one + 1])):
            cells.append(derived.part[at] * problem.nodes + place[mine])
            amounts.append(units[mine] * derived.count[at])
    cell, which = np.unique(np.concatenate(cells), return_inverse=True)
    used = np.zeros(len(cell), np.int64)
    np.add.at(used, which, np.concatenate(amounts))
    return np.divmod(cell, problem.nodes), used


def _limits(problem: Problem, taken: _Taken, packed: _Packed) -> Faults:
    """Groups, and what every order's `Limits` ask of its shipments and boxes."""
    limits = problem.limits
    shipments, size = taken.order, problem.orders
    parcels = np.bincount(shipments[packed.of], minlength=size)
    found: Faults = []
    for order in np.flatnonzero(parcels > limits.max_parcels).tolist():
        found.append(("max_parcels", f"order {order} has {parcels[order]} boxes of {limits.max_parcels[order]}"))
    first, shipped = _shipped(problem, taken)
    owner = np.searchsorted(problem.lines.start, first, side="right") - 1
    whole = shipped == problem.lines.quantity[first]
    something = np.bincount(shipments, minlength=size) > 0
    for order in np.unique(owner[~whole & (limits.complete & something)[owner]]).tolist():
        found.append(("ship_complete", f"order {order} ships, and not all of it"))
    pairs = np.unique(problem.lines.line[taken.take_line] * len(shipments) + taken.of)
    line, leaves = np.unique(pairs // len(shipments), return_counts=True)
    position = np.searchsorted(problem.lines.line[first], line)
    for at in position[(leaves > 1) & limits.whole_lines[owner[position]]].tolist():
        found.append(("split_lines", f"line {first[at]} leaves in several shipments"))
    several = np.bincount(shipments, minlength=size) > 1
    for shipment in np.flatnonzero((several & (limits.min_split_value > 0))[shipments]).tolist():
        mine = taken.of == shipment
        prices = problem.lines.value[taken.take_line[mine]].tolist()
        value = sum(price * units for price, units in zip(prices, taken.take_units[mine].tolist(), strict=True))
        least = int(limits.min_split_value[shipments[shipment]])
        if value < least:
            found.append(("min_split_value", f"shipment {shipment} holds {value} of {least}"))
    return found + _groups(problem, taken, packed, first, whole)


def _groups(problem: Problem, taken: _Taken, packed: _Packed, first: Ints, whole: Bools) -> Faults:
    """Some of a group ships only if all of it does, by one shipment that is one box."""
    group = problem.lines.group[taken.take_line]
    found: Faults = []
    for one in np.unique(group[group >= 0]).tolist():
        holding = np.unique(taken.of[group == one])
        if not whole[problem.lines.group[first] == one].all():
            found.append(("group", f"group {one} ships, and not all of it"))
        if len(holding) > 1 or np.count_nonzero(packed.of == holding[0]) != 1:
            found.append(("group", f"group {one} is not in one box"))
    return found


def _box_shape(problem: Problem, boxes: Boxes) -> Faults:
    count, takes = len(boxes.order), len(boxes.take_line)
    columns = (boxes.option, boxes.weight_g, boxes.shipping, boxes.handling)
    start = boxes.take_start
    good = (
        all(len(column) == count for column in columns)
        and len(start) == count + 1
        and len(boxes.take_units) == takes
        and int(start[0]) == 0
        and int(start[-1]) == takes
        and bool((np.diff(start) > 0).all())
        and bool(((boxes.option >= 0) & (boxes.option < len(problem.options.node))).all())
        and bool(((boxes.take_line >= 0) & (boxes.take_line < len(problem.lines.item))).all())
        and bool((boxes.take_units > 0).all())
    )
    return [] if good else [("shape", "the box arrays contradict each other")]


def _packing(problem: Problem, taken: _Taken, packed: _Packed, boxes: Boxes) -> Faults:
    """The boxes are exactly what packing makes of each shipment, in order, and weigh what they say."""
    found: Faults = []
    weight = problem.lines.weight_g
    box_of = np.repeat(np.arange(len(boxes.order)), np.diff(boxes.take_start))
    grams = np.zeros(len(boxes.order), np.int64)
    np.add.at(grams, box_of, boxes.take_units * weight[boxes.take_line])
    limit = problem.options.max_weight_g[boxes.option]
    for box in np.flatnonzero(grams != boxes.weight_g).tolist():
        found.append(("box_weight", f"box {box} weighs {grams[box]}, not {boxes.weight_g[box]}"))
    for box in np.flatnonzero(grams > limit).tolist():
        found.append(("box_limit", f"box {box} weighs {grams[box]}, over {limit[box]}"))
    same = (
        np.array_equal(taken.order[packed.of], boxes.order)
        and np.array_equal(taken.option[packed.of], boxes.option)
        and np.array_equal(packed.start, boxes.take_start)
        and np.array_equal(packed.line, boxes.take_line)
        and np.array_equal(packed.units, boxes.take_units)
    )
    return found if same else [*found, ("packing", "the boxes are not the plans packed")]


def _first_fit_boxes(problem: Problem, taken: _Taken) -> _Packed:
    """The boxes by (order, option): first-fit, then every unit that goes alone."""
    weight, alone = problem.lines.weight_g, problem.lines.alone[taken.take_line]
    load = taken.take_units.astype(np.float64) * weight[taken.take_line]
    grams = np.bincount(taken.of, weights=load, minlength=len(taken.order))
    # In floating point only to see that a shipment is clearly light; the rest is packed in integers.
    one_box = grams * (1 + 1e-9) < problem.options.max_weight_g[taken.option]
    one_box &= np.bincount(taken.of, weights=alone, minlength=len(taken.order)) == 0
    edge = np.searchsorted(taken.of, np.arange(len(taken.order) + 1))
    rank = np.lexsort((np.arange(len(taken.order)), taken.option, taken.order))
    if one_box.all() and bool((np.diff(rank) > 0).all()):
        return _Packed(np.arange(len(taken.order)), taken.take_line, taken.take_units, edge)
    none = np.zeros(0, np.int64)
    of, size, line, units = [none], [np.zeros(1, np.int64)], [none], [none]
    for shipment in rank.tolist():
        at = slice(int(edge[shipment]), int(edge[shipment + 1]))
        inside = [(1, taken.take_units[at])]
        if not one_box[shipment]:
            limit = int(problem.options.max_weight_g[taken.option[shipment]])
            inside = _boxes_of(weight[taken.take_line[at]].tolist(), taken.take_units[at], alone[at], limit)
        for alike, box in inside:
            held = box > 0
            of.append(np.full(alike, shipment))
            size.append(np.full(alike, held.sum()))
            line.append(np.tile(taken.take_line[at][held], alike))
            units.append(np.tile(box[held], alike))
    start = np.cumsum(np.concatenate(size))
    return _Packed(np.concatenate(of), np.concatenate(line), np.concatenate(units), start)


def _boxes_of(weight: list[int], units: Ints, alone: Bools, limit: int) -> list[tuple[int, Ints]]:
    """Runs of boxes alike (count, units per line): what goes together, then what goes alone, in line order."""
    together = np.where(alone, 0, units)
    runs = _first_fit(weight, together.tolist(), limit) if together.any() else []
    each = np.eye(len(units), dtype=np.int64)
    return runs + [(int(units[line]), each[line]) for line in np.flatnonzero(alone).tolist()]


def _first_fit(weight: list[int], units: list[int], limit: int) -> list[tuple[int, Ints]]:
    """One box after another: heaviest units first, each into the first box with room. Boxes alike in a row are one
    run (count, units per line)."""
    runs: list[tuple[int, int, dict[int, int]]] = []  # how many, grams free, contents
    for line in sorted(range(len(units)), key=lambda at: (-weight[at], at)):
        left = units[line]
        if left and weight[line] > limit:
            return []
        after: list[tuple[int, int, dict[int, int]]] = []
        at = 0
        while left or at < len(runs):
            # Behind the open boxes there are as many empty ones as it takes.
            many, free, inside = runs[at] if at < len(runs) else (left, limit, {})
            at += 1
            each = min(left, free // weight[line]) if weight[line] else left
            full = min(many, left // each) if each else 0
            rest = left - full * each if full < many else 0
            for alike, put in ((full, each), (1 if rest and each else 0, rest)):
                if alike:
                    after.append((alike, free - put * weight[line], {**inside, line: put}))
                    left -= alike * put
                    many -= alike
            if many and at <= len(runs):
                after.append((many, free, inside))
        runs = after
    return [(many, np.array([inside.get(line, 0) for line in range(len(units))], np.int64)) for many, _, inside in runs]


def _capacity(problem: Problem, taken: _Taken, boxes: Boxes) -> Faults:
    option = taken.option[taken.of]
    _, source = _recipe(problem, problem.lines.item[taken.take_line])
    room_of_units = problem.options.bucket[option]
    if (source >= 0).any():
        elsewhere = problem.source_bucket[problem.options.day[option], source]
        room_of_units = np.where(source >= 0, elsewhere, room_of_units)
    one = np.ones(len(boxes.option), np.int64)
    found: Faults = []
    for name, bucket, amount, room in (
        ("capacity_parcels", problem.options.bucket[boxes.option], one, problem.bucket_parcels),
        ("capacity_units", room_of_units, taken.take_units, problem.bucket_units),
    ):
        used = np.zeros(len(room), np.int64)
        np.add.at(used, bucket[bucket >= 0], amount[bucket >= 0])
        for over in np.flatnonzero(used > room).tolist():
            found.append((name, f"bucket {over}: {used[over]} of {room[over]}"))
    return found


def _money(problem: Problem, taken: _Taken, solution: Solution) -> Faults:
    """Every box's price and every order's five terms."""
    boxes, costs, objective = solution.boxes, solution.costs, problem.objective
    load = boxes.take_units.astype(np.float64) * problem.lines.weight_g[boxes.take_line]
    if len(load) and float(np.add.reduceat(load, boxes.take_start[:-1]).max()) >= MOST:
        return [("overflow", "a box weighs more than can be counted")]
    shipping, handling, carried = _box_money(problem, boxes)
    found: Faults = []
    for box in np.flatnonzero(~carried).tolist():
        found.append(("carrier", f"box {box}: option {boxes.option[box]} does not carry it"))
    for name, right, told in (("shipping", shipping, boxes.shipping), ("handling", handling, boxes.handling)):
        for box in np.flatnonzero(carried & (right != told)).tolist():
            found.append((f"box_{name}", f"box {box}: {name} is {right[box]}, not {told[box]}"))
    size = problem.orders
    terms = {name: np.zeros(size, np.int64) for name in ("shipping", "handling", "split", "late", "unfilled")}
    order_of = np.searchsorted(problem.options.start, boxes.option, side="right") - 1
    np.add.at(terms["shipping"], order_of, np.where(carried, shipping, 0))
    np.add.at(terms["handling"], order_of, np.where(carried, handling, 0))
    parcels = np.bincount(order_of, minlength=size)
    terms["split"] = objective.split_parcel * np.maximum(0, parcels - 1)
    np.maximum.at(terms["late"], taken.order, problem.options.late_days[taken.option])
    terms["late"] *= objective.late_per_day
    first, shipped = _shipped(problem, taken)
    waiting = np.maximum(0, problem.lines.quantity[first] - shipped - problem.lines.dated[first])
    np.add.at(terms["unfilled"], np.searchsorted(problem.lines.start, first, side="right") - 1, waiting)
    terms["unfilled"] *= objective.unfilled_per_unit
    terms["total"] = sum(terms.values(), np.zeros(size, np.int64))
    for name, right in terms.items():
        told = getattr(costs, name)
        if told.shape != right.shape:
            found.append((f"cost_{name}", "is not one value per order"))
            continue
        for order in np.flatnonzero(right != told).tolist():
            found.append((f"cost_{name}", f"order {order}: {name} is {right[order]}, not {told[order]}"))
    return found


def _guided(problem: Problem, solution: Solution) -> Faults:
    """The money that the choice went by: without a guide the total, else exact but for what a box may be rounded by."""
    guide, boxes, costs, told = problem.guide, solution.boxes, solution.costs, solution.guided_total
    if guide is None:
        right, most = int(costs.total.sum()), 0
    else:
        weighed = guide.shipping * int(boxes.shipping.sum()) + guide.handling * int(boxes.handling.sum())
        steered = int((guide.rules + guide.balance)[boxes.option].sum()) + _kept(problem, solution)
        right = weighed // 1000 + steered + int((costs.split + costs.late + costs.unfilled).sum())
        most = 1 + len(boxes.order) * (1 + guide.shipping // 1000)
    off = abs(told - right) > most
    return [("guided_total", f"the choice went by {right}, not {told}")] if off else []


def _kept(problem: Problem, solution: Solution) -> int:
    """What the stock and the room that a solution takes would be worth to orders to come, by the guide's prices."""
    guide, taken = problem.guide, _flat(problem, solution.plans)
    assert guide is not None, "only a guide has prices"
    node = problem.options.node[taken.option][taken.of]
    cells, drawn = _drawn(problem, problem.lines.item[taken.take_line], node, taken.take_units)
    bucket = problem.options.bucket[solution.boxes.option]
    return int((drawn * guide.stock[cells]).sum()) + int(guide.room[bucket[bucket >= 0]].sum())


def _box_money(problem: Problem, boxes: Boxes) -> tuple[Ints, Ints, Bools]:
    """(shipping, handling, carried) of every box from its contents: the formula of `problem.Options`, term by term."""
    lines, options, at = problem.lines, problem.options, boxes.option
    begin = boxes.take_start[:-1]
    if len(begin) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    count, draws, more = _counted(problem, boxes)
    units = np.add.reduceat(boxes.take_units, begin)
    grams = np.add.reduceat(boxes.take_units * lines.weight_g[boxes.take_line], begin)
    mm3 = np.add.reduceat(boxes.take_units * lines.volume_mm3[boxes.take_line], begin)
    divisor = options.dim_divisor[at]
    dimensional = np.where(divisor > 0, (mm3 + divisor - 1) // np.where(divisor > 0, divisor, 1), 0)
    billable = np.maximum(grams, dimensional)
    card = np.zeros(len(at), np.int64)
    carried = np.ones(len(at), np.bool_)
    curve = options.curve[at]
    for one in np.unique(curve[curve >= 0]).tolist():
        mine = curve == one
        index = np.searchsorted(problem.curves.up_to_g[one], billable[mine], side="left")
        inside = index < problem.curves.up_to_g.shape[1]
        price = problem.curves.price[one][np.where(inside, index, 0)]
        carried[mine] = inside & (price < MOST)
        card[mine] = np.where(carried[mine], price, 0)
    by_weight = options.ship_per_kg[at] * grams
    rounded = by_weight // 1000 + (by_weight % 1000 >= 500)
    shipping = card + options.ship_parcel[at] + options.ship_line[at] * count + options.ship_unit[at] * units + rounded
    handling = options.handle_parcel[at] + options.handle_line[at] * draws + options.handle_unit[at] * units + more
    return shipping, handling, carried


def _counted(problem: Problem, boxes: Boxes) -> tuple[Ints, Ints, Ints]:
    """(distinct lines, distinct draws, mills that draws and units add to the handling) of every box."""
    lines, row, count = problem.lines, boxes.take_line, len(boxes.option)
    box = np.repeat(np.arange(count), np.diff(boxes.take_start))
    more = np.zeros(count, np.int64)
    np.add.at(more, box, lines.more_unit[row] * boxes.take_units)
    if problem.toll is not None:
        node = problem.options.node[boxes.option][box]
        np.add.at(more, box, problem.toll[lines.item[row], node] * boxes.take_units)
    distinct = []
    for number in (lines.line, lines.draw):
        pairs, held = np.unique(number[row] * count + box, return_index=True)
        distinct.append(np.bincount(pairs % count, minlength=count))
    np.add.at(more, box[held], lines.more_line[row[held]])
    return distinct[0], distinct[1], more
