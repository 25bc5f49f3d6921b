"""The worker process of `crew.ProcessCrew`: reads windows from standard input, writes decisions to standard output."""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import signal
import struct
import sys
import time
import traceback
from typing import BinaryIO

from engine import garbage
from engine.crew import Named, PackedAnswer, unpack
from engine.deciding import decide
from engine.explaining import answer
from engine.network import Network
from engine.policy import Policy
from engine.standing_back import stand_back
from solvers import choose as _choose  # noqa: F401  Loaded now, not when the first window waits.

HEADER = struct.Struct("<Q")


def main(niceness: int) -> None:
    """Serve until standard input ends, which it does when the parent is gone, however it went.

    `niceness`: 0 to 19, how far it stands back behind other processes.
    """
    stand_back(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not corrupt a frame
    garbage.settle()
    send(answers, b"")
    kept: dict[Named, Network | Policy] = {}
    while header := questions.read(HEADER.size):
        if len(header) < HEADER.size:
            return
        frame = questions.read(HEADER.unpack(header)[0])
        try:
            window, inquiry = unpack(frame, kept)
            if inquiry is None:
                found: object = PackedAnswer.pack(decide(window, now=time.monotonic))
            else:
                found = answer(window, inquiry, now=time.monotonic)
        except Exception:
            found = traceback.format_exc()
        send(answers, pickle.dumps(found, 5))


def send(stream: BinaryIO, body: bytes) -> None:
    """Write one frame whole."""
    frame = memoryview(HEADER.pack(len(body)) + body)
    while frame:
        frame = frame[stream.write(frame) :]


if __name__ == "__main__":
    atexit.register(gc.freeze)  # see `api.cli.main`
    main(int(sys.argv[1]))
