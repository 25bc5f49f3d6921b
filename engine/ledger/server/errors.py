"""What can keep the embedded store from serving. All of it is for the person at the command line, none for a caller.

ServerError
├── BinaryMissingError      no usable server program on this machine
├── DataDirBusyError        another process serves this data directory; `.pid` says which, if known
├── DiskFullError           too little free space to write safely
└── ServerStartError        it was started and did not become ready; the text ends with its last log lines
"""

from __future__ import annotations


class ServerError(Exception):
    """Base of the tree; the text says what is wrong and what to do."""


class BinaryMissingError(ServerError):
    """No server program was found that is new enough and runs here."""


class DataDirBusyError(ServerError):
    """The data directory is locked by another store. `pid` is the process that started it, None if unknown."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class DiskFullError(ServerError):
    """Less space is free than the store needs to go on writing."""


class ServerStartError(ServerError):
    """The store exited, or did not answer in time, before it was ready."""
