"""Pricing: the best plan of every order when stock cells and rooms have a price, and every plan close to it.

At any prices the orders' best values, less what the resources are worth, bound the window from below (Lagrangian
relaxation); the plans themselves are the new columns of the master problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.coupled import Piece, overdrawn
from solvers.fill import Targets
from solvers.master import FINE, Column, Prices, Resource, column_of
from solvers.menu import Menu
from solvers.plan import add_up
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.states import FAR, cheapest, pairs, parts_of_state
from solvers.subset import Found, answer, as_plan

MENU, ORDER, CAREFUL = 15_000, 2_000, 90_000
"""Work of handling one menu and one order, and of one careful look, in menu cells priced: measured."""


NEAR_STEPS = 80_000
"""Shipments tried in one search for the plans near an order's best."""


class Offer(NamedTuple):
    """An order's best plan at some prices; `value` in FINE parts of a mill is its cost plus prices less fill worth."""

    order: int
    value: int
    menu: Menu
    column: int
    found: Found

    @property
    def plan(self) -> tuple[Shipment, ...]:
        """The plan of the offer."""
        return as_plan(self.menu, self.column, self.found.pieces)


class Pricer:
    """Menus of a set of orders on one supply, out of those of the whole window, ready to be priced again and again.

    `targets`: with them, lines of a fill row may stay (the row's worth decides) and all others must ship whole;
    without, every unit may stay at `unfilled_per_unit` (economic fill).
    """

    def __init__(self, problem: Problem, whole: Sequence[Menu], targets: Targets | None) -> None:
        self._problem, self._whole, self._targets = problem, whole, targets
        self._menus: list[tuple[Menu, Ints]] = []
        self.orders: set[int] = set()

    def take_in(self, orders: set[int]) -> None:
        """Price these orders from now on; those without a menu (too large, or nothing to ship) stay out of `orders`."""
        wanted = np.zeros(self._problem.orders, np.bool_)
        wanted[list(orders)] = True
        found = [menu.only(np.flatnonzero(wanted[menu.orders])) for menu in self._whole if wanted[menu.orders].any()]
        self._menus = [(menu, np.where(menu.price < FAR, menu.price * FINE, FAR)) for menu in found]
        self.orders = {order for menu in found for order in menu.orders.tolist()}

    def column(self, offer: Offer) -> Column:
        """The offer as a column of the master; for plain goods every number is in the menu already."""
        problem, menu, pieces = self._problem, offer.menu, offer.found.pieces
        if not menu.origin.plain:
            return column_of(problem, offer.order, offer.plan, self._targets)
        objective = problem.objective
        lines = menu.lines[offer.column].tolist()
        cost = late = 0
        taken: dict[Resource, int] = {}
        fills: dict[int, int] = {}
        for row, state in pieces:
            option = int(menu.rows[row])
            node, bucket = int(problem.options.node[option]), int(problem.options.bucket[option])
            late = max(late, int(problem.options.late_days[option]))
            cost += int(menu.price[state, row])
            for line, units in zip(lines, menu.vector[state].tolist(), strict=True):
                if units:
                    cell = (0, int(problem.lines.item[line]), node)
                    taken[cell] = taken.get(cell, 0) + units
                    fill_row = int(self._targets.row[line]) if self._targets is not None else -1
                    if fill_row >= 0:
                        fills[fill_row] = fills.get(fill_row, 0) + units
            if bucket >= 0:
                taken[1, bucket, 0] = taken.get((1, bucket, 0), 0) + int(menu.boxes[state, row])
                taken[2, bucket, 0] = taken.get((2, bucket, 0), 0) + int(menu.units[state])
        left = int(menu.keeps.left[offer.found.state, offer.column])
        cost += objective.late_per_day * late + objective.unfilled_per_unit * left
        cost -= objective.split_parcel if pieces else 0
        return Column(offer.order, cost, offer.plan, taken, fills)

    def steps(self, offers: Sequence[Offer]) -> int:
        """Work of one pricing pass in menu cells: all menus, the splits of every order, and the careful looks."""
        cells = sum(menu.price.size + 4 * pairs(menu.states.shape) * len(menu.orders) for menu, _ in self._menus)
        careful = sum(one.found.careful * (40 * pairs(one.menu.states.shape) + CAREFUL) for one in offers)
        late = 2 if self._problem.objective.late_per_day else 1
        return late * (cells + MENU * len(self._menus)) + ORDER * len(offers) + careful

    def offers(self, prices: Prices) -> list[Offer]:
        """The best plan of every order at these prices; value FAR and no plan if it cannot ship what it must."""
        found = []
        for menu, fine in self._menus:
            priced = self._with_tolls(menu, fine, prices)
            stay, free = self._staying(menu, prices)
            late = self._problem.objective.late_per_day * FINE
            for column, one in enumerate(answer(menu, priced, stay, late)):
                value = one.value - int(free[column]) if one.value < FAR else FAR
                found.append(Offer(int(menu.orders[column]), value, menu, column, one))
        return found

    def _with_tolls(self, menu: Menu, fine: Ints, prices: Prices) -> Ints:
        options, lines = self._problem.options, self._problem.lines
        cell = np.zeros(self._problem.stock.shape, np.int64)
        toll = np.zeros((2, len(self._problem.bucket_parcels) + 1), np.int64)
        for (kind, a, b), worth in prices.resource.items():
            if kind == 0:
                cell[a, b] = worth
            else:
                toll[kind - 1, a] = worth
        add_up(self._problem, cell)
        node, bucket = options.node[menu.rows], options.bucket[menu.rows]
        total = fine
        at = cell[lines.item[menu.lines[menu.owner]], node[:, None]]
        if at.any():
            total = total + menu.vector @ at.T
        # Bucket -1 reads the spare last entry, which is never priced.
        if toll.any():
            own = menu.origin.own(menu.vector)
            total = total + menu.boxes * toll[0, bucket] + own[:, None] * toll[1, bucket]
            for columns, source in menu.origin.places:
                lent = self._problem.source_bucket[options.day[menu.rows], source[menu.owner]]
                total = total + (menu.vector @ columns)[:, None] * toll[1, lent]
        return np.minimum(total, FAR)

    def _staying(self, menu: Menu, prices: Prices) -> tuple[Ints, Ints]:
        """(stay int64[M, G], free int64[G]): the price of shipping only a state; the constant in every value."""
        objective, targets = self._problem.objective, self._targets
        stay = menu.staying(objective.unfilled_per_unit * FINE)
        stay[0] += objective.split_parcel * (FINE - 1)
        free = np.full(len(menu.orders), FINE * objective.split_parcel, np.int64)
        if targets is None:
            return np.minimum(stay, FAR), free
        row = targets.row[menu.lines]
        worth = np.where(row >= 0, prices.fill[row] if len(prices.fill) else 0, 0)
        most = menu.vector.max(axis=0)
        missing = most - menu.vector
        stay += missing @ worth.T
        free = free + worth @ most
        must = (row < 0).astype(np.int64)
        return np.where(missing @ must.T > 0, FAR, np.minimum(stay, FAR)), free

    def near(self, prices: Prices, order: int, slack: int, most: int) -> list[tuple[Shipment, ...]] | None:
        """Every plan of an order within `slack` of its best value, or None if there are more than `most`.

        Depth first over shipments, cut by the exact least cost of what is still to ship.
        """
        for menu, fine in self._menus:
            for column in np.flatnonzero(menu.orders == order).tolist():
                one = menu.one(column)
                stay, _ = self._staying(one, prices)
                priced = self._with_tolls(one, fine[:, menu.rows_of(column)], prices)
                late = self._problem.objective.late_per_day * FINE
                best = answer(one, priced, stay, late)[0].value
                search = _Near(one, priced, stay[:, 0], late, min(best + slack, FAR - 1), most)
                return search.run()
        return None


