"""What of an order waits for stock: which missing units, under which names, and until when.

Units wait if stock or room that becomes available could let them ship. What only the network, the catalogue or a limit
of the order stops is unallocated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.decisions import Backordered, Parcel, Reason
from engine.domain import Limits, Order, OrderLine, Sku, epoch_ms, mills
from engine.ledger.backlog import ROOM, Expected, Wait, rank
from engine.lowering.dues import Dues

_BY_ITSELF = frozenset({Reason.OUT_OF_STOCK, Reason.HELD, Reason.CAPACITY, Reason.UNDECIDED})
"""What stops a unit now and may not stop it later."""
_FOR_OTHERS = frozenset({Reason.SHIP_COMPLETE, Reason.GROUP})
"""The unit could ship; it waits if what it has to ship with does."""
_OF_ROOM = frozenset({Reason.CAPACITY, Reason.UNDECIDED})
"""What may pass without any stock arriving."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Units of one order line that do not ship, and why."""

    line: OrderLine
    quantity: int
    reason: Reason


def waiting(
    order: Order, limits: Limits, items: Mapping[str, Sku], parcels: Sequence[Parcel], missing: Sequence[Missing]
) -> list[bool]:
    """Which of the missing units wait. `limits`: all that the order must keep, its own and the policy's."""
    if not order.backorder or (parcels and _closed(order, limits, items, parcels)):
        return [False] * len(missing)
    alone = [each.reason in _BY_ITSELF and not _begun(limits, each) for each in missing]
    found = []
    for each, by_itself in zip(missing, alone, strict=True):
        rest = [
            other
            for other, waits in zip(missing, alone, strict=True)
            if other.reason not in _FOR_OTHERS and not waits and _together(limits, each, other)
        ]
        if each.reason in _FOR_OTHERS:
            by_itself = not rest and any(
                waits and _together(limits, each, other) for other, waits in zip(missing, alone, strict=True)
            )
        found.append(by_itself and not rest)
    return found


def _begun(limits: Limits, missing: Missing) -> bool:
    """Whether a part of the line ships now that must not be divided."""
    return not limits.split_lines and missing.quantity < missing.line.quantity


def _together(limits: Limits, one: Missing, other: Missing) -> bool:
    """Whether two lines ship together or not at all."""
    return limits.ship_complete or (one.line.group is not None and one.line.group == other.line.group)


def _closed(order: Order, limits: Limits, items: Mapping[str, Sku], parcels: Sequence[Parcel]) -> bool:
    """Whether no parcel may join those that there are."""
    if limits.max_parcels is not None and len(parcels) >= limits.max_parcels:
        return True
    return not worth_splitting(order, limits, items, parcels)


def rank_of(order: Order, now_ms: int) -> int:
    """An order's place among those that wait."""
    return rank(order.priority, now_ms if order.placed_at is None else epoch_ms(order.placed_at))


def worth_splitting(order: Order, limits: Limits, items: Mapping[str, Sku], parcels: Sequence[Parcel]) -> bool:
    """Whether each shipment, parcels of one node, service and day, holds goods of at least `min_split_value`."""
    if limits.min_split_value is None:
        return True
    price = {}
    for line in order.lines:
        entry = items.get(line.sku)
        price[line.line_id] = mills(line.unit_price or (entry.value if entry else None) or "0")
    worth: dict[tuple[str, str | None, str, str], int] = {}
    for parcel in parcels:
        way = parcel.node_id, parcel.carrier, parcel.service, parcel.ship_by
        goods = sum(price[line.line_id] * line.quantity for line in parcel.lines)
        worth[way] = worth.get(way, 0) + goods
    return all(goods >= mills(limits.min_split_value) for goods in worth.values())


def backordered(line: OrderLine, quantity: int, dues: Dues) -> list[Backordered]:
    """Units of a line that wait: those that have a date, with the date by which all of them are there, and the rest."""
    dated, at_ms = 0, 0
    for due in dues:
        if dated < quantity:
            dated, at_ms = min(quantity, dated + due.units), due.at_ms
    found = []
    if dated:
        found.append(Backordered(line.line_id, line.sku, dated, _instant(at_ms)))
    if quantity > dated:
        found.append(Backordered(line.line_id, line.sku, quantity - dated, None))
    return found


def _instant(at_ms: int) -> str:
    instant = datetime.fromtimestamp(at_ms / 1000, UTC)
    return instant.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def waits_of(missing: Sequence[Missing], items: Mapping[str, Sku], limits: Limits) -> tuple[Wait, ...]:
    """The names under which units wait: their SKUs, of kits the components, what may ship instead, and room."""
    units: dict[str, int] = {}
    for each in missing:
        for sku, count in _parts(each.line.sku, items).items():
            units[sku] = units.get(sku, 0) + count * each.quantity
        entry = items.get(each.line.sku)
        for other in entry.substitutes if entry and limits.allow_substitutes else ():
            for sku in _parts(other.sku, items):
                units.setdefault(sku, 0)
        if each.reason in _OF_ROOM:
            units.setdefault(ROOM, 0)
    return tuple(Wait(name, count) for name, count in units.items())


def joined(*some: Sequence[Wait]) -> tuple[Wait, ...]:
    """Waits under the same name added up."""
    units: dict[str, int] = {}
    for waits in some:
        for name, count in waits:
            units[name] = units.get(name, 0) + count
    return tuple(Wait(name, count) for name, count in units.items())


def without(expected: Mapping[str, Expected], *waits: Sequence[Wait]) -> dict[str, Expected]:
    """What is expected by SKU, less the units that orders wait for which are decided again themselves."""
    own = dict(joined(*waits))
    return {sku: each._replace(waited=max(0, each.waited - own.get(sku, 0))) for sku, each in expected.items()}


def _parts(sku: str, items: Mapping[str, Sku]) -> dict[str, int]:
    """Units by SKU of what one unit takes."""
    entry = items.get(sku)
    if entry is None or not entry.components:
        return {sku: 1}
    return {component.sku: component.quantity for component in entry.components}
