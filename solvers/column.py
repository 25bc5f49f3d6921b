"""Plans of orders as columns of the master problem: what each costs, takes and fills, many at once as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solvers.fill import Targets
from solvers.menu import spans
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.resources import Taken, taken_by, taken_of
from solvers.solution import Flat, Plan, flat


@dataclass(frozen=True, slots=True)
class Columns:
    """n plans: int64[n] `order`, `cost` in mills, `units` that ship, and `key`, alike for plans that are the same.

    `taken`, `filled`: what each takes by resource, and gives to each fill row; ascending by column (`owner`).
    """

    order: Ints
    cost: Ints
    units: Ints
    key: Ints
    taken: Taken
    filled: Taken
    plans: Sequence[Plan]

    def only(self, keep: Bools) -> Columns:
        """Some of them."""
        if keep.all():
            return self
        number = np.cumsum(keep) - 1
        taken, filled = (of.only(keep)._replace(owner=number[of.only(keep).owner]) for of in (self.taken, self.filled))
        plans = [plan for plan, kept in zip(self.plans, keep.tolist(), strict=True) if kept]
        return Columns(self.order[keep], self.cost[keep], self.units[keep], self.key[keep], taken, filled, plans)


def columns_of(
    problem: Problem,
    orders: Sequence[int],
    plans: Sequence[tuple[int, Plan]],
    targets: Targets | None,
    *,
    full: bool = False,
) -> Columns:
    """The columns of plans of these orders, each with its cost in mills.

    `full`: only of those that leave no unit of a line that every fullest solution ships whole.
    """
    ways = [plan for _, plan in plans]
    every = flat(problem, orders, ways)
    taken = taken_by(problem, orders, ways) if len(problem.derived.item) else taken_of(problem, every)
    cost = np.array([cost for cost, _ in plans], np.int64)
    found = flat_columns(np.array(orders, np.int64), cost, every, taken, ways, targets)
    if full and targets is not None:
        return found.only(~_lacking(problem, found.order, every, targets))
    return found


def flat_columns(
    orders: Ints,
    cost: Ints,
    every: Flat,
    taken: Taken,
    plans: Sequence[Plan],
    targets: Targets | None,
) -> Columns:
    """The columns of plans whose shipments are at hand flat."""
    owners = every.owner[every.of]
    units = np.zeros(len(orders), np.int64)
    np.add.at(units, owners, every.units)
    none = np.zeros(0, np.int64)
    filled = Taken(none, none, none)
    if targets is not None and len(targets.units):
        row = targets.row[every.row]
        some = row >= 0
        filled = _summed(owners[some], row[some], every.units[some], len(targets.units))
    return Columns(orders, cost, units, _keys(orders, every), taken, filled, plans)


def _summed(owner: Ints, row: Ints, amount: Ints, rows: int) -> Taken:
    """Each (owner, row) once, ascending."""
    key, place = np.unique(owner * rows + row, return_inverse=True)
    total = np.zeros(len(key), np.int64)
    np.add.at(total, place, amount)
    return Taken(key // rows, key % rows, total)


def _keys(orders: Ints, every: Flat) -> Ints:
    """int64[n]: the same for plans of one order that ship the same by the same options; others differ but by accident.

    Sums of scrambled numbers: the order of shipments does not matter.
    """
    option = every.option[every.of]
    each = _scrambled(_scrambled(option * 1_000_003 + every.row) + every.units)
    key = _scrambled(orders)
    np.add.at(key, every.owner[every.of], each)
    return key


def _scrambled(values: Ints) -> Ints:
    """The finaliser of MurmurHash3 (A. Appleby): every bit of the number moves every bit of the answer."""
    with np.errstate(over="ignore"):
        bits = values.astype(np.uint64)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            bits = (bits ^ (bits >> np.uint64(33))) * np.uint64(factor)
        return (bits ^ (bits >> np.uint64(33))).astype(np.int64)


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


def key_of(problem: Problem, plans: Sequence[Priced]) -> tuple[int, ...]:
    """What a window is judged by, given a plan of each order: units filled by descending priority (negative, if they
    come first), then money."""
    cost = sum(one.cost for one in plans)
    if not problem.objective.fill_always:
        return (cost,)
    filled: dict[int, int] = {}
    for priority, one in zip(problem.priority.tolist(), plans, strict=True):
        filled[priority] = filled.get(priority, 0) + one.filled
    return (*(-filled[one] for one in sorted(filled, reverse=True)), cost)
