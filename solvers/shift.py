"""Local moves on one order's plan: add units that are still free, move units between shipments."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from solvers.limits import Broken, broken
from solvers.load import Rows, is_careful, rows_of
from solvers.menu import Supply
from solvers.plan import Use, draw, fits, parts_of, plan_cost, take, unit_bucket, use_of
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.tariff import shipment_cost

Moves = tuple[Shipment, ...]


def top_up(problem: Problem, order: int, plan: Moves, left: Supply) -> Moves:
    """Ship missing units from what is left, cheapest per unit first; with economic fill only where it pays.

    `left` is what the plan itself does not take; it is used up in place. A plan that keeps the order's limits still
    does, but that not everything may ship of an order that must be complete.
    """
    objective, rows = problem.objective, rows_of(problem, order)
    shipped = sum((shipment.units for shipment in plan), np.zeros(len(rows.line), np.int64))
    missing = rows.wanted - np.bincount(rows.line, weights=shipped, minlength=len(rows.wanted)).astype(np.int64)
    careful = is_careful(problem, order)
    shipments = list(plan)
    stuck: set[int] = set()
    able: dict[tuple[int, int, int], int] = {}
    for _ in range(8 * len(rows.line) + 64):
        row = next((i for i in np.flatnonzero(missing[rows.line]).tolist() if i not in stuck), None)
        if row is None:
            break
        line = int(rows.line[row])
        found = _cheapest_addition(problem, order, shipments, left, row, int(missing[line]), able, careful=careful)
        if found is None:
            stuck.add(row)
            continue
        uncharged = int(rows.dated[line])
        spared = max(0, int(missing[line]) - uncharged) - max(0, int(missing[line]) - found.units - uncharged)
        if not objective.fill_always and found.mills >= objective.unfilled_per_unit * spared:
            stuck.add(row)
            continue
        _add(shipments, found, row, len(rows.line))
        missing[line] -= found.units
        take(problem, found.use, left.stock, left.parcels, left.units)
    return tuple(sorted(shipments, key=lambda shipment: shipment.option))


class _Addition(NamedTuple):
    """More of one row: `mills` it costs, the shipment (-1: a new one) and option it goes by, and what it takes."""

    mills: int
    shipment: int
    option: int
    units: int
    use: Use


def _add(shipments: list[Shipment], more: _Addition, row: int, size: int) -> None:
    """Put an addition into a plan's shipments, in place."""
    if more.shipment >= 0:
        shipments[more.shipment] = Shipment(more.option, _plus(shipments[more.shipment].units, row, more.units))
    else:
        shipments.append(Shipment(more.option, _plus(np.zeros(size, np.int64), row, more.units)))


def _cheapest_addition(
    problem: Problem,
    order: int,
    shipments: list[Shipment],
    left: Supply,
    row: int,
    wanted: int,
    able: dict[tuple[int, int, int], int],
    *,
    careful: bool,
) -> _Addition | None:
    """The cheapest way per unit to ship more of a row; `careful`: that breaks no limit of the order.

    `able`: units that could go at all by (shipment, option, row), kept from call to call: shipments only grow.
    """
    options, at = problem.options, problem.lines_of(order)
    item = int(problem.lines.item[at.start + row])
    source, _ = parts_of(problem, item)
    empty = np.zeros(at.stop - at.start, np.int64)
    ways = [(index, shipment.option, shipment.units) for index, shipment in enumerate(shipments)]
    ways += [(-1, option, empty) for option in range(*problem.options_of(order).indices(len(options.node)))]
    best: _Addition | None = None
    for index, option, before in ways:
        node, bucket, room = (
            int(options.node[option]),
            int(options.bucket[option]),
            unit_bucket(problem, option, source),
        )
        units = min(wanted, int(left.stock[item, node]), able.get((index, option, row), wanted))
        if room >= 0:
            units = min(units, int(left.units[room]))
        if units <= 0 or not problem.lines.eligible[at.start + row, node]:
            continue
        old = shipment_cost(problem, option, before) if index >= 0 else None
        new = shipment_cost(problem, option, _plus(before, row, units))
        while new is None and units > 1:
            units //= 2
            new = shipment_cost(problem, option, _plus(before, row, units))
            able[index, option, row] = units
        if new is None:
            able[index, option, row] = 0
            continue
        more = new.boxes - (old.boxes if old else 0)
        if bucket >= 0 and more > left.parcels[bucket]:
            continue
        mills = new.shipping + new.handling - (old.shipping + old.handling if old else 0)
        if shipments:
            mills += problem.objective.split_parcel * more
        if best is not None and mills * best.units >= best.mills * units:
            continue
        use = Use({}, {bucket: more} if bucket >= 0 else {}, {})
        draw(problem, order, Shipment(option, _plus(empty, row, units)), use)
        found = _Addition(mills, index, option, units, use)
        if not careful or _lawful(problem, order, shipments, found, row):
            best = found
    return best


