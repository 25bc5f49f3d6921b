"""What a solver answers, and the only judge of it.

A *plan* is how one order ships: a list of shipments, each an option with units per line of that order.
A shipment leaves in one box, or in several where it is over the option's weight limit (see `packing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from solvers.problem import Ints, Problem


class Shipment(NamedTuple):
    """Units of one order that leave by one option. `units` int64[lines of the order], in line order, not all zero."""

    option: int
    units: Ints


Plan = Sequence[Shipment]
"""All shipments of one order; empty when nothing ships."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Every physical parcel of the window, ascending by (order, option, packing order).

    int64[P]: order, option, weight_g, shipping and handling (mills). Contents of box p are
    `take_start[p]:take_start[p + 1]` of `take_line` (window line index, ascending) and `take_units`.
    """

    order: Ints
    option: Ints
    weight_g: Ints
    shipping: Ints
    handling: Ints
    take_start: Ints
    take_line: Ints
    take_units: Ints


@dataclass(frozen=True, slots=True)
class Costs:
    """The exact cost of every order by term, in mills, int64[O]; `total` is the sum of the other five."""

    shipping: Ints
    handling: Ints
    split: Ints
    late: Ints
    unfilled: Ints
    total: Ints


@dataclass(frozen=True, slots=True)
class Solution:
    """One window decided.

    `bound`: no solution that fills as many units by priority can cost less than this (mills, whole window); None if unproven.
    `work` counts the solver's own steps (never seconds); `cut` says that the budget ended the search.
    """

    plans: tuple[tuple[Shipment, ...], ...]
    boxes: Boxes
    costs: Costs
    solver: str
    work: int
    bound: int | None
    cut: bool

    @property
    def total(self) -> int:
        """Cost of the whole window in mills."""
        return int(self.costs.total.sum())

    @property
    def gap(self) -> float | None:
        """Proven distance from the optimum as a fraction of the total; None if no bound is known."""
        if self.bound is None:
            return None
        return max(0.0, (self.total - self.bound) / max(1, self.total))


class Violation(NamedTuple):
    """One way in which a solution breaks its problem."""

    rule: str
    detail: str


def check(problem: Problem, solution: Solution) -> list[Violation]:
    """Judge feasibility and recompute every cost from scratch; an empty list means the solution holds."""
    raise NotImplementedError
