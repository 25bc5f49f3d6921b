"""The LP of shadow prices: plans as columns, a row for each kind of order and for each scarce cell or room.

Built from arrays and solved by the HiGHS that SciPy carries; every status is looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csc_matrix

from solvers.problem import Bools, Ints
from solvers.shadow_plans import Plans

Floats = NDArray[np.float64]

SPARE = 6
"""Columns kept for each order once the LP is solved; those with the least reduced cost stay."""


class Relaxed(NamedTuple):
    """An LP optimum in mills: `price` float64[resources], `dual` float64[orders], `picked` float64[columns]."""

    value: float
    price: Floats
    dual: Floats
    picked: Floats


class Pool:
    """Columns that grow: `order`, `cost` by column; `at`, `resource`, `amount` are what they take."""

    def __init__(self, orders: int, resources: int, nothing: Plans) -> None:
        self._orders, self._resources = orders, resources
        self.order, self.cost = nothing.order, nothing.cost.astype(np.float64)
        self.at, self.resource, self.amount = nothing.at, nothing.resource, nothing.amount.astype(np.float64)
        self._first = len(nothing.order)

    def add(self, plans: Plans, which: Bools) -> None:
        """Take in some of the plans."""
        number = np.cumsum(which) - 1 + len(self.order)
        kept = which[plans.at]
        self.order = np.concatenate([self.order, plans.order[which]])
        self.cost = np.concatenate([self.cost, plans.cost[which]])
        self.at = np.concatenate([self.at, number[plans.at[kept]]])
        self.resource = np.concatenate([self.resource, plans.resource[kept]])
        self.amount = np.concatenate([self.amount, plans.amount[kept]])

    def relax(self, weight: Floats, free: Floats) -> Relaxed | None:
        """The LP over all columns; weight float64[orders], free float64[resources]. None if it did not end well.

        A resource that every order's hungriest plans together cannot exhaust has no row and no price.
        """
        live = weight[self.order] > 0
        if not live.any():
            return Relaxed(0.0, np.zeros(self._resources), np.zeros(self._orders), np.zeros(len(live)))
        scarce = self._scarce(weight, free)
        column_of = np.cumsum(live) - 1
        orders = np.unique(self.order[live])
        row_of = np.full(self._resources, -1, np.int64)
        row_of[scarce] = np.arange(len(scarce))
        kept = live[self.at] & (row_of[self.resource] >= 0)
        count = int(live.sum())
        equal = csc_matrix(
            (np.ones(count), (np.searchsorted(orders, self.order[live]), np.arange(count))), shape=(len(orders), count)
        )
        upper = csc_matrix(
            (self.amount[kept], (row_of[self.resource[kept]], column_of[self.at[kept]])), shape=(len(scarce), count)
        )
        limits = {"A_ub": upper, "b_ub": free[scarce]} if len(scarce) else {}
        result = linprog(
            self.cost[live], A_eq=equal, b_eq=weight[orders], bounds=(0, None), method="highs-ds", **limits
        )
        if result.status != 0 or result.x is None:
            return None
        price, dual, picked = np.zeros(self._resources), np.zeros(self._orders), np.zeros(len(self.order))
        price[scarce] = np.maximum(-result.ineqlin.marginals, 0) if limits else 0
        dual[orders] = result.eqlin.marginals
        picked[live] = result.x
        return Relaxed(float(result.fun), price, dual, picked)

    def _scarce(self, weight: Floats, free: Floats) -> Ints:
        """Resources that could run out: the most that every order could take of them together is more than there is."""
        order = self.order[self.at]
        ranked = np.lexsort((order, self.resource))
        pair = np.stack([self.resource[ranked], order[ranked]])
        if not len(ranked):
            return np.zeros(0, np.int64)
        first = np.flatnonzero(np.r_[True, (pair[:, 1:] != pair[:, :-1]).any(axis=0)])
        hungriest = np.maximum.reduceat(self.amount[ranked], first) * weight[pair[1, first]]
        most = np.zeros(self._resources)
        np.add.at(most, pair[0, first], hungriest)
        return np.flatnonzero(most > free)

    def prune(self, found: Relaxed) -> None:
        """Let columns go that are far from being used, so that the next solve starts small."""
        most = (1 + SPARE) * self._first
        if len(self.order) <= most:
            return
        spent = np.zeros(len(self.order))
        np.add.at(spent, self.at, self.amount * found.price[self.resource])
        reduced = self.cost + spent - found.dual[self.order]
        reduced[: self._first] = -np.inf
        keep = np.zeros(len(self.order), np.bool_)
        keep[np.argsort(reduced, kind="stable")[:most]] = True
        number = np.cumsum(keep) - 1
        kept = keep[self.at]
        self.order, self.cost = self.order[keep], self.cost[keep]
        self.at, self.resource, self.amount = number[self.at[kept]], self.resource[kept], self.amount[kept]
