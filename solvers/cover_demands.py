"""What the search for a large order takes as one: its demands, each of one row or of rows that hang together.

Lines that differ in nothing but their quantity are one demand, and so are the ways to supply a line, or a group. A
demand of several rows is weighed as its first row, a group as the mean of its lines; plans are priced by their rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.load import Rows, is_careful, rows_of
from solvers.problem import Bools, Ints, Problem
from solvers.runs import heads

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Demands:
    """The G demands of one order. `of` int64[rows] maps its rows to them, `first` is one row of each.

    `item`: demands of one number share their cells of stock. `quantity`, `lines` (how many), `weight_g`, `volume_mm3`
    and `value` of a unit: float64[G]. `whole` bool[G]: leaves from one site; `tied`: a group, all in one box or not at
    all. `rows`: how they hang together, None where every demand is as its first row.
    """

    of: Ints
    first: Ints
    item: Ints
    quantity: Floats
    lines: Floats
    weight_g: Floats
    volume_mm3: Floats
    value: Floats
    whole: Bools
    tied: Bools
    rows: Rows | None

    def carried(self, by_row: Bools, limit_g: Ints) -> Bools:
        """bool[G, ways] from bool[rows, ways]: the option takes units of the demand; a group only in one box."""
        rows = self.rows
        if rows is None:
            return by_row[self.first]
        by_line = np.logical_or.reduceat(by_row, _heads(rows), axis=0)
        carried = np.array([by_line[rows.line[lot]].all(axis=0) for lot in rows.lots])
        carried[self.tied] &= (self.quantity * self.weight_g)[self.tied][:, None] <= limit_g
        return carried

    def reach(self, by_row: Ints) -> tuple[Floats, Floats]:
        """float64[G, K] both: units that a site could ship, and that its cell of stock holds; from those by row."""
        rows = self.rows
        if rows is None:
            free = np.minimum(by_row[self.first], self.quantity.sum())
            return np.minimum(free, self.quantity[:, None]), free
        by_line = np.minimum(np.add.reduceat(by_row, _heads(rows), axis=0), rows.wanted[:, None])
        reach, free = np.zeros((len(self.first), by_row.shape[1])), np.zeros((len(self.first), by_row.shape[1]))
        for demand, (lot, tied) in enumerate(zip(rows.lots, rows.tied, strict=True)):
            here = by_line[rows.line[lot[0]]]
            if tied:
                short = (by_line < rows.wanted[:, None])[rows.line[lot]].any(axis=0)
                here = np.where(short, 0, self.quantity[demand])
            reach[demand] = np.minimum(here, self.quantity[demand])
            alone = len(lot) == 1 and not tied
            free[demand] = np.minimum(by_row[lot[0]], self.quantity.sum()) if alone else reach[demand]
        return reach, free

    def tolls(self, by_row: Ints, usable: Bools) -> Floats:
        """float64[G, K] from int64[rows, K]: mills of toll for a unit. Where a line can be supplied in several ways,
        that of the cheapest of those `usable` bool[rows, K]; of a group, the mean of its lines."""
        rows = self.rows
        if rows is None:
            return by_row[self.first].astype(np.float64)
        cheapest = np.minimum.reduceat(np.where(usable, by_row, np.inf), _heads(rows), axis=0)
        each = np.where(np.isfinite(cheapest), cheapest, 0.0) * rows.wanted[:, None]
        found = np.zeros((len(self.first), by_row.shape[1]))
        for demand, lot in enumerate(rows.lots):
            lines = np.unique(rows.line[lot])
            found[demand] = each[lines].sum(axis=0) / max(1, int(rows.wanted[lines].sum()))
        return found


def demands_of(problem: Problem, order: int) -> Demands:
    """The demands of an order, in the order of their first rows where rows hang together."""
    return _hanging(problem, order) if is_careful(problem, order) else _plain(problem, problem.lines_of(order))


def _heads(rows: Rows) -> Ints:
    return heads(rows.line)


def _hanging(problem: Problem, order: int) -> Demands:
    lines, span = problem.lines, problem.lines_of(order)
    rows = rows_of(problem, order)
    if not (problem.objective.fill_always or problem.limits.complete[order] or any(rows.tied)):
        # A unit that may wait uncharged is never worth its price.
        rows = rows._replace(wanted=np.maximum(rows.wanted - rows.dated, 0))
    head = _heads(rows)
    of = np.zeros(len(rows.line), np.int64)
    for demand, lot in enumerate(rows.lots):
        of[lot] = demand
    tied, first = np.array(rows.tied, np.bool_), np.array([int(lot[0]) for lot in rows.lots], np.int64)
    owner, size = of[head], len(rows.lots)
    # Never zero: a demand that is out of the question has no reach.
    quantity = np.maximum(np.bincount(owner, weights=rows.wanted, minlength=size), 1.0)
    several = np.array([len(lot) > 1 for lot in rows.lots], np.bool_) | tied
    item = np.where(several, len(problem.stock) + np.arange(size), lines.item[span][first])

    def mean(column: Ints) -> Floats:
        return np.bincount(owner, weights=rows.wanted * column[span][head], minlength=size) / quantity

    return Demands(
        of=of,
        first=first,
        item=item,
        quantity=quantity,
        lines=np.bincount(owner, minlength=size).astype(np.float64),
        weight_g=mean(lines.weight_g),
        volume_mm3=mean(lines.volume_mm3),
        value=mean(lines.value),
        whole=tied | bool(problem.limits.whole_lines[order]),
        tied=tied,
        rows=rows,
    )


def _plain(problem: Problem, span: slice) -> Demands:
    lines = problem.lines
    item = lines.item[span]
    _, first, of, counts = np.unique(item, return_index=True, return_inverse=True, return_counts=True)
    if len(first) < len(item):
        same = (
            (lines.eligible[span] == lines.eligible[span][first][of]).all(axis=1)
            & (lines.weight_g[span] == lines.weight_g[span][first][of])
            & (lines.volume_mm3[span] == lines.volume_mm3[span][first][of])
        )
        if not same.all():
            key = np.column_stack(
                [item, lines.weight_g[span], lines.volume_mm3[span], lines.eligible[span].astype(np.int64)]
            )
            _, first, of, counts = np.unique(key, axis=0, return_index=True, return_inverse=True, return_counts=True)
    of = of.reshape(-1).astype(np.int64)
    return Demands(
        of=of,
        first=first.astype(np.int64),
        item=item[first],
        quantity=np.bincount(of, lines.quantity[span].astype(np.float64), len(first)).astype(np.float64),
        lines=counts.astype(np.float64),
        weight_g=lines.weight_g[span][first].astype(np.float64),
        volume_mm3=lines.volume_mm3[span][first].astype(np.float64),
        value=np.zeros(len(first)),
        whole=np.zeros(len(first), np.bool_),
        tied=np.zeros(len(first), np.bool_),
        rows=None,
    )
