"""Functions compiled to machine code at import: the inner loops of deciding, over arrays of int64.

Types are fixed where the function is written, so nothing is ever compiled while a window waits; the machine code is
kept beside the source (or in the user's cache where that cannot be written to), so only the first import of an
installation compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

from solvers.problem import Bools, Ints

F = TypeVar("F", bound=Callable[..., Any])

INTS = types.int64[::1]
"""int64[n], contiguous and writable."""

BOOLS = types.boolean[::1]
"""bool[n], contiguous and writable."""

INT, FLAG, NONE = types.int64, types.boolean, types.void


def compiled(result: Any, *arguments: Any) -> Callable[[F], F]:
    """Compile a function for exactly these types, errors of range unchecked."""

    def decorate(function: F) -> F:
        how = {"nogil": True, "error_model": "numpy"}
        try:
            made: F = numba.njit(result(*arguments), cache=True, **how)(function)
        except RuntimeError:
            # Nowhere to keep it: compiled again at every start.
            made = numba.njit(result(*arguments), **how)(function)
        return made

    return decorate


def inner(function: F) -> F:
    """A function for compiled ones to call: it becomes part of each of them and is never called from outside."""
    made: F = numba.njit(function, nogil=True, error_model="numpy")
    return made


def columns_of(table: type) -> Any:
    """The type of a NamedTuple of columns, `Ints` or `Bools`, one axis each."""
    kinds = {"Ints": INTS, "Bools": BOOLS}
    found = [kinds[kind.__forward_arg__] for kind in table.__annotations__.values()]
    if len(set(found)) == 1:
        return types.NamedUniTuple(found[0], len(found), table)
    return types.NamedTuple(found, table)


def ints(values: Any) -> Ints:
    """The values as compiled functions take them: one axis, int64, contiguous, writable; copied only if they must."""
    found: Ints = np.require(np.asarray(values).ravel(), np.int64, ["C", "W"])
    return found


def bools(values: Any) -> Bools:
    """The same of bool."""
    found: Bools = np.require(np.asarray(values).ravel(), np.bool_, ["C", "W"])
    return found
