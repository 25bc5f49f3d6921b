"""The price sheet as a window's problem has it: mills by SKU and node, and by bucket."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.lowering.days import Days
from engine.lowering.question import WindowInput
from engine.policy.document import thousandths
from solvers.problem import DEAREST, Ints


class Prices(NamedTuple):
    """Weighted by the policy: `stock` int64[I, N] over all items of the problem, `room` int64[D]; 0 for none."""

    stock: Ints
    room: Ints
    any: bool
    """Whether anything has a price."""


def prices_of(window: WindowInput, days: Days, stock: Ints) -> Prices:
    """`stock` int64[I, N]: that of the problem, of which the first rows are the window's SKUs."""
    found = Prices(np.zeros(stock.shape, np.int64), np.zeros_like(days.room_parcels), any=False)
    sheet, weight = window.prices, thousandths(window.policy.objective.stock_price)
    if sheet is None or not weight:
        return found
    row, cells = sheet.of(window.skus)
    node = window.network.indexes_of(cells["node"].astype(np.int64))
    there = node >= 0
    mills = np.minimum(cells["mills"][there].astype(np.int64) * weight // 1000, DEAREST)
    found.stock[row[there], node[there]] = mills
    nodes = window.network.indexes_of(np.array([price.node for price in sheet.room], np.int64))
    for price, at in zip(sheet.room, nodes.tolist(), strict=True):
        if at >= 0:
            bucket = days.bucket[:, :, at][days.ship[:, :, at] == price.day]
            found.room[bucket[bucket >= 0]] = min(price.mills * weight // 1000, DEAREST)
    return found._replace(any=bool(found.stock.any() or found.room.any()))
