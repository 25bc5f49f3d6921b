"""One of the service processes of `apportion serve --workers N`; `workers` has the other end.

Standard input is a socket. On it comes one line of JSON, how to serve, and then open connections, one descriptor
each. Back go single bytes: ready, a connection taken or lost, one closed, leaving. It ends when its parent is gone,
however it went. SIGTERM: takes no new orders, answers those it has, and exits with 0.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.cli.channel import CLOSED, LEAVING, LOST, READY, TAKEN, Begin
from api.cli.codes import ExitCode
from api.cli.listening import stop_signals
from api.cli.service import Service, running_service
from api.cli.terminal import CommandError, Terminal
from engine.metrics import share
from engine.settings import Settings


class Intake:
    """Connections on their way from the parent to the server of this process."""

    def __init__(self, channel: socket.socket, orphaned: Callable[[], None]) -> None:
        """Listen for the parent's end, and from `open` on for connections."""
        self._channel = channel
        self._orphaned = orphaned
        self._service: Service | None = None
        self._opening: set[asyncio.Task[object]] = set()
        self._unsaid = b""
        channel.setblocking(False)
        asyncio.get_running_loop().add_reader(channel, self._hear)

    def open(self, service: Service) -> None:
        """Ask for connections."""
        self._service = service
        self.tell(READY)

    def close(self) -> None:
        """Ask for no more; what is on its way is left to the parent, who keeps each until it is taken."""
        self._service = None
        self.tell(LEAVING)

    def tell(self, news: bytes) -> None:
        """One byte to the parent, which may be busy: it goes with those after it as soon as there is room."""
        self._unsaid += news
        if len(self._unsaid) == 1:
            self._say()

    def _say(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._unsaid = self._unsaid[self._channel.send(self._unsaid) :]
        except BlockingIOError:
            loop.add_writer(self._channel, self._say)
        except OSError:
            self._orphaned()
        else:
            if self._unsaid:
                loop.add_writer(self._channel, self._say)
            else:
                loop.remove_writer(self._channel)

    def _hear(self) -> None:
        try:
            said, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            said, descriptors = b"", []
        if not said:
            self._orphaned()
        if self._service is None:
            for descriptor in descriptors:
                os.close(descriptor)
        elif descriptors:
            self._take(socket.socket(fileno=descriptors[0]), self._service)
        else:
            self.tell(LOST)

    def _take(self, connection: socket.socket, service: Service) -> None:
        self.tell(TAKEN)
        server = service.server

        def protocol() -> HttpToolsProtocol:
            state = server.lifespan.state
            return _Connection(lambda: self.tell(CLOSED), server.config, server.server_state, state)

        def opened(opening: asyncio.Task[object]) -> None:
            self._opening.discard(opening)
            if opening.cancelled() or opening.exception() is not None:  # the client is gone already
                connection.close()
                self.tell(CLOSED)

        connection.setblocking(False)
        opening = asyncio.ensure_future(asyncio.get_running_loop().connect_accepted_socket(protocol, connection))
        self._opening.add(opening)
        opening.add_done_callback(opened)


class _Connection(HttpToolsProtocol):
    """uvicorn's, telling when it is over."""

    def __init__(self, closed: Callable[[], None], config: object, state: object, app_state: dict[str, object]) -> None:
        super().__init__(config, state, app_state)  # type: ignore[arg-type]
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._closed()


async def work(begin: Begin, channel: socket.socket) -> None:
    """Serve until SIGTERM. Raises CommandError."""

    def orphaned() -> None:
        # As when a service of one process is killed: nothing is acknowledged that is not in the store.
        shutil.rmtree(begin.metrics, ignore_errors=True)
        os._exit(int(ExitCode.UNAVAILABLE))

    settings = Settings.model_validate_json(begin.settings)
    with stop_signals() as stop:
        intake = Intake(channel, orphaned)
        async with running_service(settings, begin.store) as service:
            intake.open(service)
            await service.until(stop)
            await service.drain()
            intake.close()


def main() -> None:
    """Run one worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=os.dup(0))
    line = b""
    while not line.endswith(b"\n"):
        said = channel.recv(65_536)
        if not said:
            return
        line += said
    begin = msgspec.json.decode(line, type=Begin)
    share(Path(begin.metrics), begin.number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(begin, channel))
    except CommandError as error:
        Terminal().warn(f"error: {error}")
        sys.exit(int(error.code))


if __name__ == "__main__":
    atexit.register(gc.freeze)  # see `api.cli.main`
    main()
