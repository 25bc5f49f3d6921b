"""All jobs of a data directory. Ids grow with time, so their sequence is that of acceptance.

partitions/<partition>/<job id>/  a job's folder
waiting/<job id>~<partition>      an empty file for each job that has not ended, so that looking for them is cheap
lock                              held by the process that performs, of all that look
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path

from engine.errors import NotFoundError
from engine.simulation.jobs.folder import COMING, Folder, settle

JOB_ID_PATTERN = r"^[0-9]{13}-[0-9a-f]{16}$"
_JOB_ID = re.compile(JOB_ID_PATTERN[1:-1])
GONE = ".gone"
STALE_MS = 24 * 3_600_000
"""After so long what was coming did not come, for its process is dead."""


class Shelf:
    """Finds jobs by partition and id."""

    def __init__(self, directory: Path) -> None:
        self._partitions = directory / "partitions"
        self._waiting = directory / "waiting"
        self._lock_file = directory / "lock"
        self._lock: int | None = None

    def reserve(self, partition: str, now_ms: int) -> tuple[str, Folder]:
        """A new id, and a folder for what is to become its job; `place` puts it where it is found."""
        job_id = f"{now_ms:013d}-{secrets.token_hex(8)}"
        path = self._partitions / partition / (job_id + COMING)
        path.mkdir(parents=True)
        return job_id, Folder(path)

    def place(self, folder: Folder) -> Folder:
        """From now on the job is there, and waits."""
        placed = Folder(folder.path.with_suffix(""))
        self._waiting.mkdir(parents=True, exist_ok=True)
        self._ticket(placed).touch()
        folder.path.rename(placed.path)
        settle(placed.path.parent)
        return placed

    def _ticket(self, folder: Folder) -> Path:
        return self._waiting / f"{folder.path.name}~{folder.path.parent.name}"

    def waiting(self) -> list[Folder]:
        """Jobs that have not ended, as far as is known, the oldest first."""
        found = []
        for job_id, partition in self._tickets():
            folder = Folder(self._partitions / partition / job_id)
            if folder.is_founded():
                found.append(folder)
        return found

    def _tickets(self) -> list[tuple[str, str]]:
        """(job id, partition) of each ticket, the oldest first."""
        parts = [name.partition("~") for name in sorted(_names(self._waiting))]
        return [(job_id, partition) for job_id, _, partition in parts if _JOB_ID.fullmatch(job_id)]

    def ended(self, folder: Folder) -> None:
        """It waits no more."""
        self._ticket(folder).unlink(missing_ok=True)

    def find(self, partition: str, job_id: str) -> Folder:
        """A job of this partition. Raises NotFoundError."""
        folder = Folder(self._partitions / partition / job_id)
        if _JOB_ID.fullmatch(job_id) is None or not folder.is_founded():
            raise NotFoundError(f"there is no simulation {job_id!r} in this partition")
        return folder

    def partitions(self) -> list[str]:
        """Those that have jobs, or had some."""
        return sorted(each.name for each in _inside(self._partitions))

    def ids(self, partition: str) -> list[str]:
        """Ids of the jobs of a partition, the oldest first."""
        return sorted(each.name for each in _inside(self._partitions / partition) if _JOB_ID.fullmatch(each.name))

    def folders(self, partition: str) -> list[Folder]:
        """Those jobs themselves."""
        return [Folder(self._partitions / partition / job_id) for job_id in self.ids(partition)]

    def remove(self, folder: Folder) -> None:
        """It is no longer found, and then its files go. Harmless where it is gone already."""
        gone = folder.path.with_name(folder.path.name + GONE)
        try:
            folder.path.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def clear_up(self, now_ms: int) -> None:
        """Remove what a killed process left half there."""
        for partition in self.partitions():
            for each in _inside(self._partitions / partition):
                coming = each.suffix == COMING and _JOB_ID.fullmatch(each.stem)
                stale = coming and int(each.name[:13]) < now_ms - STALE_MS
                if stale or each.suffix == GONE:
                    shutil.rmtree(each, ignore_errors=True)
        for job_id, partition in self._tickets():
            folder = Folder(self._partitions / partition / job_id)
            if int(job_id[:13]) < now_ms - STALE_MS and not folder.path.is_dir():
                self.ended(folder)

    def lock(self) -> bool:
        """Be the process that performs, if no other is; until `unlock`, or until it dies."""
        if self._lock is None:
            self._lock_file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Let another process perform."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _inside(directory: Path) -> list[Path]:
    """Directories in a directory; none if there is none."""
    return [path for name in _names(directory) if (path := directory / name).is_dir()]


def _names(directory: Path) -> list[str]:
    """Names of what is in a directory; none if there is none."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
