"""Orders held before they are handed over, on the tiny data of the replay: judged clean, and the same for a seed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from bench.uci.hold import app
from bench.uci.replaying import paced, periods
from tests.bench.test_uci import data, work_of

__all__ = ["data"]


def test_periods_have_every_order_once(data: Path) -> None:
    """Protects hindsight: between two deliveries stand just the orders that came then, whatever the pace."""
    for pace in (1, 24):
        work = paced(work_of(data), pace)
        found = list(periods(work))
        assert [order for _, orders in found for order in orders] == list(work.orders)
        for (delivery, orders), (following, _) in pairwise(found):
            assert all(delivery.at <= order.placed_at < following.at for order in orders)


def _asked(data: Path, output: Path, *more: str) -> list[dict[str, Any]]:
    asked = ["--data", str(data), "--days", "3", "--pace", "24", "--output", str(output), "--min-saving", "0.01"]
    answer = CliRunner().invoke(app, [*asked, *more])
    assert answer.exit_code == 0, answer.output
    found: list[dict[str, Any]] = msgspec.json.decode(output.read_bytes())
    return found


@pytest.mark.parametrize("hours", ["0", "4"])
def test_a_held_run_is_judged_clean(data: Path, tmp_path: Path, hours: str) -> None:
    """Protects the figures: whatever moves, the judge finds costs and stock as they must be, and no unit is lost."""
    base, *others = _asked(data, tmp_path / "held.json", "--hours", hours, "--prices", "off", "--hindsight", "none")
    assert len(others) == (hours != "0")
    for held in others:
        assert (held["faults"], held["oversold"], held["stock_differs"], held["differing"]) == (0, 0, 0, 0)
        assert held["fill"] == base["fill"]
        assert (held["moves"] > 0) == (held["saving"] > 0)


def test_prices_are_in_force_all_the_time(data: Path, tmp_path: Path) -> None:
    """Protects the comparison of prices on and off: once there is a sheet no window and no look goes without one."""
    base, priced = _asked(
        data, tmp_path / "held.json", "--hours", "4", "--prices", "on", "--hindsight", "none", "--orders-min", "5"
    )
    assert priced["programmes"] >= 1
    assert priced["unpriced"] == 0
    assert (priced["faults"], priced["oversold"], priced["fill"]) == (0, 0, base["fill"])


def test_hindsight_is_a_floor_and_plans_above_it(data: Path, tmp_path: Path) -> None:
    """Protects the two figures of hindsight: no plan that is possible costs less than the floor, the judge agrees with
    the plans, and who may wait longer for deliveries has a floor at most as high."""
    base, soon, later = _asked(data, tmp_path / "held.json", "--hours", "0", "--prices", "off")
    for known in (soon, later):
        assert (known["faults"], known["oversold"]) == (0, 0)
        assert known["floor_per_order"] <= known["spent_per_order"]
    assert soon["floor_per_order"] <= soon["spent_per_order"] <= base["spent_per_order"]
    assert later["floor_per_order"] <= soon["floor_per_order"] + 0.01
