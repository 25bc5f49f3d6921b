"""What the embedded store keeps on disk: the lock on its data directory, its socket, its log, and room to write.

DATA_DIR/server.lock      locked for the store's whole life; says who holds it
DATA_DIR/appendonlydir/   the store's own files
DATA_DIR/store.log        its log, and store.log.1, the one before
DATA_DIR/run/store.sock   its socket, unless that path is too long or takes no sockets: then in a temporary directory
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec

from engine.ledger.server.errors import DataDirBusyError, DiskFullError, ServerError
from engine.ledger.server.probe import probe, shut_down

SOCKET_PATH_BYTES_MAX = 100
"""Unix socket paths end at 103 (macOS) or 107 bytes (Linux); the store and its clients must all be able to say it."""

LOG_BYTES_MAX = 8 * 2**20
"""A log larger than this becomes `store.log.1`, replacing the one before."""

MIN_FREE_BYTES = 256 * 2**20
"""Below this the store is not started: with every commit on disk before its answer, it exits when it cannot write."""

_LOCK = "server.lock"
_OWNER = "server.owner"
_TEMPORARY_PREFIX = "apportion-"
_PATIENCE_S = 0.05

_held: set[int] = set()
"""Descriptors of the locks that this process holds. A forked child closes its copies; only the store keeps one."""


def _let_go() -> None:
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class Holder(msgspec.Struct, frozen=True):
    """Who holds a data directory, as written in `server.owner`. Process ids; `server_pid` 0 until the store runs."""

    pid: int
    server_pid: int
    url: str
    temporary_dir: str = ""


@dataclass(frozen=True, slots=True)
class SocketPlace:
    """Where the store listens. `temporary_dir` goes with the socket; None if that is in the data directory."""

    path: Path
    temporary_dir: Path | None

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        return f"unix://{quote(str(self.path))}"

    def remove(self) -> None:
        """Remove the socket, and its directory if that is temporary. Nothing happens if they are gone."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        if self.temporary_dir is not None:
            with contextlib.suppress(OSError):
                self.temporary_dir.rmdir()


class DirLock:
    """The two locks on a data directory: the owner's, which ends with this process, and the store's, which it inherits.

    So a store that outlives its owner keeps the directory locked, and is told from one whose owner lives: by locks,
    not by process ids, which are given out again.
    """

    def __init__(self, data_dir: Path, owner_fd: int, store_fd: int) -> None:
        self._data_dir = data_dir
        self._owner_fd = owner_fd
        self.store_fd = store_fd
        _held.update((owner_fd, store_fd))

    @classmethod
    def take(cls, data_dir: Path, wait_s: float) -> DirLock:
        """Lock `data_dir`, making it if need be. Raises DataDirBusyError within half a second if its owner lives.

        If the owner is dead, its store is on its way out: wait up to half of `wait_s`, then ask it to end, and wait the
        rest. Raises DataDirBusyError if it does not end.
        """
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as on_error:
            owner_fd = _open(data_dir / _OWNER)
            on_error.callback(os.close, owner_fd)
            _wait_for_owner(owner_fd, data_dir)
            predecessor = _read_holder(owner_fd) or Holder(0, 0, "")
            _write_holder(owner_fd, msgspec.structs.replace(predecessor, pid=os.getpid()))
            store_fd = _open(data_dir / _LOCK)
            on_error.callback(os.close, store_fd)
            _wait_for_store(store_fd, data_dir, predecessor, wait_s)
            _remove_remains(predecessor)
            _write_holder(owner_fd, Holder(os.getpid(), 0, ""))
            on_error.pop_all()
        return cls(data_dir, owner_fd, store_fd)

    def say(self, server_pid: int, place: SocketPlace) -> None:
        """Write down which store runs, and where."""
        _write_holder(self._owner_fd, Holder(os.getpid(), server_pid, place.url, str(place.temporary_dir or "")))

    def release(self) -> None:
        """Forget the holder and give up both locks. The store must have ended."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._owner_fd, 0)
        for fd in (self.store_fd, self._owner_fd):
            _held.discard(fd)
            os.close(fd)


def running_url(data_dir: Path) -> str | None:
    """The URL of the store that serves `data_dir` now, for tools beside the service; None if none answers."""
    with contextlib.ExitStack() as at_end:
        try:
            lock_fd = os.open(data_dir / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
            at_end.callback(os.close, lock_fd)
            owner_fd = os.open(data_dir / _OWNER, os.O_RDONLY | os.O_CLOEXEC)
            at_end.callback(os.close, owner_fd)
        except OSError:
            return None
        if _try_lock(lock_fd, fcntl.LOCK_SH, data_dir):
            return None
        holder = _read_holder(owner_fd)
    if holder is None or not holder.url or probe(socket_of(holder.url)) is None:
        return None
    return holder.url


def keep_private(data_dir: Path) -> None:
    """Close the store's own files to other users, where an earlier version or a copy left them open."""
    with contextlib.suppress(OSError):
        (data_dir / "appendonlydir").chmod(0o700)


