"""What deciding one window depends on: the one thing that goes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain import Order, Sku
from engine.ledger.port import Again, Snapshot
from engine.network import Network
from engine.policy import Policy
from engine.pricing.sheet import PriceSheet


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowInput:
    """Everything that deciding one window depends on. `contents`, `idempotency_keys`, `waited_ms` parallel to `orders`.

    `skus`: the distinct SKUs of the window with all that may ship for them (`goods.touched`), parallel to
    `snapshot.rows`. `items`: the catalogue entries known of them; an absent one weighs nothing.
    `as_placed`: dates run from `placed_at` alone, as replay and simulation need it.
    `in_turn`: the orders come in order of precedence, whatever their priorities.
    `strict_skus`: a SKU without a catalogue entry does not ship.
    `floor`: only the cheapest rung, for a window that a worker gave up on.
    """

    window_id: str
    partition: str = "default"
    orders: tuple[Order, ...]
    contents: tuple[bytes, ...]
    idempotency_keys: tuple[str | None, ...]
    waited_ms: tuple[float, ...]
    skus: tuple[str, ...]
    items: Mapping[str, Sku]
    snapshot: Snapshot
    network: Network
    policy: Policy
    policy_version: int = 1
    as_placed: bool = False
    strict_skus: bool = False
    floor: bool = False
    in_turn: bool = False
    prices: PriceSheet | None = None
    """What the price sheet says of the window's SKUs and days; None for nothing."""
    again: Again | None = None
    """Of a window that decides one standing order again: the snapshot counts its hold as free."""
    present: tuple[bytes, ...] = ()
    """The decisions that stand of orders that are decided again together: the snapshot counts their holds as free."""
    as_shipping: bool = False
    """The orders are what standing orders ship: only that is decided again."""
