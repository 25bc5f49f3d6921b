"""Simple orders, priced all together in compiled loops: each line supplied one way, no good twice, every shipment in
one box, no limits. Mostly that is every order of a window; what is not simple goes by `menu` or `cover`.

The method is the exact one of `single` (the subset DP over the units of an order); `simple_kernel` has the loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from solvers.cells import odd_rows
from solvers.compiled import bools, ints
from solvers.keeps import charged_units
from solvers.menu import Supply, spans
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.purse import Purse
from solvers.quick import STEP
from solvers.runs import owners, sizes
from solvers.simple_kernel import flatten, plan
from solvers.simple_kernel_prices import measure, tabulate
from solvers.simple_kernel_tables import (
    FAR,
    LARGE,
    Found,
    Rates,
    Scratch,
    Sizes,
    Stores,
    Table,
    Terms,
    Wanted,
    Ways,
    scratch,
)
from solvers.solution import Flat, Shipment
from solvers.tariff import steps_of

MOST_PAIRS = 600_000
"""Pairs of the DP of a simple order at most: twelve single units have 531,441."""

KEPT_CELLS = 1 << 23
"""Prices kept of one window: 64 MB. Orders beyond go by `menu`."""

CHEAP = 8
"""Compiled steps that take as long as one of `Budget.work`: measured."""

NO_RATES = Rates(*(np.zeros(0, np.int64) for _ in Rates._fields))
"""The table's own prices."""


class Answers(NamedTuple):
    """The plans of some orders: `which` int64[n] places in the table, and what was found of each."""

    which: Ints
    found: Found

    def some(self, slots: Ints) -> Answers:
        """The answers at some of the slots, ascending."""
        found = self.found
        if len(slots) == len(self.which):
            return self
        boxes, _ = spans(found.start, slots)
        size = found.start[slots + 1] - found.start[slots]
        return Answers(
            self.which[slots],
            Found(
                found.value[slots],
                found.state[slots],
                found.late[slots],
                found.coupled[slots],
                np.concatenate([np.zeros(1, np.int64), np.cumsum(size)]),
                found.option[boxes],
                found.part[boxes],
            ),
        )


