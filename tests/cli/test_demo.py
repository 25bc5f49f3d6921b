"""The demo where there is no terminal: plain lines, real figures, and a second run on the data of the first."""

from __future__ import annotations

from pathlib import Path

import msgspec

from api.cli.codes import ExitCode
from tests.cli.conftest import apportion


def run(data: Path, *more: str) -> dict:
    """A short stream, and its final figures."""
    arguments = ("--data-dir", str(data), "--port", "0", "--once", "--rate", "40", "--seconds", "3", "--json", *more)
    result = apportion("demo", *arguments)
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    return msgspec.json.decode(result.stdout)


def test_demo_runs_twice_on_the_same_data(tmp_path: Path) -> None:
    """`make run` works again and again: the second run adds its own orders to the stock that the first left."""
    first = run(tmp_path / "data")
    assert first["orders"] >= 60
    assert (first["oversold"], first["problems"], first["repeats"]) == (0, 0, 0)
    assert first["nearest"]["orders"] == first["orders"]
    second = run(tmp_path / "data", "--no-compare")
    assert second["repeats"] == 0
    assert second["oversold"] == 0
    audit = apportion("reconcile", "--check", "--data-dir", str(tmp_path / "data"), "--json")
    assert audit.returncode == ExitCode.OK, audit.stdout
    assert msgspec.json.decode(audit.stdout)["orders"] == first["orders"] + second["orders"]


def test_demo_says_what_it_does_in_plain_lines(tmp_path: Path) -> None:
    """Elsewhere than on a terminal there are lines, not control codes."""
    result = apportion(
        "demo", "--data-dir", str(tmp_path / "d"), "--port", "0", "--once", "--rate", "20", "--seconds", "2"
    )
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    assert "loaded the sample network" in result.stdout
    assert "oversold 0" in result.stdout
    assert "\x1b" not in result.stdout
