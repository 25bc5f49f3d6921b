"""The driver: every case x phase under pytest-benchmark.

    python -m pytest bench/phases                                all, some minutes (`make bench-phases`)
    python -m pytest bench/phases -k "200x50-normal"             one shape;  -k solve: one phase
    python -m pytest bench/phases --benchmark-autosave           keep the figures in .benchmarks/
    python -m pytest bench/phases --benchmark-compare            beside the last figures that were kept
    python -m pytest bench/phases --benchmark-compare --benchmark-compare-fail=median:10%
    python -m pytest bench/phases --benchmark-json=phases.json   and then: python -m bench.phases phases.json

On a machine that others use too, `--benchmark-timer=time.process_time` counts processor time instead; not for what a
store or a worker process does (`valkey`), which is another process's time.

`make test` does not collect this file; it runs every case x phase once, untimed (`tests/bench/test_phases.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.phases.registry import Phase, every, label
from bench.phases.scene import Shape, Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Where all scenes are played."""
    opened = Stage()
    yield opened
    opened.close()


@pytest.mark.parametrize(("shape", "phase"), [pytest.param(*one, id=label(*one)) for one in every()])
def test_phase(benchmark: BenchmarkFixture, stage: Stage, shape: Shape, phase: Phase) -> None:
    """Time one phase of one window; what it does must be right, or its time says nothing."""
    scene = stage.scene(shape)
    benchmark.group = phase.verb
    benchmark.extra_info.update(shape._asdict(), phase=phase.verb)
    result = benchmark.pedantic(
        phase.work, setup=lambda: (phase.setup(scene), {}), rounds=phase.rounds, warmup_rounds=1
    )
    assert phase.sound(scene, result)
