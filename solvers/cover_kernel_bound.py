"""The bound of one large order as compiled loops: every node's best load at prices, and steps that improve the prices.

`cover_bound` says what is bounded and why it holds. Sizes: G demands, N nodes, T breaks, A latest arrivals, F sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.compiled import FLOAT, FLOATS, INT, compiled, inner, type_of
from solvers.cover_demands import Floats
from solvers.problem import Ints

UNAFFORDABLE = 1e15
"""Mills that stand for a node that cannot ship at all under some latest arrival."""

PATIENCE = 6
"""Steps without a better bound before the step length is halved."""


class Relaxed(NamedTuple):
    """An order with its demands priced instead of met, rows one after another.

    float64: `wanted` [G] units of each demand that stock could meet; `reach` [G, N]; `linear` [G, N] mills a unit costs
    at least beside the step price; `weight_g` [G]; `grams` [T] ascending, the last is the whole order; `step` [A, N, T]
    the least step price of a shipment heavier than the break before; `late` [A] mills; `sets` [F, N] of 0 and 1 the
    sets of nodes that can ship enough, none where they are too many to list. `may_leave` units that need not ship and
    `leaving` mills for each; `constant` mills paid in any case.
    """

    wanted: Floats
    reach: Floats
    linear: Floats
    weight_g: Floats
    grams: Floats
    step: Floats
    late: Floats
    sets: Floats
    may_leave: float
    leaving: float
    constant: float


class Room(NamedTuple):
    """Where the loops write. int64: `rank` [N, G] each node's goods by density, `many` [N] how many of them pay, `at`
    [A, N] the break chosen. float64: `heavy` [N, G] grams and `worth` [N, G] mills up to and with each,
    `least` [A, N], `left` [G], `excess` [G] units wanted beyond what is chosen, `opened` [N]."""

    rank: Ints
    many: Ints
    at: Ints
    heavy: Floats
    worth: Floats
    least: Floats
    left: Floats
    excess: Floats
    opened: Floats


def room_of(goods: int, nodes: int, arrivals: int) -> Room:
    """Room for an order."""
    cells, ways = nodes * goods, arrivals * nodes
    rank, many, at = (np.zeros(size, np.int64) for size in (cells, nodes, ways))
    heavy, worth, least, left, excess, opened = map(np.zeros, (cells, cells, ways, goods, goods, nodes))
    return Room(rank, many, at, heavy, worth, least, left, excess, opened)


@inner
def _load(order: Relaxed, price: Floats, node: int, room: Room) -> None:
    """A node's goods that pay at these prices, the densest first, with what they weigh and are worth together."""
    goods, nodes = len(order.wanted), len(room.many)
    density, count, first = np.empty(goods), 0, node * goods
    for good in range(goods):
        gain = price[good] - order.linear[good * nodes + node]
        density[good] = 1.0
        if gain > 0.0 and order.reach[good * nodes + node] > 0.0:
            density[good] = -gain / max(order.weight_g[good], 1e-6)
            count += 1
    rank = np.argsort(density, kind="mergesort")
    room.many[node] = count
    heavy = worth = 0.0
    for place in range(count):
        good = rank[place]
        offered = order.reach[good * nodes + node]
        heavy += offered * order.weight_g[good]
        worth += offered * (price[good] - order.linear[good * nodes + node])
        room.rank[first + place], room.heavy[first + place], room.worth[first + place] = good, heavy, worth


@inner
def _cheapest(order: Relaxed, node: int, room: Room) -> None:
    """The break at which the node's load is cheapest, its profit counted, for every latest arrival."""
    goods, nodes, breaks = len(order.wanted), len(room.many), len(order.grams)
    first, count, place = node * goods, room.many[node], 0
    for arrival in range(len(order.late)):
        room.least[arrival * nodes + node] = np.inf
    for at in range(breaks):
        grams = order.grams[at]
        while place < count and room.heavy[first + place] <= grams:
            place += 1
        # All up to `place` go whole, the next in part.
        full = room.worth[first + place - 1] if place else 0.0
        if place < count:
            before = room.heavy[first + place - 1] if place else 0.0
            full += (room.worth[first + place] - full) * (grams - before) / (room.heavy[first + place] - before)
        for arrival in range(len(order.late)):
            cost = order.step[(arrival * nodes + node) * breaks + at] - full
            if cost < room.least[arrival * nodes + node]:
                room.least[arrival * nodes + node], room.at[arrival * nodes + node] = cost, at


