"""Prices from sampled futures: the orders that may come, lowered like any window, and the duals of their programme.

An order of a future is placed at some moment of the horizon, every moment as likely, and uses the room of its own ship
day. Of a SKU that is to be replenished it wants nothing afterwards: today's stock need last no longer.

Orders that stand and may be decided again come in every future, and what they hold is free: else prices would swing
with where they stand, and they with prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from engine.domain import Order, OrderLine, ShipTo, epoch_ms
from engine.ledger.port import Snapshot
from engine.lowering import Lowered, WindowInput, days_of, lower, touched
from engine.pricing.kinds import Basket, Kind
from engine.pricing.observed import Destination, Observed, zone_of
from engine.pricing.sheet import CELL, PriceSheet, RoomPrice, by_sku
from engine.registry import DEFAULT, Books
from solvers.problem import DEAREST, Problem

if TYPE_CHECKING:
    from solvers.shadow import Shadow

FUTURES = 4
"""Courses sampled for one sheet; their prices are averaged."""

FUTURE_ORDERS = 1_000
"""Orders sampled of one future at most; of a longer one each stands for several."""

CELLS = 200_000
"""Orders times nodes, and days that they may roll to there, of all futures together at most."""

LP_KINDS = 200
"""Kinds of orders up to which futures are priced by an LP; more are priced by `shadow_ascent`."""

MOMENTS = 84
"""Parts of the horizon, of a week two hours each: an order comes in the middle of one."""


class Horizon(NamedTuple):
    """How far ahead futures reach: about so many `orders`, from an instant until another, in ms since the epoch."""

    orders: float
    from_ms: int
    until_ms: int

    def moment(self, part: int) -> datetime:
        """The middle of a part."""
        at_ms = self.from_ms + (self.until_ms - self.from_ms) * (2 * part + 1) // (2 * MOMENTS)
        return datetime.fromtimestamp(at_ms / 1000, UTC)


class Futures(NamedTuple):
    """K kinds of orders, of one basket, destination and moment each, and how often each comes in each of M futures,
    float64[M, K]."""

    orders: tuple[Order, ...]
    zones: tuple[str, ...]
    weight: np.ndarray

    @property
    def units(self) -> np.ndarray:
        """float64[K]: units of an order of each kind."""
        return np.array([sum(line.quantity for line in order.lines) for order in self.orders], np.float64)

    def plus(self, standing: Sequence[Order]) -> Futures:
        """With orders that come once in every future: those that stand and are to be decided again."""
        zones = tuple(zone_of(order.ship_to) for order in standing)
        ones = np.ones((len(self.weight), len(standing)))
        return Futures((*self.orders, *standing), self.zones + zones, np.concatenate([self.weight, ones], axis=1))

    def until_replenished(self, due_ms: Mapping[str, int]) -> Futures:
        """Without what is wanted of a SKU once it is replenished; orders of nothing else are left out."""
        orders = [_until(order, due_ms) for order in self.orders]
        left = [k for k, order in enumerate(orders) if order.lines]
        return Futures(tuple(orders[k] for k in left), tuple(self.zones[k] for k in left), self.weight[:, left])


def _until(order: Order, due_ms: Mapping[str, int]) -> Order:
    assert order.placed_at is not None, "an order of a future has its moment"
    at_ms = epoch_ms(order.placed_at)
    lines = [line for line in order.lines if due_ms.get(line.sku, at_ms + 1) > at_ms]
    return order if len(lines) == len(order.lines) else msgspec.structs.replace(order, lines=lines)


def futures_of(observed: Observed, horizon: Horizon, books: Books) -> Futures:
    """Sample what may come until the horizon. The same log and instant give the same futures."""
    rng, when = (np.random.default_rng([observed.orders, stream]) for stream in range(2))
    places = max(1, len(books.network.node_ids)) * (1 + books.policies[DEFAULT].policy.capacity_horizon_days)
    size = min(horizon.orders, float(FUTURE_ORDERS), max(50.0, CELLS / FUTURES / places))
    number: dict[tuple[Kind, int], int] = {}
    counts: list[Counter[int]] = []
    for _ in range(FUTURES):
        future = observed.demand.sample(size, rng)
        count: Counter[int] = Counter()
        for kind, orders in zip(future.kinds, future.orders.tolist(), strict=True):
            if not books.strict_skus or all(sku in books.items for sku, _ in kind.basket):
                for part in when.integers(MOMENTS, size=orders).tolist():
                    count[number.setdefault((kind, part), len(number))] += 1
        counts.append(count)
    weight = np.zeros((FUTURES, len(number)))
    for m, count in enumerate(counts):
        weight[m, list(count)] = np.array(list(count.values()), np.float64) * (horizon.orders / size)
    to = [kind.zone for kind, _ in number]
    destinations = [destination for destination in to if isinstance(destination, Destination)]
    assert len(destinations) == len(to), "what was observed goes to destinations"
    orders = tuple(
        _order(k, kind.basket, destination, observed.places, horizon.moment(part))
        for k, ((kind, part), destination) in enumerate(zip(number, destinations, strict=True))
    )
    return Futures(orders, tuple(destination.zone for destination in destinations), weight)


def _order(k: int, basket: Basket, to: Destination, places: Mapping[str, ShipTo], at: datetime) -> Order:
    lines = [OrderLine(line_id=str(n), sku=str(sku), quantity=units) for n, (sku, units) in enumerate(basket)]
    return Order(order_id=f"future {k}", ship_to=places[to.zone], lines=lines, level=to.level, placed_at=at)


def skus_of(futures: Futures, books: Books) -> tuple[str, ...]:
    """Those whose stock the futures touch."""
    return touched(futures.orders, books.items)


def days_ahead(futures: Futures, books: Books, now_ms: int) -> list[int]:
    """The days whose room the futures use, ascending."""
    rolling = books.policies[DEFAULT].policy.capacity_horizon_days
    return sorted(days_of(futures.orders, books.network, now_ms, horizon=rolling))


@dataclass(frozen=True, slots=True)
class Ahead:
    """Futures on live stock: all that prices depend on. `seen`: orders that the demand was learned from."""

    futures: Futures
    books: Books
    skus: tuple[str, ...]
    snapshot: Snapshot
    horizon: Horizon
    seen: float

    def sheet(self) -> PriceSheet:
        """The prices that these futures give. Raises RuntimeError where no future had any."""
        futures = self.futures.until_replenished(self._replenished())
        sheet = PriceSheet(
            self.snapshot.at_ms,
            "lp",
            horizon=round(self.horizon.orders, 1),
            futures=len(futures.weight),
            seen=round(self.seen, 1),
        )
        if not futures.orders:
            return sheet
        from solvers.shadow import Outlook  # Some seconds to load: only where there is something to price.

        lowered = lower(self._window(futures.orders))
        outlook = Outlook(_scarce(lowered, futures), loose=True)
        few = len(futures.orders) <= LP_KINDS
        shadows = [outlook.prices(weight) if few else outlook.settled(weight) for weight in futures.weight]
        if not np.delete(futures.weight, shadows[0].left_out, axis=1).any():
            return sheet  # of what is wanted there is nothing, so there is nothing to keep
        if few and all(shadow.value is None for shadow in shadows):
            raise RuntimeError("no programme of the futures was solved")
        zones, stock = self._stock(shadows, futures.zones)
        return msgspec.structs.replace(sheet, zones=zones, stock=stock, room=self._room(shadows, lowered, futures))

    def _replenished(self) -> dict[str, int]:
        """When each SKU is replenished next, a kit with the first of its parts. What is overdue nobody can rely on."""
        now_ms, due_ms = self.snapshot.at_ms, dict[str, int]()
        for sku, expected in self.snapshot.expected.items():
            coming = [each.expected_ms for each in expected.incoming if each.expected_ms > now_ms]
            if coming:
                due_ms[sku] = min(coming)
        for sku in {line.sku for order in self.futures.orders for line in order.lines} & self.books.items.keys():
            parts = [due_ms[part.sku] for part in self.books.items[sku].components if part.sku in due_ms]
            if parts:
                due_ms[sku] = min(parts)
        return due_ms

    def _stock(self, shadows: Sequence[Shadow], names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, bytes]]:
        """The zones and the stock of the sheet."""
        own = len(self.skus)
        mean = np.mean([shadow.stock[:own] for shadow in shadows], axis=0)
        number = self.books.network.number_of
        by_number = np.argsort(number)
        mills = np.minimum(np.rint(mean), DEAREST).astype(np.int64)[:, by_number]
        item, at = np.nonzero(mills)
        node = by_number[at]
        zone_of = _zones(shadows, names)
        told = [zone_of.get(cell, "") for cell in zip(item.tolist(), node.tolist(), strict=True)]
        zones = {zone: place for place, zone in enumerate(dict.fromkeys(("", *told)))}
        cells = np.empty(len(item), CELL)
        cells["node"], cells["mills"], cells["zone"] = number[node], mills[item, at], [zones[zone] for zone in told]
        return tuple(zones), by_sku(self.skus, item, cells)

    def _room(self, shadows: Sequence[Shadow], lowered: Lowered, futures: Futures) -> tuple[RoomPrice, ...]:
        """By node and day; where units are what is scarce, a box costs what those of a mean order do."""
        days = lowered.days
        units = float((futures.weight @ futures.units).sum() / futures.weight.sum())
        mean = np.mean([shadow.room + units * shadow.room_units for shadow in shadows], axis=0)
        mills = np.minimum(np.rint(mean), DEAREST).astype(np.int64)
        limited = days.bucket >= 0
        node, day, bucket = np.nonzero(limited)[2], days.ship[limited], days.bucket[limited]
        priced = {
            (n, d): int(mills[b])
            for n, d, b in zip(node.tolist(), day.tolist(), bucket.tolist(), strict=True)
            if mills[b]
        }
        number_of = self.books.network.number_of.tolist()
        return tuple(RoomPrice(number_of[n], d, price) for (n, d), price in sorted(priced.items()))

    def _window(self, orders: tuple[Order, ...]) -> WindowInput:
        """The orders of all futures as one window."""
        books, count = self.books, len(orders)
        return WindowInput(
            window_id="prices",
            orders=orders,
            contents=(b"",) * count,
            idempotency_keys=(None,) * count,
            waited_ms=(0.0,) * count,
            skus=self.skus,
            items={sku: books.items[sku] for sku in self.skus if sku in books.items},
            snapshot=replace(self.snapshot, expected={}),
            network=books.network,
            policy=msgspec.structs.replace(books.policies[DEFAULT].policy, mode="optimise"),
            strict_skus=books.strict_skus,
        )


def _scarce(lowered: Lowered, futures: Futures) -> Problem:
    """The problem without guidance, and without limits of days that no future could reach: they have no price."""
    problem, count = lowered.problem, len(lowered.problem.bucket_parcels)
    bucket = problem.options.bucket
    held = bucket >= 0
    order, at = np.divmod(np.unique(lowered.ways.order[held] * count + bucket[held]), max(count, 1))
    wanted = np.zeros(count)
    for units in futures.weight * futures.units:  # no order has more boxes than units
        wanted = np.maximum(wanted, np.bincount(at, weights=units[order], minlength=count))
    ample = np.append((problem.bucket_parcels >= wanted) & (problem.bucket_units >= wanted), True)
    return replace(problem, guide=None, options=replace(problem.options, bucket=np.where(ample[bucket], -1, bucket)))


def _zones(shadows: Sequence[Shadow], names: Sequence[str]) -> dict[tuple[int, int], str]:
    """By (SKU, node), the zone to which most units of it go in the futures; of equals the first by name."""
    units: dict[tuple[int, int], Counter[str]] = {}
    for shadow in shadows:
        order, item, node, many = (column.tolist() for column in shadow.keeping)
        for o, i, n, u in zip(order, item, node, many, strict=True):
            units.setdefault((i, n), Counter())[names[o]] += u
    return {cell: min(zones, key=lambda zone: (-zones[zone], zone)) for cell, zones in units.items()}
