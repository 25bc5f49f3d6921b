"""Orders held before they are handed over, on the tiny data of the replay: judged clean, and the same for a seed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bench.uci.hold import app, paced, periods
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


@pytest.mark.parametrize("hours", ["0", "4", "hindsight"])
def test_a_held_run_is_judged_clean(data: Path, tmp_path: Path, hours: str) -> None:
    """Protects the figures: whatever moves, the judge finds costs and stock as they must be, and no unit is lost."""
    output = tmp_path / "held.json"
    asked = [
        "--data",
        str(data),
        "--days",
        "3",
        "--hours",
        "0",
        "--hours",
        hours,
        "--pace",
        "24",
        "--output",
        str(output),
    ]
    answer = CliRunner().invoke(app, [*asked, "--min-saving", "0.01"])
    assert answer.exit_code == 0, answer.output
    base, held = msgspec.json.decode(output.read_bytes())
    assert (held["faults"], held["oversold"], held["stock_differs"]) == (0, 0, 0)
    assert held["fill"] == base["fill"]
    assert (held["moves"] > 0) == (held["saving"] > 0)
    assert hours != "0" or held == base
