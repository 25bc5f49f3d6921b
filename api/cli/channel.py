"""What is said between the parent of service processes (`workers`) and each of them (`worker`)."""

from __future__ import annotations

import msgspec

READY, TAKEN, LOST, CLOSED, LEAVING = b"r", b"+", b"x", b"-", b"l"
"""What a worker tells. Connections are taken or lost (there was no descriptor free) in the order in which they came."""

CONNECTION = b"c"
"""What a descriptor comes with."""


class Begin(msgspec.Struct):
    """What the parent says first. `number`: which worker this is, from 0; `store`: its URL; `metrics`: the directory
    of all workers' figures; `settings`: as JSON."""

    number: int
    store: str
    metrics: str
    settings: str
