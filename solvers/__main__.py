"""`python -m solvers`: compile the inner loops, once per installation, so that no start of the service waits for it."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from time import monotonic

COMPILED = (
    "solvers.simple_kernel",
    "solvers.cover_kernel",
    "solvers.simple_kernel_prices",
    "solvers.shadow_kernel",
    "solvers.cover_kernel_bound",
)
"""Rooms that compile themselves when they are imported, the longest first."""


def main() -> None:
    """Import them beside each other; a minute or two the first time, a few seconds ever after."""
    print("compiling the inner loops of the solvers (a minute or two, once) ...", file=sys.stderr, flush=True)
    started = monotonic()
    with ProcessPoolExecutor() as pool:
        list(pool.map(_load, COMPILED))
    print(f"done in {monotonic() - started:.0f} s", file=sys.stderr)


def _load(room: str) -> None:
    import_module(room)


if __name__ == "__main__":
    main()
