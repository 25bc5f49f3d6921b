"""Every case x phase once, untimed: what the benchmarks time is the work that it is said to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.phases.__main__ import app
from bench.phases.registry import ALL, CASES, Phase, every, label
from bench.phases.scene import Shape, Stage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Where all scenes are played."""
    opened = Stage()
    yield opened
    opened.close()


@pytest.mark.parametrize(("shape", "phase"), [pytest.param(*one, id=label(*one)) for one in every()])
def test_every_phase_does_its_work(stage: Stage, shape: Shape, phase: Phase) -> None:
    """A benchmark of something that fails, or does nothing, would be fast and worthless."""
    scene = stage.scene(shape)
    assert phase.sound(scene, phase.work(*phase.setup(scene)))


def test_every_axis_is_swept() -> None:
    """Sizes, scarcities and stores that were promised are there, each phase in some case, no name twice."""
    shapes = {shape for case in CASES for shape in case.sweep}
    assert {shape.orders for shape in shapes} == {50, 200, 500}
    assert {shape.nodes for shape in shapes} == {10, 50, 200}
    assert {shape.scarcity for shape in shapes} == {"ample", "normal", "scarce"}
    assert {shape.store for shape in shapes} == {"memory", "valkey"}
    assert {verb for case in CASES for verb in case.phases} == set(ALL)
    labels = [label(*one) for one in every()]
    assert len(set(labels)) == len(labels)


def test_the_driver_runs_and_its_figures_become_a_table(tmp_path: Path) -> None:
    """The one command of the documentation works, and its JSON is what the table is made of."""
    file = tmp_path / "phases.json"
    asked = ["-k", "50x50-ample", "-p", "no:cacheprovider", f"--benchmark-json={file}", "--benchmark-warmup=off"]
    # By these it would take itself for a part of this very run, and measure nothing.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "bench/phases", *asked],
        cwd=ROOT,
        env=alone,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(json.loads(file.read_bytes())["benchmarks"]) == len(ALL)
    table = CliRunner().invoke(app, [str(file)])
    assert table.exit_code == 0, table.output
    assert table.output.splitlines()[-1].startswith("| memory | ample | 40 | 50 | 50 | ")
    assert "|  |" not in table.output


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that pytest-benchmark did not write is an unusable argument, not a traceback."""
    (tmp_path / "other.json").write_text("[]")
    assert CliRunner().invoke(app, [str(tmp_path / "other.json")]).exit_code == 2
