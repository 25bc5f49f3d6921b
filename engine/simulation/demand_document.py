"""Where the orders of a simulation come from, as callers write it: history, an upload, or a generator.

Factors multiply rates and are relative: all 1 is the same as none. Instants have an offset; hours, days of the week and
dates of the generator are those of UTC.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from engine.domain import Identifier, Instant, Record, ShipTo

Factor = Annotated[float, Meta(ge=0, le=1_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]

LINES_DRAWN_MAX = 50
"""The most lines, and the most units of a line, of a generated order."""


class History(Record, frozen=True, kw_only=True):
    """The orders that were first decided in a period, as the archive has them; `until` is exclusive."""

    since: Instant
    until: Instant


class Upload(Record, frozen=True, kw_only=True):
    """An uploaded file by its name. `mapping` as in `apportion import` (docs/import.md); {}: columns have our names."""

    file: Annotated[str, Meta(min_length=1, max_length=255)]
    mapping: dict[str, Any] = field(default_factory=dict)


class Destination(Record, frozen=True, kw_only=True):
    """Where orders go. `share` of all orders; `skus`: what sells better or worse here than elsewhere."""

    ship_to: ShipTo
    share: Factor = 1.0
    skus: dict[Identifier, Factor] = field(default_factory=dict)


class Season(Record, frozen=True, kw_only=True):
    """How the rate swings: factors of the 24 hours, of the 7 days from Monday on, and of single dates."""

    hours: Annotated[list[Factor], Meta(max_length=24)] = field(default_factory=list)
    weekdays: Annotated[list[Factor], Meta(max_length=7)] = field(default_factory=list)
    dates: dict[Date, Factor] = field(default_factory=dict)


class Promotion(Record, frozen=True, kw_only=True):
    """From `since` until `until` these SKUs sell `factor` times as much as else; there are as many more orders."""

    skus: Annotated[list[Identifier], Meta(min_length=1, max_length=10_000)]
    since: Instant
    until: Instant
    factor: Factor


class Peak(Record, frozen=True, kw_only=True):
    """A peak day: `factor` times the orders, over the day as `hours` says (24 factors; none: as on other days)."""

    date: Date
    factor: Factor
    hours: Annotated[list[Factor], Meta(max_length=24)] = field(default_factory=list)


class Promised(Record, frozen=True, kw_only=True):
    """This share of the orders has a `deliver_by`, so many days after they are placed, any as likely as another."""

    share: Share
    days_min: Annotated[int, Meta(ge=0, le=365)]
    days_max: Annotated[int, Meta(ge=0, le=365)]


class Generator(Record, frozen=True, kw_only=True):
    """Orders that come independently of each other (Poisson), so many a day in the mean before all factors.

    `lines`, `quantities`: chances of 1, 2, 3 ... lines of an order and units of a line. `skus`: how well each sells;
    none: all of the catalogue, the k-th best like k ** -`zipf`, the same ones for every seed. `destinations`: none: the
    large metros of the US by population.
    """

    since: Instant
    days: Annotated[float, Meta(gt=0, le=3_660)]
    orders_per_day: Annotated[float, Meta(ge=0)]
    lines: Annotated[list[Factor], Meta(min_length=1, max_length=LINES_DRAWN_MAX)] = field(
        default_factory=lambda: [0.55, 0.22, 0.12, 0.07, 0.04]
    )
    quantities: Annotated[list[Factor], Meta(min_length=1, max_length=LINES_DRAWN_MAX)] = field(
        default_factory=lambda: [0.85, 0.1, 0.05]
    )
    skus: dict[Identifier, Factor] = field(default_factory=dict)
    zipf: Annotated[float, Meta(ge=0, le=3)] = 0.8
    destinations: Annotated[list[Destination], Meta(max_length=2_000)] = field(default_factory=list)
    season: Season = Season()
    promotions: Annotated[list[Promotion], Meta(max_length=100)] = field(default_factory=list)
    peaks: Annotated[list[Peak], Meta(max_length=100)] = field(default_factory=list)
    levels: dict[Identifier, Factor] = field(default_factory=lambda: {"standard": 1.0})
    promised: Promised | None = None
    policy_id: Identifier = "default"
    backorder: bool = False


class Demand(Record, frozen=True, kw_only=True):
    """The orders: exactly one of these."""

    history: History | None = None
    upload: Upload | None = None
    generator: Generator | None = None
