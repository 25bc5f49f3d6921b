"""An explanation in its wire form. Money as decimal strings, as in decisions; differences may be negative."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.decisions import Backordered, Cost, Guidance, Parcel, Unallocated, WindowFacts

Stage = Literal[
    "active", "reroute", "channel", "serves", "limits", "pickup", "rule", "capability", "service", "weight", "stock",
    "held", "capacity", "late",
]  # fmt: skip
"""The stages of the funnel, in its order."""


class Obstacle(Struct, frozen=True, kw_only=True):
    """Why a node does not ship something: the stage, by whom (a field or a rule), and what would have to change.

    `line_id` null: it stops the whole order. `units`: how many more it would take, where that is the matter.
    """

    stage: Stage
    by: str
    text: str
    change: str
    line_id: str | None = None
    units: int | None = None


class PlanView(Struct, frozen=True, kw_only=True):
    """A plan of the order, chosen or not: parcels, what stays or waits, the cost, and that less the chosen one's.

    `units`: of the order's lines that ship, a substitute counted as what it stands for.
    """

    units: int
    parcels: tuple[Parcel, ...]
    unallocated: tuple[Unallocated, ...]
    backordered: tuple[Backordered, ...]
    cost: Cost
    guidance: Guidance
    difference: str


class Kept(Struct, frozen=True, kw_only=True):
    """What is worth keeping at a node: `price` of a unit of a SKU of the order, or (`sku` null) of the room that a box
    takes on a day, as the policy weighs it, and in words."""

    sku: str | None
    price: str
    text: str


class NodeView(Struct, frozen=True, kw_only=True):
    """One node. `eligible`: it may serve the order, stock aside. `plan`: the order as shipped from here alone, on what
    the other orders of the window left; null where nothing can. `kept`: what of the order's goods and of room is scarce
    here; what that came to is in the plan's `guidance.stock_price`.

    `change`: what would have to change for the node to be the choice; empty where it is.
    """

    node_id: str
    eligible: bool
    chosen: bool
    obstacles: tuple[Obstacle, ...]
    plan: PlanView | None
    change: str
    kept: tuple[Kept, ...] = ()


class PolicyView(Struct, frozen=True, kw_only=True):
    """The policy that applied, and those of its rules that matched the order, in their order."""

    policy_id: str
    version: int
    mode: str
    rules: tuple[str, ...]


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything about one order's decision, as of the instant of its window.

    `reproduced`: deciding the window again from its record gave this very decision. `alone`: the cheapest plan if no
    other order had been in the window. Of an order that waited, this is about what was added to it last.
    """

    order_id: str
    as_of: datetime
    window: WindowFacts
    policy: PolicyView
    reproduced: bool
    chosen: PlanView
    alone: PlanView
    nodes: tuple[NodeView, ...]


class Alternative(Struct, frozen=True, kw_only=True):
    """Another way to ship a quoted order: what it would rest on, and the plan."""

    without: str | None
    """The node that is left out, if the plan is the best one without it."""
    only: str | None
    """The node that ships alone, if it is that."""
    plan: PlanView


class Quote(Struct, frozen=True, kw_only=True):
    """What an order would get now, and what else there is, the best first. Nothing is held."""

    order_id: str
    as_of: datetime
    chosen: PlanView
    status: str
    alternatives: tuple[Alternative, ...]
