"""What a window may still spend: counted work first, so that runs repeat; the caller's clock only as a safety cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _never() -> bool:
    return False


@dataclass(slots=True)
class Purse:
    """`work` in menu cells priced (see `choose.Budget`), of which `spent`; `cut`: something was left out for it."""

    work: int
    expired: Callable[[], bool] = _never
    spent: int = 0
    cut: bool = False

    def pay(self, work: int) -> None:
        """Count work that is done."""
        self.spent += work

    def affords(self, work: int) -> bool:
        """Whether a step of so much work may be begun; if not, the purse notes the cut."""
        possible = self.spent + work <= self.work and not self.expired()
        self.cut |= not possible
        return possible
