"""Why an order went where it went, and where it would go: recomputed from a window, node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from engine.explaining.explain import explain
from engine.explaining.quote import quote
from engine.lowering import WindowInput

__all__ = ["Inquiry", "answer"]


class Inquiry(NamedTuple):
    """A question about a window: explain an order's `decision`, or quote (`decision` None) the one order there is."""

    order_id: str
    decision: bytes | None = None


def answer(window: WindowInput, inquiry: Inquiry, *, now: Callable[[], float]) -> bytes:
    """The answer as JSON. `now` in seconds, for the solver's safety cut only."""
    if inquiry.decision is None:
        return msgspec.json.encode(quote(window, now=now))
    return msgspec.json.encode(explain(window, inquiry.order_id, inquiry.decision, now=now))