def socket_of(url: str) -> Path:
    """The socket behind a `unix://` URL."""
    return Path(unquote(urlsplit(url).path))


def place_socket(data_dir: Path) -> SocketPlace:
    """A place for the store's socket in a directory that only this user can enter.

    In the data directory if its path is short enough and its file system takes sockets, else in a new temporary one.
    The caller holds the lock, so a socket that is there already is nobody's. Raises ServerError if no place will do.
    """
    home = data_dir / "run"
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    place = SocketPlace(home / "store.sock", None)
    if _takes_socket(place.path):
        return place
    for parent in (tempfile.gettempdir(), "/tmp"):
        try:
            temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=parent))
        except OSError:
            continue
        place = SocketPlace(temporary / "s", temporary)
        if _takes_socket(place.path):
            return place
        place.remove()
    raise ServerError(
        f"No place for the store's socket: {home} is too long or takes no sockets (the limit is "
        f"{SOCKET_PATH_BYTES_MAX} bytes), and neither does the temporary directory. Set TMPDIR to a short path."
    )


def free_bytes(data_dir: Path) -> int:
    """Bytes that may still be written where `data_dir` is, by this user."""
    return shutil.disk_usage(data_dir).free


def require_free(data_dir: Path, min_free_bytes: int = MIN_FREE_BYTES) -> int:
    """Bytes free at `data_dir`. Raises DiskFullError if they are fewer than `min_free_bytes`."""
    free = free_bytes(data_dir)
    if free < min_free_bytes:
        raise DiskFullError(
            f"Only {free / 2**20:.0f} MiB are free for {data_dir}; the store needs at least "
            f"{min_free_bytes / 2**20:.0f} MiB, because it stops when it cannot write. Free some space, or choose "
            "another data directory."
        )
    return free


def log_path(data_dir: Path) -> Path:
    """The store's log."""
    return data_dir / "store.log"


def bound_log(data_dir: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Put the log aside once it is larger than `bytes_max`. The store opens it anew for each line: no signal needed."""
    log = log_path(data_dir)
    with contextlib.suppress(OSError):
        if log.stat().st_size > bytes_max:
            log.replace(log.with_name(log.name + ".1"))


def last_log_lines(data_dir: Path, since: int, count: int) -> tuple[str, ...]:
    """At most the last `count` lines of the log behind byte `since` (from its start if it has become shorter)."""
    try:
        with log_path(data_dir).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(since if since <= size else 0, size - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(line for line in lines if line.strip())[-count:]


def log_size(data_dir: Path) -> int:
    """Bytes in the log, 0 if there is none."""
    try:
        return log_path(data_dir).stat().st_size
    except OSError:
        return 0


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int, kind: int, data_dir: Path) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ServerError(f"{data_dir} cannot be locked ({error}); the store needs a local file system.") from error
    return True


def _wait_for_owner(owner_fd: int, data_dir: Path) -> None:
    """Lock `server.owner`. The short wait is for an owner that was just killed, or has not yet written its name."""
    for _ in range(10):
        if _try_lock(owner_fd, fcntl.LOCK_EX, data_dir):
            return
        time.sleep(_PATIENCE_S)
    holder = _read_holder(owner_fd)
    if holder is None or not _alive(holder.pid):
        raise DataDirBusyError(f"{data_dir} is in use by a process that cannot be seen from here.", None)
    raise DataDirBusyError(
        f"{data_dir} is in use: process {holder.pid} serves it. Stop that one first, or choose another data directory.",
        holder.pid,
    )


def _wait_for_store(store_fd: int, data_dir: Path, predecessor: Holder, wait_s: float) -> None:
    """Lock `server.lock`; only a store whose owner is dead can hold it for long."""
    started = time.monotonic()
    while not _try_lock(store_fd, fcntl.LOCK_EX, data_dir):
        waited_s = time.monotonic() - started
        if waited_s >= wait_s:
            pid = predecessor.server_pid or None
            raise DataDirBusyError(
                f"{data_dir} is in use: process {pid or '(unknown)'}, a store whose owner is gone, does not end.", pid
            )
        if predecessor.url and waited_s >= wait_s / 2:
            shut_down(socket_of(predecessor.url), wait_s / 4)
        time.sleep(_PATIENCE_S)


def _read_holder(fd: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(fd, 4_096, 0), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None


def _write_holder(fd: int, holder: Holder) -> None:
    body = msgspec.json.encode(holder)
    os.pwrite(fd, body, 0)
    os.ftruncate(fd, len(body))


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_remains(predecessor: Holder) -> None:
    """Remove the temporary directory of a predecessor that was killed together with its guardian."""
    temporary = Path(predecessor.temporary_dir)
    if predecessor.temporary_dir and temporary.name.startswith(_TEMPORARY_PREFIX):
        SocketPlace(temporary / "s", temporary).remove()


def _takes_socket(path: Path) -> bool:
    """Whether a socket can be made at `path`; what was there is removed."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        return False
    trial = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        trial.bind(str(path))
        path.unlink()
    except OSError:
        return False
    finally:
        trial.close()
    return True
