"""The LP of shadow prices: plans as columns, a row for each kind of order and for each cell or room they take from.

It grows by columns and rows and is solved again from where it stood (`simplex`); from time to time it begins anew with
the columns that matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.problem import Bools, Ints
from solvers.shadow_plans import Plans
from solvers.simplex import MAX_ITERATIONS, Simplex, Sparse

Floats = NDArray[np.float64]

SPARE, MOST = 6, 30
"""Columns for each order: kept when the LP begins anew, and at which it does."""


PIVOTS = 50
"""Of one solve at most, for each order."""


class Relaxed(NamedTuple):
    """An LP optimum in mills: `price` float64[resources], `dual` float64[orders], `picked` float64[columns]."""

    value: float
    price: Floats
    dual: Floats
    picked: Floats


class Pool:
    """Columns that grow: `order`, `cost` by column; entries `at`, `resource`, `amount` are what they take.

    LP rows are numbered as they come: one for each order first, then resources in the order in which they were seen.
    """

    def __init__(self, orders: int, resources: int, nothing: Plans) -> None:
        self._orders, self._resources, self._first = orders, resources, len(nothing.order)
        none = np.zeros(0, np.int64)
        self.order, self.cost = none, np.zeros(0)
        self.at, self.resource, self.amount = none, none, np.zeros(0)
        self._begin()
        self.add(nothing, np.ones(len(nothing.order), np.bool_))

    def _begin(self) -> None:
        self._simplex = Simplex(max(MAX_ITERATIONS, PIVOTS * self._orders))
        zero = np.zeros(self._orders)
        self._simplex.add_rows(zero, zero, Sparse.none(self._orders))
        self._weight, self._free = zero, np.full(self._resources, np.inf)
        self._row = np.full(self._resources, -1, np.int64)
        self._rows = self._orders

    def add(self, plans: Plans, which: Bools) -> None:
        """Take in some of the plans."""
        if not which.any():
            return
        number, kept = np.cumsum(which) - 1, which[plans.at]
        # Shipments of one plan may take of one place; the LP wants each entry once.
        key, place = np.unique(number[plans.at[kept]] * self._resources + plans.resource[kept], return_inverse=True)
        amount = np.bincount(place, weights=plans.amount[kept], minlength=len(key)).astype(np.float64)
        at, resource = np.divmod(key, self._resources)
        self._append(plans.order[which], plans.cost[which].astype(np.float64), at, resource, amount)

    def _append(self, order: Ints, cost: Floats, at: Ints, resource: Ints, amount: Floats) -> None:
        """Take in columns; entries ascend by `at`, the place among them."""
        new = np.unique(resource[self._row[resource] < 0])
        if len(new):
            self._row[new] = self._rows + np.arange(len(new))
            self._rows += len(new)
            self._simplex.add_rows(np.full(len(new), -np.inf), self._free[new], Sparse.none(len(new)))
        column = np.concatenate([np.arange(len(order)), at])
        row, value = np.concatenate([order, self._row[resource]]), np.concatenate([np.ones(len(order)), amount])
        self._simplex.add_columns(cost, Sparse.of(column, row, value, len(order)))
        self.at = np.concatenate([self.at, at + len(self.order)])
        self.order, self.cost = np.concatenate([self.order, order]), np.concatenate([self.cost, cost])
        self.resource = np.concatenate([self.resource, resource])
        self.amount = np.concatenate([self.amount, amount])

    def relax(self, weight: Floats, free: Floats) -> Relaxed | None:
        """The LP over all columns; weight float64[orders], free float64[resources]. None if it did not end well."""
        for order in np.flatnonzero(weight != self._weight).tolist():
            self._simplex.bound_row(order, weight[order], weight[order])
        rows = np.flatnonzero((free != self._free) & (self._row >= 0))
        for resource in rows.tolist():
            self._simplex.bound_row(int(self._row[resource]), -np.inf, free[resource])
        self._weight, self._free = weight, free
        found = self._simplex.solve()
        if found is None:
            return None
        price, known = np.zeros(self._resources), self._row >= 0
        price[known] = np.maximum(-found.duals[self._row[known]], 0)
        return Relaxed(found.value, price, found.duals[: self._orders], found.columns)

    def prune(self, found: Relaxed) -> None:
        """Begin anew without the columns that are far from being used, once there are too many."""
        if len(self.order) <= MOST * self._first:
            return
        spent = np.zeros(len(self.order))
        np.add.at(spent, self.at, self.amount * found.price[self.resource])
        reduced = self.cost + spent - found.dual[self.order]
        reduced[: self._first] = -np.inf
        keep = np.zeros(len(self.order), np.bool_)
        keep[np.argsort(reduced, kind="stable")[: (1 + SPARE) * self._first]] = True
        number, kept = np.cumsum(keep) - 1, keep[self.at]
        old = self.order[keep], self.cost[keep], number[self.at[kept]], self.resource[kept], self.amount[kept]
        none = np.zeros(0, np.int64)
        self.order, self.cost = none, np.zeros(0)
        self.at, self.resource, self.amount = none, none, np.zeros(0)
        self._begin()
        self._append(*old)
