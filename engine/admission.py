"""What an order must be beyond its form to be queued: consistent, and asking only for what this version honours."""

from __future__ import annotations

from datetime import datetime

from engine.domain import UNITS_MAX, Order
from engine.errors import Fault
from engine.promise import is_timezone

YEAR_MIN, YEAR_MAX = 1970, 2200
"""Dates outside these years are slips of the pen, and calendars end somewhere."""


def unsupported(order: Order) -> Fault | None:
    """The first thing for which an order cannot be taken, with its path; None if it can."""
    return _dates(order) or _destination(order) or _lines(order) or _limits(order)


def _dates(order: Order) -> Fault | None:
    for name, instant in (("placed_at", order.placed_at), ("deliver_by", order.deliver_by)):
        if instant is not None and not _plausible(instant):
            return Fault(f"$.{name}", f"not between the years {YEAR_MIN} and {YEAR_MAX}")
    return None


def _plausible(instant: datetime) -> bool:
    return YEAR_MIN <= instant.year <= YEAR_MAX


def _destination(order: Order) -> Fault | None:
    to = order.ship_to
    if (to.lat is None) != (to.lon is None):
        return Fault(f"$.ship_to.{'lat' if to.lat is None else 'lon'}", "lat and lon go together")
    if to.timezone is not None and not is_timezone(to.timezone):
        return Fault("$.ship_to.timezone", f"{to.timezone!r} is not a known time zone")
    return None


def _lines(order: Order) -> Fault | None:
    seen: set[str] = set()
    for i, line in enumerate(order.lines):
        if line.line_id in seen:
            return Fault(f"$.lines[{i}].line_id", f"{line.line_id!r} stands on an earlier line")
        seen.add(line.line_id)
    if sum(line.quantity for line in order.lines) > UNITS_MAX:
        return Fault("$.lines", f"more than {UNITS_MAX} units in all")
    return None


def _limits(order: Order) -> Fault | None:
    limits, pickup = order.limits, order.pickup_node
    if limits.nodes and not set(limits.nodes) - set(limits.except_nodes):
        return Fault("$.limits.except_nodes", "excludes every node that limits.nodes allows")
    if pickup is not None and limits.nodes and pickup not in limits.nodes:
        return Fault("$.pickup_node", f"{pickup!r} is not one of limits.nodes")
    if pickup is not None and pickup in limits.except_nodes:
        return Fault("$.pickup_node", f"{pickup!r} is one of limits.except_nodes")
    return None
