"""Processes beside the service, whatever they do: heard, replaced when they die, and gone with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine import companion
from engine.archive.keeper import archive_companion
from engine.companion import Begin, Companion
from engine.metrics import Metrics
from tests.chaos.service import alive, eventually

ROOT = Path(__file__).parents[2]
BEGIN = Begin("redis://nowhere", "test", "sqlite://", "{}")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What died is started again at once."""
    monkeypatch.setattr(companion, "AGAIN_SECONDS", 0.01)


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let a shell script stand for the interpreter that a companion is run with."""
    path = tmp_path / "program"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that processes bring about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (processes do it)
            await asyncio.sleep(0.01)


@pytest.mark.timeout(60)
async def test_one_that_cannot_be_understood_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, counted, and another is started: a duty never stops for a stray line, and none has two processes."""
    started = tmp_path / "started"
    started.touch()
    program(tmp_path, monkeypatch, f"echo $$ >> {started}", "echo stray", "exec sleep 50")
    ended: list[bool] = []

    def hear(line: bytes) -> None:
        msgspec.json.decode(line, type=Begin)

    one = Companion("any", BEGIN, hear, lambda: ended.append(True))
    one.start()
    try:
        await until(lambda: len(started.read_text().split()) >= 2)
    finally:
        await one.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text().split()[0]), 0)
    assert ended


@pytest.mark.timeout(60)
async def test_what_the_projector_tells_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects /metrics: lags are as told last, counts add up over lines and processes, and each death is an error."""
    program(
        tmp_path,
        monkeypatch,
        "read begin",
        """echo '{"lag_entries":7,"lag_seconds":1.5,"entries":3,"errors":1,"evicted":2}'""",
        """echo '{"lag_entries":5,"lag_seconds":0.5,"entries":4,"errors":0,"evicted":1}'""",
    )
    metrics = Metrics()
    sample = metrics.registry.get_sample_value
    one = archive_companion(BEGIN, metrics)
    one.start()
    try:
        await until(lambda: sample("apportion_archive_errors_total") >= 4)  # type: ignore[operator]
    finally:
        await one.stop()
    assert (sample("apportion_archive_lag_entries"), sample("apportion_archive_lag_seconds")) == (5, 0.5)
    archived, evicted = sample("apportion_archived_entries_total"), sample("apportion_evicted_orders_total")
    assert archived is not None
    assert archived >= 14
    assert (archived % 7, evicted) == (0, archived / 7 * 3)


BUSY = """
import asyncio, time
from engine.companion_process import accompany

async def serve(begin, tell):
    print("stray", flush=True)
    await asyncio.to_thread(time.sleep, 300)

accompany(serve, niceness=0)
"""


def test_the_process_ends_with_its_parent_in_the_middle_of_its_work() -> None:
    """What runs in a thread keeps it no longer; and what somebody prints is no line for the parent."""
    line = msgspec.json.encode(BEGIN) + b"\n"
    ended = subprocess.run([sys.executable, "-c", BUSY], input=line, capture_output=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"stray\n")


PARENT = """
import asyncio
from engine.companion import Begin, Companion

async def main():
    begin = Begin("redis://127.0.0.1:1", "test", "sqlite://", "{}")
    one = Companion("engine.archive.process", begin, lambda line: print(line, flush=True), print)
    one.start()
    while one.pid is None:
        await asyncio.sleep(0.01)
    print(one.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_killed_parent_leaves_no_orphan() -> None:
    """SIGKILL leaves the parent no chance to stop anything, so its companions must notice by themselves."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert b"lag_entries" in parent.stdout.readline(), "it is at work"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    eventually(lambda: not alive(pid), 30)


def test_a_companion_stands_back_as_far_as_it_was_told() -> None:
    """Protects orders on a busy machine: who feeds the archive is nicer than who decides, but not idle only."""
    code = "import os, sys\nfrom engine.companion_process import accompany\n" + NICE
    line = msgspec.json.encode(BEGIN) + b"\n"
    own = os.nice(0)
    ended = subprocess.run([sys.executable, "-c", code], input=line, capture_output=True, timeout=60, check=True)
    nice, policy = ended.stderr.split()
    assert (int(nice), int(policy)) == (min(19, own + 10), os.SCHED_OTHER)


NICE = """
async def serve(begin, tell):
    print(os.nice(0), os.sched_getscheduler(0), file=sys.stderr, flush=True)

accompany(serve, niceness=10)
"""
