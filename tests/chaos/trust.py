"""How often each test of trust is repeated: a few times in CI, the promised number with APPORTION_TRUST=full."""

from __future__ import annotations

import os

FULL = os.environ.get("APPORTION_TRUST") == "full"
SEED = int(os.environ.get("APPORTION_TRUST_SEED", "2026"))
"""Orders and the instants of the kills come from this seed; what is under way at such an instant does not."""


def count(smoke: int, full: int) -> int:
    """The number that applies in this run."""
    return full if FULL else smoke
