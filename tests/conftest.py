"""What all tests share."""

from __future__ import annotations

import gc

from hypothesis import settings

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionstart() -> None:
    """Collect no garbage while test files are parsed: CPython before 3.11.8 may then fail to build a syntax tree.

    A finaliser that parses in the middle of another parse upsets its recursion count (cpython issue 106905).
    """
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on as usual."""
    gc.enable()
