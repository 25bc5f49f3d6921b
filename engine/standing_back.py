"""How a process of ours stands back behind those that decide orders."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

NICENESS_MAX = 19
_GROUP = Path("/proc/self/autogroup")
_TRIES, _APART_S = 50, 0.11
"""Linux takes one such change in a tenth of a second from all of its users."""


def stand_back(niceness: int, *, idle: bool = False) -> None:
    """Let others go first. `niceness`: 0 to 19, how far; `idle`: where the system knows idle time, it has only that.

    Call it once, at the start, in a process that begins a session of its own.
    """
    os.nice(niceness)
    if sys.platform != "linux":
        return
    if idle:
        with contextlib.suppress(OSError):  # not allowed everywhere
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if (back := NICENESS_MAX if idle else niceness) and os.getsid(0) == os.getpid():
        group_stands_back(back)


def group_stands_back(niceness: int) -> None:
    """Let the group of this process's session stand back, and nobody who is started in another session.

    Where Linux groups processes by session, the processor is shared among groups first: niceness and idle time say
    only who goes first within one, and a process alone in its session would get as much as the service.
    """
    for _ in range(_TRIES):
        try:
            _GROUP.write_text(str(niceness))
            return
        except BlockingIOError:
            time.sleep(_APART_S)
        except OSError:  # there are no such groups
            return
