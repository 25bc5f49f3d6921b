"""Pricing: the best plan of every order when stock cells and rooms have a price, and every plan close to it.

At any prices the orders' best values, less what the resources are worth, bound the window from below (Lagrangian
relaxation); the plans themselves are the new columns of the master problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from solvers.alone import Alone
from solvers.column import Columns, columns_of, flat_columns
from solvers.coupled import Piece, overdrawn
from solvers.fill import Targets
from solvers.master import FINE, Prices
from solvers.menu import Menu, Supply
from solvers.plan import add_up
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.purse import Purse
from solvers.resources import taken_of
from solvers.simple import Answers, plans_of
from solvers.simple_kernel_tables import Rates
from solvers.single import menus
from solvers.solution import Plan, Shipment
from solvers.states import FAR, cheapest, pairs, parts_of_state
from solvers.subset import Found, answer, as_plan, as_plans

MENU, SIMPLE, ORDER, CAREFUL = 15_000, 15_000, 400, 90_000
"""Work of handling one menu, all simple orders and one order, and of one careful look, in menu cells: measured."""


NEAR_STEPS = 80_000
"""Shipments tried in one search for the plans near an order's best."""


class Offer(NamedTuple):
    """The best plan of a menu's order at some prices (`Offers.value`)."""

    menu: Menu
    column: int
    found: Found


class Offers(NamedTuple):
    """Each order's best plan at some prices: `order`, `value` int64[n], in FINE parts of a mill its cost plus prices
    less fill worth. The first are the `simple` ones, by slot, the rest `by_menu`."""

    order: Ints
    value: Ints
    simple: Answers
    by_menu: list[Offer]


class _Ready(NamedTuple):
    """A menu ready to be priced: `fine` int64[M, R] its prices in FINE parts of a mill, `cell` int64[R, n] the stock
    cell that each row takes each column's goods from, `stay` what staying costs (see `_staying`) but for fill rows, and
    `fill` int64[G, n] the fill row of each column, None if there is none; `cells`: work of one pass."""

    menu: Menu
    fine: Ints
    cell: Ints
    stay: tuple[Ints, Ints]
    fill: Ints | None
    cells: int