def _lawful(problem: Problem, order: int, shipments: list[Shipment], more: _Addition, row: int) -> bool:
    """Whether the plan with the addition breaks no limit, but that it need not be complete yet."""
    grown = list(shipments)
    at = problem.lines_of(order)
    _add(grown, more, row, at.stop - at.start)
    return broken(problem, order, grown) in (None, Broken.COMPLETE)


def _plus(units: Ints, line: int, more: int) -> Ints:
    grown = units.copy()
    grown[line] += more
    return grown


def improve(problem: Problem, order: int, plan: Moves, supply: Supply, *, work: int) -> tuple[Moves, int]:
    """Move a row, or a whole shipment, into another shipment while that is cheaper; (plan, moves tried).

    The fill stays as it is, and so do the limits. First improvement in a fixed order, at most `work` moves tried.
    """
    tried = 0
    cost = plan_cost(problem, order, plan).total
    rows, careful = rows_of(problem, order), is_careful(problem, order)
    improved = len(plan) > 1 or len(rows.wanted) < len(rows.line)
    while improved and tried < work:
        improved = False
        for candidate in _moves(problem, order, plan, supply, rows):
            tried += 1
            better = _cost_if_possible(problem, order, candidate, supply)
            if better is not None and better < cost and not (careful and broken(problem, order, candidate)):
                plan, cost, improved = candidate, better, len(candidate) > 1 or len(rows.wanted) < len(rows.line)
                break
            if tried >= work:
                break
    return plan, tried


def _cost_if_possible(problem: Problem, order: int, plan: Moves, supply: Supply) -> int | None:
    try:
        cost = plan_cost(problem, order, plan).total
        possible = fits(use_of(problem, order, plan), supply.stock, supply.parcels, supply.units)
    except ValueError:
        return None
    return cost if possible else None


def _moves(problem: Problem, order: int, plan: Moves, supply: Supply, rows: Rows) -> Iterator[Moves]:
    """All plans one move away: a shipment emptied into the others, then a row (as far as it goes) into another, or
    supplied in another way."""
    at = problem.lines_of(order)
    item = problem.lines.item[at]
    node = [int(problem.options.node[shipment.option]) for shipment in plan]
    used = {k: np.zeros(len(item), np.int64) for k in node}
    for shipment, k in zip(plan, node, strict=True):
        used[k] += shipment.units

    def spare(line: int, to: int) -> int:
        """Units of the line that the target's node could still take over."""
        if not problem.lines.eligible[at.start + line, node[to]]:
            return 0
        taken = int(used[node[to]][item == item[line]].sum())
        return max(0, int(supply.stock[item[line], node[to]]) - taken)

    for source in range(len(plan)):
        units = [shipment.units.copy() for shipment in plan]
        for line in np.flatnonzero(units[source]).tolist():
            for to in range(len(plan)):
                if to != source and node[to] != node[source]:
                    moved = min(int(units[source][line]), spare(line, to))
                    units[source][line] -= moved
                    units[to][line] += moved
        if not units[source].any():
            yield _rebuilt(plan, units)
    for source in range(len(plan)):
        for row in np.flatnonzero(plan[source].units).tolist():
            for to, other in product(range(len(plan)), np.flatnonzero(rows.line == rows.line[row]).tolist()):
                moved = int(plan[source].units[row])
                if node[to] != node[source] or other != row:
                    moved = min(moved, spare(other, to))
                if (to, other) != (source, row) and moved:
                    units = [shipment.units.copy() for shipment in plan]
                    units[source][row] -= moved
                    units[to][other] += moved
                    yield _rebuilt(plan, units)


def _rebuilt(plan: Moves, units: list[Ints]) -> Moves:
    return tuple(Shipment(old.option, new) for old, new in zip(plan, units, strict=True) if new.any())