@inner
def _open(order: Relaxed, room: Room) -> tuple[int, float]:
    """Open the nodes of the cheapest latest arrival: which one that is, and what it adds."""
    nodes = len(room.many)
    count = len(order.sets) // nodes
    best, arrived, chosen = np.inf, 0, -1
    for arrival in range(len(order.late)):
        if not count:
            total = order.late[arrival]
            for node in range(nodes):
                total += min(room.least[arrival * nodes + node], 0.0)
            if total < best:
                best, arrived = total, arrival
        for one in range(count):
            total = order.late[arrival]
            for node in range(nodes):
                if order.sets[one * nodes + node] > 0.0:
                    total += min(room.least[arrival * nodes + node], UNAFFORDABLE)
            if total < best:
                best, arrived, chosen = total, arrival, one
    for node in range(nodes):
        listed = chosen >= 0 and order.sets[chosen * nodes + node] > 0.0
        open_it = listed if count else room.least[arrived * nodes + node] < 0.0
        room.opened[node] = 1.0 if open_it else 0.0
    return arrived, best


@inner
def _stay(order: Relaxed, price: Floats, room: Room) -> float:
    """Units that stay, those of the dearest prices, as far as they may; how many."""
    free, total = order.may_leave, 0.0
    rank = np.argsort(-price, kind="mergesort")
    for good in rank:
        room.left[good] = min(order.wanted[good], free) if price[good] > order.leaving else 0.0
        free -= room.left[good]
        total += room.left[good]
    return total


@inner
def _value(order: Relaxed, price: Floats, room: Room) -> float:
    """The bound at prices per unit, and in `excess` its slope."""
    goods, nodes = len(order.wanted), len(room.many)
    for node in range(nodes):
        _load(order, price, node, room)
        _cheapest(order, node, room)
    arrival, value = _open(order, room)
    value += order.leaving * _stay(order, price, room) + order.constant
    for good in range(goods):
        room.excess[good] = order.wanted[good] - room.left[good]
        value += price[good] * room.excess[good]
    for node in range(nodes):
        if room.opened[node] == 0.0:
            continue
        first, before = node * goods, 0.0
        limit = order.grams[room.at[arrival * nodes + node]]
        for place in range(first, first + room.many[node]):
            good, heavy = room.rank[place], room.heavy[place]
            part = 1.0 if heavy <= limit else min(1.0, max(0.0, (limit - before) / max(heavy - before, 1e-9)))
            room.excess[good] -= part * order.reach[good * nodes + node]
            before = heavy
    return value


@compiled(FLOAT, type_of(Relaxed), FLOATS, FLOAT, INT, type_of(Room))
def best_bound(order: Relaxed, first: Floats, cost: float, steps: int, room: Room) -> float:
    """The best bound of so many steps from the prices `first` [G]; `cost` mills is what a plan that is known costs."""
    best, length, stalled = -np.inf, 1.0, 0
    price, best_price = first.copy(), first.copy()
    for _ in range(steps):
        value = _value(order, price, room)
        if value > best:
            stalled = 0 if value > best + 1e-4 * abs(best) else stalled + 1
            best = value
            best_price[:] = price
        else:
            stalled += 1
        norm = 0.0
        for good in range(len(price)):
            norm += (room.excess[good] / order.wanted[good]) ** 2
        if cost - best < 1.0 or norm < 1e-12:
            break
        if stalled >= PATIENCE:
            length, stalled = length / 2.0, 0
            price[:] = best_price
            continue
        for good in range(len(price)):
            price[good] += length * (cost - value) / norm * room.excess[good] / order.wanted[good] ** 2
    return best
