"""The best plan of every kind of order at given prices, as flat arrays: pricing for the LP of shadow prices.

The same subset recursion as `subset`, with the trace of all orders of a menu done together. Menus whose orders have
limits, lateness or a minimum value per split go by `subset.answer`, order by order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.master import FINE
from solvers.menu import Menu, spans
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.states import FAR, States, cheapest, parts_of_state
from solvers.subset import answer


class Resources(NamedTuple):
    """How cells and rooms are numbered: cell (i, n) is i * nodes + n, then boxes by bucket, then units by bucket."""

    items: int
    nodes: int
    buckets: int

    @property
    def cells(self) -> int:
        """How many stock cells there are."""
        return self.items * self.nodes

    @property
    def total(self) -> int:
        """How many resources there are."""
        return self.cells + 2 * self.buckets


class Plans(NamedTuple):
    """One plan each of some orders. int64[P]: `order`, its `value` at the prices in FINE parts of a mill, `cost` in
    mills. What they take, int64[E]: plan `at` takes `amount` of `resource`.
    """

    order: Ints
    value: Ints
    cost: Ints
    at: Ints
    resource: Ints
    amount: Ints


class Table(NamedTuple):
    """What the orders of a menu may do, G orders, M states, R rows (see `Menu`).

    `price` int64[M, R]: mills of a shipment with its split penalty and lateness, FAR where it cannot be. `left`
    int64[M, G]: units that stay where only that state ships; `last` bool[M, G]: where that is lawful. `cells`: (units
    int64[M], resource int64[R]); `rooms`: (amount int64[M, R], resource int64[R], -1 for no limit).
    """

    orders: Ints
    states: States
    start: Ints
    price: Ints
    left: Ints
    last: Bools
    split_parcel: int
    cells: list[tuple[Ints, Ints]]
    rooms: list[tuple[Ints, Ints]]


class _Pieces(NamedTuple):
    """Shipments of the orders of a menu, int64[S]: column, menu row, state; `state_of`, `value` int64[G] by order."""

    column: Ints
    row: Ints
    state: Ints
    state_of: Ints
    value: Ints


class PlanPricer:
    """Menus with all that pricing them needs again and again; `unfilled` mills for a unit that stays.

    `loose`: a plan may draw more of a cell in several shipments than the cell holds. The LP's rows hold all takers
    together, so it stays a relaxation; to keep every plan possible by itself takes many times as long.
    """

    def __init__(self, problem: Problem, menus: list[Menu], unfilled: int, *, loose: bool = False) -> None:
        items, nodes = problem.stock.shape
        self.resources = Resources(items, nodes, len(problem.bucket_parcels))
        self.orders = np.sort(np.concatenate([np.zeros(0, np.int64), *(menu.orders for menu in menus)]))
        self._problem = problem
        self._priced = [_Priced(problem, menu, unfilled, self.resources, loose) for menu in menus]

    def nothing(self) -> Plans:
        """The plan of every order that ships nothing."""
        none = np.zeros(0, np.int64)
        split = self._problem.objective.split_parcel
        costs = [one.stay[0] // FINE - split for one in self._priced]
        orders = [one.menu.orders for one in self._priced]
        return _joined(
            [Plans(order, cost * FINE, cost, none, none, none) for order, cost in zip(orders, costs, strict=True)]
        )

    def tables(self) -> list[Table]:
        """What every menu's orders may do."""
        return [one.table() for one in self._priced]

    def best(self, price: Ints) -> Plans:
        """The cheapest plan of every order; price int64[resources] in FINE parts of a mill, at least 0."""
        return _joined([one.best(price) for one in self._priced])


