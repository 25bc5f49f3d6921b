"""A policy: how a window is decided, as data. The built-in default is version 1 and applies until one is stored."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from engine.domain import Record

Weight = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?$(?!\n)")]
"""Money of an objective: below a million, so that times 2^31 units it still fits into 64 bits of mills."""


class ObjectiveTerms(Record, frozen=True, kw_only=True):
    """Money beside the parcels. `fill` "always": as many units as possible first; "economic": only where worth it."""

    fill: Literal["always", "economic"] = "always"
    split_parcel: Weight = "0"
    late_per_day: Weight = "5.00"
    unfilled_per_unit: Weight = "25.00"


class WindowTerms(Record, frozen=True, kw_only=True):
    """When a window closes at the latest."""

    max_wait_ms: Annotated[float, Meta(ge=0, le=60_000)] = 10.0
    max_orders: Annotated[int, Meta(ge=1, le=5_000)] = 200


class SolverTerms(Record, frozen=True, kw_only=True):
    """How hard a window is worked on: `work` steps decide, `budget_ms` is the safety cut."""

    work: Annotated[int, Meta(ge=1)] = 20_000_000
    budget_ms: Annotated[int, Meta(ge=1, le=600_000)] = 2_000


class Policy(Record, frozen=True, kw_only=True):
    """All of it. `mode` other than "optimise" routes by a rule, as a merchant may want or a baseline needs."""

    mode: Literal["optimise", "sequence", "nearest", "most_stock"] = "optimise"
    objective: ObjectiveTerms = ObjectiveTerms()
    window: WindowTerms = WindowTerms()
    solver: SolverTerms = SolverTerms()
