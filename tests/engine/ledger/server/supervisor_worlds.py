"""Processes to test the supervisor with: stand-ins for server programs, and an owner that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import redis

from engine.ledger.server.binary import find_binary

ROOT = Path(__file__).parents[4]

_OWNER = """
import json, os, sys, time
from engine.ledger.server.supervisor import EmbeddedServer
server = EmbeddedServer(sys.argv[1])
server.start()
worker = 0
if sys.argv[2] == "forks":
    worker = os.fork()
    if not worker:
        time.sleep(60)
        os._exit(0)
told = {"pid": os.getpid(), "store_pid": server.status.pid, "url": server.url, "worker_pid": worker}
print(json.dumps(told), flush=True)
sys.stdin.read()
server.stop()
"""


class Owner(NamedTuple):
    """A process that runs a store, its store, and its forked worker (0: none)."""

    pid: int
    store_pid: int
    url: str
    worker_pid: int


@contextlib.contextmanager
def owner_process(data_dir: Path, forks: bool = False) -> Iterator[Owner]:
    """A process of its own that runs a store on `data_dir`; ended, with its worker, at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(data_dir), "forks" if forks else "alone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    owner = None
    try:
        owner = Owner(**json.loads(process.stdout.readline()))
        yield owner
    finally:
        process.stdin.close()
        if owner is not None and owner.worker_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.worker_pid, 9)
        try:
            process.wait(15)
        finally:
            process.kill()
            process.stdout.close()


def client(url: str) -> redis.Redis:
    """A plain client that gives up after five seconds."""
    return redis.Redis.from_url(url, socket_timeout=5, retry=None)


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until `condition` holds (errors of a store that is not there count as no); fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def parent_of(pid: int) -> int:
    """The parent's process id."""
    return int(subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout)


def fake_program(directory: Path, version: str, otherwise: str = "exit 1", name: str = "server") -> Path:
    """A shell script that says `version` when asked, and does `otherwise` in all other cases."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f'#!/bin/sh\nif [ "$1" = "--version" ]; then echo "{version}"; exit 0; fi\n{otherwise}\n')
    program.chmod(0o755)
    return program


def wrapped_program(directory: Path, before: str = ":", options: str = "") -> Path:
    """The real server behind a shell script that first does `before` and appends `options`."""
    real = find_binary(None, directory).path
    run = f'{before}\nexec {shlex.quote(str(real))} "$@" {options}'
    return fake_program(directory, "Valkey server v=9.1.0", otherwise=run)
