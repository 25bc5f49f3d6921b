"""A service as a person starts it: `apportion serve` in its own process, on an ephemeral port and a fresh directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
NETWORK = {
    "currency": "USD",
    "nodes": [
        {"node_id": "E", "country": "US", "lat": 40.7, "lon": -74.0},
        {"node_id": "W", "country": "US", "lat": 34.0, "lon": -118.2},
    ],
    "carriers": [],
    "lanes": [{"node_id": node, "to": "US", "service": "ground", "parcel": "5.00"} for node in ("E", "W")],
}


class Running(NamedTuple):
    """A service process."""

    url: str
    process: subprocess.Popen[str]
    data_dir: Path


def command(*arguments: str) -> list[str]:
    """`apportion` with these arguments, by the interpreter of the tests."""
    return [sys.executable, "-m", "api.cli", *arguments]


def apportion(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd or ROOT,
        env=environment(),
        check=False,
    )


def environment() -> dict[str, str]:
    """The tests' own, with the source tree importable from anywhere."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


def serve(data_dir: Path) -> Running:
    """Start a service and wait until it says that it is ready."""
    arguments = command("serve", "--port", "0", "--data-dir", str(data_dir), "--json")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, "the service ended before it was ready"
    return Running(msgspec.json.decode(said)["url"], process, data_dir)


def end(running: Running) -> int:
    """SIGTERM, and its exit code."""
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    try:
        return running.process.wait(60)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
        raise


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for the tests of a module."""
    running = serve(tmp_path_factory.mktemp("service") / "data")
    yield running
    end(running)
