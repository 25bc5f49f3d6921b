"""Several service processes behind one port: started, given connections, started again when they die, and drained.

This process accepts every connection and hands its descriptor to the worker with the fewest open ones. Workers that
accept for themselves share badly, and a keep-alive connection stays where it is: of 64 opened at once, one of two
workers on a shared socket took all in two runs of four, for whoever wakes first empties the queue; with SO_REUSEPORT,
which spreads by hash and on macOS not at all, 4 connections went 3 to 1 or 4 to 0. Handed out, they go 32 to 32 and 2
to 2, on every system, and a request costs nothing more. Until a worker has taken a connection it is kept here too,
and goes to another if that one dies or leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from api.cli.channel import CLOSED, CONNECTION, LEAVING, LOST, READY, TAKEN, Begin
from api.cli.codes import ExitCode
from api.cli.terminal import CommandError, Terminal
from engine.metrics import forget
from engine.settings import Settings

SOON_S = 1.0
"""A worker that did not serve that long died at once."""
DEATHS_MAX = 5
"""So many deaths at once in a row, of one worker and those in its place, end the service: it will not get better."""
PAUSE_S, PAUSE_MAX_S = 0.1, 5.0
"""Before the start after a death at once: doubled each time."""
UNTAKEN_MAX = 32
"""Connections on their way to one worker, each a descriptor of this process; more wait in the system's queue."""
STOP_MARGIN_S = 5.0
"""What the end of a worker may take beyond draining its orders and then its connections."""


@asynccontextmanager
async def running_workers(
    terminal: Terminal, settings: Settings, store: str, listener: socket.socket, count: int
) -> AsyncIterator[Workers]:
    """Serve on an open socket from `count` processes; at the end all take no more orders, answer what they accepted,
    and end. Raises CommandError. `store`: its URL."""
    with TemporaryDirectory(prefix="apportion-metrics-", ignore_cleanup_errors=True) as metrics, listener:
        workers = Workers(terminal, settings, store, listener, count, Path(metrics))
        try:
            await workers.start()
            yield workers
        except BaseException:
            await workers.stop()
            raise
        if not await workers.stop():
            raise CommandError("a service process did not end in order", ExitCode.PROBLEMS)


class Workers:
    """The parent of all workers. The first has the duties that one process does for all (`Settings.duties`)."""

    def __init__(
        self, terminal: Terminal, settings: Settings, store: str, listener: socket.socket, count: int, metrics: Path
    ) -> None:
        self._terminal = terminal
        self._settings = settings
        self._store = store
        self._listener = listener
        self._metrics = metrics
        self._workers: list[Worker | None] = [None] * count
        self._keepers: list[asyncio.Task[None]] = []
        self._porter: asyncio.Task[None] | None = None
        self._giving: set[asyncio.Task[None]] = set()
        self._gifts = 0
        self._news = asyncio.Event()
        """Some worker told something: perhaps one takes connections now that did not."""
        self._complete = asyncio.Event()
        """All workers were ready once."""
        self._stop = asyncio.Event()
        self._in_order = True

    async def start(self) -> None:
        """Start all, and give them connections once all are ready. Raises CommandError if one cannot start."""
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(len(self._workers))]
        await self.until(self._complete)
        self._porter = asyncio.create_task(self._hand_out())

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event. Raises CommandError if a worker cannot be kept alive."""
        asked = asyncio.create_task(event.wait())
        tasks = [*self._keepers, *([self._porter] if self._porter else [])]
        await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        for task in tasks:
            if task.done():
                task.result()

    async def stop(self) -> bool:
        """Tell all to drain and wait until they have ended, by force if they do not; whether all did so in order."""
        self._stop.set()
        for worker in self._workers:
            if worker is not None:
                worker.drain()
        try:
            await asyncio.wait(self._keepers, timeout=2 * self._settings.drain_seconds + STOP_MARGIN_S)
        finally:
            for worker in self._workers:
                if worker is not None:
                    worker.kill()
            giving = [*self._giving, *([self._porter] if self._porter else [])]
            for task in giving:
                task.cancel()
            await asyncio.gather(*self._keepers, *giving, return_exceptions=True)
        return self._in_order

    async def _keep(self, number: int) -> None:
        """Keep a worker of this number alive until `stop`. Raises CommandError."""
        deaths, pause_s = 0, 0.0
        while not self._stop.is_set():
            code, served = await self._live(number)
            if self._stop.is_set():
                return
            if not self._complete.is_set():
                raise CommandError("a service process could not start; why is above", ExitCode.UNAVAILABLE)
            if served:
                deaths, pause_s = 0, 0.0
                continue
            # One that found no store says so by its code, and the store may come back.
            deaths += code != ExitCode.UNAVAILABLE
            if deaths == DEATHS_MAX:
                raise CommandError(
                    f"service process {number} died {deaths} times as soon as it was started; why is above",
                    ExitCode.UNAVAILABLE,
                )
            pause_s = min(max(PAUSE_S, 2 * pause_s), PAUSE_MAX_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _live(self, number: int) -> tuple[int, bool]:
        """One worker from its start to its end: its exit code, and whether it served for a while."""
        try:
            worker = await Worker.spawn(self._begin(number), self._hear, self._place_again)
        except OSError as error:
            self._warn(f"no process could be started: {error}")
            return ExitCode.UNAVAILABLE, False
        self._workers[number] = worker
        if self._stop.is_set():
            worker.drain()
        code = await worker.ended()
        forget(self._metrics, number)
        if self._stop.is_set():
            self._in_order = self._in_order and (code == ExitCode.OK or worker.ready_s is None)
        else:
            self._warn(f"service process {number} (pid {worker.process.pid}) ended with code {code}")
        return code, worker.ready_s is not None and time.monotonic() - worker.ready_s > SOON_S

    def _warn(self, text: str) -> None:
        with contextlib.suppress(OSError):  # where there are too many open files, printing fails too
            self._terminal.warn(text)

    def _begin(self, number: int) -> Begin:
        settings = self._settings.model_copy(update={"duties": self._settings.duties and number == 0})
        return Begin(number, self._store, str(self._metrics), settings.model_dump_json())

    async def _hand_out(self) -> None:
        """Accept connections and give them away, one after the other."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:  # too many open files, or a client that is gone
                self._warn(f"a connection was not accepted: {error}")
                await asyncio.sleep(PAUSE_S)
            else:
                await self._place(connection)

    async def _place(self, connection: socket.socket) -> None:
        """Give a connection to the worker with the fewest; wait while none takes it."""
        try:
            while not self._give(connection):
                self._news.clear()
                await self._news.wait()
        except BaseException:
            connection.close()
            raise

    def _give(self, connection: socket.socket) -> bool:
        takers = [worker for worker in self._workers if worker is not None and worker.takes]
        for worker in sorted(takers, key=lambda worker: (worker.open, worker.given_at)):
            if worker.give(connection):
                self._gifts += 1
                worker.given_at = self._gifts
                return True
        return False

    def _place_again(self, connection: socket.socket) -> None:
        """A connection that a worker did not take."""
        task = asyncio.create_task(self._place(connection))
        self._giving.add(task)
        task.add_done_callback(self._giving.discard)

    def _hear(self) -> None:
        self._news.set()
        if all(worker is not None and worker.ready_s is not None for worker in self._workers):
            self._complete.set()


