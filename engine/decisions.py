"""What a caller gets: the decision in its wire form, and the reasons why something does not ship.

Field names and their order are the contract's. Money as decimal strings, instants as RFC 3339 text.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct

Status = Literal["allocated", "partially_allocated", "backordered", "refused"]
"""`backordered`: nothing ships now, and something waits for stock."""


class Reason(StrEnum):
    """Why units of a line do not ship: the first stage of the funnel, in this order, that leaves too little."""

    UNKNOWN_SKU = "unknown_sku"
    """The catalogue does not know the SKU, and the service is strict about it."""
    NO_ELIGIBLE_NODE = "no_eligible_node"
    """No node is active, serves channel and destination, has the capabilities, and is left by limits and rules."""
    NO_LANE = "no_lane"
    """No lane or carrier service of the order's level goes there with a unit of this weight."""
    OUT_OF_STOCK = "out_of_stock"
    """Not enough stock at those nodes, even if nothing were held for others."""
    HELD = "held"
    """Enough stock, but other orders hold it, those of the same window included."""
    CAPACITY = "capacity"
    """Enough free stock, but the nodes that have it have no room left on any ship date within the horizon."""
    MAX_PARCELS = "max_parcels"
    """It would take more parcels than the order's limit."""
    SHIP_COMPLETE = "ship_complete"
    """It could ship, but something else of the order cannot, and the order ships whole or not at all."""
    GROUP = "group"
    """It could ship, but not in one parcel with the rest of its group."""
    SPLIT_LINES = "split_lines"
    """It would take a second shipment of a line that must not be divided."""
    MIN_SPLIT_VALUE = "min_split_value"
    """It would take a shipment worth less than the order's limit."""
    TOO_LATE = "too_late"
    """It could ship, but only to arrive after `deliver_by`, which the order does not allow."""
    UNECONOMIC = "uneconomic"
    """It could ship, but dearer than the policy's `unfilled_per_unit` (objective `fill: economic`)."""
    UNDECIDED = "undecided"
    """It might ship; the solver's budget ended before it found how."""

    @property
    def transient(self) -> bool:
        """Whether the same order may well ship later without new stock."""
        return self in (Reason.HELD, Reason.CAPACITY, Reason.UNDECIDED)

    @property
    def of_supply(self) -> bool:
        """Whether stock or room given back could change it; network and catalogue alone decide the others."""
        return self not in (Reason.UNKNOWN_SKU, Reason.NO_ELIGIBLE_NODE, Reason.NO_LANE)


class ParcelLine(Struct, frozen=True, omit_defaults=True, gc=False):
    """Units of an order line in a parcel: `quantity` units of the SKU shown.

    `substituted_for`: the SKU that was ordered, where another ships. `node_id`: the node of the dock that it is drawn
    from, where that is not the parcel's. Both are left out otherwise.
    """

    line_id: str
    sku: str
    quantity: int
    substituted_for: str | None = None
    node_id: str | None = None


class ParcelCost(Struct, frozen=True, gc=False):
    """What the parcel itself costs."""

    shipping: str
    handling: str


class Parcel(Struct, frozen=True, gc=False):
    """One box that leaves a node. `carrier` null: an agreed lane of no carrier.

    `ship_by`: the node's cut-off of the ship day (its last second without a cut-off), with the node's offset.
    `deliver_by`: the last second of the day of arrival where the order goes (UTC if its time zone is not known).
    """

    parcel_id: str
    node_id: str
    carrier: str | None
    service: str
    ship_by: str
    deliver_by: str
    weight_g: int
    lines: tuple[ParcelLine, ...]
    cost: ParcelCost


class Unallocated(Struct, frozen=True, gc=False):
    """Units of a line that do not ship, and why.

    Of the SKU ordered, over the nodes eligible for the line: `free` units open to this order, `held` units of other
    orders (what others of the same window took is held, not free), `safety` units kept back. `elsewhere`: other nodes
    that have it free.
    """

    line_id: str
    sku: str
    quantity: int
    reason: Reason
    transient: bool
    free: int
    held: int
    safety: int
    elsewhere: tuple[str, ...]


class Backordered(Struct, frozen=True, gc=False):
    """Units of a line that wait for stock. `expected_at`: when stock to come in covers them; null if none does yet."""

    line_id: str
    sku: str
    quantity: int
    expected_at: str | None


class Cost(Struct, frozen=True, gc=False):
    """The order's cost by term; `total` is the sum of the others."""

    shipping: str
    handling: str
    split: str
    late: str
    unfilled: str
    total: str


class Guidance(Struct, frozen=True, gc=False):
    """Money that guided the choice without being charged; never part of the total."""

    stock_price: str = "0"
    rules: str = "0"
    balance: str = "0"


class WindowFacts(Struct, frozen=True, gc=False):
    """How the order's window was decided. `gap`: proven distance from the optimum as a fraction; null if unproven."""

    window_id: str
    orders: int
    waited_ms: float
    solve_ms: float
    solver: str
    gap: float | None
    cut: bool
    policy_version: int
    network_version: int
    price_version: int


class Decision(Struct, frozen=True, gc=False):
    """One order decided."""

    order_id: str
    status: Status
    parcels: tuple[Parcel, ...]
    unallocated: tuple[Unallocated, ...]
    backordered: tuple[Backordered, ...]
    cost: Cost
    guidance: Guidance
    window: WindowFacts


def status_of(
    parcels: Sequence[Parcel], unallocated: Sequence[Unallocated], backordered: Sequence[Backordered]
) -> Status:
    """The status of an order of which this ships, stays and waits."""
    if parcels:
        return "partially_allocated" if unallocated or backordered else "allocated"
    return "backordered" if backordered else "refused"


def unfilled(unallocated: Sequence[Unallocated], backordered: Sequence[Backordered]) -> int:
    """Units that are charged as unfilled: all that do not ship, but for those that wait and have a date."""
    undated = sum(each.quantity for each in backordered if each.expected_at is None)
    return undated + sum(each.quantity for each in unallocated)


_encoder = msgspec.json.Encoder()


def encode(decision: Decision) -> bytes:
    """The decision as the JSON bytes that are kept and answered for ever."""
    return _encoder.encode(decision)
