"""The integer choice where prices nearly make it: one plan per order by small searches, instead of a MIP.

At any prices of what is scarce a choice of columns costs at least the sum of each order's least value (cost and worth
of what is taken, less worth of what is filled) less the worth of what there is; a column adds its regret, what it is
dearer than its order's least (Fisher, Management Science 27, 1981, section 3). Between that bound and a choice at hand
few columns are left in most windows, and the orders that still want the same scarce things fall into small groups,
each searched by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from solvers.master import FINE, Choice, Master, Prices, worth_of
from solvers.problem import Bools, Ints
from solvers.resources import Taken

NODES = 1_000
"""Plans looked at in one decision; most windows need some dozens."""

START, COLUMN_WORK, NODE_WORK = 10_000, 50, 100
"""Work of one decision: to begin with, per column and per plan looked at: measured."""


class Candidate(NamedTuple):
    """A column that may be part of a better choice; `takes`: (resource, amount) of what is scarce."""

    cost: int
    column: int
    takes: list[tuple[int, int]]


def pick(master: Master, prices: Prices, floors: Sequence[int], liked: NDArray[np.float64]) -> Choice | None:
    """The cheapest choice of the master's columns with the fill rows at least as full as `floors`.

    `liked` float64[columns or fewer]: how much of each the LP uses. None where rounding that gives no choice, or one
    that ships less than every order can; not `optimal` where the search was too long.
    """
    first = _rounded(master, liked)
    master.work += START + COLUMN_WORK * master.size
    if first is None or not master.holds(first, floors):
        return None
    allowed = _as_full(master, first, floors)
    if not allowed[first].all():
        return None
    regret, floor = _regrets(master, prices, floors)
    near = allowed & (regret <= FINE * int(master.cost[first].sum()) - floor)
    chosen: list[int] = []
    nodes = NODES
    for group in _groups(master, near):
        search = _Search(master.free, group, nodes)
        chosen += search.best
        nodes = search.nodes
    master.work += NODE_WORK * (NODES - nodes)
    return Choice(chosen if nodes else first, nodes > 0)


def _rounded(master: Master, liked: NDArray[np.float64]) -> list[int] | None:
    """What the LP likes most of each order while it fits, the cheaper of equals; None where an order finds nothing."""
    much = np.zeros(master.size)
    much[: len(liked)] = np.round(liked, 6)
    sequence = np.lexsort((np.arange(master.size), master.cost, -much)).tolist()
    chosen = master.fitting(sequence, np.zeros(0, np.int64))
    return chosen if len(chosen) == master.orders.sum() else None


def _as_full(master: Master, first: list[int], floors: Sequence[int]) -> Bools:
    """bool[columns]: those that a choice may have which ships as much as `first`.

    Where fill is asked for: those that fill every row as far as any of their order's does. If `first` consists of such
    and no row of it is fuller than asked for, no other column can be part of a choice that is full enough.
    """
    allowed = np.ones(master.size, np.bool_)
    if not len(floors):
        return allowed
    owner, row, amount = master.fills
    filled = np.zeros((master.size, int(row.max(initial=-1)) + 1), np.int64)
    np.add.at(filled, (owner, row), amount)
    most = np.zeros((len(master.orders), filled.shape[1]), np.int64)
    np.maximum.at(most, master.order, filled)
    allowed &= (filled == most[master.order]).all(axis=1)
    if (filled[first].sum(axis=0)[: len(floors)] > np.array(floors[: filled.shape[1]])).any():
        allowed[first] = False
    return allowed


def _regrets(master: Master, prices: Prices, floors: Sequence[int]) -> tuple[Ints, int]:
    """int64[columns] what each is dearer than its order's least value, and what no choice costs less than; FINE parts
    of a mill."""
    value, (taken, filled) = FINE * master.cost, (master.taken, master.fills)
    np.add.at(value, taken.owner, prices.resource[taken.resource] * taken.amount)
    counted = filled.resource < min(len(floors), len(prices.fill))
    worth = prices.fill[filled.resource[counted]] * filled.amount[counted]
    np.subtract.at(value, filled.owner[counted], worth)
    least = np.full(len(master.orders), np.iinfo(np.int64).max)
    np.minimum.at(least, master.order, value)
    rows = np.array(floors[: len(prices.fill)], np.int64)
    floor = sum(least[master.orders].tolist()) - worth_of(prices.resource, master.free)
    return value - least[master.order], floor + worth_of(prices.fill[: len(rows)], rows)


def _groups(master: Master, near: Bools) -> list[list[list[Candidate]]]:
    """Groups of orders that share nothing scarce with each other; of each order its candidates, the cheapest first.

    What takes nothing scarce ends an order's list: a dearer one can do no more.
    """
    scarce = np.zeros(len(master.free), np.bool_)
    scarce[master.scarce(near)] = True
    taken = master.taken.only(near)
    taken = Taken(*(column[scarce[taken.resource]] for column in taken))
    start = np.searchsorted(taken.owner, np.arange(master.size + 1))
    found: dict[int, list[Candidate]] = {}
    rank = np.argsort(master.cost, kind="stable")
    for column in rank[near[rank]].tolist():
        mine = found.setdefault(int(master.order[column]), [])
        if not mine or mine[-1].takes:
            held = slice(start[column], start[column + 1])
            takes = list(zip(taken.resource[held].tolist(), taken.amount[held].tolist(), strict=True))
            mine.append(Candidate(int(master.cost[column]), column, takes))
    orders, size = len(master.orders), len(master.orders) + len(master.free)
    links = np.ones(len(taken.owner)), (master.order[taken.owner], orders + taken.resource)
    _, part = connected_components(coo_matrix(links, shape=(size, size)), directed=False)
    groups: dict[int, list[list[Candidate]]] = {}
    for order, mine in found.items():
        groups.setdefault(int(part[order]), []).append(mine)
    return list(groups.values())


class _Search:
    """Depth first over one group. `best`: its columns, the cheapest that fit; `nodes` is what is left of so many: none,
    if the search was too long."""

    def __init__(self, free: Ints, group: list[list[Candidate]], nodes: int) -> None:
        self._group = sorted(group, key=len)
        cheapest = [mine[0].cost for mine in self._group]
        self._below = [sum(cheapest[at:]) for at in range(len(group) + 1)]
        self._left = {resource: int(free[resource]) for mine in group for one in mine for resource, _ in one.takes}
        self._picked: list[int] = []
        self._cost: int | None = None
        self.best: list[int] = []
        self.nodes = nodes
        self._descend(0)

    def _descend(self, cost: int) -> None:
        at = len(self._picked)
        if at == len(self._group):
            self.best, self._cost = list(self._picked), cost
            return
        for one in self._group[at]:
            if not self.nodes or (self._cost is not None and cost + one.cost + self._below[at + 1] >= self._cost):
                return
            self.nodes -= 1
            if all(self._left[resource] >= amount for resource, amount in one.takes):
                self._take(one, 1)
                self._descend(cost + one.cost)
                self._take(one, -1)

    def _take(self, one: Candidate, times: int) -> None:
        for resource, amount in one.takes:
            self._left[resource] -= times * amount
        if times > 0:
            self._picked.append(one.column)
        else:
            self._picked.pop()
