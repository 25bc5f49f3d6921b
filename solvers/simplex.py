"""A linear program that grows: rows and columns are added and it is solved again from where it stood.

SciPy's own HiGHS, spoken to directly: `scipy.optimize.linprog` starts from nothing every time, ten times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize._highspy import _core

from solvers.problem import Ints

Floats = NDArray[np.float64]
Indexes = NDArray[np.int32]

MAX_ITERATIONS = 50_000
"""Pivots enough for any window; hundreds of orders need hundreds."""


class Sparse(NamedTuple):
    """Rows or columns one after another: entries of p are `start[p]` onwards of `place` and `value`."""

    start: Indexes
    place: Indexes
    value: Floats

    @staticmethod
    def none(count: int) -> Sparse:
        """`count` rows or columns without entries."""
        return Sparse(np.zeros(count, np.int32), np.zeros(0, np.int32), np.zeros(0))

    @staticmethod
    def of(owner: Ints, place: Ints, value: NDArray[Any], count: int) -> Sparse:
        """Of `count` rows or columns, from the owner, place and value of every entry in any order."""
        rank = np.argsort(owner, kind="stable")
        start = np.searchsorted(owner[rank], np.arange(count))
        return Sparse(start.astype(np.int32), place[rank].astype(np.int32), value[rank].astype(np.float64))


class Optimum(NamedTuple):
    """Value, columns and row duals (the change of the value per unit of a row's bound), and the pivots it took."""

    value: float
    columns: Floats
    duals: Floats
    pivots: int


class Simplex:
    """Minimise over columns of at least 0. `pivots`: of one solve at most."""

    def __init__(self, pivots: int = MAX_ITERATIONS) -> None:
        self._highs = _core._Highs()
        self._pivots = 0
        for name, value in (
            ("output_flag", False),
            ("presolve", "off"),
            ("threads", 1),
            ("simplex_iteration_limit", pivots),
        ):
            self._highs.setOptionValue(name, value)

    def add_rows(self, low: Floats, high: Floats, rows: Sparse) -> None:
        """Rows with entries in columns that are there; `low` and `high` may be infinite."""
        self._highs.addRows(len(low), low, high, len(rows.place), *rows)

    def add_columns(self, cost: Floats, columns: Sparse) -> None:
        """Columns with entries in rows that are there."""
        none = np.zeros(len(cost))
        self._highs.addCols(len(cost), cost, none, none + np.inf, len(columns.place), *columns)

    def bound_row(self, row: int, low: float, high: float) -> None:
        """Change what a row must lie between."""
        self._highs.changeRowBounds(row, low, high)

    def bound_column(self, column: int, low: float) -> None:
        """Change the least value of a column."""
        self._highs.changeColBounds(column, low, np.inf)

    def price(self, column: int, cost: float) -> None:
        """Change the cost of a column."""
        self._highs.changeColCost(column, cost)

    def solve(self) -> Optimum | None:
        """The optimum, or None where HiGHS does not say that it found one."""
        self._highs.run()
        info = self._highs.getInfo()
        if self._highs.getModelStatus() != _core.HighsModelStatus.kOptimal:
            return None
        found = self._highs.getSolution()
        pivots = max(0, int(info.simplex_iteration_count))
        return Optimum(
            float(info.objective_function_value), np.array(found.col_value), np.array(found.row_dual), pivots
        )
