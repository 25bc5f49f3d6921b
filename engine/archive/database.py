"""The one door to the SQL database: SQLite in a file by default, PostgreSQL by URL. Threads in, transactions out."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from engine.archive.founding import FormError, founded

P = ParamSpec("P")
T = TypeVar("T")

SQLITE_WAIT_MS = 5_000
"""How long a writer waits for another process's transaction."""
SQLITE_TRIES = 50
READERS = 3


class ArchiveUnavailableError(Exception):
    """The database cannot be reached, or does not answer; the same call may be made again without harm."""


class Archive:
    """A database and its threads. Nothing is opened before the first call; every call is one transaction.

    Writes have a thread of their own, so that they queue up here and not in the database. Commits are durable when a
    call returns: what the store lets go must be on disk. Processes may share a database, and each may be the first.
    `in_memory`: nobody else can read it, in this process or another.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_memory = url in ("sqlite://", "sqlite:///:memory:")
        self._writer = ThreadPoolExecutor(1, "archive-writer")
        self._readers = self._writer if self.in_memory else ThreadPoolExecutor(READERS, "archive-reader")
        self._engine: Engine | None = None
        self._archive_id = ""
        self._opening = threading.Lock()

    async def write(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work(connection, ...)` in a writing transaction. Raises ArchiveUnavailableError."""
        call = self._call(True, work, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run `work(connection, ...)` on one consistent picture. Raises ArchiveUnavailableError."""
        call = self._call(False, work, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    def _call(
        self, writes: bool, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Callable[[], T]:
        def call() -> T:
            try:
                connected = self._opened().connect().execution_options(writes=writes)
                with connected as connection, connection.begin():
                    return work(connection, *arguments, **named)
            except (SQLAlchemyError, OSError, FormError) as error:
                raise ArchiveUnavailableError(_said(error)) from error

        return call

    async def archive_id(self) -> str:
        """What tells this archive from any other; made with it."""
        if not self._archive_id:
            await self.read(lambda _: None)
        return self._archive_id

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                engine = self._made()
                try:
                    self._archive_id = founded(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _made(self) -> Engine:
        try:
            url = make_url(self.url)
        except ArgumentError as error:
            raise ArchiveUnavailableError(f"not a database URL: {error}") from error
        if url.get_backend_name() != "sqlite":
            driver = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
            try:
                return create_engine(driver, isolation_level="REPEATABLE READ", pool_pre_ping=True)
            except (ModuleNotFoundError, NoSuchModuleError) as error:
                raise ArchiveUnavailableError(f"{error}; install apportion[postgres]") from error
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            Path(url.database).touch(mode=0o600)  # addresses are in it
        options: dict[str, Any] = {"poolclass": StaticPool} if self.in_memory else {}
        engine = create_engine(url, connect_args={"check_same_thread": False}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    async def close(self) -> None:
        """Let what runs end, and close."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        if self._engine is not None:
            self._engine.dispose()


def sqlite_url(data_dir: Path) -> str:
    """The archive in a data directory."""
    return f"sqlite:///{data_dir.absolute() / 'archive.sqlite'}"


def _prepare_sqlite(raw: Any, _: Any) -> None:
    raw.isolation_level = None  # transactions begin and end where we say
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_WAIT_MS}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Change to the write-ahead log; where two do so at once SQLite refuses one of them without waiting."""
    for attempt in range(SQLITE_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # above are its kinds
            if not busy or attempt == SQLITE_TRIES - 1:
                raise
            time.sleep(SQLITE_WAIT_MS / 1000 / SQLITE_TRIES)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _said(error: Exception) -> str:
    """The driver's own words in one line."""
    return str(getattr(error, "orig", None) or error).split("\n")[0]
