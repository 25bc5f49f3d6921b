"""The demo where there is no terminal: plain lines, real figures, and a second run on the data of the first."""

from __future__ import annotations

from pathlib import Path

import msgspec

from api.cli.codes import ExitCode
from tests.cli.conftest import apportion


def test_demo_runs_again_on_the_same_data(tmp_path: Path) -> None:
    """`make run` works again and again: the second run adds its own orders to the stock that the first left.

    Elsewhere than on a terminal it says so in plain lines, without control codes.
    """
    data = str(tmp_path / "data")
    short = ("--data-dir", data, "--port", "0", "--once", "--rate", "40", "--seconds", "3")
    result = apportion("demo", *short, "--json")
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    first = msgspec.json.decode(result.stdout)
    assert first["orders"] >= 60
    assert (first["oversold"], first["problems"], first["repeats"]) == (0, 0, 0)
    assert first["nearest"]["orders"] == first["orders"]
    second = apportion("demo", *short, "--no-compare")
    assert second.returncode == ExitCode.OK, second.stdout + second.stderr
    assert "is there already" in second.stdout
    assert "oversold 0" in second.stdout
    assert "\x1b" not in second.stdout
    audit = apportion("reconcile", "--check", "--data-dir", data, "--json")
    assert audit.returncode == ExitCode.OK, audit.stdout
    assert msgspec.json.decode(audit.stdout)["orders"] > first["orders"]
