"""What the SKUs of a window are: single goods, kits, and what may ship for them.

A *good* is what a line can be supplied with: the SKUs of the window in their order, then the *composites*, whole kits
and several units of a substitute for one. A composite has no stock of its own, but that of its parts.
Sizes: I SKUs of the window, G goods, N nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from engine.domain import UNITS_MAX, Order, Sku
from engine.lowering.question import WindowInput
from solvers.problem import Ints

VOLUME_MAX_MM3 = 2**40
"""The largest volume of one unit that arithmetic sees, about a thousand cubic metres."""


def touched(orders: Iterable[Order], items: Mapping[str, Sku]) -> tuple[str, ...]:
    """The SKUs whose stock may ship for these orders: those of the lines, then their substitutes and components."""
    found = dict.fromkeys(line.sku for order in orders for line in order.lines)
    for entry in [items[sku] for sku in found if sku in items]:
        if entry.substitutes:
            found |= dict.fromkeys(each.sku for each in entry.substitutes)
    for entry in [items[sku] for sku in found if sku in items]:
        if entry.components:
            found |= dict.fromkeys(each.sku for each in entry.components)
    return tuple(found)


class Goods:
    """The goods of one window; grows while `several` asks for new ones, and is only read after lowering.

    `own[i]`: the good of SKU i, itself or its kit. `parts[g - I]`: {SKU: units} of composite g.
    By good: `weight_g`, `volume_mm3`, `alone` (each unit a parcel of its own), `requires` (capabilities).
    """

    def __init__(self, window: WindowInput) -> None:
        self.index = {sku: i for i, sku in enumerate(window.skus)}
        self.entries = [window.items.get(sku) for sku in window.skus]
        self.weight_g = [entry.weight_g if entry else 0 for entry in self.entries]
        self.volume_mm3 = [min(entry.volume_mm3, VOLUME_MAX_MM3) if entry else 0 for entry in self.entries]
        self.alone = [entry.ships_alone if entry else False for entry in self.entries]
        self.requires = [tuple(entry.requires) if entry else () for entry in self.entries]
        self.parts: list[dict[int, int]] = []
        self.own = list(range(len(self.entries)))
        self._several: dict[tuple[int, int], int] = {}
        for i, entry in enumerate(self.entries):
            if entry is not None and entry.components:
                self.own[i] = self._kit(i, entry)

    def __len__(self) -> int:
        return len(self.weight_g)

    def _kit(self, sku: int, entry: Sku) -> int:
        """A kit weighs what its parts weigh unless its entry says otherwise, and needs what its parts need."""
        parts: dict[int, int] = {}
        for component in entry.components:
            part = self.index[component.sku]
            parts[part] = parts.get(part, 0) + component.quantity
        weight = entry.weight_g or sum(self.weight_g[part] * count for part, count in parts.items())
        volume = entry.volume_mm3 or sum(self.volume_mm3[part] * count for part, count in parts.items())
        needs = dict.fromkeys((*self.requires[sku], *(name for part in parts for name in self.requires[part])))
        return self._composite(parts, weight, volume, entry.ships_alone, tuple(needs))

    def _composite(self, parts: dict[int, int], weight: int, volume: int, alone: bool, needs: tuple[str, ...]) -> int:
        self.parts.append(parts)
        self.weight_g.append(min(weight, UNITS_MAX))
        self.volume_mm3.append(min(volume, VOLUME_MAX_MM3))
        self.alone.append(alone)
        self.requires.append(needs)
        return len(self.weight_g) - 1

    def several(self, sku: int, ratio: int) -> int:
        """The good that is `ratio` units of a SKU at once."""
        one = self.own[sku]
        if ratio == 1:
            return one
        known = self._several.get((sku, ratio))
        if known is None:
            parts = {part: count * ratio for part, count in self.parts_of(one).items()}
            weight, volume = self.weight_g[one] * ratio, self.volume_mm3[one] * ratio
            known = self._composite(parts, weight, volume, self.alone[one], self.requires[one])
            self._several[sku, ratio] = known
        return known

    def parts_of(self, good: int) -> dict[int, int]:
        """{SKU: units} that one unit of a good takes."""
        single = len(self.entries)
        return {good: 1} if good < single else self.parts[good - single]

    def known(self, sku: int) -> bool:
        """Whether the catalogue has the SKU and, of a kit, all its parts."""
        entry = self.entries[sku]
        return entry is not None and all(self.entries[self.index[part.sku]] is not None for part in entry.components)

    def whole(self, stock: Ints) -> Ints:
        """Units of every good that stock of the SKUs makes, for one taker: int64[I, N] -> int64[G, N]."""
        if not self.parts:
            return stock
        made = [np.min([stock[part] // count for part, count in parts.items()], axis=0) for parts in self.parts]
        return np.concatenate([stock, np.array(made, np.int64)])
