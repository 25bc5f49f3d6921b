"""The rule-based modes other systems route by: nodes in a fixed order, as much as possible of every line at each.

Orders are served in index order, whatever their priority. At a node the cheapest option that can carry what is taken is
used (by shipping plus handling, then option index). Where no option carries all of it, lines are added in line order as
far as some option carries them; the rest moves on to the next node.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from solvers.menu import Supply
from solvers.problem import Ints, Mode, Problem
from solvers.solution import Shipment, Solution, settle
from solvers.tariff import shipment_cost


def solve(problem: Problem) -> Solution:
    """Route every order by its mode; raises ValueError for Mode.OPTIMISE. Nothing is proven (`bound` None)."""
    left = Supply.of(problem).copy()
    plans = []
    work = 0
    for order in range(problem.orders):
        plan = []
        missing = problem.lines.quantity[problem.lines_of(order)].copy()
        for node in _ranked(problem, order, left):
            if not missing.any():
                break
            work += 1
            shipment = _take_at(problem, order, node, missing, left)
            if shipment is not None:
                plan.append(shipment)
                missing -= shipment.units
        plans.append(tuple(plan))
    return settle(
        problem,
        plans,
        solver=problem.modes[0].value if problem.modes else Mode.SEQUENCE.value,
        work=work,
        bound=None,
        cut=False,
    )


def _ranked(problem: Problem, order: int, left: Supply) -> Iterator[int]:
    """The nodes that have an option for the order, in the mode's order; ties go to the lower node index.

    SEQUENCE: by `node_rank`. NEAREST: by `distance_m`. MOST_STOCK: by units free now of the order's distinct items
    together, most first.
    """
    nodes = np.unique(problem.options.node[problem.options_of(order)])
    mode = problem.modes[order]
    if mode is Mode.SEQUENCE:
        key = problem.node_rank[nodes]
    elif mode is Mode.NEAREST:
        key = problem.distance_m[order, nodes]
    elif mode is Mode.MOST_STOCK:
        items = problem.lines.item[problem.lines_of(order)]
        key = -left.stock[np.ix_(np.unique(items), nodes)].sum(axis=0)
    else:
        raise ValueError(f"{mode} is not a rule")
    return iter(nodes[np.lexsort((nodes, key))].tolist())


def _take_at(problem: Problem, order: int, node: int, missing: Ints, left: Supply) -> Shipment | None:
    """Ship what the node has of the missing units, and subtract it from `left`."""
    at = problem.lines_of(order)
    item = problem.lines.item[at]
    options = [o for o in range(*problem.options_of(order).indices(2**62)) if problem.options.node[o] == node]
    wanted = np.zeros(len(missing), np.int64)
    free = {int(i): int(left.stock[i, node]) for i in item}
    for line in np.flatnonzero(missing).tolist():
        if problem.lines.eligible[at.start + line, node]:
            wanted[line] = min(int(missing[line]), free[int(item[line])])
            free[int(item[line])] -= int(wanted[line])
    if not wanted.any():
        return None
    units, option, boxes = wanted, *_cheapest(problem, options, wanted, left)
    if option < 0:
        units = np.zeros(len(missing), np.int64)
        for line in np.flatnonzero(wanted).tolist():
            more = int(wanted[line])
            while more:
                grown = units.copy()
                grown[line] += more
                found = _cheapest(problem, options, grown, left)
                if found[0] >= 0:
                    units, (option, boxes) = grown, found
                    break
                more //= 2
    if option < 0:
        return None
    for line in np.flatnonzero(units).tolist():
        left.stock[item[line], node] -= units[line]
    bucket = int(problem.options.bucket[option])
    if bucket >= 0:
        left.parcels[bucket] -= boxes
        left.units[bucket] -= int(units.sum())
    return Shipment(option, units)


def _cheapest(problem: Problem, options: list[int], units: Ints, left: Supply) -> tuple[int, int]:
    """(option, boxes) of the cheapest way these units can go, (-1, 0) if none can."""
    best: tuple[int, int, int] | None = None
    for option in options:
        cost = shipment_cost(problem, option, units)
        bucket = int(problem.options.bucket[option])
        if cost is None:
            continue
        if bucket >= 0 and (cost.boxes > left.parcels[bucket] or int(units.sum()) > left.units[bucket]):
            continue
        if best is None or cost.shipping + cost.handling < best[0]:
            best = (cost.shipping + cost.handling, option, cost.boxes)
    return (best[1], best[2]) if best else (-1, 0)
