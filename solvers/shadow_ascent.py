"""Prices of many different orders without an LP: each in turn takes its best plan, and prices follow what is taken.

Dual mirror descent over the orders of one future, again and again with ever smaller steps (Balseiro, Lu & Mirrokni
2023, "The Best of Many Worlds", used as a solver; Barahona & Anbil 2000 for the mean of the last prices): what an order
takes becomes dearer, and all that lies there becomes cheaper at the pace that would just use it up. A pass costs
microseconds an order where the LP's simplex takes milliseconds, and its prices lie within the face of optimal ones,
not at a corner of it. Limits that bind the shipments of one order together (boxes at most, units that two
shipments draw from one place, minimum values) are not seen; lateness is charged to every parcel.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from solvers.problem import Ints
from solvers.shadow_book import Floats, bound
from solvers.shadow_kernel import Course, Desk, one_pass, shipments
from solvers.shadow_plans import PlanPricer, Table
from solvers.states import FAR

PASSES, AVERAGED = 20, 5
"""Passes over all orders, and the last of them whose prices are averaged."""

FIRST_STEP, LAST_STEP = 0.4, 0.04
"""By how much a price moves while all its stock is taken, as a part of a typical shipment's cost."""

SHORT = 0.75
"""Units of a cell that are taken not to be there: an order takes the last unit, not one more. On the long tail of
`bench.papers` (e3, six paths, true rates) prices captured 51 % with 0, 55 % with a half and 56 % with 0.8; more than a
whole unit leaves single units at a price that nothing ever lowers."""


class Taken(NamedTuple):
    """Cells that plans take from: order `order` takes `units` of `resource`."""

    order: Ints
    resource: Ints
    units: Ints


class Ascent:
    """The kinds of orders of a pricer, ready to be passed over."""

    def __init__(self, pricer: PlanPricer, unfilled: float | None) -> None:
        """`unfilled`: mills of a unit that stays; None where fill comes first."""
        self._tables = tables = pricer.tables()
        self._orders = np.concatenate([np.zeros(0, np.int64), *(table.orders for table in tables)])
        self._shape = pricer.resources
        self._book = bound(tables, unfilled)
        self._most = np.concatenate([np.zeros(0, np.int64), *map(_most_units, tables)])
        states = int(self._book.tables.states.max(initial=1))
        self._desk = Desk(*np.empty((2, states)), *np.empty((2, states), np.int64))
        full = [_cheapest_full(table) for table in tables]
        self._parcel = float(np.mean(np.concatenate(full))) if full else 0.0

    def prices(self, weight: Floats, free: Floats) -> Floats:
        """Mills by resource where order o comes weight[o] times on `free` of each resource. Deterministic.

        Cells are taken `SHORT` of what is free: the price is that of the unit that an order takes.
        """
        mine, came = self._came(weight)
        price = np.zeros(self._shape.total)
        if not len(came):
            return price
        total, cells = float(mine[came].sum()), self._shape.cells
        pace = np.append(np.maximum(free[:cells] - SHORT, 0.0), free[cells:]) / total
        up = self._parcel / (free + total / len(came))
        course = Course(price, np.zeros(len(price)), up, up * pace)
        sequence = np.random.default_rng(len(came)).permutation(came)
        recent, now = deque[Floats](maxlen=AVERAGED), 0.0
        for step in np.geomspace(FIRST_STEP, LAST_STEP, PASSES).tolist():
            now = one_pass(self._book, course, self._desk, sequence, mine, now, step)
            price[:] = np.maximum(0.0, price - step * course.down * (now - course.seen))
            course.seen[:] = now
            recent.append(price.copy())
        mean: Floats = np.mean(recent, axis=0)
        return mean

    def taken(self, weight: Floats, price: Floats) -> Taken:
        """What the cheapest plans of the orders that come take of the cells at these prices."""
        _, came = self._came(weight)
        still = np.zeros(len(price))
        owner, rows, state = np.empty((3, int(self._most[came].sum())), np.int64)
        count = shipments(self._book, Course(price, still, still, still), self._desk, came, owner, rows, state)
        owner, rows, state = owner[:count], rows[:count], state[:count]
        none = np.zeros(0, np.int64)
        table_of, first, found = self._book.orders.table[owner], 0, [(none, none, none)]
        for number, table in enumerate(self._tables):
            mine = table_of == number
            for units, resource in table.cells:
                found.append((self._orders[owner[mine]], resource[rows[mine] - first], units[state[mine]]))
            first += table.price.shape[1]
        order, resource, units = (np.concatenate(column) for column in zip(*found, strict=True))
        return Taken(order[units > 0], resource[units > 0], units[units > 0])

    def _came(self, weight: Floats) -> tuple[Floats, Ints]:
        """The weights in the order of the book, and the orders of it that have any."""
        mine = np.ascontiguousarray(weight[self._orders], np.float64)
        return mine, np.flatnonzero(mine > 0)


def _most_units(table: Table) -> Ints:
    """int64[G]: shipments of a plan at most."""
    return np.full(len(table.orders), int(table.states.units.max()), np.int64)


def _cheapest_full(table: Table) -> Floats:
    """Mills of the cheapest single shipment of all that each order can ship at once, of orders that have one."""
    least = np.minimum.reduceat(table.price, table.start, axis=1)
    most = np.where(least < FAR, np.arange(len(least))[:, None], 0).max(axis=0)
    found: Floats = least[most, np.arange(least.shape[1])][most > 0].astype(np.float64)
    return found
