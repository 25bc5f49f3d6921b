"""Local moves on one order's plan: add units that are still free, move units between shipments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from solvers.menu import Supply
from solvers.plan import fits, plan_cost, use_of
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.tariff import shipment_cost

Moves = tuple[Shipment, ...]


def top_up(problem: Problem, order: int, plan: Moves, left: Supply) -> Moves:
    """Ship missing units from what is left, cheapest per unit first; with economic fill only where it pays.

    `left` is what the plan itself does not take; it is used up in place.
    """
    objective, at = problem.objective, problem.lines_of(order)
    missing = problem.lines.quantity[at] - sum((s.units for s in plan), np.zeros(at.stop - at.start, np.int64))
    shipments = list(plan)
    stuck: set[int] = set()
    for _ in range(8 * len(missing) + 64):
        line = next((i for i in np.flatnonzero(missing).tolist() if i not in stuck), None)
        if line is None:
            break
        found = _cheapest_addition(problem, order, shipments, left, line, int(missing[line]))
        if found is None or (not objective.fill_always and found[0] >= objective.unfilled_per_unit):
            stuck.add(line)
            continue
        _, at_shipment, option, units, boxes = found
        grown = _plus(shipments[at_shipment].units if at_shipment >= 0 else np.zeros_like(missing), line, units)
        if at_shipment >= 0:
            shipments[at_shipment] = Shipment(option, grown)
        else:
            shipments.append(Shipment(option, grown))
        missing[line] -= units
        left.stock[problem.lines.item[at.start + line], problem.options.node[option]] -= units
        bucket = int(problem.options.bucket[option])
        if bucket >= 0:
            left.parcels[bucket] -= boxes
            left.units[bucket] -= units
    return tuple(sorted(shipments, key=lambda shipment: shipment.option))


def _cheapest_addition(
    problem: Problem, order: int, shipments: list[Shipment], left: Supply, line: int, wanted: int
) -> tuple[float, int, int, int, int] | None:
    """(mills per unit, shipment index or -1, option, units, boxes more) of the cheapest way to ship more of a line."""
    options, at = problem.options, problem.lines_of(order)
    item = int(problem.lines.item[at.start + line])
    empty = np.zeros(at.stop - at.start, np.int64)
    ways = [(index, shipment.option, shipment.units) for index, shipment in enumerate(shipments)]
    ways += [(-1, option, empty) for option in range(*problem.options_of(order).indices(len(options.node)))]
    best: tuple[float, int, int, int, int] | None = None
    for index, option, before in ways:
        node, bucket = int(options.node[option]), int(options.bucket[option])
        units = min(wanted, int(left.stock[item, node]))
        if bucket >= 0:
            units = min(units, int(left.units[bucket]))
        if units <= 0 or not problem.lines.eligible[at.start + line, node]:
            continue
        old = shipment_cost(problem, option, before) if index >= 0 else None
        new = shipment_cost(problem, option, _plus(before, line, units))
        while new is None and units > 1:
            units //= 2
            new = shipment_cost(problem, option, _plus(before, line, units))
        if new is None:
            continue
        more = new.boxes - (old.boxes if old else 0)
        if bucket >= 0 and more > left.parcels[bucket]:
            continue
        delta = new.shipping + new.handling - (old.shipping + old.handling if old else 0)
        if shipments:
            delta += problem.objective.split_parcel * more
        found = (delta / units, index, option, units, more)
        if best is None or found[0] < best[0]:
            best = found
    return best


def _plus(units: Ints, line: int, more: int) -> Ints:
    grown = units.copy()
    grown[line] += more
    return grown


def improve(problem: Problem, order: int, plan: Moves, supply: Supply, *, work: int) -> tuple[Moves, int]:
    """Move a line, or a whole shipment, into another shipment while that is cheaper; (plan, moves tried).

    The fill stays as it is. First improvement in a fixed order, at most `work` moves tried.
    """
    tried = 0
    cost = plan_cost(problem, order, plan).total
    improved = True
    while improved and len(plan) > 1 and tried < work:
        improved = False
        for candidate in _moves(problem, order, plan, supply):
            tried += 1
            better = _cost_if_possible(problem, order, candidate, supply)
            if better is not None and better < cost:
                plan, cost, improved = candidate, better, True
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


def _moves(problem: Problem, order: int, plan: Moves, supply: Supply) -> Iterator[Moves]:
    """All plans one move away: a shipment emptied into the others, then a line (as far as it goes) into another."""
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
        for line in np.flatnonzero(plan[source].units).tolist():
            for to in range(len(plan)):
                moved = int(plan[source].units[line])
                if node[to] != node[source]:
                    moved = min(moved, spare(line, to))
                if to != source and moved:
                    units = [shipment.units.copy() for shipment in plan]
                    units[source][line] -= moved
                    units[to][line] += moved
                    yield _rebuilt(plan, units)


def _rebuilt(plan: Moves, units: list[Ints]) -> Moves:
    return tuple(Shipment(old.option, new) for old, new in zip(plan, units, strict=True) if new.any())
