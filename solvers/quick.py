"""One order at little and bounded cost: node after node, each time the shipment that is cheapest per unit it carries.

The method of last resort, for orders that the budget leaves no search for. Whatever the size of the order it looks at
every option once per shipment; the plan is always feasible, never proven. Orders with limits go by `careful`.
"""

from __future__ import annotations

import numpy as np

from solvers.careful import careful_addition, careful_plan
from solvers.load import is_careful
from solvers.menu import Supply, has_room
from solvers.plan import Priced, plan_cost
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.tariff import BEYOND, about, shipment_cost

MAX_SHIPMENTS = 24
"""Shipments of one plan at most: what is left then stays."""

MAX_TRIMS = 64
"""How often a shipment that cannot go is made smaller."""

STEP = 10_000
"""Work of choosing one shipment, in menu cells priced: measured."""


def quick_plan(problem: Problem, order: int, supply: Supply) -> Priced:
    """A feasible plan of one order on the supply, which is left as it is; fills what it finds room for."""
    if is_careful(problem, order):
        plan, steps = careful_plan(problem, order, supply)
    else:
        ways = np.arange(problem.options.start[order], problem.options.start[order + 1])
        pour = _Pour(problem, order, ways[has_room(problem, ways, supply)], supply)
        while len(pour.shipments) < MAX_SHIPMENTS and pour.step():
            pass
        plan, steps = tuple(sorted(pour.shipments, key=lambda shipment: shipment.option)), pour.steps
    filled = sum(int(shipment.units.sum()) for shipment in plan)
    return Priced(plan, plan_cost(problem, order, plan).total, filled, None, STEP * (1 + steps))


def topped_up(
    problem: Problem, order: int, supply: Supply, plan: tuple[Shipment, ...]
) -> tuple[tuple[Shipment, ...], int]:
    """A plan with as much as can still go of what it leaves, by options it does not use yet; and the steps taken.

    `supply` is what there was before the plan.
    """
    if is_careful(problem, order):
        return careful_addition(problem, order, supply, plan)
    rows = np.arange(problem.options.start[order], problem.options.start[order + 1])
    rows = rows[has_room(problem, rows, supply)]
    pour = _Pour(problem, order, rows, supply)
    for shipment in plan:
        cost = shipment_cost(problem, shipment.option, shipment.units)
        late = int(problem.options.late_days[shipment.option])
        pour.book(int(np.searchsorted(rows, shipment.option)), shipment.units, cost.boxes if cost else 0, late)
    while len(pour.shipments) < len(plan) + MAX_SHIPMENTS and pour.step():
        pass
    return tuple(sorted(pour.shipments, key=lambda shipment: shipment.option)), pour.steps


