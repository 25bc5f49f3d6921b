"""Shadow prices: what a unit of stock, or a box of room, is worth to the orders that are still to come.

The LP over plans ("methods") of kinds of orders, kind o occurring weight[o] times, by column generation:

    min  sum c_m x_m   s.t.  sum over the plans of o of x_m = weight[o];  sum a_m x_m <= stock, room;  x >= 0

Its duals are the prices (Jasin & Sinha 2015 for the LP, Ma 2023 for plans as columns). Pricing is the subset recursion
over menus. At any prices the kinds' best values, less what the resources are worth, bound the LP from below
(Lagrange); that ends the search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.master import FINE
from solvers.menu import Menu, Supply
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.purse import Purse
from solvers.shadow_ascent import Ascent
from solvers.shadow_lp import Floats, Pool, Relaxed
from solvers.shadow_plans import PlanPricer, Plans
from solvers.single import menus
from solvers.states import FAR

ROUNDS = 60
"""LPs solved in one run at most."""

GAP = 1e-5
"""A bound so close to the value of the LP, as a share of it, ends the search."""

ORDER_WORK = 3_000_000
"""Pairs of the subset recursion of one order at most; larger orders are left out."""


class Keeping(NamedTuple):
    """For which orders a cell is kept in the LP's plan: `units` float64[K] of cell (`item`, `node`) go to `order`."""

    order: Ints
    item: Ints
    node: Ints
    units: Floats


class Shadow(NamedTuple):
    """Prices and what they rest on.

    `stock` float64[I, N]: mills that a unit of the cell is worth to the orders of the LP, 0 where it is not scarce.
    `room`, `room_units` float64[D]: mills of a box and of a unit of a bucket. `value`: of the LP, mills; None if no
    LP ended well (then all prices are those of the best bound), or none was asked for. `bound`: no plan of these orders
    costs less.
    `keeping`: what the LP's plan takes of the priced cells. `left_out` int64: orders that the LP does not
    hold, because they are too large for the recursion or nothing can be shipped for them.
    """

    stock: Floats
    room: Floats
    room_units: Floats
    value: float | None
    bound: float
    keeping: Keeping
    left_out: Ints

    @property
    def gap(self) -> float:
        """How far the bound is from the value, as a share of it; infinite without a value."""
        return float("inf") if self.value is None else max(0.0, (self.value - self.bound) / max(1.0, abs(self.value)))


