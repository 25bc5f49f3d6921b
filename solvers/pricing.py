"""Pricing: the best plan of every order when stock cells and rooms have a price, and every plan close to it.

At any prices the orders' best values, less what the resources are worth, bound the window from below (Lagrangian
relaxation); the plans themselves are the new columns of the master problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from solvers.coupled import Piece, overdrawn
from solvers.fill import Targets
from solvers.master import FINE, Column, Prices, columns_of
from solvers.menu import Menu
from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.states import FAR, cheapest, pairs, parts_of_state
from solvers.subset import Found, answer, as_plan, as_plans

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

    def columns(self, offers: Sequence[Offer]) -> list[Column]:
        """The offers as columns of the master; offers of one menu stand together."""
        objective, late = self._problem.objective, self._problem.options.late_days
        plans: list[tuple[int, tuple[Shipment, ...]]] = []
        for _, group in groupby(offers, key=lambda offer: id(offer.menu)):
            same = list(group)
            menu = same[0].menu
            ways = as_plans(menu, [one.column for one in same], [one.found.pieces for one in same])
            for (_, _, _, column, found), plan in zip(same, ways, strict=True):
                cost = sum(int(menu.price[state, row]) for row, state in found.pieces)
                cost += objective.late_per_day * max((int(late[option]) for option, _ in plan), default=0)
                cost += objective.unfilled_per_unit * int(menu.keeps.left[found.state, column])
                plans.append((cost - (objective.split_parcel if plan else 0), plan))
        return columns_of(self._problem, [offer.order for offer in offers], plans, self._targets)

    def steps(self, offers: Sequence[Offer]) -> int:
        """Work of one pricing pass in menu cells: all menus, the splits of every order, and the careful looks."""
        cells = sum(menu.price.size + 4 * pairs(menu.states.shape) * len(menu.orders) for menu, _ in self._menus)
        careful = sum(one.found.careful * (40 * pairs(one.menu.states.shape) + CAREFUL) for one in offers)
        late = 2 if self._problem.objective.late_per_day else 1
        return late * (cells + MENU * len(self._menus)) + ORDER * len(offers) + careful

    def offers(self, prices: Prices, below: Ints) -> list[Offer]:
        """The best plan of every order at these prices; value FAR and no plan if it cannot ship what it must.

        `below` int64[orders]: FINE parts of a mill. An order whose value is not below its own comes without a plan, and
        its value is a lower bound.
        """
        found = []
        for menu, fine in self._menus:
            priced = self._with_tolls(menu, fine, prices)
            stay, free = self._staying(menu, prices)
            late = self._problem.objective.late_per_day * FINE
            limit = np.minimum(below[menu.orders] + free, FAR)
            for order, constant, column, one in zip(
                menu.orders.tolist(),
                free.tolist(),
                range(len(free)),
                answer(menu, priced, stay, late, below=limit),
                strict=True,
            ):
                found.append(Offer(order, one.value - constant if one.value < FAR else FAR, menu, column, one))
        return found

    def _with_tolls(self, menu: Menu, fine: Ints, prices: Prices) -> Ints:
        options, lines, buckets = self._problem.options, self._problem.lines, len(self._problem.bucket_parcels)
        if not prices.resource.any():
            return fine
        size = self._problem.stock.size
        cell = prices.resource[:size].reshape(self._problem.stock.shape).copy()
        toll = np.zeros((2, buckets + 1), np.int64)
        toll[:, :buckets] = prices.resource[size:].reshape(2, buckets)
        self._add_up(cell)
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

    def _add_up(self, cell: Ints) -> None:
        """Price the rows of derived items, in place: what their parts cost where they are drawn."""
        derived = self._problem.derived
        for at, item in enumerate(derived.item.tolist()):
            inside = slice(int(derived.start[at]), int(derived.start[at + 1]))
            each, source = derived.count[inside] @ cell[derived.part[inside]], int(derived.source[at])
            cell[item] = each if source < 0 else each[source]

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
