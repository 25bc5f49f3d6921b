"""What plans take, numbered: every stock cell, then the boxes of every bucket, then the units of every bucket.

Cell (item, node) is `item * nodes + node`. One number for everything lets a whole window be added up in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.menu import Supply
from solvers.plan import derive, use_of
from solvers.problem import Bools, Ints, Problem
from solvers.runs import heads, opens
from solvers.solution import Flat, Plan, flat, in_one_box
from solvers.tariff import shipment_cost


class Taken(NamedTuple):
    """Who takes how much of what, int64[n] each: `owner` is a place among the plans asked about, each pair once."""

    owner: Ints
    resource: Ints
    amount: Ints

    def only(self, keep: Bools) -> Taken:
        """The entries of some owners; keep bool[plans]."""
        mine = keep[self.owner]
        return Taken(self.owner[mine], self.resource[mine], self.amount[mine])


def free(supply: Supply) -> Ints:
    """int64[resources]: how much there is of each."""
    return np.concatenate([supply.stock.ravel(), supply.parcels, supply.units])


def used(problem: Problem, taken: Taken) -> Ints:
    """int64[resources]: how much is taken of each."""
    total = np.zeros(problem.stock.size + 2 * len(problem.bucket_parcels), np.int64)
    np.add.at(total, taken.resource, taken.amount)
    return total


def contested(problem: Problem, taken: Taken) -> Bools:
    """bool[resources]: more of it is taken than there is."""
    over = np.zeros(problem.stock.size + 2 * len(problem.bucket_parcels), np.bool_)
    which, at = np.unique(taken.resource, return_inverse=True)
    amount = np.zeros(len(which), np.int64)
    np.add.at(amount, at, taken.amount)
    cells = np.searchsorted(which, problem.stock.size)
    room = np.concatenate([problem.bucket_parcels, problem.bucket_units])[which[cells:] - problem.stock.size]
    # Of a large network few cells are taken from: all the others are not looked at.
    over[which] = amount > np.concatenate([problem.stock.ravel()[which[:cells]], room])
    return over


def plentiful(problem: Problem) -> Bools:
    """bool[resources]: whatever plans all orders take, there is enough of it for all units that are wanted."""
    cells, buckets = problem.stock.size, len(problem.bucket_parcels)
    if len(problem.derived.item):
        return np.zeros(cells + 2 * buckets, np.bool_)
    wanted = np.zeros(len(problem.stock), np.int64)
    np.add.at(wanted, problem.lines.item, problem.lines.quantity)
    room = wanted.sum() <= np.concatenate([problem.bucket_parcels, problem.bucket_units])
    return np.concatenate([(wanted[:, None] <= problem.stock).ravel(), room])


def take_all(problem: Problem, taken: Taken, supply: Supply) -> None:
    """Subtract what is taken, in place."""
    amount = used(problem, taken)
    cells, buckets = problem.stock.size, len(problem.bucket_parcels)
    np.subtract(supply.stock, amount[:cells].reshape(supply.stock.shape), out=supply.stock)
    np.subtract(supply.parcels, amount[cells : cells + buckets], out=supply.parcels)
    np.subtract(supply.units, amount[cells + buckets :], out=supply.units)
    if len(problem.derived.item):
        derive(problem, supply.stock, set((taken.resource[taken.resource < cells] // problem.nodes).tolist()))


def in_turn(taken: Taken, supply: Supply, count: int) -> Bools:
    """bool[count]: the plan fits beside all that come before it, whether or not those fit themselves."""
    rank = np.lexsort((taken.owner, taken.resource))
    resource, amount = taken.resource[rank], taken.amount[rank]
    head = opens(resource)
    running = np.cumsum(amount)
    before = np.maximum.accumulate(np.where(head, running - amount, 0))
    over = running - before > free(supply)[resource]
    fitting = np.ones(count, np.bool_)
    fitting[taken.owner[rank][over]] = False
    return fitting


def taken_by(problem: Problem, orders: Sequence[int], plans: Sequence[Plan]) -> Taken:
    """What each of the plans takes. Raises ValueError if a shipment cannot go by its option."""
    if len(problem.derived.item):
        return _one_by_one(problem, orders, plans)
    return taken_of(problem, flat(problem, orders, plans))


def taken_of(problem: Problem, every: Flat) -> Taken:
    """What plans take whose shipments are flat, of goods not made of others; raises as `taken_by`."""
    owner, option, of, row, units = every
    at = option[of]
    resource = [problem.lines.item[row] * problem.nodes + problem.options.node[at]]
    owners, amounts = [owner[of]], [units]
    bucket = problem.options.bucket[option]
    if (bucket >= 0).any():
        boxes = _boxes(problem, every)
        held = bucket >= 0
        first = problem.stock.size
        resource += [first + bucket[held], first + len(problem.bucket_parcels) + bucket[of][held[of]]]
        owners += [owner[held], owner[of][held[of]]]
        amounts += [boxes[held], units[held[of]]]
    return _added_up(problem, np.concatenate(owners), np.concatenate(resource), np.concatenate(amounts))


def together(parts: Sequence[Taken]) -> Taken:
    """What several lots of plans take, no plan in two of them."""
    owner, resource, amount = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    rank = np.argsort(owner, kind="stable")
    return Taken(owner[rank], resource[rank], amount[rank])


def _boxes(problem: Problem, every: Flat) -> Ints:
    """int64[shipments]: boxes of each; packed only where one may not do."""
    boxes, light = np.ones(len(every.option), np.int64), in_one_box(problem, every)
    for at in np.flatnonzero(~light).tolist():
        option, mine = int(every.option[at]), every.of == at
        first, last = problem.lines.start[
            np.searchsorted(problem.options.start, option, side="right") + np.array([-1, 0])
        ]
        units = np.zeros(int(last - first), np.int64)
        units[every.row[mine] - first] = every.units[mine]
        cost = shipment_cost(problem, option, units)
        if cost is None:
            raise ValueError(f"option {option} cannot carry its shipment")
        boxes[at] = cost.boxes
    return boxes


def _added_up(problem: Problem, owner: Ints, resource: Ints, amount: Ints) -> Taken:
    """Each (owner, resource) once, ascending."""
    size = problem.stock.size + 2 * len(problem.bucket_parcels)
    key = owner * size + resource
    rank = np.argsort(key, kind="stable")
    key, amount = key[rank], amount[rank]
    first = heads(key)
    if len(first) < len(key):
        key, amount = key[first], np.add.reduceat(amount, first)
    return Taken(key // size, key % size, amount)


def _one_by_one(problem: Problem, orders: Sequence[int], plans: Sequence[Plan]) -> Taken:
    """Where goods are made of others: parts, and rooms of other nodes."""
    cells, buckets = problem.stock.size, len(problem.bucket_parcels)
    found: list[tuple[int, int, int]] = []
    for owner, (order, plan) in enumerate(zip(orders, plans, strict=True)):
        use = use_of(problem, order, tuple(plan))
        found += [(owner, item * problem.nodes + node, units) for (item, node), units in use.cells.items()]
        found += [(owner, cells + bucket, boxes) for bucket, boxes in use.parcels.items()]
        found += [(owner, cells + buckets + bucket, units) for bucket, units in use.units.items()]
    columns = np.array(found, np.int64).reshape(-1, 3)
    return _added_up(problem, columns[:, 0], columns[:, 1], columns[:, 2])