class _Pour:
    """The state of one order: what is missing and what is left at the nodes of its options."""

    def __init__(self, problem: Problem, order: int, rows: Ints, supply: Supply) -> None:
        self.problem, self.rows = problem, rows
        at = self.at = problem.lines_of(order)
        self.missing = problem.lines.quantity[at].copy()
        self.weight = problem.lines.weight_g[at]
        item, node = problem.lines.item[at], problem.options.node[rows]
        self.free = np.where(problem.lines.eligible[at][:, node], supply.stock[item][:, node], 0)
        self.free[self.weight[:, None] > problem.options.max_weight_g[rows]] = 0
        same: dict[int, list[int]] = {}
        for line, one in enumerate(item.tolist()):
            same.setdefault(one, []).append(line)
        self.repeats = [lines for lines in same.values() if len(lines) > 1]
        self.bucket = problem.options.bucket[rows]
        some = len(supply.units) > 0
        limited = (self.bucket >= 0) if some else np.zeros(len(rows), np.bool_)
        self.room = np.where(limited, supply.units[self.bucket] if some else 0, 2**62)
        self.boxes = np.where(limited, supply.parcels[self.bucket] if some else 0, 2**62)
        self.shipments: list[Shipment] = []
        self.steps = self.late = 0

    def step(self) -> bool:
        """Choose the next shipment; False where nothing more can go, or nothing more pays."""
        if not self.missing.any() or not len(self.rows):
            return False
        self.steps += 1
        takes = self._takes()
        units = takes.sum(axis=0)
        objective = self.problem.objective
        late = objective.late_per_day * np.maximum(self.problem.options.late_days[self.rows] - self.late, 0)
        price = about(self.problem, self.rows, takes, self.at)
        price = price + late + (objective.split_parcel if self.shipments else 0)
        each = np.where((units > 0) & (price < BEYOND), price / np.maximum(units, 1), np.inf)
        # What is not carried now needs another parcel: as good as a quarter dearer.
        each = each * np.where(units < int(self.missing.sum()), 1.25, 1.0)
        for row in np.argsort(each, kind="stable")[:8].tolist():
            if not np.isfinite(each[row]):
                return False
            if self._send(row, takes[:, row]):
                return True
            self.free[:, row] = 0
        return False

    def _takes(self) -> Ints:
        """int64[n, R]: what each option could carry of what is missing, within stock and the room for units."""
        takes: Ints = np.minimum(self.missing[:, None], self.free)
        for same in self.repeats:
            before = np.cumsum(takes[same], axis=0) - takes[same]
            takes[same] = np.minimum(takes[same], np.maximum(self.free[same] - before, 0))
        tight = np.flatnonzero(takes.sum(axis=0) > self.room)
        if len(tight):
            before = np.cumsum(takes[:, tight], axis=0) - takes[:, tight]
            takes[:, tight] = np.minimum(takes[:, tight], np.maximum(self.room[tight] - before, 0))
        return takes

    def _send(self, row: int, units: Ints) -> bool:
        """Ship these units, or the part of them that can go, by an option; False if nothing can, or it does not pay."""
        problem, option = self.problem, int(self.rows[row])
        objective, room = problem.objective, int(self.boxes[row])
        cost = shipment_cost(problem, option, units)
        for attempt in range(MAX_TRIMS):
            if cost is not None and cost.boxes <= room:
                break
            units = units.copy()
            # The heaviest line gives way first, so that small ones are not lost for it.
            heaviest = int(np.argmax(units * (self.weight + 1.0))) if attempt < MAX_TRIMS // 2 else slice(None)
            units[heaviest] //= 2
            if not units.any():
                return False
            cost = shipment_cost(problem, option, units)
        if cost is None or cost.boxes > room:
            return False
        more_late = max(0, int(problem.options.late_days[option]) - self.late)
        money = cost.shipping + cost.handling + objective.late_per_day * more_late
        money += objective.split_parcel * (cost.boxes - (0 if self.shipments else 1))
        sent = int(units.sum())
        if not objective.fill_always and money >= objective.unfilled_per_unit * sent:
            return False
        self.book(row, units, cost.boxes, self.late + more_late)
        return True

    def book(self, row: int, units: Ints, boxes: int, late: int) -> None:
        """Ship units by an option, as so many boxes, so many days late: they and the room are gone."""
        sent = int(units.sum())
        self.shipments.append(Shipment(int(self.rows[row]), units))
        self.late = max(self.late, late)
        self.missing = self.missing - units
        node = self.problem.options.node[self.rows]
        here = node == node[row]
        self.free[:, here] -= units[:, None]
        for same in self.repeats:
            others = units[same].sum() - units[same]
            self.free[np.ix_(np.array(same, np.int64), np.flatnonzero(here))] -= others[:, None]
        np.maximum(self.free, 0, out=self.free)
        self.free[:, row] = 0
        bucket = int(self.bucket[row])
        if bucket >= 0:
            drawn = self.bucket == bucket
            self.room[drawn] -= sent
            self.boxes[drawn] -= boxes
            self.free[:, drawn & (self.boxes <= 0)] = 0
