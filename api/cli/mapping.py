"""A mapping file: how somebody else's columns become ours. TOML or JSON; the format is described in docs/import.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from api.cli.terminal import CommandError
from engine.domain import Limits, Order, OrderLine, ShipTo, Sku, StockRow

ORDER_FIELDS = frozenset(Order.__struct_fields__) - {"ship_to", "lines", "limits"}
SHIP_TO_FIELDS = frozenset(ShipTo.__struct_fields__)
LIMIT_FIELDS = frozenset(Limits.__struct_fields__)
LINE_FIELDS = frozenset(OrderLine.__struct_fields__)

FIELDS = {
    "orders": ORDER_FIELDS | SHIP_TO_FIELDS | LIMIT_FIELDS | LINE_FIELDS,
    "skus": frozenset(Sku.__struct_fields__),
    "stock": frozenset(StockRow.__struct_fields__),
}
REQUIRED = {"orders": ("order_id", "sku", "quantity"), "skus": ("sku",), "stock": ("node_id", "sku", "on_hand")}
LISTS = frozenset({"nodes", "except_nodes", "requires"})
"""Fields that hold several ids in one cell, separated by `;` or spaces."""
INSTANTS = frozenset({"placed_at", "deliver_by"})
NUMBERS = frozenset(
    {"quantity", "priority", "hold_seconds", "max_parcels", "on_hand", "safety"}
    | {"weight_g", "length_mm", "width_mm", "height_mm"}
)


class Formats(Struct, frozen=True, forbid_unknown_fields=True):
    """How values are written in the file."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8-sig"
    instant: str | None = None
    """A strptime pattern; none: ISO 8601."""
    timezone: str = "UTC"
    """For instants that state no offset."""
    lines: str = "lines"
    """NDJSON: the path of the array that holds an order's lines."""


class FieldMap(Struct, frozen=True, forbid_unknown_fields=True):
    """`columns` our field -> their column (NDJSON: dotted path); `defaults` our field -> value where theirs is empty.

    `skip` their column -> regular expression: rows where it matches are left out and counted.
    """

    columns: dict[str, str] = {}
    defaults: dict[str, str | int | float | bool] = {}
    skip: dict[str, str] = {}
    formats: Formats = Formats()

    def column(self, field: str) -> str:
        """Their name of our field."""
        return self.columns.get(field, field)

    def skips(self) -> list[tuple[str, re.Pattern[str]]]:
        """The skip rules, compiled."""
        return [(column, re.compile(pattern)) for column, pattern in self.skip.items()]

    def zone(self) -> ZoneInfo:
        """The time zone of instants without offset."""
        return ZoneInfo(self.formats.timezone)


def load_mapping(path: Path | None, kind: str) -> FieldMap:
    """Read and check a mapping file for one kind of record; none: the columns have our names."""
    if path is None:
        return FieldMap()
    try:
        body = path.read_bytes()
        decode = msgspec.json.decode if path.suffix.lower() == ".json" else msgspec.toml.decode
        mapping = decode(body, type=FieldMap)
    except OSError as error:
        raise CommandError(f"the mapping file {path} cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise CommandError(f"the mapping file {path} is not valid: {error}") from error
    return checked(mapping, kind, f"the mapping file {path}")


def checked(mapping: FieldMap, kind: str, name: str) -> FieldMap:
    """The mapping, if it fits one kind of record; `name` tells which one it is. Raises CommandError."""
    unknown = sorted((set(mapping.columns) | set(mapping.defaults)) - FIELDS[kind])
    if unknown:
        known = ", ".join(sorted(FIELDS[kind]))
        raise CommandError(f"{name} names unknown fields {', '.join(unknown)}; {kind} have: {known}")
    try:
        mapping.skips()
        mapping.zone()
    except (re.error, KeyError, ValueError, OSError) as error:
        raise CommandError(f"{name} is not valid: {error}") from error
    return mapping
