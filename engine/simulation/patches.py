"""What a scenario changes, as callers write it: a list of patches, each with exactly one field.

A patch changes a base that is otherwise left as it is; an absent field of it keeps what the base says.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from engine.domain import Count, Identifier, Instant, Record, Units
from engine.network_document import Carrier, Node
from engine.simulation.demand_document import Factor, Share

Hours = Annotated[float, Meta(ge=0, le=24 * 30)]


class CloseNode(Record, frozen=True, kw_only=True):
    """Nothing ships from there; its stock stays where it is (see `move_stock`)."""

    node_id: Identifier


class StockAt(Record, frozen=True, kw_only=True):
    """Units of a SKU at the node that is spoken of."""

    sku: Identifier
    on_hand: Count


class AddNode(Record, frozen=True, kw_only=True):
    """A node that there is not yet, with its stock, if it has any beside what is moved or replenished there."""

    node: Node
    stock: Annotated[list[StockAt], Meta(max_length=1_000_000)] = field(default_factory=list)


class NodeCapacity(Record, frozen=True, kw_only=True):
    """What the node ships on one day at most; null for no limit."""

    node_id: Identifier
    parcels_per_day: Count | UnsetType | None = UNSET
    units_per_day: Count | UnsetType | None = UNSET


class NodeCutoff(Record, frozen=True, kw_only=True):
    """The node's cut-off, local wall time; null for midnight. `handling_minutes` before it."""

    node_id: Identifier
    cutoff: Annotated[str, Meta(max_length=16)] | UnsetType | None = UNSET
    handling_minutes: Annotated[int, Meta(ge=0, le=43_200)] | UnsetType = UNSET


class CardSurcharge(Record, frozen=True, kw_only=True):
    """Another surcharge on the prices of a carrier's services, or of one of them."""

    carrier: Identifier
    service: Identifier | None = None
    surcharge_percent: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?$(?!\n)")]


class SafetyStock(Record, frozen=True, kw_only=True):
    """Units kept back of every stocked cell; only at this node, only of these SKUs, where given."""

    units: Count
    node_id: Identifier | None = None
    skus: Annotated[list[Identifier], Meta(max_length=100_000)] = field(default_factory=list)


class PolicyChange(Record, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396) of a policy; lists, as `rules`, are replaced whole."""

    policy_id: Identifier = "default"
    merge: dict[str, Any]


class DropRule(Record, frozen=True, kw_only=True):
    """The policy without one of its rules."""

    policy_id: Identifier = "default"
    name: Identifier


class WindowLength(Record, frozen=True, kw_only=True):
    """How long a window stays open after its first order, in seconds, and how many orders fill it.

    Longer than a live window may be: in a simulation orders can be held for minutes to be decided together.
    """

    seconds: Annotated[float, Meta(ge=0, le=86_400)] | UnsetType = UNSET
    max_orders: Annotated[int, Meta(ge=1, le=5_000)] | UnsetType = UNSET


class Hold(Record, frozen=True, kw_only=True):
    """Decided orders wait for so many hours, or until their ship day ends, before they go to their nodes.

    Meanwhile they are decided again as the policy's `reoptimise` terms say, which count as switched on.
    """

    hours: Hours


class Prices(Record, frozen=True, kw_only=True):
    """Whether shadow prices of stock are made."""

    on: bool


class Strike(Record, frozen=True, kw_only=True):
    """A carrier, or one service of it, does not go from `since` until `until`; lanes by its services neither."""

    carrier: Identifier
    service: Identifier | None = None
    since: Instant
    until: Instant


class MoveStock(Record, frozen=True, kw_only=True):
    """So much of what is on hand at one node lies at another from the start: a share of each SKU, rounded down."""

    from_node: Identifier
    to_node: Identifier
    share: Share = 1.0
    skus: Annotated[list[Identifier], Meta(max_length=100_000)] = field(default_factory=list)


class AddStock(Record, frozen=True, kw_only=True):
    """So many more units of a SKU at a node from the start."""

    node_id: Identifier
    sku: Identifier
    units: Units


class Patch(Record, frozen=True, kw_only=True):
    """One change: exactly one of these. `rate_card` replaces the carrier service of its name, or adds it."""

    close_node: CloseNode | None = None
    add_node: AddNode | None = None
    capacity: NodeCapacity | None = None
    cutoff: NodeCutoff | None = None
    rate_card: Carrier | None = None
    surcharge: CardSurcharge | None = None
    safety_stock: SafetyStock | None = None
    policy: PolicyChange | None = None
    drop_rule: DropRule | None = None
    window: WindowLength | None = None
    hold: Hold | None = None
    prices: Prices | None = None
    strike: Strike | None = None
    demand_factor: Factor | None = None
    move_stock: MoveStock | None = None
    add_stock: AddStock | None = None

    def said(self) -> dict[str, Any]:
        """The fields that are given, by name; one in a valid patch."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
