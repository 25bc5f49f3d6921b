"""`quick` for orders whose rows do not stand alone: shipment after shipment, none of which breaks a limit.

Which shipment comes first decides how far the parcels of a limited order reach, so the order is poured more than once:
cheapest per unit first, fullest first, and where shipments must hold enough as a single one. The best plan is taken.
"""

from __future__ import annotations

import numpy as np

from solvers.limits import value_of
from solvers.load import Load, Rows, loaded, most_at, rows_of
from solvers.menu import Supply
from solvers.plan import plan_cost, take, use_of
from solvers.problem import Ints, Problem
from solvers.runs import heads
from solvers.solution import Shipment
from solvers.tariff import BEYOND, about, shipment_cost, totals

MOST_SHIPMENTS = 24
"""Shipments of one plan at most: what is left then stays."""

TRIED = 8
"""Options tried for one shipment before nothing more is shipped."""


def careful_plan(problem: Problem, order: int, supply: Supply) -> tuple[tuple[Shipment, ...], int]:
    """A lawful plan of one order on the supply, which is left as it is; and the shipments looked for."""
    rows, limits = rows_of(problem, order), problem.limits
    least = int(limits.min_split_value[order])
    whole_order = bool(limits.complete[order])
    fill_first = problem.objective.fill_always or whole_order
    demand = problem.demand_of(order)
    tempers = [(False, least, MOST_SHIPMENTS), (True, least, MOST_SHIPMENTS)]
    if least:
        tempers.append((True, 0, 1))
    plans: list[tuple[Shipment, ...]] = []
    steps = 0
    for fullest, held, most in tempers:
        pour = _Pour(problem, order, rows, supply, fullest=fullest, least=held, fill_first=fill_first)
        while len(pour.shipments) < most and pour.step():
            pass
        steps += pour.steps
        if not whole_order or pour.shipped() == demand:
            plans.append(tuple(sorted(pour.shipments, key=lambda shipment: shipment.option)))
    return _best(problem, order, [*plans, ()]), steps


def careful_addition(
    problem: Problem, order: int, supply: Supply, plan: tuple[Shipment, ...]
) -> tuple[tuple[Shipment, ...], int]:
    """A lawful plan with as much as can still go by options it does not use yet; and the shipments looked for."""
    rows, least = rows_of(problem, order), int(problem.limits.min_split_value[order])
    fill_first = problem.objective.fill_always or bool(problem.limits.complete[order])
    pour = _Pour(problem, order, rows, supply, fullest=False, least=least, fill_first=fill_first)
    for shipment in plan:
        cost = shipment_cost(problem, *shipment)
        pour.book(Load(shipment, cost.boxes if cost else 0, 0, use_of(problem, order, (shipment,))))
    if not plan or min(value_of(problem, order, shipment.units) for shipment in plan) >= least:
        while len(pour.shipments) < len(plan) + MOST_SHIPMENTS and pour.step():
            pass
    return tuple(sorted(pour.shipments, key=lambda shipment: shipment.option)), pour.steps


def _best(problem: Problem, order: int, plans: list[tuple[Shipment, ...]]) -> tuple[Shipment, ...]:
    def key(plan: tuple[Shipment, ...]) -> tuple[int, int]:
        filled = sum(int(shipment.units.sum()) for shipment in plan)
        return (-filled if problem.objective.fill_always else 0, plan_cost(problem, order, plan).total)

    return min(plans, key=key)


