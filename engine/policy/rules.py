"""Which rules of a policy are for which orders.

Orders are looked at one property at a time: each distinct value of it says, as a set of bits, which rules accept it,
and the rules of an order are those that all its properties accept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from engine.domain import Order, Sku, mills
from engine.policy.document import PriorityRange, Rule, ValueRange, When


def matches(rules: Sequence[Rule], orders: Sequence[Order], items: Mapping[str, Sku]) -> list[int]:
    """For each order the rules that are for it: bit r is rule r. `items`: the catalogue entries known."""
    found = [(1 << len(rules)) - 1] * len(orders)
    for name, values in _PROPERTIES.items():
        accepts = [_accepts(name, rule.when) for rule in rules]
        if not any(accepts):
            continue
        by_value: dict[Hashable, int] = {}
        for o, value in enumerate(values(orders, items)):
            bits = by_value.get(value)
            if bits is None:
                bits = sum(1 << r for r, accept in enumerate(accepts) if accept is None or accept(value))
                by_value[value] = bits
            found[o] &= bits
    return found


def names(asked: str | Sequence[str]) -> frozenset[str]:
    """One name or a list of them, as a set; empty for no restriction."""
    return frozenset((asked,)) if isinstance(asked, str) else frozenset(asked)


def span(asked: PriorityRange | ValueRange) -> tuple[float, float]:
    """The ends of a range, of values in mills; infinite where open."""
    low, high = (None if end is None else mills(end) if isinstance(end, str) else end for end in (asked.min, asked.max))
    return float("-inf") if low is None else low, float("inf") if high is None else high


def contains(outer: When, inner: When) -> bool:
    """Whether a rule with `outer` is for every order that one with `inner` is for."""
    for name in When.__struct_fields__:
        wide, narrow = getattr(outer, name), getattr(inner, name)
        if isinstance(wide, PriorityRange | ValueRange):
            (low, high), (lowest, highest) = span(wide), span(narrow)
            if low > lowest or high < highest:
                return False
        elif (wide := names(wide)) and not (names(narrow) and names(narrow) <= wide):
            return False
    return True


def order_value(order: Order, items: Mapping[str, Sku]) -> int:
    """What its goods are worth, in mills: by unit price, else by the catalogue, else nothing."""
    total = 0
    for line in order.lines:
        price = line.unit_price
        if price is None:
            entry = items.get(line.sku)
            price = entry.value if entry is not None else None
        if price is not None:
            total += mills(price) * line.quantity
    return total


def _accepts(name: str, when: When) -> Callable[[Any], bool] | None:
    """The test that a rule makes of a property; None if it makes none."""
    asked = getattr(when, name)
    if isinstance(asked, PriorityRange | ValueRange):
        low, high = span(asked)
        return None if (asked.min, asked.max) == (None, None) else lambda value: low <= value <= high
    wanted = names(asked)
    if not wanted:
        return None
    return (lambda value: not wanted.isdisjoint(value)) if name == "capability" else wanted.__contains__


def _capabilities(orders: Sequence[Order], items: Mapping[str, Sku]) -> Iterator[frozenset[str]]:
    """What each order's lines require, those of the components of kits included."""
    nothing: frozenset[str] = frozenset()
    of_sku: dict[str, frozenset[str]] = {}
    for sku, entry in items.items():
        parts = [items[part.sku].requires for part in entry.components if part.sku in items]
        required = nothing.union(entry.requires, *parts)
        if required:
            of_sku[sku] = required
    for order in orders:
        yield nothing.union(*(of_sku[line.sku] for line in order.lines if line.sku in of_sku))


_PROPERTIES: dict[str, Callable[[Sequence[Order], Mapping[str, Sku]], Iterator[Hashable]]] = {
    "channel": lambda orders, _: (order.channel for order in orders),
    "level": lambda orders, _: (order.level for order in orders),
    "priority": lambda orders, _: (order.priority for order in orders),
    "country": lambda orders, _: (order.ship_to.country for order in orders),
    "region": lambda orders, _: (order.ship_to.region for order in orders),
    "value": lambda orders, items: (order_value(order, items) for order in orders),
    "capability": _capabilities,
}
