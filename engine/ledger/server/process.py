"""The supervisor's end of the pipe to the guardian: one run of the store."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from engine.ledger.server import guard
from engine.ledger.server.probe import Answer

_MARGIN_S = 3.0
"""What the guardian gets beyond the store's grace before both are killed."""


class GuardedProcess:
    """One run of the store under its guardian. Used by one thread; only `wake` may be called by others."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        *,
        lock_fd: int,
        log_file: Path,
        socket_file: Path,
        temporary_dir: Path | None,
        grace_s: float,
    ) -> None:
        """Start `command` under a guardian. Both inherit `lock_fd`. Raises OSError if no process can be made."""
        self.pid: int | None = None
        """The store's process id, once the guardian has told it."""
        self.exit_code: int | None = None
        """Exit code of the store, negative for a signal, None until known."""
        self._grace_s = grace_s
        self._said = b""
        self._ended = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._wake_lock = threading.Lock()
        """So that no other thread writes to the pipe's number after it was closed."""
        arguments = [os.getpid(), grace_s, lock_fd, log_file, socket_file, temporary_dir or "", *command]
        with log_file.open("ab") as log:
            log_file.chmod(0o600)
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock_fd,),
                env=environment,
                start_new_session=True,
                cwd=log_file.parent,
            )
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._orders, self._news = self._guard.stdin, self._guard.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._news, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)

    def __enter__(self) -> GuardedProcess:
        """Nothing happens; the store runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it if it still runs, and close all pipes."""
        self.stop()
        self._selector.close()
        for pipe in (self._orders, self._news):
            with contextlib.suppress(OSError):
                pipe.close()
        with self._wake_lock:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1

    @property
    def lost(self) -> bool:
        """The guardian ended without telling of the store's end: it was killed, and the store may still run."""
        return self._ended and self.exit_code is None and self.pid is not None

    def wait(self, seconds: float) -> bool:
        """Wait for news, at most so long, or until woken. False once the store, or its guardian, has ended."""
        for key, _ in self._selector.select(seconds):
            if key.fd == self._wake_read:
                os.read(self._wake_read, 4_096)
            else:
                self._hear()
        return not self._ended

    def wake(self) -> None:
        """Make a `wait` in another thread return."""
        with self._wake_lock, contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def stop(self) -> None:
        """Have the guardian end the store; kill both if that takes longer than the grace and a margin."""
        if not self._ended:
            with contextlib.suppress(OSError):
                self._orders.write(b"stop\n")
                self._orders.flush()
            deadline = time.monotonic() + self._grace_s + _MARGIN_S
            while not self._ended and time.monotonic() < deadline:
                self.wait(deadline - time.monotonic())
            if not self._ended and self.pid is not None:
                # The guardian has not heard of the store's end, so the id is still the store's.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            if not self._ended:
                self._guard.kill()
        self._guard.wait()

    def kill_lost(self, answer: Answer | None) -> None:
        """Kill a store that outlived its guardian and does not end when asked; `answer`: what it said last."""
        if self.pid is not None and (answer is None or answer.pid in (0, self.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _hear(self) -> None:
        """Take in what the guardian says; the end of its pipe is its end."""
        said = os.read(self._news.fileno(), 4_096)
        if not said:
            self._ended = True
            return
        *lines, self._said = (self._said + said).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"started":
                self.pid = int(number)
            elif word == b"exited":
                self.exit_code = int(number)
