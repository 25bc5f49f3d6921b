"""The embedded store: one server program that lives exactly as long as the command line that started it.

    async with EmbeddedServer(data_dir) as server:
        ...  # server.url

A thread looks after it. It starts a guardian (`guard`), which starts the store and ends it when it is told to,
or when this process is gone; it waits until the store has loaded its data; and it starts it again, with a growing
delay, if it exits unasked. The data directory stays locked all the while, by the store itself too.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType

import structlog

from engine.ledger.server import config, files
from engine.ledger.server.binary import Binary, find_binary
from engine.ledger.server.errors import ServerError, ServerStartError
from engine.ledger.server.files import DirLock, SocketPlace
from engine.ledger.server.probe import probe, shut_down
from engine.ledger.server.process import GuardedProcess

_log = structlog.get_logger(__name__)

_LOG_LINES = 12
_LOG_CHECK_S = 15.0
_PROBE_S = 0.02


class Phase(Enum):
    """Where the store is in its life. Only RUNNING takes commands."""

    STOPPED = "stopped"
    STARTING = "starting"
    LOADING = "loading"
    RUNNING = "running"
    WAITING = "waiting"
    """It exited, and is started again after a delay."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ServerExit:
    """How a store ended unasked. `code`: exit code, negative for a signal, None if unknown. `log`: its last lines."""

    code: int | None
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of the store now. `problem`: why it does not run, in words; None while all is well."""

    phase: Phase = Phase.STOPPED
    pid: int | None = None
    loaded_percent: float = 0.0
    restarts: int = 0
    last_exit: ServerExit | None = None
    problem: str | None = None

    @property
    def running(self) -> bool:
        """Whether it takes commands."""
        return self.phase is Phase.RUNNING


@dataclass(frozen=True, slots=True)
class Patience:
    """All waits of the supervisor, in seconds."""

    lock_s: float = 10.0
    """For the store of a predecessor that was killed to end."""
    ready_s: float = 900.0
    """For the store to answer and to have loaded its data."""
    grace_s: float = 10.0
    """Between asking the store to end and killing it."""
    restart_first_s: float = 0.05
    restart_max_s: float = 2.0
    """The delay before a restart doubles from the first to the maximum."""
    stable_s: float = 30.0
    """A store that ran this long starts again after the first delay, as if it had never failed."""


def next_delay_s(delay_s: float, ran_s: float, patience: Patience) -> float:
    """Seconds to wait before the next restart, after a wait of `delay_s` and a run of `ran_s` seconds."""
    if ran_s >= patience.stable_s:
        return patience.restart_first_s
    return min(max(2 * delay_s, patience.restart_first_s), patience.restart_max_s)


Callback = Callable[[ServerStatus], None]


class EmbeddedServer:
    """A Valkey or Redis on `data_dir`, from `start` to `stop`; made once by the parent, never by a worker.

    `binary`: the program, None to find one. `min_free_bytes`: below it the store is neither started nor restarted.
    `maxmemory_bytes`: None for a share of the machine's memory, 0 for no limit.
    `on_progress` hears of every change of the status (starting, percent loaded, running), `on_exit` of every exit
    unasked; both are called by the supervisor's thread and must return soon.
    """

    def __init__(
        self,
        data_dir: Path | str,
        binary: Path | None = None,
        *,
        min_free_bytes: int = files.MIN_FREE_BYTES,
        maxmemory_bytes: int | None = None,
        patience: Patience | None = None,
        on_progress: Callback | None = None,
        on_exit: Callback | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._binary = binary
        self._min_free_bytes = min_free_bytes
        self._maxmemory_bytes = config.default_maxmemory_bytes() if maxmemory_bytes is None else maxmemory_bytes
        self._patience = patience or Patience()
        self._on_progress = on_progress
        self._on_exit = on_exit
        self._status = ServerStatus()
        self._asked_to_stop = threading.Event()
        self._settled = threading.Event()
        """The first start has succeeded or failed."""
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._process: GuardedProcess | None = None
        self._place: SocketPlace | None = None

    @property
    def status(self) -> ServerStatus:
        """The latest status; may be read by any thread at any time."""
        return self._status

    @property
    def url(self) -> str:
        """`unix://...` for clients; the same over restarts. Raises ServerError before the start."""
        if self._place is None:
            raise ServerError("The embedded store has not been started.")
        return self._place.url

    def start(self) -> str:
        """Start the store and return its URL once it takes commands. Blocks for as long as it loads.

        Raises DataDirBusyError, DiskFullError, BinaryMissingError or ServerStartError; nothing is left running then.
        """
        if self._thread is not None:
            raise ServerError("The embedded store has been started already.")
        self._asked_to_stop.clear()
        self._settled.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._supervise, name="store-supervisor", daemon=True)
        self._thread.start()
        try:
            self._settled.wait()
        except BaseException:
            self.stop()
            raise
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self.url

    def stop(self) -> None:
        """End the store (SIGTERM, and SIGKILL if it takes too long) and release the directory. Safe to repeat."""
        thread = self._thread
        if thread is None:
            return
        self._asked_to_stop.set()
        process = self._process
        if process is not None:
            process.wake()
        thread.join()
        self._thread = None

    async def __aenter__(self) -> EmbeddedServer:
        """Start without blocking the event loop; cancelled while loading, the store is ended first."""
        try:
            await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop without blocking the event loop."""
        await asyncio.to_thread(self.stop)

    def __enter__(self) -> EmbeddedServer:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    # -- the supervisor's thread ---------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        lock: DirLock | None = None
        try:
            self._tell(phase=Phase.STARTING, restarts=0, last_exit=None, problem=None)
            lock = DirLock.take(self.data_dir, self._patience.lock_s)
            binary = find_binary(self._binary, self.data_dir / "run")
            self._place = files.place_socket(self.data_dir)
            files.keep_private(self.data_dir)
            self._keep_running(lock, binary, self._place)
        except BaseException as error:
            self._failure = error
            if self._settled.is_set():
                _log.exception("store_supervisor_failed")
        finally:
            if self._place is not None:
                self._place.remove()
            if lock is not None:
                lock.release()
            self._tell(phase=Phase.STOPPED, pid=None, loaded_percent=0.0)
            self._settled.set()

    def _keep_running(self, lock: DirLock, binary: Binary, place: SocketPlace) -> None:
        """Run the store again and again until asked to stop. Raises the first run's error if it does not get ready."""
        delay_s = 0.0
        while not self._asked_to_stop.wait(delay_s):
            began = time.monotonic()
            try:
                self._run_once(lock, binary, place)
            except (ServerError, OSError) as error:
                if not self._settled.is_set():
                    raise
                self._tell(problem=str(error))
            if self._asked_to_stop.is_set():
                break
            delay_s = next_delay_s(delay_s, time.monotonic() - began, self._patience)
            self._tell(phase=Phase.WAITING, pid=None, loaded_percent=0.0)
        if not self._settled.is_set():
            raise ServerStartError("The store was asked to stop before it was ready.")

    def _run_once(self, lock: DirLock, binary: Binary, place: SocketPlace) -> None:
        """Start the store, wait until it is ready, and stay until it exits or is to be stopped."""
        files.require_free(self.data_dir, self._min_free_bytes)
        files.bound_log(self.data_dir)
        log_before = files.log_size(self.data_dir)
        if self._settled.is_set():
            self._tell(phase=Phase.STARTING, restarts=self._status.restarts + 1)
        with GuardedProcess(
            config.command(binary, self.data_dir, place.path, self._maxmemory_bytes),
            config.environment(os.environ),
            lock_fd=lock.store_fd,
            log_file=files.log_path(self.data_dir),
            socket_file=place.path,
            temporary_dir=place.temporary_dir,
            grace_s=self._patience.grace_s,
        ) as process:
            self._process = process
            try:
                self._watch(process, lock, place)
            finally:
                self._process = None
                if self._asked_to_stop.is_set():
                    self._tell(phase=Phase.STOPPING)
                process.stop()
        if process.lost and not shut_down(place.path, self._patience.grace_s):
            process.kill_lost(probe(place.path))
        if not self._asked_to_stop.is_set():
            self._exited(process.exit_code, log_before)

    def _watch(self, process: GuardedProcess, lock: DirLock, place: SocketPlace) -> None:
        """Until the store exits or is to be stopped. Raises ServerStartError if it is not ready in time."""
        deadline = time.monotonic() + self._patience.ready_s
        while not self._asked_to_stop.is_set() and process.wait(_PROBE_S):
            if process.pid is None:
                continue
            if self._status.pid != process.pid:
                self._tell(pid=process.pid)
                lock.say(process.pid, place)
            answer = probe(place.path)
            if answer is not None and answer.ready:
                break
            if answer is not None:
                self._tell(phase=Phase.LOADING, loaded_percent=answer.loaded_percent)
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"The store was not ready within {self._patience.ready_s:.0f} s. " + self._last_lines(0)
                )
        else:
            return
        self._tell(phase=Phase.RUNNING, loaded_percent=100.0, problem=None)
        self._settled.set()
        while not self._asked_to_stop.is_set() and process.wait(_LOG_CHECK_S):
            files.bound_log(self.data_dir)

    def _exited(self, code: int | None, log_before: int) -> None:
        """Note an exit that nobody asked for. During the first start it is an error."""
        how = "for an unknown reason" if code is None else f"by signal {-code}" if code < 0 else f"with code {code}"
        problem = f"The store ended {how}."
        if not self._settled.is_set():
            raise ServerStartError(f"{problem} {self._last_lines(log_before)}")
        lines = files.last_log_lines(self.data_dir, log_before, _LOG_LINES)
        self._tell(phase=Phase.WAITING, pid=None, last_exit=ServerExit(code, lines), problem=problem)
        _log.error("store_exited", code=code, restarts=self._status.restarts, log=lines[-2:])
        self._call(self._on_exit)

    def _last_lines(self, since: int) -> str:
        lines = files.last_log_lines(self.data_dir, since, _LOG_LINES)
        where = f"Its log is {files.log_path(self.data_dir)}"
        return f"{where}, ending:\n" + "\n".join(lines) if lines else where + "."

    def _tell(self, **changes: object) -> None:
        status = replace(self._status, **changes)  # type: ignore[arg-type]
        if status != self._status:
            self._status = status
            self._call(self._on_progress)

    def _call(self, callback: Callback | None) -> None:
        """A callback that raises must not take the store with it."""
        if callback is None:
            return
        try:
            callback(self._status)
        except Exception:
            _log.exception("store_callback_failed")
