"""The service's end of the pricer's process: what it tells becomes metrics."""

from __future__ import annotations

import msgspec

from engine.clock import Clock
from engine.companion import Begin, Companion
from engine.metrics import Metrics
from engine.pricing.pricer import Told


def pricing_companion(begin: Begin, clock: Clock, metrics: Metrics) -> Companion:
    """The pricer in a process of its own, not started yet."""

    def hear(line: bytes) -> None:
        told = msgspec.json.decode(line, type=Told)
        metrics.price_failures.inc(bool(told.error))
        if told.source:
            metrics.priced(told.source, told.seconds, clock.epoch_ms() - told.at_ms)

    return Companion("engine.pricing.process", begin, hear, metrics.price_failures.inc)
