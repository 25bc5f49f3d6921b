"""Kinds of orders, numbered as they first come: a long tail has 100,000 of them, and one more changes nothing of the
others."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from typing import NamedTuple

Line = tuple[Hashable, int]
"""SKU, units."""

Basket = tuple[Line, ...]
"""Its lines, in a fixed order."""


class Kind(NamedTuple):
    """Orders that are alike: what is bought and where it goes."""

    basket: Basket
    zone: Hashable


class Kinds:
    """The numbers of kinds, by `number`, and of what they have in common.

    `basket` and `zone` of each kind. The lines of basket b are `lines[start[b]:start[b + 1]]`, `item` numbers the SKU
    of each.
    """

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self.number: dict[Kind, int] = {}
        self.basket, self.zone = array("q"), array("q")
        self.baskets: dict[Basket, int] = {}
        self.zones: dict[Hashable, int] = {}
        self.items: dict[Hashable, int] = {}
        self.lines: list[Line] = []
        self.item, self.start = array("q"), array("q", [0])
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> int:
        """The number of a kind, which is the next one if it is new."""
        number = self.number.get(kind)
        if number is not None:
            return number
        basket = self.baskets.get(kind.basket)
        if basket is None:
            basket = self.baskets[kind.basket] = len(self.baskets)
            self.lines += kind.basket
            self.item.extend([self.items.setdefault(sku, len(self.items)) for sku, _ in kind.basket])
            self.start.append(len(self.lines))
        self.basket.append(basket)
        self.zone.append(self.zones.setdefault(kind.zone, len(self.zones)))
        number = self.number[kind] = len(self.number)
        return number
