"""Where the units of an order's rows really come from: which stock cells they draw on together, and whose unit room.

Rows of one order may share a cell: one item on two lines, kits with a common part, a substitute that is ordered too,
two rows drawn from one node of a dock. For rows that share nothing the row of `Problem.stock` says it all.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from solvers.plan import parts_of
from solvers.problem import Bools, Ints, Problem
from solvers.runs import opens


class Cell(NamedTuple):
    """A real item at one node: `per_unit` int64[n] units of it in a unit of each column; by order, `part` int64[G] the
    item and `source` int64[G] the node, -1 for the option's own."""

    per_unit: Ints
    part: Ints
    source: Ints


class Place(NamedTuple):
    """Another node of the dock: `columns` int64[n], 1 where the units come from there; `source` int64[G] by order."""

    columns: Ints
    source: Ints


class Origin(NamedTuple):
    """Of orders alike in it: all cells they draw on, and all other nodes of a dock.

    `plain`: no row is of a derived item, every unit is one of its item at the option's node.
    """

    cells: tuple[Cell, ...]
    places: tuple[Place, ...]
    plain: bool

    def only(self, columns: Ints) -> Origin:
        """The same for some of the orders."""
        return Origin(
            tuple(Cell(cell.per_unit, cell.part[columns], cell.source[columns]) for cell in self.cells),
            tuple(Place(place.columns, place.source[columns]) for place in self.places),
            self.plain,
        )

    def own(self, vector: Ints) -> Ints:
        """int64[M]: units of each state int64[M, n] that come from the option's own node."""
        units: Ints = vector.sum(axis=1)
        for place in self.places:
            units = units - vector @ place.columns
        return units

    def in_stock(self, vector: Ints, stock: Ints, node: int) -> Bools:
        """bool[M]: one order's states can leave the node, its cells drawn on by several rows included."""
        allowed = np.ones(len(vector), np.bool_)
        for per_unit, part, source in self.cells:
            allowed &= vector @ per_unit <= stock[part[0], node if source[0] < 0 else source[0]]
        return allowed


def odd_rows(problem: Problem) -> Bools:
    """bool[L]: the row is an alternative, of a group, alone or of a derived item."""
    lines = problem.lines
    same = ~opens(lines.line)
    same[:-1] |= same[1:]
    made = np.zeros(len(problem.stock), np.bool_)
    made[problem.derived.item] = True
    odd: Bools = same | (lines.group >= 0) | lines.alone | made[lines.item]
    return odd


def pattern(problem: Problem, rows: Sequence[int]) -> Hashable:
    """What `origin` takes from the first of its orders: equal for orders whose rows draw alike."""
    cells: dict[tuple[int, int], int] = {}
    sources: dict[int, int] = {-1: -1}
    found = []
    for row in rows:
        source, parts = parts_of(problem, int(problem.lines.item[row]))
        drawn = tuple((cells.setdefault((part, source), len(cells)), count) for part, count in parts)
        found.append((drawn, sources.setdefault(source, len(sources) - 1)))
    return tuple(found)


def origin(problem: Problem, rows: Ints) -> Origin:
    """Where the rows of orders of one `pattern` come from; rows int64[G, n]."""
    items = problem.lines.item[rows]
    if not len(problem.derived.item) or not np.isin(items, problem.derived.item).any():
        return _plain(items)
    every = [[parts_of(problem, item) for item in of_order] for of_order in items.tolist()]
    where: dict[tuple[int, int], tuple[int, int]] = {}
    counts: dict[tuple[int, int], Ints] = {}
    for column, (source, parts) in enumerate(every[0]):
        for at, (part, count) in enumerate(parts):
            where.setdefault((part, source), (column, at))
            counts.setdefault((part, source), np.zeros(rows.shape[1], np.int64))[column] += count
    cells = [
        Cell(
            counts[key],
            np.array([parts[column][1][at][0] for parts in every], np.int64),
            np.array([parts[column][0] for parts in every], np.int64),
        )
        for key, (column, at) in where.items()
    ]
    first = [source for source, _ in every[0]]
    places = [
        Place(
            np.array([source == one for source in first], np.int64),
            np.array([parts[first.index(one)][0] for parts in every], np.int64),
        )
        for one in sorted(set(first) - {-1})
    ]
    return Origin(tuple(cells), tuple(places), plain=False)


def _plain(items: Ints) -> Origin:
    first = items[0].tolist() if len(items) else []
    own = np.full(len(items), -1, np.int64)
    cells = [
        Cell(np.array([item == one for item in first], np.int64), items[:, first.index(one)], own)
        for one in dict.fromkeys(first)
    ]
    return Origin(tuple(cells), (), plain=True)
