"""What the plans of a menu's orders must keep, as masks over the states: quantities, groups, completeness, values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.problem import Bools, Ints, Problem
from solvers.runs import opens
from solvers.tariff import totals


class Keeps(NamedTuple):
    """Of G orders of one shape with M states.

    `left` int64[M, G]: units charged as unfilled where only that state ships. `last` bool[M, G]: the order may end with
    the state. `single` bool[M, G]: it may be one shipment, its price aside. `several` bool[M, G]: it may be one of
    several, None if every state may. `parcels` int64[G]: boxes at most.
    """

    left: Ints
    last: Bools
    single: Bools
    several: Bools | None
    parcels: Ints

    def only(self, columns: Ints) -> Keeps:
        """The same for some of the orders."""
        return Keeps(
            self.left[:, columns],
            self.last[:, columns],
            self.single[:, columns],
            None if self.several is None else self.several[:, columns],
            self.parcels[columns],
        )


def keeps_of(problem: Problem, orders: Ints, rows: Ints, ships: Ints) -> Keeps:
    """What the orders' plans must keep. rows int64[G, n]: alike in which share a line or a group; ships int64[M, n]."""
    lines, limits = problem.lines, problem.limits
    shape = (len(ships), len(orders))
    if not len(orders):
        return Keeps(np.zeros(shape, np.int64), np.ones(shape, np.bool_), np.ones(shape, np.bool_), None, orders)
    left = np.repeat(charged_units(problem, orders)[None, :], len(ships), axis=0)
    within = np.ones(shape, np.bool_)
    heads: list[int] = []
    whole: list[Bools] = []
    for columns in _columns(lines.line[rows[0]]):
        first = rows[:, columns[0]]
        shipped = ships[:, columns].sum(axis=1)[:, None]
        quantity, dated = lines.quantity[first], lines.dated[first]
        left += np.maximum(quantity - dated - shipped, 0) - np.maximum(quantity - dated, 0)
        within &= shipped <= quantity
        heads.append(columns[0])
        whole.append(shipped == quantity)
    last, single = within, within
    complete = limits.complete[orders]
    if complete.any():
        full = np.logical_and.reduce(whole) & (_line_count(problem, orders) == len(heads))
        last = within & (full | ~complete | (ships.sum(axis=1) == 0)[:, None])
    if (lines.group[rows[0]] >= 0).any():
        single = within & _groups(problem, rows, ships, heads, whole)
    several = None
    if limits.min_split_value[orders].any():
        several = totals(ships, lines.value[rows]) >= limits.min_split_value[orders]
    return Keeps(left, last, single, several, limits.max_parcels[orders])


def _columns(label: Ints) -> list[list[int]]:
    """The columns of each label, by first occurrence."""
    found: dict[int, list[int]] = {}
    for column, one in enumerate(label.tolist()):
        found.setdefault(one, []).append(column)
    return list(found.values())


def charged_units(problem: Problem, orders: Ints) -> Ints:
    """int64[G]: units charged of an order of which nothing ships."""
    lines = problem.lines
    head = opens(lines.line)
    charged = np.where(head, np.maximum(lines.quantity - lines.dated, 0), 0)
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(charged)])
    units: Ints = running[lines.start[orders + 1]] - running[lines.start[orders]]
    return units


def _line_count(problem: Problem, orders: Ints) -> Ints:
    """int64[G]: lines of an order."""
    lines = problem.lines
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(opens(lines.line))])
    count: Ints = running[lines.start[orders + 1]] - running[lines.start[orders]]
    return count


def _groups(problem: Problem, rows: Ints, ships: Ints, heads: list[int], whole: list[Bools]) -> Bools:
    """bool[M, G]: the state holds each group whole, or none of it."""
    lines = problem.lines
    kept = np.ones((len(ships), len(rows)), np.bool_)
    head = opens(lines.line)
    size = np.bincount(lines.group[head][lines.group[head] >= 0], minlength=1)
    for columns in _columns(lines.group[rows[0]]):
        group = lines.group[rows[:, columns[0]]]
        if group[0] >= 0:
            mine = [at for at, column in enumerate(heads) if column in columns]
            full = np.logical_and.reduce([whole[at] for at in mine]) & (size[group] == len(mine))
            kept &= full | (ships[:, columns].sum(axis=1) == 0)[:, None]
    return kept
