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

from solvers.column import Column
from solvers.problem import Ints
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
    """An LP optimum: its value, the prices, each order's dual (mills), and the columns chosen if it is integral.

    `artificial`: what is short of the rows that may not be; `picked` float64[columns]: how much of each column is used.
    """

    value: float
    prices: Prices
    order: dict[int, float]
    chosen: list[int] | None
    artificial: float
    picked: NDArray[np.float64]


def worth_of(prices: Ints, units: Ints) -> int:
    """What units of some kinds are worth at their prices; more than an int64 holds, if need be."""
    some = np.flatnonzero(prices)
    return sum(price * count for price, count in zip(prices[some].tolist(), units[some].tolist(), strict=True))


class Choice(NamedTuple):
    """Column indexes, one per order; `optimal`: proven best among the columns there are."""

    columns: list[int]
    optimal: bool


@dataclass(slots=True)
class _Grown:
    """How far the LP has grown: of each order its row and its artificial column, of each resource its row, of each
    fill row its row and the column of what is short; of each column of the master its column in the LP."""

    simplex: Simplex = field(default_factory=Simplex)
    rows: int = 0
    width: int = 0
    order_row: dict[int, int] = field(default_factory=dict)
    order_short: list[int] = field(default_factory=list)
    resource_row: dict[int, int] = field(default_factory=dict)
    fill_row: list[int] = field(default_factory=list)
    fill_short: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    penalty: int = 0
    fixed: set[int] = field(default_factory=set)
    entries: int = 0
    free: Ints | None = None
    fill_units: Ints | None = None


