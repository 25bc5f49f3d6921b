"""Every shipment that orders of one shape could make, with its exact price: the table all exact methods choose from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from solvers.cells import Origin, origin
from solvers.keeps import Keeps, keeps_of
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.states import FAR, Shape, States, states_of
from solvers.tariff import BEYOND, shipment_table, times


@dataclass(frozen=True, slots=True)
class Supply:
    """What is free: stock int64[I, N], boxes and units by bucket int64[D]. Read only."""

    stock: Ints
    parcels: Ints
    units: Ints

    @staticmethod
    def of(problem: Problem) -> Supply:
        """All that the window starts with."""
        return Supply(problem.stock, problem.bucket_parcels, problem.bucket_units)

    def copy(self) -> Supply:
        """An own copy, to take from."""
        return Supply(self.stock.copy(), self.parcels.copy(), self.units.copy())


@dataclass(frozen=True, slots=True)
class Menu:
    """G orders of one shape, M states, R options that could ship something, contiguous by order.

    orders int64[G]; lines int64[G, n]: row of `Lines` of every state column; vector int64[M, n], units int64[M]: what
    a state ships; rows int64[R] options, owner int64[R] into `orders`, start int64[G] first row of each order;
    price int64[M, R] mills of one shipment with the split penalty of its boxes, FAR where it cannot be;
    boxes int64[M, R]; `origin`: the cells that the columns draw on; `keeps`: what each order's plan must keep.
    """

    problem: Problem
    supply: Supply
    orders: Ints
    lines: Ints
    states: States
    vector: Ints
    units: Ints
    rows: Ints
    owner: Ints
    start: Ints
    price: Ints
    boxes: Ints
    origin: Origin
    keeps: Keeps

    @property
    def node(self) -> Ints:
        """int64[R]: the node of each row."""
        return self.problem.options.node[self.rows]

    @property
    def bucket(self) -> Ints:
        """int64[R]: the bucket of each row, -1 for none."""
        return self.problem.options.bucket[self.rows]

    @property
    def late(self) -> Ints:
        """int64[R]: late days of each row."""
        return self.problem.options.late_days[self.rows]

    def staying(self, per_unit: int) -> Ints:
        """int64[M, G]: what it costs to ship only that state, at one price per unit left; FAR where that is unlawful.

        Every box of `price` carries the split penalty, one too many: shipping nothing does not save it.
        """
        cost = times(np.array([per_unit], np.int64), self.keeps.left)
        cost[0] += self.problem.objective.split_parcel
        return np.where(self.keeps.last, cost, FAR)

    def rows_of(self, column: int) -> slice:
        """The rows of one of the orders."""
        end = int(self.start[column + 1]) if column + 1 < len(self.start) else len(self.rows)
        return slice(int(self.start[column]), end)

    def one(self, column: int) -> Menu:
        """The menu of one of the orders alone."""
        at, only = self.rows_of(column), np.array([column])
        return replace(
            self,
            orders=self.orders[only],
            lines=self.lines[only],
            rows=self.rows[at],
            owner=np.zeros(at.stop - at.start, np.int64),
            start=np.zeros(1, np.int64),
            price=self.price[:, at],
            boxes=self.boxes[:, at],
            origin=self.origin.only(only),
            keeps=self.keeps.only(only),
        )

    def only(self, columns: Ints) -> Menu:
        """The menu of some of the orders, ascending columns."""
        if len(columns) == len(self.orders):
            return self
        number = np.full(len(self.orders), -1, np.int64)
        number[columns] = np.arange(len(columns))
        keep = number[self.owner] >= 0
        owner = number[self.owner[keep]]
        return replace(
            self,
            orders=self.orders[columns],
            lines=self.lines[columns],
            rows=self.rows[keep],
            owner=owner,
            start=np.searchsorted(owner, np.arange(len(columns))),
            price=self.price[:, keep],
            boxes=self.boxes[:, keep],
            origin=self.origin.only(columns),
            keeps=self.keeps.only(columns),
        )

    def units_in_line_order(self, column: int, state: int) -> Ints:
        """int64[lines of the order]: what a state ships, as a `Shipment` names it."""
        problem, order = self.problem, int(self.orders[column])
        first = int(problem.lines.start[order])
        units = np.zeros(int(problem.lines.start[order + 1]) - first, np.int64)
        units[self.lines[column] - first] = self.vector[state]
        return units


def fillable(problem: Problem, orders: Ints, supply: Supply) -> tuple[Ints, Ints]:
    """(lines, units): window lines of the orders, and the most units of each that the free stock could ship.

    Each line by itself: lines of one SKU are not set against each other, and capacity counts only where none is left.
    """
    options, lines = problem.options, problem.lines
    options_at, owner = spans(options.start, orders)
    open_rows = has_room(problem, options_at, supply)
    served = np.zeros((len(orders), problem.nodes), np.bool_)
    served[owner[open_rows], options.node[options_at[open_rows]]] = True
    lines_at, line_owner = spans(lines.start, orders)
    wanted = lines.quantity[lines_at]
    there = np.minimum(supply.stock[lines.item[lines_at]], wanted[:, None])
    there = np.where(lines.eligible[lines_at] & served[line_owner], there, 0)
    return lines_at, np.minimum(there.sum(axis=1), wanted)


def spans(start: Ints, which: Ints) -> tuple[Ints, Ints]:
    """(indexes, owner): all of `start[w]:start[w + 1]` one after another, and which w each belongs to."""
    size = start[which + 1] - start[which]
    owner = np.repeat(np.arange(len(which), dtype=np.int64), size)
    first = np.cumsum(size) - size
    return np.arange(int(size.sum()), dtype=np.int64) - first[owner] + start[which][owner], owner


def has_room(problem: Problem, rows: Ints, supply: Supply) -> Bools:
    """bool[R]: the option's bucket has room for a box, and for a unit (unless others of a dock may lend theirs)."""
    bucket = problem.options.bucket[rows]
    if len(supply.parcels) == 0:
        return np.ones(len(rows), np.bool_)
    lent = bool((problem.derived.source >= 0).any())
    return (bucket < 0) | ((supply.parcels[bucket] > 0) & ((supply.units[bucket] > 0) | lent))


