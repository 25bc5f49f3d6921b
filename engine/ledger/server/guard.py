"""The store's guardian: a tiny process between the command line and the store, run as a script of its own.

It starts the store as its child and ends it when the command line says so, or is gone: killed with -9, its pipe closes
and the guardian's parent is another. So the store dies with its parent on every system, and whoever ends the
store is its own parent, for whom its process id cannot have been given to another process.
If the guardian itself is killed, the kernel kills the store (Linux), or the supervisor ends it through its socket.

    python -I -S guard.py PARENT_PID GRACE_S LOCK_FD LOG_FILE SOCKET TEMPORARY_DIR|"" PROGRAM ARGUMENT...

Standard output, one line each: `started PID`, `exited CODE` (negative: the signal). Any input, or its end: stop.
It is in a session of its own and takes no signals: Ctrl-C is for the command line, which then stops the store last.
Only the standard library, and only a few modules of it: it must start in milliseconds.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

PARENT_CHECK_S = 0.25
"""How often to look whether the parent still lives, should its pipe have been inherited by another process."""


def guard(parent_pid: int, grace_s: float, lock_fd: int, log_file: str, program: list[str]) -> tuple[int, bool]:
    """Run `program` until it exits, or is to be stopped. Its exit code, and whether the parent is gone."""
    alarm_read, alarm_write = os.pipe()
    os.set_blocking(alarm_read, False)
    os.set_blocking(alarm_write, False)
    for each in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    signal.set_wakeup_fd(alarm_write, warn_on_full_buffer=False)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    store = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(lock_fd,),
        preexec_fn=die_with_parent(),
    )
    say(f"started {store.pid}")
    while store.poll() is None:
        ready, _, _ = select.select([0, alarm_read], [], [], PARENT_CHECK_S)
        if alarm_read in ready:
            os.read(alarm_read, 4_096)
        orphaned = os.getppid() != parent_pid
        if 0 in ready or orphaned:
            end(store, grace_s)
            break
    return store.returncode, os.getppid() != parent_pid


def end(store: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """SIGTERM, wait, and SIGKILL if it did not end within `grace_s` seconds."""
    store.terminate()
    deadline = time.monotonic() + grace_s
    while store.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if store.poll() is None:
        store.kill()
        store.wait()


def die_with_parent() -> Callable[[], None] | None:
    """What the child runs before it becomes the store. Linux: the kernel shall kill it when this process is killed.

    The signal comes when the *thread* that started it ends; this process has but one.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    guardian = os.getpid()
    set_parent_death_signal = 1

    def prepare() -> None:
        prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guardian:
            os._exit(1)

    return prepare


def say(line: str) -> None:
    """One line to the parent, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


def main(arguments: list[str]) -> None:
    """See the module's description. A parent that is gone leaves nothing to tidy up: its socket is removed here."""
    os.umask(0o077)
    parent_pid, grace_s, lock_fd, log_file, socket_file, temporary_dir, *program = arguments
    code, orphaned = guard(int(parent_pid), float(grace_s), int(lock_fd), log_file, program)
    if orphaned:
        with contextlib.suppress(OSError):
            os.unlink(socket_file)
        if temporary_dir:
            with contextlib.suppress(OSError):
                os.rmdir(temporary_dir)
    say(f"exited {code}")


if __name__ == "__main__":
    main(sys.argv[1:])
