"""Full counts take hours; the time limit of a test is for smoke counts."""

from __future__ import annotations

import pytest

from tests.chaos.trust import FULL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No time limit here at full counts."""
    if FULL:
        for item in items:
            if item.path.is_relative_to(__file__.rpartition("/")[0]):
                item.add_marker(pytest.mark.timeout(0))
