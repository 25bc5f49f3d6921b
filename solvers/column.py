"""One plan of one order as a column of the master problem: what it costs, takes and fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.fill import Targets
from solvers.menu import spans
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.resources import taken_by
from solvers.solution import Flat, Plan, Shipment, flat


class Column(NamedTuple):
    """One plan of one order: cost in mills, units that ship, what it takes by resource, what it gives each fill row."""

    order: int
    cost: int
    plan: tuple[Shipment, ...]
    units: int
    takes: dict[int, int]
    fills: dict[int, int]


def columns_of(
    problem: Problem,
    orders: Sequence[int],
    plans: Sequence[tuple[int, Plan]],
    targets: Targets | None,
    *,
    full: bool = False,
) -> list[Column]:
    """The columns of plans of these orders, each with its cost in mills.

    `full`: only of those that leave no unit of a line that every fullest solution ships whole.
    """
    ways = [plan for _, plan in plans]
    takes: list[dict[int, int]] = [{} for _ in orders]
    every = flat(problem, orders, ways)
    taken = taken_by(problem, orders, ways, every)
    for owner, resource, amount in zip(*(part.tolist() for part in taken), strict=True):
        takes[owner][resource] = amount
    owners = every.owner[every.of]
    shipped = np.zeros(len(orders), np.int64)
    np.add.at(shipped, owners, every.units)
    fills: list[dict[int, int]] = [{} for _ in orders]
    if targets is not None:
        row = targets.row[every.row]
        some = row >= 0
        for owner, at, units in zip(owners[some].tolist(), row[some].tolist(), every.units[some].tolist(), strict=True):
            fills[owner][at] = fills[owner].get(at, 0) + units
    lacks = np.zeros(len(orders), np.bool_)
    if full and targets is not None:
        lacks = _lacking(problem, np.array(orders, np.int64), every, targets)
    return [
        Column(order, cost, tuple(plan), units, taking, filling)
        for order, (cost, plan), units, taking, filling, lacking in zip(
            orders, plans, shipped.tolist(), takes, fills, lacks.tolist(), strict=True
        )
        if not lacking
    ]


def _lacking(problem: Problem, orders: Ints, every: Flat, targets: Targets) -> Bools:
    """bool[orders]: the plan leaves units of a line that every fullest solution ships whole."""
    lines = problem.lines
    rows, owner = spans(lines.start, orders)
    first = np.cumsum(lines.start[orders + 1] - lines.start[orders]) - (lines.start[orders + 1] - lines.start[orders])
    shipped = np.zeros(len(rows), np.int64)
    mine = every.owner[every.of]
    np.add.at(shipped, first[mine] + every.row - lines.start[orders[mine]], every.units)
    short = (targets.row[rows] < 0) & (shipped < lines.quantity[rows])
    found: Bools = np.bincount(owner, short, len(orders)) > 0
    return found


def key_of(problem: Problem, columns: Sequence[Column | tuple[int, Priced]]) -> tuple[int, ...]:
    """What a window is judged by: units filled by descending priority (negative, if they come first), then money."""
    classes = sorted(set(problem.priority.tolist()), reverse=True)
    filled = dict.fromkeys(classes, 0)
    cost = 0
    for one in columns:
        if isinstance(one, Column):
            order, units, money = one.order, one.units, one.cost
        else:
            order, units, money = one[0], one[1].filled, one[1].cost
        filled[int(problem.priority[order])] += units
        cost += money
    fill = [-filled[one] for one in classes] if problem.objective.fill_always else []
    return (*fill, cost)
