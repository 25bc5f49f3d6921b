"""What callers say, as immutable values: orders, SKUs and stock records, decoded straight from JSON.

Wire form and domain form are one: money stays a decimal string until arithmetic needs it (`mills`), instants are
aware datetimes until arithmetic needs them (`epoch_ms`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNITS_MAX = 2**31 - 1
"""The largest quantity of one line, one movement or one stock cell."""

LINES_MAX = 5_000
"""The most lines one order may have; the largest real order we know has 1,114."""

Identifier = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f{}]+( [^\s\x00-\x1f{}]+)*$(?!\n)")
]
"""An id made by the caller: printable, no braces (they delimit store keys), single spaces inside at most."""
Money = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,3})?$(?!\n)")]
"""A decimal string with at most three places, never negative."""
Units = Annotated[int, Meta(ge=1, le=UNITS_MAX)]
Count = Annotated[int, Meta(ge=0, le=UNITS_MAX)]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of everything a caller sends: immutable, and an unknown field is an error."""


class ShipTo(Record, frozen=True, kw_only=True):
    """Where an order goes. `zone` is the merchant's own name for a destination, used by lanes."""

    country: Country
    region: Annotated[str, Meta(max_length=64)] | None = None
    postal_code: Annotated[str, Meta(max_length=32)] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    zone: Annotated[str, Meta(max_length=64)] | None = None
    timezone: Annotated[str, Meta(max_length=64)] | None = None


class OrderLine(Record, frozen=True, kw_only=True):
    """Units of one SKU. `line_id` is unique within the order; the same SKU may stand on several lines."""

    line_id: Identifier
    sku: Identifier
    quantity: Units
    unit_price: Money | None = None
    group: Identifier | None = None


class Limits(Record, frozen=True, kw_only=True):
    """What a plan of this order must respect."""

    max_parcels: Units | None = None
    ship_complete: bool = False
    split_lines: bool = True
    nodes: list[Identifier] = []
    except_nodes: list[Identifier] = []
    min_split_value: Money | None = None
    allow_late: bool = True
    allow_substitutes: bool = False


class Order(Record, frozen=True, kw_only=True):
    """One customer order. `order_id` is made by the caller and is the idempotency key within its partition."""

    order_id: Identifier
    ship_to: ShipTo
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=LINES_MAX)]
    placed_at: Instant | None = None
    channel: Identifier = "web"
    policy_id: Identifier = "default"
    level: Identifier = "standard"
    deliver_by: Instant | None = None
    priority: Annotated[int, Meta(ge=-1_000, le=1_000)] = 0
    limits: Limits = Limits()
    pickup_node: Identifier | None = None
    backorder: bool = False
    hold_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None


PerUnit = Annotated[int, Meta(ge=1, le=10_000)]
"""Units of one SKU that stand for one unit of another."""


class Component(Record, frozen=True, kw_only=True):
    """A part of a kit, and how many of it are in one."""

    sku: Identifier
    quantity: PerUnit


class Substitute(Record, frozen=True, kw_only=True):
    """Another SKU that may ship instead, `ratio` of its units for one."""

    sku: Identifier
    ratio: PerUnit


class Sku(Record, frozen=True, kw_only=True):
    """A catalogue entry. Absent measures are 0: the parcel is then priced at the lightest row.

    With `components` it is a kit: order lines count kits, stock is that of the components, and a `weight_g` of 0 stands
    for the sum. Kits do not nest. Substitutes may be kits and kits may have substitutes; a substitute's own substitutes
    do not count. `ships_alone`: each unit is a parcel of its own.
    """

    sku: Identifier
    weight_g: Count = 0
    length_mm: Count = 0
    width_mm: Count = 0
    height_mm: Count = 0
    value: Money | None = None
    requires: list[Identifier] = []
    components: Annotated[list[Component], Meta(max_length=100)] = []
    substitutes: Annotated[list[Substitute], Meta(max_length=20)] = []
    ships_alone: bool = False

    @property
    def volume_mm3(self) -> int:
        """Volume of one unit."""
        return self.length_mm * self.width_mm * self.height_mm


class StockRow(Record, frozen=True, kw_only=True):
    """A counted stock level. Without `safety` the cell keeps its own, or the node's default if it never had one."""

    node_id: Identifier
    sku: Identifier
    on_hand: Count
    safety: Count | None = None


class Movement(Record, frozen=True, kw_only=True):
    """One change of stock, applied once per `movement_id`.

    receive: + quantity (> 0); adjust: signed; count: new on_hand; damage: moves units to blocked;
    write_off: - quantity, out of blocked first.
    """

    movement_id: Identifier
    node_id: Identifier
    sku: Identifier
    kind: Literal["receive", "adjust", "count", "damage", "write_off"]
    quantity: Annotated[int, Meta(ge=-UNITS_MAX, le=UNITS_MAX)]
    incoming_id: Identifier | None = None


class IncomingRow(Record, frozen=True, kw_only=True):
    """Units on their way to a node. Replaces what the id said before; a quantity of 0 cancels."""

    incoming_id: Identifier
    node_id: Identifier
    sku: Identifier
    quantity: Count
    expected_at: Instant


@lru_cache(maxsize=65_536)
def mills(money: str) -> int:
    """A decimal string as mills: "8.759" -> 8759."""
    whole, _, part = money.partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0")) if part else int(whole) * 1000


@lru_cache(maxsize=65_536)
def decimal(amount: int) -> str:
    """Mills as a decimal string, two places unless the third is needed: 8759 -> "8.759", 9100 -> "9.10", 0 -> "0"."""
    if amount == 0:
        return "0"
    sign, (whole, part) = "-" if amount < 0 else "", divmod(abs(amount), 1000)
    return f"{sign}{whole}.{part:03d}" if part % 10 else f"{sign}{whole}.{part // 10:02d}"


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since the epoch, UTC."""
    return round(instant.timestamp() * 1000)


def instant_of(ms: int) -> datetime:
    """The instant so many milliseconds since the epoch, in UTC: what `epoch_ms` gives back."""
    return _EPOCH + timedelta(milliseconds=ms)


_packed = msgspec.msgpack.Encoder().encode


def content_hash(order: Order) -> bytes:
    """16 bytes that are equal for equal orders, defaults filled in: what idempotency compares.

    MessagePack writes an instant as that, whatever the time zone it came in.
    """
    return blake2b(_packed(order), digest_size=16).digest()
