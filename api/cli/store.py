"""Which store a command works on: one given by URL, the one a running service has, or one started for this command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, Terminal
from engine.ledger.server.errors import DataDirBusyError, ServerError
from engine.ledger.server.files import running_url
from engine.ledger.server.supervisor import EmbeddedServer, Phase, ServerStatus


@asynccontextmanager
async def own_store(terminal: Terminal, data_dir: Path, redis_url: str | None) -> AsyncIterator[str]:
    """The URL of a store to serve from: `redis_url`, or one started here in `data_dir` that ends with the command."""
    if redis_url is not None:
        yield redis_url
        return
    server = EmbeddedServer(data_dir, on_progress=_Progress(terminal), on_exit=_tell_exit(terminal))
    try:
        async with server:
            yield server.url
    except ServerError as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from error


@asynccontextmanager
async def any_store(terminal: Terminal, data_dir: Path, redis_url: str | None) -> AsyncIterator[str]:
    """The URL of a store to look into: that of the service on the data directory, else one started for the look."""
    if redis_url is not None:
        yield redis_url
        return
    if not data_dir.is_dir():  # noqa: ASYNC240 (one stat)
        raise CommandError(f"there is no data directory {data_dir}")
    url = running_url(data_dir)
    if url is not None:
        yield url
        return
    try:
        async with own_store(terminal, data_dir, None) as url:
            yield url
    except CommandError as error:
        if isinstance(error.__cause__, DataDirBusyError):
            late = running_url(data_dir)  # a service took it in between
            hint = "; a service just took it, please try again" if late else ""
            raise CommandError(f"{error}{hint}", ExitCode.UNAVAILABLE) from error
        raise


class _Progress:
    """Says that a large store is still loading; called by the supervisor's thread."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._said = 0.0

    def __call__(self, status: ServerStatus) -> None:
        if status.phase is Phase.LOADING and status.loaded_percent >= self._said + 20:
            self._said = status.loaded_percent
            self._terminal.warn(f"the store is loading its data: {status.loaded_percent:.0f} %")


def _tell_exit(terminal: Terminal) -> object:
    def tell(status: ServerStatus) -> None:
        last = status.last_exit.log[-1] if status.last_exit and status.last_exit.log else ""
        terminal.warn(f"{status.problem} It is started again. {last}".rstrip())

    return tell