@dataclass(frozen=True, slots=True)
class Simple:
    """The simple orders of a window. `place` int64[O]: where each stands in the table, -1 for all others.

    `units` int64[G]: the most that can ship of each; `steps` int64[G]: the compiled steps of one pass over it.
    """

    problem: Problem
    table: Table
    place: Ints
    units: Ints
    steps: Ints
    room: Scratch

    def answers(
        self,
        which: Ints,
        supply: Supply | None = None,
        *,
        rates: Rates = NO_RATES,
        scale: int = 1,
        fullest: bool | None = None,
        below: Ints | None = None,
    ) -> Answers:
        """The best plan of each of the orders `which` (places), as if alone on the supply; None for all there was.

        `scale` counts the window's own money so many times, in parts that `rates` are in. `below` int64[n]: an order
        whose value is not below its own comes without a plan. `fullest`: None for what the objective says.
        """
        stores = _stores(supply if supply is not None else Supply.of(self.problem))
        terms = self._terms(scale, fullest, narrow=supply is not None)
        limit = np.full(len(which), FAR, np.int64) if below is None else below
        return self._planned(stores, rates, terms, which, limit, None)[0]

    def served(self, turns: Ints, own: Answers, left: Supply) -> tuple[Answers, Ints, int]:
        """Serve the orders `turns` (places) one after another from what is left, in place: each its own plan (`own`, by
        place) if that is still there, else its best on what is.

        Returns the new plans, int64[n] 1 where there is one, and how many were served: the next order's boxes compete
        with each other, and somebody else has to plan it.
        """
        terms, limit = self._terms(1, None, narrow=True), np.full(len(turns), FAR, np.int64)
        return self._planned(_stores(left), NO_RATES, terms, turns, limit, own)

    def _planned(
        self, stores: Stores, rates: Rates, terms: Terms, which: Ints, below: Ints, own: Answers | None
    ) -> tuple[Answers, Ints, int]:
        size, boxes = len(which), int(self.units[which].sum())
        found = Found._make(np.zeros(one, np.int64) for one in (size, size, size, size, size + 1, boxes, boxes))
        again, theirs = np.zeros(size, np.int64), found if own is None else own.found
        done = plan(stores, self.table, rates, terms, own is not None, which, below, theirs, again, found, self.room)
        count = int(found.start.max(initial=0))
        trimmed = found._replace(option=found.option[:count], part=found.part[:count])
        return Answers(which, trimmed), again, int(done)

    def work(self, which: Ints) -> int:
        """Work of one pass over the orders, in menu cells priced."""
        return len(which) + int(self.steps[which].sum()) // CHEAP

    def flat(self, answers: Answers) -> Flat:
        """The shipments of the answers, ascending by option."""
        which, found = answers
        count = int(found.start[-1])
        owner, option = np.zeros(count, np.int64), np.zeros(count, np.int64)
        lines = sizes(self.table.line_start)[which]
        most = int((sizes(found.start) * lines).sum())
        of, row, units = (np.zeros(most, np.int64) for _ in range(3))
        size = flatten(self.table, which, found, owner, option, of, row, units)
        return Flat(owner, option, of[:size], row[:size], units[:size])

    def cost(self, answers: Answers) -> Ints:
        """int64[n]: mills that the answers cost, without any rates."""
        (which, found), table, objective = answers, self.table, self.problem.objective
        slot = owners(found.start)
        at = which[slot]
        states = table.state_start[at + 1] - table.state_start[at]
        cell = table.cell_start[at] + (found.option - table.option_start[at]) * states + found.part
        cost = np.zeros(len(which), np.int64)
        np.add.at(cost, slot, table.price[cell])
        cost += objective.unfilled_per_unit * table.left[table.state_start[which] + found.state]
        cost += objective.late_per_day * found.late
        return cost - np.where(sizes(found.start) > 0, objective.split_parcel, 0)

    def usable(self) -> Bools:
        """bool[L, N]: the node can ship a unit of the row of `Lines`, if that is of a simple order."""
        table, found = self.table, np.zeros((len(self.problem.lines.item), self.problem.nodes), np.bool_)
        order = owners(table.line_start)
        option, line = spans(table.option_start, order)
        at = order[line]
        states = table.state_start[at + 1] - table.state_start[at]
        cell = table.cell_start[at] + (option - table.option_start[at]) * states + table.radix[line]
        good = table.price[cell] < FAR
        found[table.line[line[good]], table.node[option[good]]] = True
        return found

    def ceiling(self) -> int:
        """Mills that no choice of plans costs: every unit in a box of its own at the highest price there is."""
        table, objective = self.table, self.problem.objective
        if not len(table.order):
            return 0
        dearest = np.maximum.reduceat(np.where(table.price < FAR, table.price, 0), table.cell_start[:-1])
        late = objective.late_per_day * np.maximum.reduceat(table.late_days, table.option_start[:-1])
        left = objective.unfilled_per_unit * np.maximum.reduceat(table.left, table.state_start[:-1])
        total = dearest * self.units + late + left
        return sum(total[self.place[self.place >= 0]].tolist())

    def priced(self, answers: Answers, *, proven: bool = True) -> list[Priced]:
        """The answers as plans of the window's objective; `proven`: with their cost as their bound."""
        which, found = answers
        every = self.flat(answers)
        plans = plans_of(self.problem, self.table.order[which], every)
        filled = np.bincount(every.owner[every.of], every.units, len(which)).astype(np.int64).tolist()
        cost = found.value.tolist()
        bounds = cost if proven else [None] * len(cost)
        work = (1 + self.steps[which] // CHEAP).tolist()
        return list(map(Priced, plans, cost, filled, bounds, work))

    def _terms(self, scale: int, fullest: bool | None, *, narrow: bool) -> Terms:
        objective = self.problem.objective
        return Terms(
            self.problem.nodes,
            scale,
            objective.unfilled_per_unit * scale,
            objective.late_per_day * scale,
            objective.split_parcel * scale,
            objective.fill_always if fullest is None else fullest,
            narrow,
        )


def plans_of(problem: Problem, orders: Ints, every: Flat) -> list[tuple[Shipment, ...]]:
    """The plans of orders whose shipments are flat, one after another."""
    start = problem.lines.start
    order = orders[every.owner]
    size = start[order + 1] - start[order]
    edge = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])
    units = np.zeros(int(edge[-1]), np.int64)
    units[edge[every.of] + every.row - start[order[every.of]]] = every.units
    of_shipment = [units[low:high] for low, high in pairwise(edge.tolist())]
    shipments = list(map(Shipment, every.option.tolist(), of_shipment))
    bounds = np.searchsorted(every.owner, np.arange(len(orders) + 1)).tolist()
    return [tuple(shipments[low:high]) for low, high in pairwise(bounds)]


def nothing(problem: Problem, orders: Ints) -> list[Priced]:
    """The plans of orders of which nothing ships."""
    unit = problem.objective.unfilled_per_unit
    return [Priced((), unit * units, 0, unit * units, 1) for units in charged_units(problem, orders).tolist()]


