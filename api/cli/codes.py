"""Exit codes: the same number means the same thing in every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on; `apportion --help` lists them."""

    OK = 0
    PROBLEMS = 1
    """It ran, and found something wrong: bad rows, a difference, a failed check."""
    USAGE = 2
    """The command line or a file it names cannot be used."""
    UNAVAILABLE = 3
    """A service or store that is needed is not there, or the port or data directory is taken."""
    INTERRUPTED = 130
    """Ctrl-C."""


EPILOG = (
    "Exit codes: 0 done, 1 problems found, 2 unusable arguments, 3 service, store or port not available, 130 Ctrl-C."
)