class _Priced:
    def __init__(self, problem: Problem, menu: Menu, unfilled: int, resources: Resources, loose: bool) -> None:
        self.menu, self._problem, self._resources, self._loose = menu, problem, resources, loose
        self._fine = np.where(menu.price < FAR, menu.price * FINE, FAR)
        self.stay = np.minimum(menu.staying(unfilled * FINE), FAR)
        # `staying` charges the split in mills; all else here is in FINE parts of one.
        self.stay[0] += problem.objective.split_parcel * (FINE - 1)
        self._late = problem.objective.late_per_day * FINE
        supply = menu.supply
        self._free = np.concatenate([supply.stock.ravel(), supply.parcels, supply.units])
        most = int(np.where(menu.price < FAR, menu.boxes, 0).max(initial=0)) * int(menu.units.max(initial=1))
        self._limited = menu.keeps.parcels < min(UNLIMITED, most)
        if menu.keeps.several is not None or (self._late and menu.late.any()):
            self._limited = np.ones(len(menu.orders), np.bool_)
        node = problem.options.node[menu.rows]
        self._taken = [
            (menu.vector @ cell.per_unit, cell.part[menu.owner] * resources.nodes + self._from(cell.source, node))
            for cell in menu.origin.cells
        ]
        self._rooms = self._room_uses()
        self._ends = np.append(menu.start, len(menu.rows))

    def _from(self, source: Ints, node: Ints) -> Ints:
        at = source[self.menu.owner]
        return np.where(at < 0, node, at)

    def _room_uses(self) -> list[tuple[Ints, Ints]]:
        """(amount int64[M, R], resource int64[R], -1 for no limit) of boxes, units, and units of other nodes."""
        menu, problem, resources = self.menu, self._problem, self._resources
        if not resources.buckets:
            return []
        bucket, shape = problem.options.bucket[menu.rows], menu.price.shape
        boxes, units = resources.cells, resources.cells + resources.buckets
        own = np.broadcast_to(menu.origin.own(menu.vector)[:, None], shape)
        found = [
            (menu.boxes, np.where(bucket < 0, -1, boxes + bucket)),
            (own, np.where(bucket < 0, -1, units + bucket)),
        ]
        for columns, source in menu.origin.places:
            lent = problem.source_bucket[problem.options.day[menu.rows], source[menu.owner]]
            there = np.broadcast_to((menu.vector @ columns)[:, None], shape)
            found.append((there, np.where(lent < 0, -1, units + lent)))
        return [(amount, resource) for amount, resource in found if (resource >= 0).any()]

    def table(self) -> Table:
        menu, objective = self.menu, self._problem.objective
        late = objective.late_per_day * menu.late
        price = np.where(menu.price < FAR, menu.price + late, FAR)
        keeps, split = menu.keeps, objective.split_parcel
        return Table(
            menu.orders, menu.states, menu.start, price, keeps.left, keeps.last, split, self._taken, self._rooms
        )

    def best(self, price: Ints) -> Plans:
        total = self._fine
        for amount, resource in self._taken:
            total = total + amount[:, None] * price[resource]
        for amounts, resource in self._rooms:
            total = total + amounts * np.where(resource < 0, 0, price[resource])
        total = np.minimum(total, FAR)
        found = self._together(total)
        alone = np.flatnonzero(self._limited if self._loose else self._limited | self._overdrawn(found))
        return self._plans(self._one_by_one(total, alone, found) if len(alone) else found)

    def _together(self, price: Ints) -> _Pieces:
        """The plain recursion; limits of an order and what it takes twice of a place are not seen."""
        menu, columns = self.menu, np.arange(len(self.menu.orders))
        part = np.minimum.reduceat(price, menu.start, axis=1)
        least = cheapest(menu.states, part)
        total = least + self.stay
        state_of = np.argmin(total, axis=0)
        value = total[state_of, columns]
        now = np.where(value < FAR, state_of, 0)
        column: list[Ints] = []
        state: list[Ints] = []
        while now.any():
            # All orders at one partial order step together: states are few, orders many.
            for one in np.unique(now[now > 0]).tolist():
                here = np.flatnonzero(now == one)
                parts, rest = parts_of_state(menu.states, one)
                at = np.argmin(part[parts[:, None], here] + least[rest[:, None], here], axis=0)
                column.append(here)
                state.append(parts[at])
                now[here] = rest[at]
        none = np.zeros(0, np.int64)
        at_column, at_state = np.concatenate([none, *column]), np.concatenate([none, *state])
        return _Pieces(at_column, self._cheapest_rows(price, at_column, at_state), at_state, state_of, value)

    def _overdrawn(self, pieces: _Pieces) -> Bools:
        """bool[G]: the order's shipments together take more of a cell or room than there is."""
        over = np.zeros(len(self.menu.orders), np.bool_)
        several = np.bincount(pieces.column, minlength=len(over))[pieces.column] > 1
        column, resource, amount = self._uses(
            pieces._replace(column=pieces.column[several], row=pieces.row[several], state=pieces.state[several])
        )
        key, place = np.unique(column * len(self._free) + resource, return_inverse=True)
        taken = np.bincount(place, weights=amount, minlength=len(key))
        owner, resource = np.divmod(key, len(self._free))
        over[owner[taken > self._free[resource]]] = True
        return over

    def _cheapest_rows(self, price: Ints, column: Ints, state: Ints) -> Ints:
        if not len(column):
            return column
        rows, piece = spans(self._ends, column)
        values = price[state[piece], rows]
        first = np.searchsorted(piece, np.arange(len(column)))
        least = np.minimum.reduceat(values, first)
        return np.minimum.reduceat(np.where(values == least[piece], rows, len(price[0])), first)

    def _one_by_one(self, price: Ints, columns: Ints, others: _Pieces) -> _Pieces:
        """`others` with some orders looked at exactly, one after another."""
        back = np.flatnonzero(np.isin(self.menu.owner, columns))
        found = answer(self.menu.only(columns), price[:, back], self.stay[:, columns], self._late)
        pieces = [
            (column, int(back[row]), state)
            for column, one in zip(columns.tolist(), found, strict=True)
            for row, state in one.pieces
        ]
        kept = ~np.isin(others.column, columns)
        column, row, state = np.array(pieces, np.int64).reshape(-1, 3).T
        state_of, value = others.state_of.copy(), others.value.copy()
        state_of[columns] = [one.state for one in found]
        value[columns] = [one.value for one in found]
        return _Pieces(
            np.concatenate([others.column[kept], column]),
            np.concatenate([others.row[kept], row]),
            np.concatenate([others.state[kept], state]),
            state_of,
            value,
        )

    def _uses(self, pieces: _Pieces) -> tuple[Ints, Ints, Ints]:
        """(column, resource, amount) of all that the shipments take."""
        uses = [(pieces.column, resource[pieces.row], amount[pieces.state]) for amount, resource in self._taken]
        for amounts, resource in self._rooms:
            uses.append((pieces.column, resource[pieces.row], amounts[pieces.state, pieces.row]))
        column, resource, amount = (np.concatenate(parts) for parts in zip(*uses, strict=True))
        kept = (amount > 0) & (resource >= 0)
        return column[kept], resource[kept], amount[kept]

    def _plans(self, pieces: _Pieces) -> Plans:
        """The orders' plans with their own costs and what they take; orders without a lawful plan are left out."""
        menu, objective = self.menu, self._problem.objective
        columns = np.arange(len(menu.orders))
        cost = self.stay[pieces.state_of, columns] // FINE - objective.split_parcel
        np.add.at(cost, pieces.column, menu.price[pieces.state, pieces.row])
        late = np.zeros(len(columns), np.int64)
        np.maximum.at(late, pieces.column, menu.late[pieces.row])
        cost += objective.late_per_day * late
        value = pieces.value - FINE * objective.split_parcel
        column, resource, amount = self._uses(pieces)
        lawful: Bools = pieces.value < FAR
        kept, number = lawful[column], np.cumsum(lawful) - 1
        return Plans(
            menu.orders[lawful], value[lawful], cost[lawful], number[column[kept]], resource[kept], amount[kept]
        )


def _joined(some: list[Plans]) -> Plans:
    none = np.zeros(0, np.int64)
    first = np.cumsum([0] + [len(one.order) for one in some]).tolist()
    shifted = [one._replace(at=one.at + low) for one, low in zip(some, first, strict=False)]
    return (
        Plans(*(np.concatenate([none, *columns]) for columns in zip(*shifted, strict=True)))
        if some
        else Plans(none, none, none, none, none, none)
    )
