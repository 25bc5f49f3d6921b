"""The gate in simulated time: orders of one policy share windows, which close full or after their length.

As at the live gate, but for this: a window closes at its instant, not when the allocator happens to be idle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.domain import Order


class Terms(NamedTuple):
    """When the windows of a policy close."""

    length_ms: int
    max_orders: int
    max_lines: int


@dataclass(slots=True)
class Open:
    """A window that fills."""

    terms: Terms
    closes_ms: int
    orders: list[Order] = field(default_factory=list)
    lines: int = 0


NEVER_MS = 2**62


class Windows:
    """The open windows by policy id. `next_ms`: when the first of them closes by itself."""

    def __init__(self, terms_of: Callable[[str], Terms]) -> None:
        self._terms_of = terms_of
        self._open: dict[str, Open] = {}
        self.next_ms = NEVER_MS

    def enter(self, order: Order, at_ms: int) -> list[list[Order]]:
        """Let an order in; the windows that are full by that and close at this instant.

        One order of more lines than a window may have goes alone.
        """
        size, policy_id = len(order.lines), order.policy_id
        found: list[list[Order]] = []
        window = self._open.get(policy_id)
        if window is not None and window.lines + size > window.terms.max_lines:
            found.append(self._close(policy_id))
            window = None
        if window is None:
            terms = self._terms_of(policy_id)
            window = self._open[policy_id] = Open(terms, at_ms + terms.length_ms)
            self.next_ms = min(self.next_ms, window.closes_ms)
        window.orders.append(order)
        window.lines += size
        if len(window.orders) >= window.terms.max_orders or window.lines >= window.terms.max_lines:
            found.append(self._close(policy_id))
        return found

    def close_next(self) -> list[Order]:
        """Close the window whose time is up first."""
        return self._close(min(self._open, key=lambda policy_id: self._open[policy_id].closes_ms))

    def _close(self, policy_id: str) -> list[Order]:
        window = self._open.pop(policy_id)
        self.next_ms = min((each.closes_ms for each in self._open.values()), default=NEVER_MS)
        return window.orders
