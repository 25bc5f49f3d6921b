"""The service as it runs in one process: the engine behind the HTTP server, from start to drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import uvicorn

from api.app import Application, create_app
from api.cli.codes import ExitCode
from api.cli.listening import url_of
from api.cli.terminal import CommandError
from engine import garbage
from engine.assembly import Engine, build
from engine.crew import CrewError
from engine.ledger.port import LedgerUnavailableError
from engine.settings import Settings


class Service(NamedTuple):
    """The API as it runs in this process. `url`: "" without a listener; `ended` finishes when its server does."""

    url: str
    application: Application
    server: uvicorn.Server
    ended: asyncio.Task[None]

    @property
    def engine(self) -> Engine:
        """What decides."""
        return self.application.engine

    async def until(self, stop: asyncio.Event) -> None:
        """Wait for the stop signal. Raises CommandError if the server ends before it."""
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait([asked, self.ended], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not stop.is_set():
            raise CommandError("the HTTP server ended unasked; its log is above", ExitCode.UNAVAILABLE)

    async def drain(self) -> None:
        """Say that it is not ready any more, take no more orders, decide those it has; connections stay open."""
        self.application.retire()
        await self.engine.gate.drain()


@asynccontextmanager
async def running_service(
    settings: Settings, redis_url: str, listener: socket.socket | None = None
) -> AsyncIterator[Service]:
    """Serve; at the end take no more orders, answer what was accepted, and close. Raises CommandError.

    `listener`: an open socket; without one, whoever has connections gives them to `Service.server`.
    """
    engine = build(settings, redis_url, None if settings.redis_url else settings.data_dir)
    application = create_app(engine)
    server = http_server(application, settings)
    try:
        await engine.start()
    except (LedgerUnavailableError, CrewError) as error:
        await engine.stop()
        raise CommandError(f"the service could not start: {error}", ExitCode.UNAVAILABLE) from error
    serving = asyncio.create_task(server.serve(sockets=[] if listener is None else [listener]), name="http")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn offers no event)
            await asyncio.sleep(0.005)
        garbage.settle()
        service = Service("" if listener is None else url_of(listener), application, server, serving)
        yield service
        await service.drain()
    finally:
        server.should_exit = True
        await serving
        await engine.stop()


def http_server(application: Application, settings: Settings) -> uvicorn.Server:
    """The HTTP server of an application whose engine somebody else starts and stops."""
    return _Server(
        uvicorn.Config(
            application,
            lifespan="off",
            log_level="warning",
            access_log=False,
            http="httptools",
            ws="none",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
        )
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process by the signal instead of with code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
