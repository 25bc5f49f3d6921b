"""How often each test of trust is repeated: a few times in CI, the promised number with APPORTION_TRUST=full.

APPORTION_TRUST=20 repeats each twenty times, or as often as promised where that is less.
"""

from __future__ import annotations

import os

TRUST = os.environ.get("APPORTION_TRUST", "")
FULL = TRUST != ""
SEED = int(os.environ.get("APPORTION_TRUST_SEED", "2026"))
"""Orders and the instants of the kills come from this seed; what is under way at such an instant does not."""


def count(smoke: int, full: int) -> int:
    """The number that applies in this run."""
    if TRUST.isdecimal():
        return min(full, int(TRUST))
    return full if FULL else smoke


def within(promised: float) -> float:
    """The time limit that applies: the promised one at full counts, where the machine does nothing else.

    In CI others work beside the test, and it may take four times as long: what hangs, or comes by a slow way, is found.
    """
    return promised if FULL else 4 * promised
