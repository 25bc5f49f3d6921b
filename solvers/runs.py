"""Rows that lie together: runs of equal values, and spans between starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def opens(values: NDArray[Any]) -> Bools:
    """bool[K]: whether a row is the first of a run of equal values."""
    found = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def heads(values: NDArray[Any]) -> Ints:
    """The first row of each run of equal values."""
    return opens(values).nonzero()[0]


def owners(start: Ints) -> Ints:
    """The span that each row belongs to; span k has the rows start[k]:start[k + 1], int64[K + 1] from 0."""
    return np.arange(len(start) - 1).repeat(sizes(start))


def sizes(start: Ints) -> Ints:
    """How many rows each span has."""
    found: Ints = start[1:] - start[:-1]
    return found
