"""Real service processes on loopback: started, asked, ended and killed, always by the process id that was started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
START_S = 120.0
REQUEST_S = 20.0

READY_CHECK_S = 0.02


class Reply(NamedTuple):
    """An HTTP answer, read whole."""

    status: int
    body: bytes
    retry_after: str | None
    request_id: str | None

    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


class Connection:
    """One keep-alive connection to a port on loopback. A broken one is made anew at the next request."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_S)

    def request(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Send and read the answer. Raises OSError or http.client.HTTPException if there is none."""
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            self._http.request(method, path, body, headers)
            answer = self._http.getresponse()
            return Reply(
                answer.status, answer.read(), answer.getheader("retry-after"), answer.getheader("x-request-id")
            )
        except BaseException:
            self._http.close()
            raise

    def close(self) -> None:
        """Close it."""
        self._http.close()


FORGETFUL = {"order_retention_days": 0, "sweep_seconds": 0.05, "log_tail_entries": 5}
"""Settings under which log entries and ended orders leave the store as soon as the archive has them."""


class Service:
    """One `apportion serve`. It keeps its port when it is started again; its log is `log_file`."""

    def __init__(
        self, data_dir: Path, redis_url: str | None = None, name: str = "service", workers: int = 1, **settings: object
    ) -> None:
        self.data_dir = data_dir
        self.port = 0
        self.log_file = data_dir.parent / f"{name}.log"
        self._redis_url = redis_url
        self._workers = workers
        self._environment = {f"APPORTION_{key.upper()}": str(value) for key, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process

    @property
    def store_pid(self) -> int:
        """The embedded store's process id, as the service wrote it down; 0 while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads((self.data_dir / "server.owner").read_text())["server_pid"])
        return 0

    def start(self) -> Service:
        """Start it and wait until it is ready for orders."""
        self.launch()
        return self.await_ready()

    def launch(self) -> None:
        """Start it."""
        where = ["--data-dir", str(self.data_dir), *(["--redis-url", self._redis_url] if self._redis_url else [])]
        how = ["--json", "--port", str(self.port), "--workers", str(self._workers)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", *how, *where],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def await_ready(self) -> Service:
        """Wait until it is ready for orders."""
        line = self._first_line()
        assert line, f"the service did not start:\n{self.log()}"
        self.port = int(json.loads(line)["url"].rpartition(":")[2])
        eventually(lambda: self.status("/readyz") == 200, START_S)
        return self

    def _first_line(self) -> bytes:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        return self.process.stdout.readline() if ready else b""

    def log(self) -> str:
        """The end of what it wrote to standard error."""
        return self.log_file.read_text(errors="replace")[-3_000:]

    def ask(self, method: str, path: str, document: object = None) -> Reply:
        """One request on a connection of its own."""
        connection = Connection(self.port)
        try:
            return connection.request(method, path, None if document is None else json.dumps(document).encode())
        finally:
            connection.close()

    def status(self, path: str) -> int | None:
        """The status of a GET, None if nobody answers."""
        try:
            return self.ask("GET", path).status
        except (OSError, http.client.HTTPException):
            return None

    def family(self) -> list[int]:
        """Process ids of its children and theirs: solver workers, the store's guardian, and the store."""
        children = children_of(self.process.pid)
        return children + [pid for child in children for pid in children_of(child)]

    def workers(self) -> list[int]:
        """Process ids of its service processes, where it has several."""
        return children_of(self.process.pid, "api.cli.worker")

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self.process.send_signal(signal.SIGKILL)
        self._reap(60)

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Its exit code; killed and a failure if it takes longer."""
        return self._reap(seconds)

    def stop(self) -> int | None:
        """SIGTERM and wait, if it runs at all."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self.ask_to_stop()
        return self._reap(60)

    def _reap(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the service did not end within {seconds} s:\n{self.log()}") from None
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


@contextlib.contextmanager
def running(*services: Service) -> Iterator[None]:
    """Start services, and end whatever runs of them at the end, however the test went."""
    try:
        for service in services:
            service.launch()
        for service in services:
            service.await_ready()
        yield
    finally:
        for service in services:
            service.stop()


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `apportion` with these arguments, at most four minutes."""
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def eventually(condition: Callable[[], object], seconds: float) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(READY_CHECK_S)


def children_of(parent: int, running: str = "") -> list[int]:
    """Process ids of a process's children, or of those whose command line holds this."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in table.splitlines())
    return [int(row[0]) for row in rows if int(row[1]) == parent and running in row[-1]]


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
