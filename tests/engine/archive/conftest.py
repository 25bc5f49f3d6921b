"""Archives to test: SQLite in a file, and PostgreSQL where its server and driver are there."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from engine.archive.database import Archive, sqlite_url
from engine.archive.projector import Projector
from engine.clock import ManualClock, SystemClock
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.settings import Settings
from tests.engine.ledger.conftest import partition, server

__all__ = ["partition", "server"]

NOW_MS = 1_700_000_000_000


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """A server of its own on a unix socket; as root it runs as the user that Debian made for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = _postgres_bin()
        self._user = pwd.getpwnam("postgres").pw_name if os.getuid() == 0 else None

    def _run(self, *command: str) -> None:
        subprocess.run(
            [f"{self._bin}/{command[0]}", *command[1:]], check=True, capture_output=True, user=self._user, cwd="/",
            timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        """Make a cluster and start it."""
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        data = str(self._folder / "cluster")
        self._run("initdb", "-D", data, "-U", "archive", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "-D", str(self._folder / "cluster"), "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a new database."""
        name = f"a{uuid4().hex[:8]}"
        self._run("createdb", "-h", str(self._folder), "-U", "archive", name)
        return f"postgresql://archive@/{name}?host={self._folder}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests, or a skip that says what is missing."""
    if _postgres_bin() is None or find_spec("psycopg") is None:
        pytest.skip("PostgreSQL: needs a server under /usr/lib/postgresql and psycopg")
    with TemporaryDirectory(prefix="pg") as folder:
        running = Postgres(Path(folder))
        running.start()
        yield running
        running.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty archive is, for each database in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return request.getfixturevalue("postgres").database()


@pytest.fixture
async def archive(url: str) -> AsyncIterator[Archive]:
    """An empty archive."""
    made = Archive(url)
    yield made
    await made.close()


@pytest.fixture(params=["memory", "redis"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each ledger in turn."""
    if request.param == "memory":
        yield MemoryLedger(ManualClock(NOW_MS))
        return
    made = RedisLedger(request.getfixturevalue("server").url)
    yield made
    await made.close()


def projector(ledger: Ledger, archive: Archive, **settings: object) -> Projector:
    """A projector that is turned by hand."""
    return Projector(ledger, archive, SystemClock(), Settings(**settings), Metrics().archived, uuid4().hex)


async def follow(ledger: Ledger, archive: Archive, partition: str, **settings: object) -> None:
    """Bring all of a partition into the archive."""
    one = projector(ledger, archive, **settings)
    while await one.follow(partition):
        pass