class _Pour:
    """One order being poured: `missing` int64[lines] may still ship, in at most `boxes` boxes, from `left`.

    `fullest`: the shipment of most units is next, not the cheapest per unit; `least`: mills each must hold;
    `fill_first`: units ship whatever they cost.
    """

    def __init__(
        self, problem: Problem, order: int, rows: Rows, supply: Supply, *, fullest: bool, least: int, fill_first: bool
    ) -> None:
        self.problem, self.order, self.rows = problem, order, rows
        self.fullest, self.least, self.fill_first = fullest, least, fill_first
        self.at = problem.lines_of(order)
        self.left = supply.copy()
        self.missing = rows.wanted.copy()
        self.boxes = int(problem.limits.max_parcels[order])
        self.options = np.arange(problem.options.start[order], problem.options.start[order + 1])
        self.shipments: list[Shipment] = []
        self.steps = self.late = 0

    def step(self) -> bool:
        """Choose the next shipment; False where nothing more can go, or nothing more pays."""
        if not self.missing.any() or not len(self.options) or self.boxes <= 0:
            return False
        self.steps += 1
        takes = self._takes()
        for at in self._ranked(takes):
            load = self._load(int(self.options[at]), takes[:, at])
            if load is not None and self._pays(load):
                self.book(load)
                return True
        return False

    def book(self, load: Load) -> None:
        """Ship a load: its goods, its boxes and its option are gone."""
        problem, (option, units) = self.problem, load.shipment
        shipped = self._by_line(units)
        self.shipments.append(load.shipment)
        self.late = max(self.late, int(problem.options.late_days[option]))
        self.boxes -= load.boxes
        self.missing -= shipped
        if problem.limits.whole_lines[self.order]:
            self.missing[shipped > 0] = 0
        self.options = self.options[self.options != option]
        take(problem, load.use, self.left.stock, self.left.parcels, self.left.units)

    def shipped(self) -> int:
        """Units of the shipments so far."""
        return sum(int(shipment.units.sum()) for shipment in self.shipments)

    def _by_line(self, units: Ints) -> Ints:
        return np.bincount(self.rows.line, weights=units, minlength=len(self.missing)).astype(np.int64)

    def _takes(self) -> Ints:
        """int64[rows, R]: what each option could carry of what is missing, each row as if its stock were its own."""
        lines, node = self.problem.lines, self.problem.options.node[self.options]
        line, item = self.rows.line, lines.item[self.at]
        takes = np.where(lines.eligible[self.at][:, node], self.left.stock[item][:, node], 0)
        takes[lines.weight_g[self.at][:, None] > self.problem.options.max_weight_g[self.options]] = 0
        takes = np.minimum(takes, self.missing[line][:, None])
        head = heads(line)
        if len(head) < len(line):
            before = np.cumsum(takes, axis=0) - takes
            before -= before[np.repeat(head, np.diff(head, append=len(line)))]
            takes = np.clip(self.missing[line][:, None] - before, 0, takes)
        by_line = np.add.reduceat(takes, head, axis=0) if len(head) else takes
        if self.problem.limits.whole_lines[self.order]:
            # A line begins to ship where there is most of it.
            takes = np.where((by_line == by_line.max(axis=1, keepdims=True))[line], takes, 0)
        if self.rows.grouped.any():
            # A group goes whole or not at all.
            sequence, sizes = self.rows.sequence, np.array([len(lot) for lot in self.rows.lots], np.int64)
            short = (by_line < self.rows.wanted[:, None])[line[sequence]] & self.rows.grouped[sequence][:, None]
            broken = np.logical_or.reduceat(short, np.cumsum(sizes) - sizes, axis=0)
            takes[sequence] = np.where(np.repeat(broken, sizes, axis=0), 0, takes[sequence])
        found: Ints = takes
        return found

    def _ranked(self, takes: Ints) -> list[int]:
        """The options most worth trying, best first."""
        units, objective, options = takes.sum(axis=0), self.problem.objective, self.problem.options
        late = objective.late_per_day * np.maximum(options.late_days[self.options] - self.late, 0)
        price = about(self.problem, self.options, takes, self.at)
        price = price + late + (objective.split_parcel if self.shipments else 0)
        possible = (units > 0) & (price < BEYOND)
        if self.least:
            possible &= totals(takes.T, self.problem.lines.value[self.at][None, :])[:, 0] >= self.least
        each = np.where(possible, price / np.maximum(units, 1), np.inf)
        each = each * np.where(units < int(self.missing.sum()), 1.25, 1.0)
        rank = np.lexsort((each, -units)) if self.fullest else np.argsort(each, kind="stable")
        return [at for at in rank.tolist() if possible[at]][:TRIED]

    def _load(self, option: int, takes: Ints) -> Load | None:
        """What an option can really carry of `takes`."""
        wanted = most_at(self.problem, self.order, self.rows, option, self.missing, self.left, roomy=True, within=takes)
        load = loaded(self.problem, self.order, self.rows, [option], wanted, self.left, boxes=self.boxes)
        enough = load is not None and value_of(self.problem, self.order, load.shipment.units) >= self.least
        return load if enough else None

    def _pays(self, load: Load) -> bool:
        """Whether the units of a load are worth their price, where that counts."""
        if self.fill_first:
            return True
        objective, dated = self.problem.objective, self.rows.dated
        more_late = max(0, int(self.problem.options.late_days[load.shipment.option]) - self.late)
        money = load.price + objective.late_per_day * more_late
        money += objective.split_parcel * (load.boxes - (0 if self.shipments else 1))
        after = self.missing - self._by_line(load.shipment.units)
        spared = np.maximum(self.missing - dated, 0) - np.maximum(after - dated, 0)
        return money < objective.unfilled_per_unit * int(spared.sum())
