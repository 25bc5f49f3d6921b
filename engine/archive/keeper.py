"""The service's end of the projector's process: what it tells becomes metrics."""

from __future__ import annotations

import msgspec

from engine.archive.projector import Told
from engine.companion import Begin, Companion
from engine.metrics import Metrics


def archive_companion(begin: Begin, metrics: Metrics) -> Companion:
    """The projector in a process of its own, not started yet; an end of it counts as an error of the archive.

    What a process archived and had not told when it was killed is in no counter. The lags are told whole, and are true
    again with the next process's first round.
    """

    def hear(line: bytes) -> None:
        metrics.archived(msgspec.json.decode(line, type=Told))

    return Companion("engine.archive.process", begin, hear, metrics.archive_errors.inc)
