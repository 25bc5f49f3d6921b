"""The restricted master problem: pick one plan (column) per order so that stock, room and fill agree.

Set partitioning, built from arrays as sparse matrices and solved by the HiGHS that SciPy carries: the LP for prices,
the MIP for a decision. Every status is looked at; a run that did not end well answers None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csc_matrix

from solvers.fill import Targets
from solvers.menu import Supply
from solvers.plan import Use, plan_cost, use_of
from solvers.problem import Ints, Problem
from solvers.solution import Shipment

NODE_WORK = 100_000
"""Columns times branch-and-bound nodes of one integer run: work, not time, so that runs repeat."""

EXACT_COLUMNS = 400
"""Up to so many columns the integer optimum is searched by branch and bound; above it the LP is rounded by diving."""

LP_WORK, LP_START = 300, 200_000
"""Work of one relaxation, per entry of its matrix and beside them."""

DIVES = 12
"""Relaxations solved in one dive at most."""

FINE = 1_000
"""Prices of cells and rooms are counted in thousandths of a mill, so that rounding them moves no bound by a mill."""

Resource = tuple[int, int, int]
"""(0, item, node): a stock cell; (1, bucket, 0): boxes of a bucket; (2, bucket, 0): its units."""


class Column(NamedTuple):
    """One plan of one order: its cost in mills, what it takes, and the units it gives each fill row."""

    order: int
    cost: int
    plan: tuple[Shipment, ...]
    takes: dict[Resource, int]
    fills: dict[int, int]


@dataclass(frozen=True, slots=True)
class Prices:
    """Duals in FINE parts of a mill: `resource` what a unit of it is worth, `fill` int64[rows] what filling one is."""

    resource: dict[Resource, int]
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


def column_of(problem: Problem, order: int, plan: tuple[Shipment, ...], targets: Targets | None) -> Column:
    """The column of a plan."""
    fills: dict[int, int] = {}
    first = int(problem.lines.start[order])
    if targets is not None:
        for shipment in plan:
            for line in np.flatnonzero(shipment.units).tolist():
                row = int(targets.row[first + line])
                if row >= 0:
                    fills[row] = fills.get(row, 0) + int(shipment.units[line])
    return Column(order, plan_cost(problem, order, plan).total, plan, takes(use_of(problem, order, plan)), fills)


def takes(use: Use) -> dict[Resource, int]:
    """What a plan takes, by resource."""
    found: dict[Resource, int] = {(0, item, node): units for (item, node), units in use.cells.items()}
    found.update({(1, bucket, 0): boxes for bucket, boxes in use.parcels.items()})
    found.update({(2, bucket, 0): units for bucket, units in use.units.items()})
    return found


def free_of(supply: Supply, resource: Resource) -> int:
    """How much of a resource there is."""
    kind, a, b = resource
    return int(supply.stock[a, b] if kind == 0 else (supply.parcels[a] if kind == 1 else supply.units[a]))


def worth_of(prices: Ints, units: Ints) -> int:
    """What units of the fill rows are worth at their prices; more than an int64 holds, if need be."""
    return sum(price * count for price, count in zip(prices.tolist(), units.tolist(), strict=True))


class Choice(NamedTuple):
    """Column indexes, one per order; `optimal`: proven best among the columns there are."""

    columns: list[int]
    optimal: bool


@dataclass(slots=True)
class Master:
    """Columns of some orders over what the other orders leave (`supply`), with fill rows if `fill_units` is given.

    `short` int64[rows]: what a unit short of a fill row costs, in mills; None: no row may be short in the end.
    `_resources` numbers the resources seen; `_entries` and `_fills` are (column, resource or fill row, amount) triples.
    """

    supply: Supply
    fill_units: Ints | None
    short: Ints | None = None
    columns: list[Column] = field(default_factory=list)
    _known: set[tuple[int, tuple[tuple[int, bytes], ...]]] = field(default_factory=set)
    _resources: dict[Resource, int] = field(default_factory=dict)
    _entries: tuple[list[int], list[int], list[int]] = field(default_factory=lambda: ([], [], []))
    _fills: tuple[list[int], list[int], list[int]] = field(default_factory=lambda: ([], [], []))

    def add(self, column: Column) -> bool:
        """Take a column in; False if it is known already."""
        key = (column.order, tuple((shipment.option, shipment.units.tobytes()) for shipment in column.plan))
        if key in self._known:
            return False
        self._known.add(key)
        at = len(self.columns)
        for resource, amount in column.takes.items():
            index = self._resources.setdefault(resource, len(self._resources))
            for values, value in zip(self._entries, (at, index, amount), strict=True):
                values.append(value)
        for row, amount in column.fills.items():
            for values, value in zip(self._fills, (at, row, amount), strict=True):
                values.append(value)
        self.columns.append(column)
        return True

    @property
    def steps(self) -> int:
        """Work of one relaxation, in menu cells priced: measured."""
        return LP_WORK * (len(self._entries[0]) + len(self._fills[0]) + len(self.columns)) + LP_START

    def _matrix(self) -> tuple[list[int], list[Resource], Any, Ints]:
        """(orders, scarce resources, sparse matrix: order rows, resource rows, fill rows; capacity of resources)."""
        order = np.array([column.order for column in self.columns], np.int64)
        orders, row_of_column = np.unique(order, return_inverse=True)
        resources = list(self._resources)
        free = np.array([free_of(self.supply, resource) for resource in resources], np.int64)
        at, which, amount = (np.array(values, np.int64) for values in self._entries)
        # A resource that all orders' hungriest plans together cannot exhaust needs no row.
        ranked = np.lexsort((order[at], which))
        pair = np.stack([which[ranked], order[at][ranked]])
        first = np.flatnonzero(np.r_[True, (pair[:, 1:] != pair[:, :-1]).any(axis=0)]) if len(at) else at
        hungriest = np.maximum.reduceat(amount[ranked], first) if len(at) else amount
        most = np.zeros(len(resources), np.int64)
        np.add.at(most, pair[0, first], hungriest)
        scarce = np.flatnonzero(most > free)
        row_of = np.full(len(resources), -1, np.int64)
        row_of[scarce] = len(orders) + np.arange(len(scarce))
        kept = row_of[which] >= 0
        fill_at, fill_row, fill_amount = (np.array(values, np.int64) for values in self._fills)
        base = len(orders) + len(scarce)
        row = np.concatenate([row_of_column, row_of[which[kept]], base + fill_row])
        col = np.concatenate([np.arange(len(order)), at[kept], fill_at])
        value = np.concatenate([np.ones(len(order)), amount[kept], fill_amount])
        rows = base + (len(self.fill_units) if self.fill_units is not None else 0)
        matrix = csc_matrix((value, (row, col)), shape=(rows, len(order)))
        return orders.tolist(), [resources[index] for index in scarce.tolist()], matrix, free[scarce]

    def _dive(self, floors: dict[int, int]) -> Choice | None:
        """Round the LP: fix what is nearly whole and the largest fractions, solve again; None if that ends nowhere."""
        penalty = 20 * max(column.cost for column in self.columns) + 1
        fixed = np.zeros(len(self.columns))
        for _ in range(DIVES):
            relaxed = self.relax(penalty, fixed)
            if relaxed is None or relaxed.artificial > 1e-6:
                return None
            if relaxed.chosen is not None:
                return Choice(relaxed.chosen, False) if self.holds(relaxed.chosen, floors) else None
            open_part = np.where(fixed > 0, 0, relaxed.picked)
            bar = min(0.95, float(open_part[open_part < 0.999].max(initial=0)) - 1e-9)
            self._fix(fixed, open_part, bar)
        return None

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
        left: dict[Resource, int] = {}
        done = set()

        def put(index: int) -> None:
            done.add(self.columns[index].order)
            for resource, amount in self.columns[index].takes.items():
                left[resource] = left.get(resource, free_of(self.supply, resource)) - amount

        for index in np.flatnonzero(fixed).tolist():
            put(index)
        for index in np.lexsort((np.arange(len(picked)), -picked)).tolist():
            column = self.columns[index]
            if picked[index] < bar:
                break
            fits = all(left.get(r, free_of(self.supply, r)) >= amount for r, amount in column.takes.items())
            if fits and column.order not in done:
                fixed[index] = 1
                put(index)

    def relax(self, penalty: int, fixed: NDArray[np.float64] | None = None) -> Relaxed | None:
        """The LP over all columns. Each order and each unit of a fill row may fall short at `penalty` or `short` mills.

        `fixed` float64[columns]: the least part of each column that must be picked, 0 or 1.
        """
        orders, scarce, matrix, free = self._matrix()
        count, n_orders, n_scarce = len(self.columns), len(orders), len(scarce)
        n_fill = matrix.shape[0] - n_orders - n_scarce
        short = np.full(n_fill, penalty) if self.short is None else self.short
        cost = np.concatenate([[float(c.cost) for c in self.columns], np.full(n_orders, penalty), short])
        pick = np.arange(n_orders)
        equal = csc_matrix(
            (np.ones(n_orders), (pick, count + pick)), shape=(n_orders, count + n_orders + n_fill)
        ) + _widened(csc_matrix(matrix[:n_orders]), n_orders + n_fill)
        upper = _widened(csc_matrix(matrix[n_orders:]), n_orders + n_fill)
        if n_fill:
            sign = np.r_[np.ones(n_scarce), -np.ones(n_fill)]
            upper = csc_matrix(upper.multiply(sign[:, None]))
            slack = (np.full(n_fill, -1.0), (n_scarce + np.arange(n_fill), count + n_orders + np.arange(n_fill)))
            upper = upper + csc_matrix(slack, shape=upper.shape)
        limit = np.concatenate([free, -self.fill_units if self.fill_units is not None else []])
        bounded = {"A_ub": upper, "b_ub": limit} if upper.shape[0] else {}
        low = np.zeros(len(cost))
        if fixed is not None:
            low[:count] = fixed
        bounds = np.stack([low, np.full(len(cost), np.inf)], axis=1)
        result = linprog(cost, A_eq=equal, b_eq=np.ones(n_orders), bounds=bounds, method="highs-ds", **bounded)
        if result.status != 0 or result.x is None:
            return None
        dual = -result.ineqlin.marginals if bounded else np.zeros(0)
        worth = np.clip(np.rint(dual * FINE), 0, 2.0**50).astype(np.int64)
        prices = Prices(dict(zip(scarce, worth[:n_scarce].tolist(), strict=True)), worth[n_scarce:])
        picked = result.x[:count]
        integral = bool((np.minimum(picked, 1 - picked) < 1e-6).all())
        return Relaxed(
            float(result.fun),
            prices,
            dict(zip(orders, result.eqlin.marginals.tolist(), strict=True)),
            np.flatnonzero(picked > 0.5).tolist() if integral else None,
            float(result.x[count : None if self.short is None else count + n_orders].sum()),
            picked,
        )

    def decide(
        self,
        floors: dict[int, int],
        maximise: int | None = None,
        *,
        most: int = EXACT_COLUMNS,
        fixed: NDArray[np.float64] | None = None,
    ) -> Choice | None:
        """The cheapest integer choice with every fill row in `floors` at least so full, as column indexes.

        `maximise`: fill this row as far as possible instead. Searched exactly up to `most` columns, or where some are
        `fixed` (float64[columns], 1 there). None where nothing was found within NODE_WORK.
        """
        if len(self.columns) > most and fixed is None:
            return self._dive(floors) if maximise is None else None
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
        if result.x is None or result.status not in (0, 1):
            return None
        chosen = np.flatnonzero(result.x > 0.5).tolist()
        optimal = result.status == 0 and fixed is None
        return Choice(chosen, optimal) if self.holds(chosen, floors) else None

    def holds(self, chosen: Sequence[int], floors: dict[int, int]) -> bool:
        """Recount a choice in integers: floating-point feasibility is not feasibility."""
        if sorted(self.columns[index].order for index in chosen) != sorted({column.order for column in self.columns}):
            return False
        used: dict[Resource, int] = {}
        filled: dict[int, int] = {}
        for index in chosen:
            for resource, amount in self.columns[index].takes.items():
                used[resource] = used.get(resource, 0) + amount
            for row, amount in self.columns[index].fills.items():
                filled[row] = filled.get(row, 0) + amount
        return all(amount <= free_of(self.supply, r) for r, amount in used.items()) and all(
            filled.get(row, 0) >= floor for row, floor in floors.items()
        )


def _widened(matrix: Any, more: int) -> Any:
    """The matrix with so many empty columns appended."""
    return csc_matrix(
        (matrix.data, matrix.indices, np.r_[matrix.indptr, np.full(more, matrix.indptr[-1])]),
        shape=(matrix.shape[0], matrix.shape[1] + more),
    )