def build_menu(
    problem: Problem, orders: Ints, lines: Ints, shape: Shape, supply: Supply, vector: Ints | None = None
) -> Menu:
    """The menu of orders of one shape; orders that nothing can be shipped for are left out.

    lines int64[G, n]: the window lines to ship of each order. `vector` int64[M, n]: what each state of `shape` ships,
    unless it ships just its own numbers (then `shape` may have another length than n: see `atoms`).
    """
    options = problem.options
    states = states_of(shape)
    ships = states.vector if vector is None else vector
    rows, owner = spans(options.start, orders)
    free = _free(problem, lines, rows, owner, supply)
    keep = (free > 0).any(axis=0) & has_room(problem, rows, supply)
    alive = np.bincount(owner[keep], minlength=len(orders)) > 0
    orders, lines = orders[alive], lines[alive]
    rows, owner, free = rows[keep], (np.cumsum(alive) - 1)[owner[keep]], free[:, keep]
    start = np.searchsorted(owner, np.arange(len(orders)))
    price, boxes = shipment_table(problem, rows, owner, ships, lines)
    draws, keeps = origin(problem, lines), keeps_of(problem, orders, lines, ships)
    possible = _possible(problem, rows, owner, free, ships, supply, draws)
    possible &= _roomy(problem, rows, owner, boxes, ships, supply, draws)
    possible &= _lawful(problem, lines, ships, owner, boxes, keeps)
    if problem.objective.split_parcel:
        price = price + problem.objective.split_parcel * boxes
    price = np.where(possible & (price < BEYOND), price, FAR)
    units = ships.sum(axis=1)
    return Menu(problem, supply, orders, lines, states, ships, units, rows, owner, start, price, boxes, draws, keeps)


def narrowed(menu: Menu, left: Supply) -> Menu:
    """The menu on less supply than it was built for: shipments that became impossible are FAR."""
    problem, rows, owner = menu.problem, menu.rows, menu.owner
    free = _free(problem, menu.lines, rows, owner, left)
    possible = _possible(problem, rows, owner, free, menu.vector, left, menu.origin)
    possible &= _roomy(problem, rows, owner, menu.boxes, menu.vector, left, menu.origin)
    return replace(menu, supply=left, price=np.where(possible, menu.price, FAR))


def _free(problem: Problem, lines: Ints, rows: Ints, owner: Ints, supply: Supply) -> Ints:
    """int64[n, R]: units of each line free at the node of each row, 0 where the line may not ship from there."""
    at, node = lines[owner].T, problem.options.node[rows]
    return np.where(problem.lines.eligible[at, node], supply.stock[problem.lines.item[at], node], 0)


def _possible(
    problem: Problem, rows: Ints, owner: Ints, free: Ints, ships: Ints, supply: Supply, draws: Origin
) -> Bools:
    """bool[M, R]: stock and eligibility allow the state to leave by the row in one shipment."""
    possible = np.ones((len(ships), len(rows)), np.bool_)
    for column in range(ships.shape[1]):
        possible &= ships[:, column, None] <= free[column]
    node = problem.options.node[rows]
    for per_unit, part, source in draws.cells:
        if np.count_nonzero(per_unit) > 1:
            where = np.where(source[owner] < 0, node, source[owner])
            possible &= (ships @ per_unit)[:, None] <= supply.stock[part[owner], where]
    return possible


def _roomy(problem: Problem, rows: Ints, owner: Ints, boxes: Ints, ships: Ints, supply: Supply, draws: Origin) -> Bools:
    """bool[M, R]: the row's bucket has room for the state's boxes and units, other nodes of the dock for theirs."""
    bucket = problem.options.bucket[rows]
    fitting: Bools = np.ones(boxes.shape, np.bool_)
    if (bucket >= 0).any():
        in_parcels = np.where(bucket >= 0, supply.parcels[bucket], UNLIMITED)
        in_units = np.where(bucket >= 0, supply.units[bucket], UNLIMITED)
        fitting = (boxes <= in_parcels) & (draws.own(ships)[:, None] <= in_units)
    for columns, source in draws.places:
        lent = problem.source_bucket[problem.options.day[rows], source[owner]]
        if (lent >= 0).any():
            fitting &= (ships @ columns)[:, None] <= np.where(lent >= 0, supply.units[lent], UNLIMITED)
    return fitting


def _lawful(problem: Problem, lines: Ints, ships: Ints, owner: Ints, boxes: Ints, keeps: Keeps) -> Bools:
    """bool[M, R]: the state breaks no group in one shipment by the row, and ships no line twice over."""
    lawful: Bools = keeps.single[:, owner]
    grouped = np.flatnonzero(problem.lines.group[lines[:1]] >= 0)
    if len(grouped):
        lawful &= (ships[:, grouped].sum(axis=1) == 0)[:, None] | (boxes == 1)
    return lawful
