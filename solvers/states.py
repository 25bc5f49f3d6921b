"""Index tables of the subset DP over unit vectors: which parts every partial order divides into.

A *state* is how many units of each row are already placed, lines in mixed radix (first line slowest), 0 nothing. A
line of one row has its number of units as digit; a line of alternatives has the place of its unit vector among those
that stay within its quantity. With one unit of each line the states are the subsets of the lines. Tables depend on the
quantities alone (the *shape*), so orders of one shape share them.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from solvers.problem import Bools, Ints


class Line(NamedTuple):
    """One line of a shape: the most units of each of its rows, and of all together; `whole`: never in two shipments."""

    rows: tuple[int, ...]
    most: int
    whole: bool = False


Shape = tuple[Line, ...]
"""The lines of an order, by descending `most`."""

FAR = 2**61
"""Infinity of the DP: two of them still fit an int64."""


MAX_DIGIT = 1_000
"""Unit vectors of one line of alternatives; `pairs` of larger ones is out of any reach."""


class Level(NamedTuple):
    """All states with one number of units: `state[s]` splits into `part` + `rest` over pairs `start[s]` onwards."""

    state: Ints
    start: Ints
    part: Ints
    rest: Ints


class Splits(NamedTuple):
    """Every split of every state: state s into part `part[p]` and `rest[p]`, p in `start[s]:start[s + 1]`."""

    start: Ints
    part: Ints
    rest: Ints


class States(NamedTuple):
    """All states of a shape. `vector` int64[M, n], `units` int64[M] their sum; `levels` by ascending units."""

    shape: Shape
    vector: Ints
    units: Ints
    levels: tuple[Level, ...]


class _Digit(NamedTuple):
    """What one line adds to every table: its unit vectors int64[c, rows], and all (have, part, rest) among them.

    `begins`: the part holds a unit of the first row that `have` has any of.
    """

    vector: Ints
    have: Ints
    part: Ints
    rest: Ints
    begins: Bools


def plain(quantities: tuple[int, ...]) -> Shape:
    """The shape of lines of one row each."""
    return tuple(Line((quantity,), quantity) for quantity in quantities)


def pairs(shape: Shape) -> int:
    """How many (state, part) pairs the full tables of a shape hold: the work of one DP."""
    return prod(_pairs_of(line) for line in shape)


def size(shape: Shape) -> int:
    """How many states a shape has."""
    return prod(line.rows[0] + 1 if len(line.rows) == 1 else len(_digit(line).vector) for line in shape)


@lru_cache(maxsize=4096)
def _pairs_of(line: Line) -> int:
    if len(line.rows) > 1:
        return len(_digit(line).have) if prod(most + 1 for most in line.rows) <= MAX_DIGIT else MAX_DIGIT**4
    return 2 * line.rows[0] + 1 if line.whole else (line.rows[0] + 1) * (line.rows[0] + 2) // 2


@lru_cache(maxsize=256)
def _digit(line: Line) -> _Digit:
    grid = np.indices([most + 1 for most in line.rows], dtype=np.int64).reshape(len(line.rows), -1).T
    vector = np.ascontiguousarray(grid[grid.sum(axis=1) <= line.most])
    place = np.array([1, *(most + 1 for most in line.rows[:0:-1])], np.int64).cumprod()[::-1]
    number = vector @ place
    inside = (vector[:, None, :] >= vector[None, :, :]).all(axis=2)
    if line.whole:
        every = np.arange(len(vector))
        inside &= (every[None, :] == 0) | (every[None, :] == every[:, None])
    have, part = np.nonzero(inside)
    rest = np.searchsorted(number, number[have] - number[part])
    first = np.argmax(vector[have] > 0, axis=1)
    return _Digit(vector, have, part, rest, vector[part, first] > 0)


def states_of(shape: Shape) -> States:
    """The tables of a shape; cached, large shapes more sparingly. Callers must not write into the arrays."""
    return _small(shape) if pairs(shape) <= 3_000 else _large(shape)


@lru_cache(maxsize=1024)
def _small(shape: Shape) -> States:
    return _build(shape)


@lru_cache(maxsize=32)
def _large(shape: Shape) -> States:
    return _build(shape)


def _build(shape: Shape) -> States:
    digits = [_digit(line) for line in shape]
    grid = np.indices([len(digit.vector) for digit in digits], dtype=np.int64).reshape(len(shape), -1)
    vector = np.hstack([digit.vector[at] for digit, at in zip(digits, grid, strict=True)])
    units = vector.sum(axis=1)
    state, part, rest = _pairs(shape, leading=True)
    # Larger parts first: of two equally cheap splits the one with fewer shipments is found first.
    order = np.lexsort((-part, state, units[state]))
    state, part, rest = state[order], part[order], rest[order]
    levels = []
    edges = np.searchsorted(units[state], np.arange(1, int(units.max()) + 2))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        here = state[low:high]
        start = np.flatnonzero(np.r_[True, here[1:] != here[:-1]])
        levels.append(Level(here[start], start, part[low:high], rest[low:high]))
    return States(shape, vector, units, tuple(levels))


@lru_cache(maxsize=16)
def splits_of(shape: Shape) -> Splits:
    """Every split of every state, the empty parts included (`start` int64[M + 1])."""
    state, part, rest = _pairs(shape, leading=False)
    order = np.lexsort((-part, state))
    return Splits(np.searchsorted(state[order], np.arange(size(shape) + 1)), part[order], rest[order])


def _pairs(shape: Shape, *, leading: bool) -> tuple[Ints, Ints, Ints]:
    """(state, part, rest) of all parts of all states; `leading`: only parts with a unit of the state's first row.

    Every plan has exactly one shipment order in which each shipment holds a unit of the first row still missing, so
    the leading parts alone reach every plan (Held-Karp style subset DP over partitions).
    """
    state = part = rest = np.zeros(1, np.int64)
    begun: Bools = np.zeros(1, np.bool_)
    for line in shape:
        digit = _digit(line)
        count = len(digit.vector)
        keep = np.ones((len(state), len(digit.have)), np.bool_)
        if leading:
            keep = begun[:, None] | (digit.have == 0) | digit.begins
        state = (state[:, None] * count + digit.have)[keep]
        part = (part[:, None] * count + digit.part)[keep]
        rest = (rest[:, None] * count + digit.rest)[keep]
        begun = (begun[:, None] | (digit.have > 0))[keep]
    return (state[begun], part[begun], rest[begun]) if leading else (state, part, rest)


def cheapest(states: States, part_cost: Ints) -> Ints:
    """f int64[M, G]: the least cost to ship each state, given the cheapest single shipment of each state.

    f(S) = min over leading T of part_cost(T) + f(S - T), level by level. part_cost int64[M, G] at most FAR.
    """
    least = np.full(part_cost.shape, FAR, np.int64)
    least[0] = 0
    for level in states.levels:
        value = part_cost[level.part]
        value += least[level.rest]
        least[level.state] = np.minimum(np.minimum.reduceat(value, level.start, axis=0), FAR)
    return least


def with_one_more(states: States, part_cost: Ints, before: Ints) -> Ints:
    """int64[M, G]: the least cost of one shipment at `part_cost` and the rest at `before`; FAR for the empty state."""
    least = np.full(part_cost.shape, FAR, np.int64)
    for level in states.levels:
        value = part_cost[level.part]
        value += before[level.rest]
        least[level.state] = np.minimum(np.minimum.reduceat(value, level.start, axis=0), FAR)
    return least


def trace(states: States, part_cost: Ints, least: Ints, orders: Ints, goals: Ints) -> tuple[Ints, Ints]:
    """(order, part) of all parts of a cheapest way to ship state `goals` of each of `orders`, both int64[n].

    part_cost and least int64[M, G]: what `cheapest` took and gave. Parts of one order come in the order they are found.
    """
    owners, parts = [orders[:0]], [goals[:0]]
    orders, goals = orders[goals > 0], goals[goals > 0]
    while len(orders):
        part, rest = np.empty_like(goals), np.empty_like(goals)
        for goal in np.unique(goals).tolist():
            mine = np.flatnonzero(goals == goal)
            first, left = parts_of_state(states, goal)
            column = orders[mine]
            best = np.argmin(part_cost[first[:, None], column] + least[left[:, None], column], axis=0)
            part[mine], rest[mine] = first[best], left[best]
        owners.append(orders)
        parts.append(part)
        orders, goals = orders[rest > 0], rest[rest > 0]
    return np.concatenate(owners), np.concatenate(parts)


def first_part(states: States, part_cost: Ints, before: Ints, state: int) -> tuple[int, int]:
    """(part, rest) of `state` with the least part_cost[part] + before[rest], the largest such part."""
    part, rest = parts_of_state(states, state)
    at = int(np.argmin(part_cost[part] + before[rest]))
    return int(part[at]), int(rest[at])


def parts_of_state(states: States, state: int) -> tuple[Ints, Ints]:
    """(part, rest) of all leading parts of a state, larger parts first."""
    level = states.levels[int(states.units[state]) - 1]
    at = int(np.searchsorted(level.state, state))
    low = int(level.start[at])
    high = int(level.start[at + 1]) if at + 1 < len(level.start) else len(level.part)
    return level.part[low:high], level.rest[low:high]
