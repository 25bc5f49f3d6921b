"""Functions compiled to machine code at import: the inner loops of deciding, over arrays of int64.

Types are fixed where the function is written, so nothing is ever compiled while a window waits. Machine code is kept
beside the source (in the user's cache where that cannot be written to), in a folder named after the text of all rooms
that compile (`*kernel*`): Numba looks at the file of a function only, and functions here are parts of others'.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from solvers.problem import Bools, Ints

F = TypeVar("F", bound=Callable[..., Any])

INTS = types.int64[::1]
"""int64[n], contiguous and writable."""

BOOLS = types.boolean[::1]
"""bool[n], contiguous and writable."""

FLOATS = types.float64[::1]
"""float64[n], contiguous and writable."""

INT, FLOAT, FLAG, NONE = types.int64, types.float64, types.boolean, types.void

KINDS: dict[Any, Any] = {Ints: INTS, Bools: BOOLS, NDArray[np.float64]: FLOATS, int: INT, float: FLOAT, bool: FLAG}
"""The types of what a table may hold."""


def _kept_in() -> Path | None:
    """Where machine code of this very text is kept; None where nothing can be written."""
    here = Path(__file__).parent
    rooms = [Path(__file__), *sorted(here.glob("*kernel*.py"))]
    digest = sha256(b"".join(room.read_bytes() for room in rooms)).hexdigest()
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for base in (here / "__pycache__", user / "apportion"):
        try:
            found = base / f"compiled-{digest[:16]}"
            found.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(found, os.W_OK):
            return found
    return None


if not numba.config.CACHE_DIR and (_FOLDER := _kept_in()) is not None:
    numba.config.CACHE_DIR = str(_FOLDER)


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


def type_of(table: type) -> Any:
    """The type of a NamedTuple of `Ints`, `Bools`, `Floats`, numbers, flags and such tuples."""
    found = [KINDS[kind] if kind in KINDS else type_of(kind) for kind in get_type_hints(table).values()]
    if all(kind == found[0] for kind in found):
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
