"""Processes that stand back: within their session, and their session among others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import standing_back
from engine.standing_back import stand_back

GROUP = Path("/proc/self/autogroup")
grouped = pytest.mark.skipif(not GROUP.exists(), reason="this system does not group processes by session")


def process(call: str, *, own_session: bool) -> tuple[int, int, int]:
    """(niceness, policy, the group's niceness) of a process once it has stood back."""
    code = (
        "import os\nfrom pathlib import Path\nfrom engine.standing_back import stand_back\n"
        f"{call}\nprint(os.nice(0), os.sched_getscheduler(0), Path('{GROUP}').read_text().split()[-1])"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=True, start_new_session=own_session)
    nice, policy, group = map(int, ended.stdout.split())
    return nice, policy, group


@grouped
def test_a_process_in_a_session_of_its_own_stands_back_with_its_group() -> None:
    """Protects orders: Linux shares processors among sessions first, where a niceness within one says nothing."""
    own = os.nice(0)
    assert process("stand_back(10)", own_session=True) == (min(19, own + 10), os.SCHED_OTHER, 10)
    assert process("stand_back(19, idle=True)", own_session=True) == (19, os.SCHED_IDLE, 19)
    assert process("stand_back(0)", own_session=True) == (own, os.SCHED_OTHER, 0)


@grouped
def test_a_process_in_the_session_of_others_holds_them_not_back() -> None:
    """Protects who started it: a group that is not its own alone keeps its share."""
    code = (  # two processes in one session, begun here: the session of these tests may have no group
        "import os, subprocess, sys\nfrom pathlib import Path\nfrom engine.standing_back import stand_back\n"
        "if len(sys.argv) == 1: subprocess.run([sys.executable, '-c', sys.orig_argv[2], 'child'], check=True)\n"
        "else: stand_back(19, idle=True)\n"
        f"print(os.nice(0), os.sched_getscheduler(0), Path('{GROUP}').read_text().split()[-1], flush=True)"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, start_new_session=True)
    child, parent = ended.stdout.splitlines()
    assert child == f"19 {os.SCHED_IDLE} 0"
    assert parent == f"{os.nice(0)} {os.SCHED_OTHER} 0"


@grouped
def test_a_change_that_may_not_be_made_now_is_made_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes that start at once all stand back, though Linux takes one change in a tenth of a second."""
    told: list[str] = []

    class Group:
        def write_text(self, text: str) -> None:
            told.append(text)
            if len(told) < 3:
                raise BlockingIOError

    monkeypatch.setattr(standing_back, "_GROUP", Group())
    monkeypatch.setattr(standing_back, "_APART_S", 0.0)
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
    monkeypatch.setattr(os, "nice", lambda _: 0)
    stand_back(7)
    assert told == ["7", "7", "7"]