def simple_plans(
    problem: Problem, orders: Ints, supply: Supply, purse: Purse, *, work: int
) -> tuple[Simple, Answers, Ints]:
    """The simple ones of some orders with the best plan of each as if alone, by place; and those that can ship nothing.

    Orders whose boxes compete for room are no simple ones.
    """
    simple, empty = simple_orders(problem, orders, supply, purse, work=work)
    which = np.arange(len(simple.table.order))
    own = simple.answers(which, supply)
    purse.pay(simple.work(which))
    simple.place[simple.table.order[own.found.coupled > 0]] = -1
    return simple, own, empty


def simple_orders(problem: Problem, orders: Ints, supply: Supply, purse: Purse, *, work: int) -> tuple[Simple, Ints]:
    """The simple ones of some orders, on a supply, and those among the others that can ship nothing at all.

    `work` bounds the steps of one order; orders that `purse` does not afford are not taken in, unless they cost less
    than a quick plan would.
    """
    wanted, ways, stores = _wanted(problem), _ways(problem), _stores(supply)
    most = np.zeros(len(problem.lines.item), np.int64)
    every = Sizes(*(np.zeros(len(orders), np.int64) for _ in Sizes._fields))
    measure(wanted, ways, stores, problem.nodes, min(MOST_PAIRS, CHEAP * work), orders, most, every)
    steps, cells = 2 * every.options * every.states + every.pairs, every.options * every.states
    taken = np.flatnonzero(every.lines > 0)
    taken = taken[np.argsort(steps[taken], kind="stable")]
    taken = taken[np.cumsum(cells[taken]) <= KEPT_CELLS]
    cost = 1 + steps[taken] // CHEAP
    paid = (np.cumsum(cost) <= purse.work - purse.spent) | (cost <= STEP)
    taken = np.sort(taken[paid]) if not purse.expired() else taken[:0]
    sizes = Sizes(*(column[taken] for column in every))
    table, room = _table(orders[taken], sizes), scratch(sizes)
    tabulate(wanted, ways, stores, table, problem.nodes, problem.objective.split_parcel, most, room)
    place = np.full(problem.orders, -1, np.int64)
    place[orders[taken]] = np.arange(len(taken))
    return Simple(problem, table, place, sizes.units, steps[taken], room), orders[every.lines == 0]


def _table(orders: Ints, sizes: Sizes) -> Table:
    """An empty table with its starts set."""

    def starts(size: Ints) -> Ints:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(size)])

    line, option, state = starts(sizes.lines), starts(sizes.options), starts(sizes.states)
    cell = starts(sizes.options * sizes.states)

    def columns(start: Ints, count: int) -> list[Ints]:
        return [start, *(np.zeros(int(start[-1]), np.int64) for _ in range(count))]

    return Table._make([ints(orders), *columns(line, 4), *columns(option, 4), *columns(state, 2), *columns(cell, 1)])


def _stores(supply: Supply) -> Stores:
    return Stores(ints(supply.stock), ints(supply.parcels), ints(supply.units))


def _ways(problem: Problem) -> Ways:
    options, steps = problem.options, steps_of(problem.curves)
    columns = {name: ints(getattr(options, name)) for name in Ways._fields[:-3]}
    toll = problem.toll if problem.toll is not None else np.zeros(0, np.int64)
    return Ways(**columns, up_to_g=ints(steps.up_to_g), price=ints(steps.price), toll=ints(toll))


def _wanted(problem: Problem) -> Wanted:
    lines = problem.lines
    columns = {name: ints(getattr(lines, name)) for name in Wanted._fields if name not in ("eligible", "odd")}
    return Wanted(**columns, eligible=bools(lines.eligible), odd=bools(_odd(problem)))


def _odd(problem: Problem) -> Bools:
    """bool[O]: alternatives, groups, goods made of others, limits, or money beyond what fits."""
    lines, limits, objective = problem.lines, problem.limits, problem.objective
    units = np.bincount(owners(problem.lines.start), lines.quantity.astype(np.float64), problem.orders)
    late = float(problem.options.late_days.max(initial=0)) * objective.late_per_day
    odd = limits.whole_lines | limits.complete | (limits.min_split_value > 0) | (limits.max_parcels < units)
    odd |= units * (float(objective.unfilled_per_unit) + objective.split_parcel) + late > LARGE
    odd |= np.bincount(owners(problem.lines.start), odd_rows(problem), problem.orders) > 0
    return odd
