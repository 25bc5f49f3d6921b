"""Price sheets, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from engine.pricing.sheet import CELL, Keep, PriceSheet, by_sku


def price_sheet(stock: Mapping[str, Iterable[Keep]], **fields: Any) -> PriceSheet:
    """A sheet of these prices."""
    cells = [(at, keep) for at, keeps in enumerate(stock.values()) for keep in sorted(keeps)]
    zones = {zone: at for at, zone in enumerate(dict.fromkeys(("", *(keep.for_zone for _, keep in cells))))}
    found = np.array([(keep.node, keep.mills, zones[keep.for_zone]) for _, keep in cells], CELL)
    packed = by_sku(list(stock), np.array([at for at, _ in cells], np.int64), found)
    return PriceSheet(**{"at_ms": 1, "source": "lp"} | fields, zones=tuple(zones), stock=packed)
