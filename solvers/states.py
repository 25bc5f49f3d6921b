"""Index tables of the subset DP over unit vectors: which parts every partial order divides into.

A *state* is how many units of each line are already placed, numbered in mixed radix (first line slowest), 0 nothing and
`size - 1` everything. With one unit of each line the states are the subsets of the lines. Tables depend on the
quantities alone (the *shape*), so orders of one shape share them.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from solvers.problem import Bools, Ints

Shape = tuple[int, ...]
"""Quantity per line, descending."""

FAR = 2**61
"""Infinity of the DP: two of them still fit an int64."""


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


def pairs(shape: Shape) -> int:
    """How many (state, part) pairs the full tables of a shape hold: the work of one DP."""
    return prod((quantity + 1) * (quantity + 2) // 2 for quantity in shape)


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
    grid = np.indices([quantity + 1 for quantity in shape], dtype=np.int64)
    vector = np.ascontiguousarray(grid.reshape(len(shape), -1).T)
    units = vector.sum(axis=1)
    state, part = _pairs(shape, leading=True)
    # Larger parts first: of two equally cheap splits the one with fewer shipments is found first.
    order = np.lexsort((-part, state, units[state]))
    state, part = state[order], part[order]
    levels = []
    edges = np.searchsorted(units[state], np.arange(1, int(units[-1]) + 2))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        here = state[low:high]
        start = np.flatnonzero(np.r_[True, here[1:] != here[:-1]])
        levels.append(Level(here[start], start, part[low:high], here - part[low:high]))
    return States(shape, vector, units, tuple(levels))


@lru_cache(maxsize=16)
def splits_of(shape: Shape) -> Splits:
    """Every split of every state, the empty parts included (`start` int64[M + 1])."""
    state, part = _pairs(shape, leading=False)
    order = np.lexsort((-part, state))
    state, part = state[order], part[order]
    size = prod(quantity + 1 for quantity in shape)
    return Splits(np.searchsorted(state, np.arange(size + 1)), part, state - part)


def _pairs(shape: Shape, *, leading: bool) -> tuple[Ints, Ints]:
    """(state, part) indexes of all parts of all states; `leading`: only parts with a unit of the state's first line.

    Every plan has exactly one shipment order in which each shipment holds a unit of the first line still missing, so
    the leading parts alone reach every plan (Held-Karp style subset DP over partitions).
    """
    state = part = np.zeros(1, np.int64)
    begun: Bools = np.zeros(1, np.bool_)
    for quantity in shape:
        have, taken = np.tril_indices(quantity + 1)
        keep = np.ones((len(state), len(have)), np.bool_)
        if leading:
            keep = begun[:, None] | (have == 0) | (taken > 0)
        state = (state[:, None] * (quantity + 1) + have)[keep]
        part = (part[:, None] * (quantity + 1) + taken)[keep]
        begun = (begun[:, None] | (have > 0))[keep]
    return (state[begun], part[begun]) if leading else (state, part)


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


def trace(states: States, part_cost: Ints, least: Ints, state: int) -> list[int]:
    """The parts of a cheapest way to ship `state`; part_cost and least int64[M] of one order."""
    parts = []
    while state:
        level = states.levels[int(states.units[state]) - 1]
        at = int(np.searchsorted(level.state, state))
        low = int(level.start[at])
        high = int(level.start[at + 1]) if at + 1 < len(level.start) else len(level.part)
        value = part_cost[level.part[low:high]] + least[level.rest[low:high]]
        part = int(level.part[low + int(np.argmin(value))])
        parts.append(part)
        state -= part
    return parts