class Worker:
    """This end of one worker process: what it was given, and what it told."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: socket.socket,
        heard: Callable[[], None],
        untaken: Callable[[socket.socket], None],
    ) -> None:
        self.process = process
        self.ready_s: float | None = None
        """When it became ready; None before."""
        self.open = 0
        """Connections given to it and not told closed."""
        self.given_at = 0
        """The number of the last gift to it."""
        self._leaving = False
        self._lost = False
        """It had no descriptor free, and no connection of it has closed since."""
        self._on_their_way: deque[socket.socket] = deque()
        self._channel = channel
        self._heard = heard
        self._untaken = untaken
        asyncio.get_running_loop().add_reader(channel, self._hear)

    @classmethod
    async def spawn(cls, begin: Begin, heard: Callable[[], None], untaken: Callable[[socket.socket], None]) -> Worker:
        """Start a process. `heard` is called after news, `untaken` for each connection that it will not take.

        Raises OSError.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "api.cli.worker", stdin=theirs.fileno(), stdout=2, start_new_session=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(process, ours, heard, untaken)
        with contextlib.suppress(OSError):  # dead already, which `ended` tells
            await asyncio.get_running_loop().sock_sendall(ours, msgspec.json.encode(begin) + b"\n")
        return worker

    @property
    def takes(self) -> bool:
        """Whether it may be given a connection now."""
        full = len(self._on_their_way) >= UNTAKEN_MAX or (self._lost and self.open)
        return self.ready_s is not None and not self._leaving and not full

    def give(self, connection: socket.socket) -> bool:
        """Hand over a connection, which is kept until it is taken; False if it cannot be sent."""
        try:
            socket.send_fds(self._channel, [CONNECTION], [connection.fileno()])
        except OSError:  # no room in its queue, or it is dead
            return False
        self._on_their_way.append(connection)
        self.open += 1
        return True

    def drain(self) -> None:
        """Tell it to answer what it has and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force, if it still runs."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it died, which is not known yet
                self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of the process: its exit code, negative for a signal."""
        code = await self.process.wait()
        self._hear()  # what it said last
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._leave()
        return code

    def _leave(self) -> None:
        self._leaving = True
        while self._on_their_way:
            self._give_back()

    def _give_back(self) -> None:
        self.open -= 1
        self._untaken(self._on_their_way.popleft())

    def _hear(self) -> None:
        try:
            said = self._channel.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:  # its end was closed by its death
            asyncio.get_running_loop().remove_reader(self._channel)
        for place in range(len(said)):
            self._understand(said[place : place + 1])
        self._heard()

    def _understand(self, news: bytes) -> None:
        if news == TAKEN:
            self._on_their_way.popleft().close()
        elif news == LOST:
            self._lost = True
            self._give_back()
        elif news == CLOSED:
            self._lost = False
            self.open -= 1
        elif news == READY:
            self.ready_s = time.monotonic()
        elif news == LEAVING:
            self._leave()