class Pricer:
    """A set of orders on one supply, out of those of the whole window, ready to be priced again and again.

    `targets`: with them, lines of a fill row may stay (the row's worth decides) and all others must ship whole;
    without, every unit may stay at `unfilled_per_unit` (economic fill).
    """

    def __init__(self, problem: Problem, whole: Alone, targets: Targets | None) -> None:
        self._problem, self._simple, self._targets = problem, whole.simple, targets
        self._whole = list(whole.menus)
        self._ready: list[_Ready | None] = [None] * len(whole.menus)
        self._which = np.zeros(0, np.int64)
        self._taken_out: dict[int, Menu | None] = {}
        self.orders: set[int] = set()

    @property
    def _menus(self) -> list[_Ready]:
        return [ready for ready in self._ready if ready is not None]

    def take_in(self, orders: set[int]) -> None:
        """Price these orders, never fewer than before; those that are neither simple nor of a menu (too large, or
        nothing to ship) stay out of `orders`."""
        wanted = np.zeros(self._problem.orders, np.bool_)
        wanted[list(orders)] = True
        for at, (menu, ready) in enumerate(zip(self._whole, self._ready, strict=True)):
            columns = np.flatnonzero(wanted[menu.orders])
            if len(columns) > (0 if ready is None else len(ready.menu.orders)):
                self._ready[at] = self._made_ready(menu.only(columns))
                self.orders.update(menu.orders[columns].tolist())
        simple = np.flatnonzero(wanted & (self._simple.place >= 0))
        self.orders.update(simple.tolist())
        by_menu = [order for order, menu in self._taken_out.items() if menu is not None]
        self._which = self._simple.place[np.setdiff1d(simple, by_menu)]

    def _made_ready(self, menu: Menu) -> _Ready:
        fine = np.where(menu.price < FAR, menu.price * FINE, FAR)
        cell = self._problem.lines.item[menu.lines[menu.owner]] * self._problem.nodes + menu.node[:, None]
        fill = None if self._targets is None else self._targets.row[menu.lines]
        fill = None if fill is None or (fill < 0).all() else fill
        cells = menu.price.size + 4 * pairs(menu.states.shape) * len(menu.orders)
        return _Ready(menu, fine, cell, self._staying(menu), fill, cells)

    def columns(self, offers: Offers, wanted: Bools) -> list[Columns]:
        """Some of the offers as columns of the master, by method; wanted bool[n]."""
        count = len(offers.simple.which)
        found = []
        if wanted[:count].any():
            some = offers.simple.some(np.flatnonzero(wanted[:count]))
            every, orders = self._simple.flat(some), self._simple.table.order[some.which]
            taken, plans = taken_of(self._problem, every), plans_of(self._problem, orders, every)
            cost = self._simple.cost(some)
            found.append(flat_columns(orders, cost, every, taken, plans, self._targets))
        if wanted[count:].any():
            found.append(self._menu_columns([offers.by_menu[at] for at in np.flatnonzero(wanted[count:]).tolist()]))
        return found

    def _menu_columns(self, offers: list[Offer]) -> Columns:
        """Offers of menus as columns; those of one menu stand together."""
        objective, late = self._problem.objective, self._problem.options.late_days
        plans: list[tuple[int, Plan]] = []
        orders: list[int] = []
        for _, group in groupby(offers, key=lambda offer: id(offer.menu)):
            same = list(group)
            menu = same[0].menu
            ways = as_plans(menu, [one.column for one in same], [one.found.pieces for one in same])
            for (_, column, found), plan in zip(same, ways, strict=True):
                cost = sum(int(menu.price[state, row]) for row, state in found.pieces)
                cost += objective.late_per_day * max((int(late[option]) for option, _ in plan), default=0)
                cost += objective.unfilled_per_unit * int(menu.keeps.left[found.state, column])
                plans.append((cost - (objective.split_parcel if plan else 0), plan))
                orders.append(int(menu.orders[column]))
        return columns_of(self._problem, orders, plans, self._targets)

    def steps(self, offers: Sequence[Offer] = ()) -> int:
        """Work of one pricing pass in menu cells: all menus, the splits of every order, and the careful looks."""
        careful = [one for one in offers if one.found.careful]
        looks = sum(one.found.careful * (40 * pairs(one.menu.states.shape) + CAREFUL) for one in careful)
        late = 2 if self._problem.objective.late_per_day else 1
        simple = SIMPLE + self._simple.work(self._which) if len(self._which) else 0
        return late * (simple + sum(ready.cells + MENU for ready in self._menus)) + ORDER * len(offers) + looks

    def offers(self, prices: Prices, below: Ints) -> Offers:
        """The best plan of every order at these prices; value FAR and no plan if it cannot ship what it must.

        `below` int64[orders]: FINE parts of a mill. An order whose value is not below its own comes without a plan, and
        its value is a lower bound.
        """
        tolls = self._tolls(prices)
        simple = self._simple_offers(prices, tolls, below)
        orders, values = [self._simple.table.order[simple.which]], [simple.found.value]
        by_menu = []
        late = self._problem.objective.late_per_day * FINE
        for ready in self._menus:
            menu = ready.menu
            priced, (stay, free) = self._with_tolls(ready, tolls), self._stay_at(ready, prices)
            limit = np.minimum(below[menu.orders] + free, FAR)
            answers = answer(menu, priced, stay, late, below=limit)
            value = np.array([one.value for one in answers], np.int64)
            by_menu += [Offer(menu, column, one) for column, one in enumerate(answers)]
            orders.append(menu.orders)
            values.append(np.where(value < FAR, value - free, FAR))
        return Offers(np.concatenate(orders), np.concatenate(values), simple, by_menu)

    def _simple_offers(self, prices: Prices, tolls: tuple[Ints, Ints], below: Ints) -> Answers:
        """The offers of the simple orders. One whose boxes compete with each other goes by a menu from now on."""
        cell, room = tolls
        nothing = np.zeros(0, np.int64)
        rates = Rates(cell, room[0], room[1], nothing, nothing)
        if not room.any():
            rates = rates._replace(parcels=nothing, rooms=nothing)
        if self._targets is not None:
            row = self._targets.row
            fill = np.append(prices.fill, 0)
            rates = rates._replace(fill=fill[row], must=(row < 0).astype(np.int64))
        orders = self._simple.table.order[self._which]
        found = self._simple.answers(self._which, rates=rates, scale=FINE, fullest=False, below=below[orders])
        coupled = found.found.coupled > 0
        if not coupled.any():
            return found
        gone = [order for order in orders[coupled].tolist() if self._by_menu(order) is not None]
        kept = ~np.isin(orders, gone)
        self._which = self._which[kept]
        for order in gone:
            menu = self._by_menu(order)
            assert menu is not None, "only orders with a menu go"
            self._whole.append(menu)
            self._ready.append(self._made_ready(menu))
        return found.some(np.flatnonzero(kept))

    def _by_menu(self, order: int) -> Menu | None:
        """The menu of a simple order, made when it is first asked for; None where the exact DP cannot take it."""
        if order not in self._taken_out:
            only, everything = np.array([order], np.int64), Supply.of(self._problem)
            made = menus(self._problem, only, everything, Purse(UNLIMITED), set(), work=UNLIMITED)
            self._taken_out[order] = next(made, None)
        return self._taken_out[order]

    def _tolls(self, prices: Prices) -> tuple[Ints, Ints]:
        """(int64[cells], int64[2, buckets + 1]) prices of cells, those of derived items included, and of rooms."""
        shape, buckets = self._problem.stock.shape, len(self._problem.bucket_parcels)
        cells = self._problem.stock.size
        cell = prices.resource[:cells]
        if len(self._problem.derived.item):
            cell = cell.copy()
            add_up(self._problem, cell.reshape(shape))
        room = np.zeros((2, buckets + 1), np.int64)
        room[:, :buckets] = prices.resource[cells:].reshape(2, buckets)
        return cell, room

    def _with_tolls(self, ready: _Ready, tolls: tuple[Ints, Ints]) -> Ints:
        """The menu's prices with what the shipments take at its price."""
        menu, total, (cell, toll) = ready.menu, ready.fine, tolls
        options = self._problem.options
        at = cell[ready.cell]
        if at.any():
            total = total + menu.vector @ at.T
        # Bucket -1 reads the spare last entry, which is never priced.
        if toll.any():
            bucket, own = options.bucket[menu.rows], menu.origin.own(menu.vector)
            total = total + menu.boxes * toll[0, bucket] + own[:, None] * toll[1, bucket]
            for columns, source in menu.origin.places:
                lent = self._problem.source_bucket[options.day[menu.rows], source[menu.owner]]
                total = total + (menu.vector @ columns)[:, None] * toll[1, lent]
        return total if total is ready.fine else np.minimum(total, FAR)

    def _staying(self, menu: Menu) -> tuple[Ints, Ints]:
        """(stay int64[M, G], free int64[G]): the price of shipping only a state; the constant in every value."""
        objective, targets = self._problem.objective, self._targets
        stay = menu.staying(objective.unfilled_per_unit * FINE)
        stay[0] += objective.split_parcel * (FINE - 1)
        free = np.full(len(menu.orders), FINE * objective.split_parcel, np.int64)
        if targets is not None:
            must = (targets.row[menu.lines] < 0).astype(np.int64)
            stay = np.where((menu.vector.max(axis=0) - menu.vector) @ must.T > 0, FAR, stay)
        return np.minimum(stay, FAR), free

    def _stay_at(self, ready: _Ready, prices: Prices) -> tuple[Ints, Ints]:
        """The same with what the fill rows pay."""
        (stay, free), menu = ready.stay, ready.menu
        if ready.fill is None or not prices.fill.any():
            return stay, free
        worth = np.where(ready.fill >= 0, prices.fill[ready.fill], 0)
        most = menu.vector.max(axis=0)
        return np.minimum(stay + (most - menu.vector) @ worth.T, FAR), free + worth @ most

    def near(self, prices: Prices, order: int, slack: int, most: int) -> list[tuple[Shipment, ...]] | None:
        """Every plan of an order within `slack` of its best value, or None if there are more than `most`.

        Depth first over shipments, cut by the exact least cost of what is still to ship.
        """
        ready, column = self._ready_of(order)
        if ready is None:
            return None
        menu = ready.menu
        one, rows = menu.one(column), menu.rows_of(column)
        alone = _Ready(
            one,
            ready.fine[:, rows],
            ready.cell[rows],
            (ready.stay[0][:, [column]], ready.stay[1][[column]]),
            None if ready.fill is None else ready.fill[[column]],
            0,
        )
        priced, (stay, _) = self._with_tolls(alone, self._tolls(prices)), self._stay_at(alone, prices)
        late = self._problem.objective.late_per_day * FINE
        best = answer(one, priced, stay, late)[0].value
        return _Near(one, priced, stay[:, 0], late, min(best + slack, FAR - 1), most).run()

    def _ready_of(self, order: int) -> tuple[_Ready | None, int]:
        """The menu of an order, and its column there."""
        for ready in self._menus:
            for column in np.flatnonzero(ready.menu.orders == order).tolist():
                return ready, column
        menu = self._by_menu(order) if self._simple.place[order] >= 0 else None
        return (self._made_ready(menu) if menu is not None else None), 0


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
