"""Figures of one process, and of several that share a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import values

from engine.metrics import SHARED, Metrics, exposition, forget, share


def figures(text: bytes) -> dict[str, float]:
    """Samples of the exposition by name and labels."""
    rows = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def test_engines_of_one_process_count_apart() -> None:
    """Without a shared directory each engine has its own figures, as many tests and simulations rely on."""
    one, other = Metrics(), Metrics()
    one.repeated(3)
    assert figures(exposition(one.registry))['apportion_orders_total{state="",verdict="repeat"}'] == 3
    assert 'apportion_orders_total{state="",verdict="repeat"}' not in figures(exposition(other.registry))


def test_processes_that_share_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted adds up and outlives its process; of the living what waits adds up, and the longest lag is shown.

    Who takes the place of a dead process counts on from it, so that no counter ever falls.
    """
    monkeypatch.setenv(SHARED, str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    for number in (0, 1):
        share(tmp_path, number)
        metrics = Metrics()
        metrics.repeated(3 + number)
        metrics.window([1.0] * (number + 1))
        metrics.waiting.set(10 + number)
        metrics.archive_lag_seconds.set(10 + number)
    both = figures(exposition())
    assert both['apportion_orders_total{state="",verdict="repeat"}'] == 7
    assert both["apportion_wait_seconds_count"] == 3
    assert (both["apportion_orders_waiting"], both["apportion_archive_lag_seconds"]) == (21, 11)
    forget(tmp_path, 1)
    one = figures(exposition())
    assert one['apportion_orders_total{state="",verdict="repeat"}'] == 7
    assert (one["apportion_orders_waiting"], one["apportion_archive_lag_seconds"]) == (10, 10)
    share(tmp_path, 1)
    Metrics().repeated(1)
    again = figures(exposition())
    assert again['apportion_orders_total{state="",verdict="repeat"}'] == 8
    assert again["apportion_orders_waiting"] == 10
    assert len(list(tmp_path.iterdir())) == 8
