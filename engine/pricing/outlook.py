"""Prices from sampled futures: the orders that may come, lowered like any window, and the duals of their programme.

Days are left out: a future lasts longer than the room of a day, so its parcels are taken to find room. What is to come
in before the future ends counts as stock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from engine.domain import Order, OrderLine, ShipTo
from engine.ledger.backlog import Expected
from engine.ledger.port import SLOT, Row, Snapshot
from engine.lowering import WindowInput, lower, touched
from engine.pricing.demand import Basket, Kind
from engine.pricing.descent import STEP, stepped
from engine.pricing.observed import Destination, Observed
from engine.pricing.sheet import Keep, PriceSheet
from engine.registry import Books
from solvers.problem import DEAREST, Problem
from solvers.shadow import Outlook, Shadow

FUTURES = 4
"""Courses sampled for one sheet; their prices are averaged."""

FUTURE_ORDERS = 1_000
"""Orders sampled of one future at most; of a longer one each stands for several."""

CELLS = 400_000
"""Orders times nodes of all futures together at most."""


class Futures(NamedTuple):
    """K kinds of orders and how often each comes in each of M futures, float64[M, K]."""

    orders: tuple[Order, ...]
    zones: tuple[str, ...]
    weight: np.ndarray


def futures_of(observed: Observed, horizon: float, nodes: int, skus: Mapping[str, object], strict: bool) -> Futures:
    """Sample what may come in the next `horizon` orders. The same log gives the same futures."""
    rng = np.random.default_rng(observed.orders)
    size = min(horizon, float(FUTURE_ORDERS), max(50.0, CELLS / FUTURES / max(1, nodes)))
    number: dict[Kind, int] = {}
    counts: list[Counter[int]] = []
    for _ in range(FUTURES):
        future = observed.demand.sample(size, rng)
        count: Counter[int] = Counter()
        for kind, orders in zip(future.kinds, future.orders.tolist(), strict=True):
            if not strict or all(sku in skus for sku, _ in kind.basket):
                count[number.setdefault(kind, len(number))] += orders
        counts.append(count)
    weight = np.zeros((FUTURES, len(number)))
    for m, count in enumerate(counts):
        weight[m, list(count)] = np.array(list(count.values()), np.float64) * (horizon / size)
    to = [kind.zone for kind in number]
    destinations = [destination for destination in to if isinstance(destination, Destination)]
    assert len(destinations) == len(to), "what was observed goes to destinations"
    baskets = [kind.basket for kind in number]
    orders = tuple(_order(k, *each, observed.places) for k, each in enumerate(zip(baskets, destinations, strict=True)))
    return Futures(orders, tuple(destination.zone for destination in destinations), weight)


def _order(k: int, basket: Basket, to: Destination, places: Mapping[str, ShipTo]) -> Order:
    lines = [OrderLine(line_id=str(n), sku=str(sku), quantity=units) for n, (sku, units) in enumerate(basket)]
    return Order(order_id=f"future {k}", ship_to=places[to.zone], lines=lines, level=to.level)


def skus_of(futures: Futures, books: Books) -> tuple[str, ...]:
    """Those whose stock the futures touch."""
    return touched(futures.orders, books.items)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Futures on live stock: all that prices depend on. `until_ms`: when the futures end."""

    futures: Futures
    books: Books
    skus: tuple[str, ...]
    snapshot: Snapshot
    until_ms: int
    horizon: float
    seen: float

    def sheet(self) -> PriceSheet:
        """The prices that these futures give. Raises RuntimeError where no future had any."""
        problem = self._problem()
        outlook = Outlook(problem)
        shadows = [outlook.prices(weight) for weight in self.futures.weight]
        if all(shadow.value is None for shadow in shadows):
            raise RuntimeError("no programme of the futures was solved")
        own = len(self.skus)
        mean = np.mean([shadow.stock[:own] for shadow in shadows], axis=0)
        mills = np.minimum(np.rint(mean), DEAREST).astype(np.int64)
        zone_of = self._zones(shadows)
        stock: dict[str, tuple[Keep, ...]] = {}
        node_ids = self.books.network.node_ids
        for i in np.flatnonzero(mills.any(axis=1)).tolist():
            nodes = np.flatnonzero(mills[i]).tolist()
            stock[self.skus[i]] = tuple(Keep(node_ids[n], int(mills[i, n]), zone_of.get((i, n), "")) for n in nodes)
        return PriceSheet(
            self.snapshot.at_ms,
            "lp",
            stock,
            horizon=round(self.horizon, 1),
            futures=len(shadows),
            seen=round(self.seen, 1),
        )

    def _zones(self, shadows: Sequence[Shadow]) -> dict[tuple[int, int], str]:
        """By (SKU, node), the zone to which most units of it go in the futures; of equals the first by name."""
        units: dict[tuple[int, int], Counter[str]] = {}
        for shadow in shadows:
            order, item, node, many = (column.tolist() for column in shadow.keeping)
            for o, i, n, u in zip(order, item, node, many, strict=True):
                units.setdefault((i, n), Counter())[self.futures.zones[o]] += u
        return {cell: min(zones, key=lambda zone: (-zones[zone], zone)) for cell, zones in units.items()}

    def _problem(self) -> Problem:
        """The futures as one problem, lowered as windows are, without the room of days."""
        books, policy = self.books, self.books.policies["default"].policy
        rows = [
            _with_incoming(row, self.snapshot.expected.get(sku), self.until_ms)
            for sku, row in zip(self.skus, self.snapshot.rows, strict=True)
        ]
        count = len(self.futures.orders)
        window = WindowInput(
            window_id="prices",
            orders=self.futures.orders,
            contents=(b"",) * count,
            idempotency_keys=(None,) * count,
            waited_ms=(0.0,) * count,
            skus=self.skus,
            items={sku: books.items[sku] for sku in self.skus if sku in books.items},
            snapshot=replace(self.snapshot, rows=tuple(rows), expected={}),
            network=books.network,
            policy=msgspec.structs.replace(policy, capacity_horizon_days=0, mode="optimise"),
            strict_skus=books.strict_skus,
        )
        problem = lower(window).problem
        none = np.zeros(0, np.int64)
        return replace(
            problem,
            options=replace(problem.options, bucket=np.full_like(problem.options.bucket, -1)),
            bucket_parcels=none,
            bucket_units=none,
            source_bucket=np.full_like(problem.source_bucket, -1),
            guide=None,
        )