class _Near:
    """The search of `Pricer.near` for one order."""

    def __init__(self, menu: Menu, price: Ints, stay: Ints, late: int, limit: int, most: int) -> None:
        self._menu, self._price, self._stay, self._late, self._limit = menu, price, stay, late, limit
        self._most, self._steps = most, NEAR_STEPS
        self._least = cheapest(menu.states, price.min(axis=1)[:, None])[:, 0]
        self._found: dict[tuple[Piece, ...], tuple[Shipment, ...]] = {}

    def run(self) -> list[tuple[Shipment, ...]] | None:
        for state in np.flatnonzero(self._least + self._stay <= self._limit).tolist():
            if not self._descend(state, int(self._stay[state]), []):
                return None
        return list(self._found.values())

    def _descend(self, state: int, spent: int, pieces: list[Piece]) -> bool:
        """False once there is too much to look at."""
        self._steps -= 1
        if self._steps < 0 or len(self._found) > self._most:
            return False
        if state == 0:
            days = max((int(self._menu.late[row]) for row, _ in pieces), default=0)
            key = tuple(sorted(pieces))
            if key not in self._found and spent + self._late * days <= self._limit and self._lawful(pieces):
                self._found[key] = as_plan(self._menu, 0, pieces)
            return True
        part, rest = parts_of_state(self._menu.states, state)
        within = self._price[part] + self._least[rest][:, None] <= self._limit - spent
        for index, row in np.argwhere(within).tolist():
            one = int(part[index])
            if not self._descend(int(rest[index]), spent + int(self._price[one, row]), [*pieces, (row, one)]):
                return False
        return True

    def _lawful(self, pieces: list[Piece]) -> bool:
        """Whether the shipments may leave together."""
        keeps, boxes = self._menu.keeps, self._menu.boxes
        if sum(int(boxes[state, row]) for row, state in pieces) > keeps.parcels[0]:
            return False
        if keeps.several is not None and len(pieces) > 1 and not keeps.several[[state for _, state in pieces], 0].all():
            return False
        return not overdrawn(self._menu, pieces)
