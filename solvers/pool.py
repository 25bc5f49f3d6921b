"""The columns of the master problem, as arrays that grow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from solvers.column import Columns
from solvers.plan import Priced
from solvers.problem import Bools, Ints
from solvers.resources import Taken
from solvers.runs import heads
from solvers.solution import Plan


def none() -> Ints:
    """No numbers."""
    return np.zeros(0, np.int64)


def _no_taken() -> Taken:
    return Taken(none(), none(), none())


def _joined(one: Taken, two: Taken) -> Taken:
    return Taken(*(np.concatenate(pair) for pair in zip(one, two, strict=True)))


class Pool:
    """Plans of some of the window's orders, each known once, over `free` int64[resources].

    int64[n]: `order`, `cost` in mills and `units` of each; `taken` and `fills`: what it takes by resource and gives by
    fill row. `orders` bool[O]: there is a plan of it.
    """

    def __init__(self, orders: int, free: Ints) -> None:
        self.free = free
        self.order, self.cost, self.units = none(), none(), none()
        self.taken, self.fills = _no_taken(), _no_taken()
        self.orders = np.zeros(orders, np.bool_)
        self._plans: list[Plan] = []
        self._known: set[int] = set()

    @property
    def size(self) -> int:
        """How many columns there are."""
        return len(self.order)

    def add(self, columns: Columns) -> bool:
        """Take in the columns that are not known; False if all are."""
        keys = columns.key.tolist()
        keep = np.zeros(len(keys), np.bool_)
        for at, key in enumerate(keys):
            if key not in self._known:
                self._known.add(key)
                keep[at] = True
        if not keep.any():
            return False
        fresh, count = columns.only(keep), self.size
        self.order = np.concatenate([self.order, fresh.order])
        self.cost = np.concatenate([self.cost, fresh.cost])
        self.units = np.concatenate([self.units, fresh.units])
        self.taken = _joined(self.taken, fresh.taken._replace(owner=fresh.taken.owner + count))
        self.fills = _joined(self.fills, fresh.filled._replace(owner=fresh.filled.owner + count))
        self._plans += fresh.plans
        self.orders[fresh.order] = True
        return True

    def fitting(self, sequence: Iterable[int], beside: Ints) -> list[int]:
        """The columns of a sequence that fit together and beside those chosen before, one for each order."""
        left, (owner, resource, amount) = self.free.copy(), self.taken
        start = np.searchsorted(owner, np.arange(self.size + 1))
        held = np.isin(owner, beside)
        np.subtract.at(left, resource[held], amount[held])
        done, found = set(self.order[beside].tolist()), []
        for column in sequence:
            order, mine = int(self.order[column]), slice(int(start[column]), int(start[column + 1]))
            if order not in done and (left[resource[mine]] >= amount[mine]).all():
                left[resource[mine]] -= amount[mine]
                done.add(order)
                found.append(column)
        return found

    def plan(self, column: int) -> Priced:
        """A column as a plan of its order."""
        return Priced(tuple(self._plans[column]), int(self.cost[column]), int(self.units[column]), None, 0)

    def filled(self, chosen: Sequence[int], row: int) -> int:
        """Units of a fill row that a choice of columns ships."""
        mine = (self.fills.resource == row) & np.isin(self.fills.owner, chosen)
        return int(self.fills.amount[mine].sum())

    def scarce(self, among: Bools | None = None) -> Ints:
        """Resources, ascending, that the hungriest plans of all orders could exhaust; `among` bool[columns]: of these
        plans only."""
        owner, resource, amount = self.taken if among is None else self.taken.only(among)
        key = self.order[owner] * len(self.free) + resource
        rank = np.argsort(key, kind="stable")
        key, amount = key[rank], amount[rank]
        first = heads(key)
        if not len(first):
            return first
        wanted = np.zeros(len(self.free), np.int64)
        np.add.at(wanted, key[first] % len(self.free), np.maximum.reduceat(amount, first))
        return np.flatnonzero(wanted > self.free)
