"""Questions that optimise, as callers write them: each becomes scenarios beside the others (`questions.asked`)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from engine.domain import Identifier, Record, Units

Parameter = Literal["safety_stock", "window", "max_parcels", "hold"]
"""Units kept back of every cell; seconds that windows stay open; parcels of an order; hours that orders are held."""


class PriceOfPolicy(Record, frozen=True, kw_only=True):
    """What does each rule and limit of a policy cost, and what do all of them together?"""

    policy_id: Identifier = "default"


class Sweep(Record, frozen=True, kw_only=True):
    """What does one number trade off? Limits are those of the policy `policy_id`."""

    name: Identifier
    parameter: Parameter
    values: Annotated[list[float], Meta(min_length=1, max_length=50)]
    policy_id: Identifier = "default"


class Worth(Record, frozen=True, kw_only=True):
    """Where would the next units of these SKUs be worth most?

    Answered by the shadow prices of the baseline's runs, so prices must be on; with `measured` also by one scenario for
    each SKU and node that has the units from the start. `nodes`: only these; none named: all active ones.
    """

    skus: Annotated[list[Identifier], Meta(min_length=1, max_length=100)]
    units: Units = 1_000
    measured: bool = False
    nodes: Annotated[list[Identifier], Meta(max_length=50)] = field(default_factory=list)


class Questions(Record, frozen=True, kw_only=True):
    """Any of these. `closings`: what would closing each node cost? All active nodes, or those named."""

    price_of_policy: PriceOfPolicy | None = None
    closings: bool | Annotated[list[Identifier], Meta(max_length=50)] = False
    sweeps: Annotated[list[Sweep], Meta(max_length=10)] = field(default_factory=list)
    worth: Worth | None = None