class Master:
    """Columns of some orders over what the other orders leave (`free`), with fill rows if `fill_units` is given.

    free int64[resources]. `work`: what was done so far, in menu cells priced. `short` int64[rows]: what a unit short of
    a fill row costs, in mills; None: no row may be short in the end. Only resources that the orders' hungriest plans
    together could exhaust have a row. `largest`: units of one order at most; its prices are held so that no order's
    value overflows: a bound is one at any prices.
    """

    def __init__(self, free: Ints, fill_units: Ints | None, largest: int) -> None:
        self.free, self.fill_units = free, fill_units
        self._dearest = min(DEAREST, MOST // max(1, largest))
        self.short: Ints | None = None
        self.columns: list[Column] = []
        self._known: set[tuple[int | bytes, ...]] = set()
        self._takers: dict[int, list[tuple[int, int]]] = {}
        self._hungriest: dict[int, dict[int, int]] = {}
        self._appetite: dict[int, int] = {}
        self._orders: set[int] = set()
        self._grown = _Grown()
        self.work = 0

    def add(self, column: Column) -> bool:
        """Take a column in; False if it is known already."""
        key: tuple[int | bytes, ...] = (column.order,)
        for option, units in column.plan:
            key += (option, units.tobytes())
        if key in self._known:
            return False
        self._known.add(key)
        at = len(self.columns)
        for resource, amount in column.takes.items():
            self._takers.setdefault(resource, []).append((at, amount))
            most = self._hungriest.setdefault(resource, {})
            more = amount - most.get(column.order, 0)
            if more > 0:
                most[column.order] = amount
                self._appetite[resource] = self._appetite.get(resource, 0) + more
        self.columns.append(column)
        self._orders.add(column.order)
        return True

    @property
    def steps(self) -> int:
        """Work of the next relaxation, in menu cells priced, as far as it can be foreseen."""
        entries = sum(map(len, self._takers.values())) + len(self.columns)
        return LP_START + LP_WORK * entries + PIVOT_WORK * len(self._orders) * len(self._orders)

    @property
    def decision(self) -> int:
        """Work of a decision, as far as it can be foreseen: few orders stay open where there are many columns."""
        return MIP_START + MIP_WORK * min(EXACT_COLUMNS, len(self.columns))

    @property
    def exact_decision(self) -> int:
        """The same of one that leaves all orders open."""
        return MIP_START + MIP_WORK * len(self.columns)

    def _scarce(self) -> list[int]:
        """Resources that the hungriest plans could exhaust, in the order they were seen."""
        free = self.free[list(self._appetite)].tolist()
        return [one for (one, most), enough in zip(self._appetite.items(), free, strict=True) if most > enough]

    def _matrix(self) -> tuple[list[int], list[int], Any, Ints]:
        """(orders, scarce resources, sparse matrix: order rows, resource rows, fill rows; capacity of resources)."""
        orders, scarce = sorted(self._orders), self._scarce()
        row_of_order = {order: row for row, order in enumerate(orders)}
        base = len(orders) + len(scarce)
        row = [row_of_order[column.order] for column in self.columns]
        col, value = list(range(len(self.columns))), [1] * len(self.columns)
        for at, resource in enumerate(scarce, len(orders)):
            for column, amount in self._takers[resource]:
                row.append(at)
                col.append(column)
                value.append(amount)
        for at, one in enumerate(self.columns):
            for fill, amount in one.fills.items():
                row.append(base + fill)
                col.append(at)
                value.append(amount)
        rows = base + (len(self.fill_units) if self.fill_units is not None else 0)
        matrix = csc_matrix((np.array(value, float), (row, col)), shape=(rows, len(self.columns)))
        return orders, scarce, matrix, self.free[scarce]

    def rounded(self, leave: int) -> NDArray[np.float64] | None:
        """Columns fixed (1) so that at most about `leave` orders stay open, for `decide`; None where the LP fails.

        What is nearly whole first, then the largest fractions, an eighth of the open orders at a time.
        """
        fixed, orders = np.zeros(len(self.columns)), len({column.order for column in self.columns})
        for _ in range(DIVES):
            relaxed = self.relax(20 * max(column.cost for column in self.columns) + 1, fixed)
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
        left: dict[int, int] = {}
        done = set()

        def put(index: int) -> None:
            done.add(self.columns[index].order)
            for resource, amount in self.columns[index].takes.items():
                left[resource] = left.get(resource, int(self.free[resource])) - amount

        for index in np.flatnonzero(fixed).tolist():
            put(index)
        for index in np.lexsort((np.arange(len(picked)), -picked)).tolist():
            column = self.columns[index]
            if picked[index] < bar:
                break
            fits = all(left.get(r, int(self.free[r])) >= amount for r, amount in column.takes.items())
            if fits and column.order not in done:
                fixed[index] = 1
                put(index)

    def relax(self, penalty: int, fixed: NDArray[np.float64] | None = None) -> Relaxed | None:
        """The LP over all columns. Each order and each unit of a fill row may fall short at `penalty` or `short` mills.

        `fixed` float64[columns]: the least part of each column that must be picked, 0 or 1.
        """
        grown = self._grow(penalty)
        self._fix_columns(fixed)
        found = grown.simplex.solve()
        if found is None:
            # What is left of this one may be in no state to go on from.
            self._grown = _Grown()
            return None
        self.work += LP_START + LP_WORK * grown.entries + PIVOT_WORK * grown.rows * found.pivots
        duals, every = np.rint(found.duals * FINE), found.columns
        limit = float(self._dearest)
        worth = np.zeros(len(self.free), np.int64)
        if grown.resource_row:
            rows = np.array(list(grown.resource_row.values()))
            worth[list(grown.resource_row)] = np.clip(-duals[rows], 0, limit).astype(np.int64)
        fill = np.clip(duals[grown.fill_row], 0, limit).astype(np.int64) if grown.fill_row else np.zeros(0, np.int64)
        picked = every[grown.columns]
        integral = bool((np.minimum(picked, 1 - picked) < 1e-6).all())
        artificial = float(every[grown.order_short].sum())
        if self.short is None and grown.fill_short:
            artificial += float(every[grown.fill_short].sum())
        order = dict(zip(grown.order_row, found.duals[list(grown.order_row.values())].tolist(), strict=True))
        chosen = np.flatnonzero(picked > 0.5).tolist() if integral else None
        return Relaxed(found.value, Prices(worth, fill), order, chosen, artificial, picked)

    def _grow(self, penalty: int) -> _Grown:
        """Bring the LP up to date with orders, columns, what is free and the prices of falling short."""
        grown, fresh = self._grown, range(len(self._grown.columns), len(self.columns))
        low: list[float] = []
        high: list[float] = []
        entries: list[tuple[list[int], list[int]]] = []

        def row(least: float, most: float, inside: tuple[list[int], list[int]]) -> int:
            low.append(least)
            high.append(most)
            entries.append(inside)
            return grown.rows + len(low) - 1

        short: list[tuple[int, float]] = []  # (row, cost) of artificial columns
        if not grown.rows and self.fill_units is not None:
            price = np.full(len(self.fill_units), penalty) if self.short is None else self.short
            for units, cost in zip(self.fill_units.tolist(), price.tolist(), strict=True):
                grown.fill_row.append(row(units, np.inf, ([], [])))
                short.append((grown.fill_row[-1], cost))
        for order in sorted(self._orders - grown.order_row.keys()):
            grown.order_row[order] = row(1, 1, ([], []))
            short.append((grown.order_row[order], penalty))
        if grown.free is not self.free:
            for resource, at in grown.resource_row.items():
                grown.simplex.bound_row(at, -np.inf, float(self.free[resource]))
            grown.free = self.free
        for resource in self._scarce():
            if resource not in grown.resource_row:
                known = [(grown.columns[at], n) for at, n in self._takers[resource] if at < len(grown.columns)]
                inside = ([at for at, _ in known], [n for _, n in known])
                grown.resource_row[resource] = row(-np.inf, float(self.free[resource]), inside)
        if low:
            grown.simplex.add_rows(np.array(low, float), np.array(high, float), Sparse.of(entries))
            grown.rows += len(low)
        self._reprice(penalty)
        self._widen(short, fresh)
        return grown

    def _reprice(self, penalty: int) -> None:
        """Set what falling short costs, where it changed."""
        grown = self._grown
        if penalty != grown.penalty:
            for column in grown.order_short + (grown.fill_short if self.short is None else []):
                grown.simplex.price(column, float(penalty))
            grown.penalty = penalty
        if self.fill_units is not None and self.fill_units is not grown.fill_units:
            grown.fill_units = self.fill_units
            for at, units in zip(grown.fill_row, self.fill_units.tolist(), strict=True):
                grown.simplex.bound_row(at, float(units), np.inf)

    def _widen(self, short: list[tuple[int, float]], fresh: range) -> None:
        """Add artificial columns and the master's new columns."""
        grown = self._grown
        fill_rows = set(grown.fill_row)
        cost = [price for _, price in short]
        entries: list[tuple[list[int], list[int]]] = [([at], [1]) for at, _ in short]
        for column, (at, _) in enumerate(short, grown.width):
            (grown.fill_short if at in fill_rows else grown.order_short).append(column)
        for at in fresh:
            one = self.columns[at]
            rows, values = [grown.order_row[one.order]], [1]
            for resource, amount in one.takes.items():
                if resource in grown.resource_row:
                    rows.append(grown.resource_row[resource])
                    values.append(amount)
            for fill, amount in one.fills.items():
                rows.append(grown.fill_row[fill])
                values.append(amount)
            grown.columns.append(grown.width + len(cost))
            cost.append(one.cost)
            entries.append((rows, values))
        if cost:
            grown.simplex.add_columns(np.array(cost, float), Sparse.of(entries))
            grown.width += len(cost)
            grown.entries += sum(len(rows) for rows, _ in entries)

    def _fix_columns(self, fixed: NDArray[np.float64] | None) -> None:
        grown = self._grown
        wanted = set(np.flatnonzero(fixed).tolist()) if fixed is not None else set()
        for at in sorted(wanted ^ grown.fixed):
            grown.simplex.bound_column(grown.columns[at], 1.0 if at in wanted else 0.0)
        grown.fixed = wanted

    def decide(
        self,
        floors: dict[int, int],
        maximise: int | None = None,
        *,
        most: int = EXACT_COLUMNS,
        fixed: NDArray[np.float64] | None = None,
        picked: NDArray[np.float64] | None = None,
    ) -> Choice | None:
        """The cheapest integer choice with every fill row in `floors` at least so full, as column indexes.

        `maximise`: fill this row as far as possible instead. Searched exactly up to `most` columns, or where some are
        `fixed` (float64[columns], 1 there); above it what the LP has `picked` whole is fixed. None where nothing was
        found within NODE_WORK.
        """
        if len(self.columns) > most and fixed is None:
            if picked is None:
                return None
            fixed = np.zeros(len(self.columns))
            fixed[: len(picked)] = picked > WHOLE
        orders, scarce, matrix, free = self._matrix()
        base = len(orders) + len(scarce)
        rows = [*range(base), *(base + fill for fill in sorted(floors))]
        low = np.concatenate([np.ones(len(orders)), np.full(len(scarce), -np.inf), [floors[f] for f in sorted(floors)]])
        high = np.concatenate([np.ones(len(orders)), free, np.full(len(floors), np.inf)])
        cost = np.array([c.cost for c in self.columns], float)
        if maximise is not None:
            cost = -np.array([c.fills.get(maximise, 0) for c in self.columns], float)
        result = milp(
            cost,
            integrality=np.ones(len(cost)),
            bounds=Bounds(np.zeros(len(cost)) if fixed is None else fixed, np.ones(len(cost))),
            constraints=LinearConstraint(matrix[rows], low, high),
            options={"node_limit": 1 + NODE_WORK // len(cost), "mip_rel_gap": 0.0},
        )
        closed = set() if fixed is None else {self.columns[at].order for at in np.flatnonzero(fixed).tolist()}
        open_columns = sum(column.order not in closed for column in self.columns)
        nodes = max(0, int(result.mip_node_count or 0))
        self.work += MIP_START + MIP_WORK * open_columns + len(cost) * nodes
        if result.x is None or result.status not in (0, 1):
            return None
        chosen = np.flatnonzero(result.x > 0.5).tolist()
        optimal = result.status == 0 and fixed is None
        return Choice(chosen, optimal) if self.holds(chosen, floors) else None

    def holds(self, chosen: Sequence[int], floors: dict[int, int]) -> bool:
        """Recount a choice in integers: floating-point feasibility is not feasibility."""
        if sorted(self.columns[index].order for index in chosen) != sorted({column.order for column in self.columns}):
            return False
        used: dict[int, int] = {}
        filled: dict[int, int] = {}
        for index in chosen:
            for resource, amount in self.columns[index].takes.items():
                used[resource] = used.get(resource, 0) + amount
            for row, amount in self.columns[index].fills.items():
                filled[row] = filled.get(row, 0) + amount
        return all(amount <= self.free[r] for r, amount in used.items()) and all(
            filled.get(row, 0) >= floor for row, floor in floors.items()
        )