def _with_incoming(row: Row, expected: Expected | None, until_ms: int) -> Row:
    """A row as if what is to come in by then were there."""
    coming = [] if expected is None else [each for each in expected.incoming if each.expected_ms <= until_ms]
    if not coming:
        return row
    slots = row.slots.copy()
    for each in coming:
        if not (slots["node"] == each.node).any():
            slots = np.append(slots, np.array([(each.node, 0, 0, -1, 0)], SLOT))
        slots["on_hand"][slots["node"] == each.node] += each.quantity
    return Row(row.gain, slots)


def followed(
    sheet: PriceSheet, observed: Observed, books: Books, skus: Sequence[str], snapshot: Snapshot, horizon: float
) -> PriceSheet:
    """The sheet moved by what was taken since: for between two programmes, and for when none is solved.

    `skus`, parallel to the snapshot's rows: those that have a price or were taken from.
    """
    names, zones = {number: node_id for node_id, number in books.network.numbers.items()}, {}
    price: dict[tuple[str, str], float] = {}
    for sku, keeps in sheet.stock.items():
        for keep in keeps:
            price[sku, keep.node_id], zones[sku, keep.node_id] = float(keep.mills), keep.for_zone
    taken = {(sku, names[number]): units for (sku, number), units in observed.taken.items() if number in names}
    free: dict[tuple[str, str], int] = {}
    for sku, row in zip(skus, snapshot.rows, strict=True):
        for node, on_hand, held, safety, blocked in row.slots.tolist():
            if node in names:
                free[sku, names[node]] = max(0, on_hand - held - max(0, safety) - blocked)
    cells = sorted((price.keys() | taken.keys()) & free.keys())
    used = np.array([taken.get(cell, 0) for cell in cells], np.int64)
    moved = stepped(
        np.array([price.get(cell, 0.0) for cell in cells], np.float64),
        used,
        float(observed.since),
        np.array([free[cell] for cell in cells], np.int64) + used,
        max(horizon, 1.0),
        STEP * observed.parcel_mills,
    )
    stock: dict[str, tuple[Keep, ...]] = {}
    for (sku, node_id), mills in zip(cells, np.rint(moved).astype(np.int64).tolist(), strict=True):
        if mills:
            stock[sku] = (*stock.get(sku, ()), Keep(node_id, min(mills, DEAREST), zones.get((sku, node_id), "")))
    return msgspec.structs.replace(sheet, at_ms=snapshot.at_ms, source="adaptive", stock=stock, version=0)
