"""How the interpreter's collector of reference cycles is set in a process that decides or serves."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""Objects made since the last look. A window makes that many and leaves few cycles: a look every 700 costs more than it
finds."""
ALONE = 200_000
"""The same where nobody waits for an answer: a window's objects are gone before the next look, which takes 30 ms."""
OLDER, OLDEST = 20, 50
"""Looks until the next older generation is looked through, too."""


def settle(young: int = YOUNG) -> None:
    """Call once all is loaded: what there is now stays, and is never looked through while a caller waits."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, OLDER, OLDEST)
