"""The restricted master problem: pick one plan (column) per order so that stock, room and fill agree.

Set partitioning. Its LP grows with the columns and gives the prices (`simplex`); the MIP that SciPy carries takes a
decision where the LP's optimum is not whole. Every status is looked at; a run that did not end well answers None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_matrix

from solvers.pool import Pool, none
from solvers.problem import Bools, Ints
from solvers.simplex import Simplex, Sparse

NODE_WORK = 100_000
"""Columns times branch-and-bound nodes of one integer run: work, not time, so that runs repeat."""

EXACT_COLUMNS = 400
"""Up to so many columns the integer optimum is searched by branch and bound; above it the LP is rounded or fixed."""

LP_START, LP_WORK, PIVOT_WORK = 30_000, 20, 1
"""Work of one relaxation: to begin with, per entry of its matrix, and per row for every pivot: measured."""

MIP_START, MIP_WORK = 100_000, 4_000
"""Work of one integer run: to begin with, and per column of the orders that are open: measured."""

WHOLE = 0.999
"""What the LP picks so much of is picked."""

DIVES = 12
"""Relaxations solved to round one at most."""

DEAREST, MOST = 2**50, 2**60
"""FINE parts of a mill: what a unit is worth at most, and all that one order can take or leave."""

FINE = 1_000
"""Prices of cells and rooms are counted in thousandths of a mill, so that rounding them moves no bound by a mill."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Duals in FINE parts of a mill: `resource` int64[resources] what a unit of it is worth, `fill` int64[rows] what
    filling one is."""

    resource: Ints
    fill: Ints


class Relaxed(NamedTuple):
    """An LP optimum: its value, the prices, each order's dual (mills, float64[O], nan where the master has no plan of
    it), and the columns chosen if it is integral.

    `artificial`: what is short of the rows that may not be; `picked` float64[columns]: how much of each column is used.
    """

    value: float
    prices: Prices
    order: NDArray[np.float64]
    chosen: list[int] | None
    artificial: float
    picked: NDArray[np.float64]


def worth_of(prices: Ints, units: Ints) -> int:
    """What units of some kinds are worth at their prices; more than an int64 holds, if need be."""
    some = np.flatnonzero(prices)
    if float(prices[some].astype(np.float64) @ units[some].astype(np.float64)) < 2.0**60:
        return int(prices[some] @ units[some])
    return sum(price * count for price, count in zip(prices[some].tolist(), units[some].tolist(), strict=True))


class Choice(NamedTuple):
    """Column indexes, one per order; `optimal`: proven best among the columns there are."""

    columns: list[int]
    optimal: bool


@dataclass(slots=True)
class _Grown:
    """How far the LP has grown, by numbers: of each order its row, of each resource its row (-1: none), of each fill
    row its row and the column of what is short; the artificial columns of orders; of each column of the master its
    column in the LP."""

    order_row: Ints
    resource_row: Ints
    simplex: Simplex = field(default_factory=Simplex)
    rows: int = 0
    width: int = 0
    order_short: Ints = field(default_factory=none)
    fill_row: Ints = field(default_factory=none)
    fill_short: Ints = field(default_factory=none)
    columns: Ints = field(default_factory=none)
    penalty: int = 0
    fixed: set[int] = field(default_factory=set)
    entries: int = 0
    free: Ints | None = None
    fill_units: Ints | None = None


class Master(Pool):
    """The columns of a pool, chosen among: over what the other orders leave (`free`), with fill rows if `fill_units` is
    given.

    `work`: what was done so far, in menu cells priced. `short` int64[rows]: what a unit short of a fill row costs, in
    mills; None: no row may be short in the end. Only scarce resources have a row. `largest`: units of one order at
    most; its prices are held so that no order's value overflows: a bound is one at any prices.
    """

    def __init__(self, orders: int, free: Ints, fill_units: Ints | None, largest: int) -> None:
        super().__init__(orders, free)
        self.fill_units = fill_units
        self._dearest = min(DEAREST, MOST // max(1, largest))
        self.short: Ints | None = None
        self._grown = self._ungrown()
        self.work = 0

    @property
    def steps(self) -> int:
        """Work of the next relaxation, in menu cells priced, as far as it can be foreseen."""
        orders = int(self.orders.sum())
        return LP_START + LP_WORK * (len(self.taken.owner) + self.size) + PIVOT_WORK * orders * orders

    @property
    def decision(self) -> int:
        """Work of a decision, as far as it can be foreseen: few orders stay open where there are many columns."""
        return MIP_START + MIP_WORK * min(EXACT_COLUMNS, self.size)

    @property
    def exact_decision(self) -> int:
        """The same of one that leaves all orders open."""
        return MIP_START + MIP_WORK * self.size

    def _matrix(self) -> tuple[Ints, Ints, Any]:
        """(orders, scarce resources, sparse matrix: order rows, resource rows, fill rows)."""
        orders, scarce = np.flatnonzero(self.orders), self.scarce()
        row_of_order, row_of = np.zeros(len(self.orders), np.int64), np.full(len(self.free), -1, np.int64)
        row_of_order[orders] = np.arange(len(orders))
        row_of[scarce] = len(orders) + np.arange(len(scarce))
        base, (owner, resource, amount) = len(orders) + len(scarce), self.taken
        held = row_of[resource] >= 0
        row = np.concatenate([row_of_order[self.order], row_of[resource[held]], base + self.fills.resource])
        column = np.concatenate([np.arange(self.size), owner[held], self.fills.owner])
        value = np.concatenate([np.ones(self.size), amount[held], self.fills.amount])
        rows = base + (len(self.fill_units) if self.fill_units is not None else 0)
        return orders, scarce, csc_matrix((value, (row, column)), shape=(rows, self.size))

    def rounded(self, leave: int) -> NDArray[np.float64] | None:
        """Columns fixed (1) so that at most about `leave` orders stay open, for `decide`; None where the LP fails.

        What is nearly whole first, then the largest fractions, an eighth of the open orders at a time.
        """
        fixed, orders = np.zeros(self.size), int(self.orders.sum())
        for _ in range(DIVES):
            relaxed = self.relax(20 * int(self.cost.max()) + 1, fixed)
            if relaxed is None or relaxed.artificial > 1e-6:
                return None
            picked = np.where(fixed > 0, 0, relaxed.picked)
            self._fix(fixed, picked, 0.95)
            still = orders - int(fixed.sum())
            if still <= leave:
                break
            self._fix(fixed, picked, float(np.sort(picked[picked < 0.95])[-max(1, still // 8)]))
        return fixed

    def _fix(self, fixed: NDArray[np.float64], picked: NDArray[np.float64], bar: float) -> None:
        """Fix columns above the bar, largest first, as long as they fit together."""
        sequence = np.lexsort((np.arange(len(picked)), -picked))
        fixed[self.fitting(sequence[picked[sequence] >= bar].tolist(), np.flatnonzero(fixed))] = 1

    def relax(self, penalty: int, fixed: NDArray[np.float64] | None = None) -> Relaxed | None:
        """The LP over all columns. Each order and each unit of a fill row may fall short at `penalty` or `short` mills.

        `fixed` float64[columns]: the least part of each column that must be picked, 0 or 1.
        """
        grown = self._grow(penalty)
        self._fix_columns(fixed)
        found = grown.simplex.solve()
        if found is None:
            # What is left of this one may be in no state to go on from.
            self._grown = self._ungrown()
            return None
        self.work += LP_START + LP_WORK * grown.entries + PIVOT_WORK * grown.rows * found.pivots
        duals, every = np.rint(found.duals * FINE), found.columns
        limit = float(self._dearest)
        worth = np.zeros(len(self.free), np.int64)
        held = np.flatnonzero(grown.resource_row >= 0)
        worth[held] = np.clip(-duals[grown.resource_row[held]], 0, limit).astype(np.int64)
        fill = np.clip(duals[grown.fill_row], 0, limit).astype(np.int64)
        picked = every[grown.columns]
        integral = bool((np.minimum(picked, 1 - picked) < 1e-6).all())
        artificial = float(every[grown.order_short].sum())
        if self.short is None:
            artificial += float(every[grown.fill_short].sum())
        order = np.full(len(self.orders), np.nan)
        order[self.orders] = found.duals[grown.order_row[self.orders]]
        chosen = np.flatnonzero(picked > 0.5).tolist() if integral else None
        return Relaxed(found.value, Prices(worth, fill), order, chosen, artificial, picked)

    def _ungrown(self) -> _Grown:
        return _Grown(np.full(len(self.orders), -1, np.int64), np.full(len(self.free), -1, np.int64))

    def _grow(self, penalty: int) -> _Grown:
        """Bring the LP up to date with orders, columns, what is free and the prices of falling short."""
        grown = self._grown
        if grown.free is not self.free:
            for held in np.flatnonzero(grown.resource_row >= 0).tolist():
                grown.simplex.bound_row(int(grown.resource_row[held]), -np.inf, float(self.free[held]))
            grown.free = self.free
        rows = self._new_fill_rows(penalty)
        orders = np.flatnonzero(self.orders & (grown.order_row < 0))
        scarce = self.scarce()
        scarce = scarce[grown.resource_row[scarce] < 0]
        first = grown.rows + len(rows)
        grown.order_row[orders] = np.arange(len(orders)) + first
        grown.resource_row[scarce] = np.arange(len(scarce)) + first + len(orders)
        low = np.concatenate([rows, np.ones(len(orders)), np.full(len(scarce), -np.inf)])
        high = np.concatenate([np.full(len(rows), np.inf), np.ones(len(orders)), self.free[scarce]])
        if len(low):
            owner, resource, amount = self.taken
            known = (owner < len(grown.columns)) & (grown.resource_row[resource] >= first)
            entries = Sparse.of(
                grown.resource_row[resource[known]] - grown.rows, grown.columns[owner[known]], amount[known], len(low)
            )
            grown.simplex.add_rows(low, high, entries)
            grown.rows += len(low)
        self._reprice(penalty)
        self._widen(penalty, orders, len(rows))
        return grown

    def _new_fill_rows(self, penalty: int) -> NDArray[np.float64]:
        """What the fill rows must hold at least, where the LP has none yet."""
        if self._grown.rows or self.fill_units is None:
            return np.zeros(0)
        self._grown.fill_row = np.arange(len(self.fill_units), dtype=np.int64)
        self._grown.fill_units, self._grown.penalty = self.fill_units, penalty
        return self.fill_units.astype(np.float64)

    def _reprice(self, penalty: int) -> None:
        """Set what falling short costs, where it changed."""
        grown = self._grown
        if penalty != grown.penalty:
            for column in [*grown.order_short.tolist(), *(grown.fill_short.tolist() if self.short is None else [])]:
                grown.simplex.price(column, float(penalty))
            grown.penalty = penalty
        if self.fill_units is not None and self.fill_units is not grown.fill_units:
            grown.fill_units = self.fill_units
            for at, units in zip(grown.fill_row.tolist(), self.fill_units.tolist(), strict=True):
                grown.simplex.bound_row(at, float(units), np.inf)

    def _widen(self, penalty: int, orders: Ints, fill_rows: int) -> None:
        """Add artificial columns of new fill rows and orders, and the master's new columns."""
        grown, known = self._grown, len(self._grown.columns)
        short = np.full(fill_rows, penalty) if self.short is None else self.short[:fill_rows]
        artificial = fill_rows + len(orders)
        cost = np.concatenate([short, np.full(len(orders), penalty), self.cost[known:]]).astype(np.float64)
        if not len(cost):
            return
        grown.fill_short = np.concatenate([grown.fill_short, grown.width + np.arange(fill_rows)])
        grown.order_short = np.concatenate([grown.order_short, grown.width + np.arange(fill_rows, artificial)])
        (owner, resource, amount), filled = self.taken, self.fills
        held = (owner >= known) & (grown.resource_row[resource] >= 0)
        new = filled.owner >= known
        place = [np.arange(fill_rows), grown.order_row[orders], grown.order_row[self.order[known:]]]
        place += [grown.resource_row[resource[held]], grown.fill_row[filled.resource[new]]]
        column = [np.arange(artificial), np.arange(artificial, len(cost))]
        column += [owner[held] - known + artificial, filled.owner[new] - known + artificial]
        value = np.concatenate([np.ones(len(cost)), amount[held], filled.amount[new]])
        entries = Sparse.of(np.concatenate(column), np.concatenate(place), value, len(cost))
        grown.simplex.add_columns(cost, entries)
        grown.columns = np.concatenate([grown.columns, grown.width + np.arange(artificial, len(cost))])
        grown.width += len(cost)
        grown.entries += len(value)

    def _fix_columns(self, fixed: NDArray[np.float64] | None) -> None:
        grown = self._grown
        wanted = set(np.flatnonzero(fixed).tolist()) if fixed is not None else set()
        for at in sorted(wanted ^ grown.fixed):
            grown.simplex.bound_column(int(grown.columns[at]), 1.0 if at in wanted else 0.0)
        grown.fixed = wanted

    def decide(
        self,
        floors: Sequence[int],
        maximise: int | None = None,
        *,
        most: int = EXACT_COLUMNS,
        fixed: NDArray[np.float64] | None = None,
        picked: NDArray[np.float64] | None = None,
        wide: bool = False,
        gap: float = 0.0,
    ) -> Choice | None:
        """The cheapest integer choice with the first fill rows at least as full as `floors`, as column indexes.

        `maximise`: fill this row as far as possible instead. Searched exactly up to `most` columns, or where some are
        `fixed` (float64[columns], 1 there); above it what the LP has `picked` whole is fixed, `wide`: only what shares
        nothing scarce with orders that are still open. `gap`: so close to the
        best, as a share of its cost, is good enough. None where nothing was found within NODE_WORK.
        """
        if self.size > most and fixed is None:
            if picked is None:
                return None
            fixed = np.zeros(self.size)
            fixed[: len(picked)] = picked > WHOLE
            if wide:
                fixed[self._beside_the_open(fixed > 0)] = 0
        orders, scarce, matrix = self._matrix()
        rows = len(orders) + len(scarce) + len(floors)
        low = np.concatenate([np.ones(len(orders)), np.full(len(scarce), -np.inf), np.array(floors, np.float64)])
        high = np.concatenate([np.ones(len(orders)), self.free[scarce], np.full(len(floors), np.inf)])
        cost = self.cost.astype(np.float64)
        if maximise is not None:
            mine = self.fills.resource == maximise
            cost = -np.bincount(self.fills.owner[mine], self.fills.amount[mine], self.size).astype(np.float64)
        result = milp(
            cost,
            integrality=np.ones(len(cost)),
            bounds=Bounds(np.zeros(len(cost)) if fixed is None else fixed, np.ones(len(cost))),
            constraints=LinearConstraint(matrix[:rows], low, high),
            options={"node_limit": 1 + NODE_WORK // len(cost), "mip_rel_gap": gap},
        )
        closed = np.zeros(len(self.orders), np.bool_)
        closed[self.order[np.zeros(self.size, np.bool_) if fixed is None else fixed > 0]] = True
        nodes = max(0, int(result.mip_node_count or 0))
        self.work += MIP_START + MIP_WORK * int((~closed[self.order]).sum()) + len(cost) * nodes
        if result.x is None or result.status not in (0, 1):
            return None
        chosen = np.flatnonzero(result.x > 0.5).tolist()
        optimal = result.status == 0 and fixed is None and gap == 0.0
        return Choice(chosen, optimal) if self.holds(chosen, floors) else None

    def _beside_the_open(self, fixed: Bools) -> Bools:
        """bool[columns]: fixed, and takes or fills something that a column of an open order does too."""
        closed = np.zeros(len(self.orders), np.bool_)
        closed[self.order[fixed]] = True
        beside = np.zeros(self.size, np.bool_)
        scarce = np.zeros(len(self.free), np.bool_)
        scarce[self.scarce()] = True
        for owner, resource, _ in (self.taken, self.fills):
            if not len(owner):
                continue
            wanted = np.zeros(int(resource.max()) + 1, np.bool_)
            wanted[resource[~closed[self.order[owner]]]] = True
            if owner is self.taken.owner:
                wanted &= scarce[: len(wanted)]
            beside[owner[wanted[resource]]] = True
        return beside & fixed

    def holds(self, chosen: Sequence[int], floors: Sequence[int]) -> bool:
        """Recount a choice in integers: floating-point feasibility is not feasibility."""
        orders = self.order[np.array(chosen, np.int64)]
        if len(orders) != int(self.orders.sum()) or len(np.unique(orders)) != len(orders):
            return False
        picked = np.zeros(self.size, np.bool_)
        picked[chosen] = True
        taken, filled = self.taken.only(picked), self.fills.only(picked)
        used, full = np.zeros(len(self.free), np.int64), np.zeros(len(floors), np.int64)
        np.add.at(used, taken.resource, taken.amount)
        counted = filled.resource < len(floors)
        np.add.at(full, filled.resource[counted], filled.amount[counted])
        return bool((used <= self.free).all() and (full >= np.array(floors, np.int64)).all())