class Outlook:
    """Kinds of orders whose prices are asked for again and again as stock, room and their numbers change.

    The kinds are the orders of `problem`. Its stock says which cells may serve them, so it should be the most there
    will be; what there is comes with each `prices`. Columns found stay, so later runs begin warm.
    `loose`: plans may draw more of a cell than it holds (see `PlanPricer`): for futures, where a plan stands for a
    part of an order or for many; its value then is a bound of the other's.
    Units that stay cost `unfilled_per_unit`; where fill comes first, at least twice the dearest single shipment.
    """

    def __init__(self, problem: Problem, *, loose: bool = False) -> None:
        every = np.arange(problem.orders, dtype=np.int64)
        found = list(menus(problem, every, Supply.of(problem), Purse(UNLIMITED), set(), work=ORDER_WORK))
        self._problem = problem
        self._pricer = PlanPricer(problem, found, _unfilled(problem, found), loose=loose)
        self._shape = self._pricer.resources
        self._pool = Pool(problem.orders, self._shape.total, self._pricer.nothing())
        self._last = np.zeros(self._shape.total)
        self._ascent: Ascent | None = None

    def prices(
        self,
        weight: Ints | Floats,
        supply: Supply | None = None,
        start: Shadow | None = None,
        gap: float = GAP,
    ) -> Shadow:
        """The prices where kind o comes weight[o] times, float64[O] or int64[O], on this supply (None: the problem's).

        `start`: prices of an earlier run to begin with. `gap`: how near the bound must come.
        Deterministic; raises ValueError for a weight below 0.
        """
        counts = self._counts(weight)
        if start is not None:
            self._last = np.concatenate([start.stock.ravel(), start.room, start.room_units])
        free = self._free(supply or Supply.of(self._problem))
        bound, best, relaxed = -np.inf, self._last, None
        asked = best
        for _ in range(ROUNDS):
            fine = np.rint(asked * FINE).astype(np.int64)
            plans = self._pricer.best(fine)
            here = (float(plans.value @ counts[plans.order]) - float(fine @ free)) / FINE
            if here > bound:
                bound, best = here, asked
            if relaxed is not None and relaxed.value - bound <= gap * max(1.0, abs(relaxed.value)):
                break
            better = (counts[plans.order] > 0) & _improves(plans, relaxed)
            if relaxed is not None and not better.any():
                if asked is relaxed.price:
                    break
                asked = relaxed.price
                continue
            self._pool.add(plans, better)
            following = self._pool.relax(counts, free)
            if following is None:
                break
            relaxed = following
            # Halfway to the best prices so far: duals of a young LP swing widely (Wentges 1997).
            asked = (relaxed.price + best) / 2
        told = self._told(best, bound, relaxed, self._kept(best, relaxed))
        if relaxed is not None:
            self._pool.prune(relaxed)
        self._last = best
        return told

    def settled(self, weight: Ints | Floats, supply: Supply | None = None) -> Shadow:
        """Prices as of `prices`, by `shadow_ascent` instead of an LP: for many kinds that come once or twice each.

        Twenty times as fast for thousands of kinds and more beyond; nothing is proven, so it has no value and no bound.
        """
        counts = self._counts(weight)
        if self._ascent is None:
            objective = self._problem.objective
            unfilled = None if objective.fill_always else float(objective.unfilled_per_unit)
            self._ascent = Ascent(self._pricer, unfilled)
        price = self._ascent.prices(counts, self._free(supply or Supply.of(self._problem)))
        order, resource, units = self._ascent.taken(counts, price)
        return self._told(price, -np.inf, None, self._keeping(price, order, resource, units * counts[order]))

    def _counts(self, weight: Ints | Floats) -> Floats:
        if len(weight) != self._problem.orders or (weight < 0).any():
            raise ValueError("one weight of at least 0 for each order")
        counts = np.zeros(self._problem.orders)
        counts[self._pricer.orders] = np.asarray(weight)[self._pricer.orders]
        return counts

    def _free(self, supply: Supply) -> Floats:
        free: Floats = np.concatenate([supply.stock.ravel(), supply.parcels, supply.units]).astype(np.float64)
        return free

    def _told(self, price: Floats, bound: float, relaxed: Relaxed | None, keeping: Keeping) -> Shadow:
        cells, buckets = self._shape.cells, self._shape.buckets
        stock = price[:cells].reshape(self._shape.items, self._shape.nodes)
        room, units = price[cells : cells + buckets], price[cells + buckets :]
        value = None if relaxed is None else relaxed.value
        left_out = np.setdiff1d(np.arange(self._problem.orders), self._pricer.orders)
        return Shadow(stock, room, units, value, bound, keeping, left_out)

    def _kept(self, price: Floats, relaxed: Relaxed | None) -> Keeping:
        if relaxed is None:
            none = np.zeros(0, np.int64)
            return Keeping(none, none, none, np.zeros(0))
        pool = self._pool
        # Columns found since, if the LP over them did not end well, are in no plan.
        picked = np.zeros(len(pool.order))
        picked[: len(relaxed.picked)] = relaxed.picked
        return self._keeping(price, pool.order[pool.at], pool.resource, picked[pool.at] * pool.amount)

    def _keeping(self, price: Floats, order: Ints, resource: Ints, units: Floats) -> Keeping:
        kept = (units > 1e-9) & (resource < self._shape.cells) & (price[resource] > 0)
        item, node = np.divmod(resource[kept], self._shape.nodes)
        return Keeping(order[kept], item, node, units[kept])


def shadow_prices(problem: Problem, weight: Ints | Floats, start: Shadow | None = None, gap: float = GAP) -> Shadow:
    """The prices of a problem's stock and room where its order o comes weight[o] times: `Outlook`, used once."""
    return Outlook(problem).prices(weight, start=start, gap=gap)


def _improves(plans: Plans, relaxed: Relaxed | None) -> Bools:
    """bool[P]: the plan would lower the LP's value."""
    if relaxed is None:
        return np.ones(len(plans.order), np.bool_)
    spent = np.zeros(len(plans.order))
    np.add.at(spent, plans.at, plans.amount * relaxed.price[plans.resource])
    better: Bools = plans.cost + spent < relaxed.dual[plans.order] - 1e-3 - 1e-9 * plans.cost
    return better


def _unfilled(problem: Problem, found: list[Menu]) -> int:
    objective = problem.objective
    if not objective.fill_always:
        return objective.unfilled_per_unit
    dearest = max((int(menu.price[menu.price < FAR].max(initial=0)) for menu in found), default=0)
    return max(objective.unfilled_per_unit, 2 * dearest)
