"""How the interpreter's collector of reference cycles is set in a process that decides or serves."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""Objects made since the last look. A window makes that many and leaves few cycles: a look every 700 costs more than it
finds."""
OLDER, OLDEST = 20, 50
"""Looks until the next older generation is looked through, too."""


def settle() -> None:
    """Call once all is loaded: what there is now stays, and is never looked through while a caller waits."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDEST)
