"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from engine.standing_back import NICENESS_MAX, group_stands_back

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The many processes that tests start find bytecode, wherever none is written into the tree: they start in a third of
# the time. Whoever is started here, the workers of the tests included, keeps it in the same place.
if "PYTHONPYCACHEPREFIX" not in os.environ:
    _BYTECODE = TemporaryDirectory(prefix="apportion-bytecode-")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = _BYTECODE.name
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Where tests run on all cores, they stand back as far as simulations do, which would get no time beside them."""
    if hasattr(config, "workerinput"):
        os.setsid()
        group_stands_back(NICENESS_MAX)


def pytest_sessionstart() -> None:
    """Collect no garbage while test files are parsed: CPython before 3.11.8 may then fail to build a syntax tree.

    A finaliser that parses in the middle of another parse upsets its recursion count (cpython issue 106905).
    """
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on as usual."""
    gc.enable()
