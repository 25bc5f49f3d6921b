"""The recipes of the instances, each from a seed: the test bed of Jasin & Sinha (2015) and Ma (2023), a long tail."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bench.papers.source import Floats, Geometry
from bench.papers.world import PLENTY, SCALE, World
from solvers.problem import Bools, Ints

PARCEL, UNIT, UNIT_MILE = 8.759, 0.423, 0.000541
"""Dollars for each node used, and for each unit, with its miles."""

DEAR = 2
"""Not shipping costs so many times the dearest."""

SAFETY = 0.5
"""Standard deviations of the demand in stock beyond its mean."""

SPIKE, SPIKES, SHIFT_STEP = 0.3, 3, 100
"""Part of all orders that a promotion makes its own, promotions of a path, slots after which rates change."""

TAIL_ITEMS, TAIL_ORDERS, TAIL_METROS, TAIL_CARRIED = 300, 5_000, 20, 0.5
TAIL_LINES = (0.55, 0.22, 0.12, 0.07, 0.04)
TAIL_UNFILLED = 60.0
TAIL_SAMPLE = 200_000
"""Orders from which the units of each item in a mean order are reckoned: draws without replacement have no formula."""
ZIPF = 0.8


class Bed(NamedTuple):
    """The sizes of a test bed: items, largest basket, baskets of each size, arrivals, probability to be carried."""

    items: int
    largest: int
    each: int
    horizon: int
    carried: float


SMALL = Bed(20, 5, 5, 10_000, 0.75)
LARGE = Bed(100, 10, 10, 100_000, 0.5)


def published_bed(where: Geometry, bed: Bed, rng: np.random.Generator) -> World:
    """An instance of E1 (SMALL on the small network) or of E1-large; not shipping is a choice with a price."""
    sizes = np.repeat(np.arange(1, bed.largest + 1), bed.each)
    baskets = [np.sort(rng.choice(bed.items, size, replace=False)) for size in sizes.tolist()]
    of_basket = _mix(bed, rng)
    carried = rng.random((bed.items, len(where.miles))) < bed.carried
    rate = np.outer(of_basket, where.share)
    start, item = np.cumsum([0, *sizes.tolist()], dtype=np.int64), np.concatenate(baskets).astype(np.int64)
    demand = demanded(bed.items, start, item, rate)
    stock = stocked(demand, carried, where, bed.horizon)
    parcel, unit = _costs(where)
    outside = np.full((bed.items, 1), PLENTY, np.int64)
    return World(
        basket_start=start,
        basket_item=item,
        rate=rate.ravel(),
        parcel=np.append(parcel, _units(DEAR * PARCEL)),
        unit=np.vstack([unit, _units(DEAR * (UNIT + UNIT_MILE * where.miles.max(axis=0)))]),
        stock=np.hstack([stock, outside]),
        horizon=bed.horizon,
        outside=True,
        unfilled=_units(1_000),
    )


def _mix(bed: Bed, rng: np.random.Generator) -> Floats:
    """float64[B]: the probability of every basket; what is missing to 1 are empty slots."""
    by_size = rng.random(bed.largest + 1)
    by_size /= by_size.sum()
    within = rng.random((bed.largest, bed.each))
    within /= within.sum(axis=1, keepdims=True)
    return (by_size[1:, None] * within).ravel()


def demanded(items: int, basket_start: Ints, basket_item: Ints, rate: Floats) -> Floats:
    """float64[I, metros]: units of every item in a mean slot; rate float64[B, metros]."""
    demand = np.zeros((items, rate.shape[1]))
    np.add.at(demand, basket_item, np.repeat(rate, np.diff(basket_start), axis=0))
    return demand


def unrefusing(world: World, dollars: float) -> World:
    """The same without the choice not to ship: a unit stays only where no node has it, at so many dollars."""
    nodes = world.nodes - 1
    return replace(
        world,
        parcel=world.parcel[:nodes],
        unit=world.unit[:nodes],
        stock=np.ascontiguousarray(world.stock[:, :nodes]),
        outside=False,
        unfilled=int(_units(dollars)),
    )


class Shift(NamedTuple):
    """Demand that changes: from rates `first` to `second`, evenly, with promotions on the way.

    float64[K] both. `spikes`: (first slot, slots, basket) of each promotion, in which SPIKE of all orders are of it.
    """

    first: Floats
    second: Floats
    spikes: tuple[tuple[int, int, int], ...]

    def rate(self, world: World, slot: int) -> Floats:
        """float64[K]: the rates in a slot."""
        part = slot / world.horizon
        rate = (1 - part) * self.first + part * self.second
        for start, slots, basket in self.spikes:
            if start <= slot < start + slots:
                mine = slice(basket * world.metros, (basket + 1) * world.metros)
                share = world.rate.reshape(-1, world.metros).sum(axis=0)
                rate = (1 - SPIKE) * rate
                rate[mine] += SPIKE * share / share.sum()
        return rate

    def arrivals(self, world: World, rng: np.random.Generator) -> Ints:
        """int64[T]: the kind of each slot, -1 for an empty one."""
        kinds = np.full(world.horizon, -1, np.int64)
        for slot in range(0, world.horizon, SHIFT_STEP):
            some = replace(world, rate=self.rate(world, slot)).arrivals(min(SHIFT_STEP, world.horizon - slot), rng)
            kinds[slot : slot + SHIFT_STEP] = some
        return kinds


def shifting(world: World, where: Geometry, bed: Bed, rng: np.random.Generator) -> tuple[World, Shift]:
    """A test bed's world whose mix becomes another one; its stock is for the mean of all rates, promotions included."""
    share = world.rate.reshape(-1, world.metros).sum(axis=0)
    second = np.outer(_mix(bed, rng), share / share.sum()).ravel()
    length = world.horizon // 20
    spikes = tuple(
        (int(rng.integers(0, world.horizon - length)), length, int(rng.integers(world.baskets))) for _ in range(SPIKES)
    )
    shift = Shift(world.rate, second, spikes)
    mean = np.mean([shift.rate(world, slot) for slot in range(0, world.horizon, SHIFT_STEP)], axis=0)
    items, nodes = world.stock.shape[0], len(where.miles)
    demand = demanded(items, world.basket_start, world.basket_item, mean.reshape(-1, world.metros))
    stock = stocked(demand, world.stock[:, :nodes] > 0, where, world.horizon)
    return replace(world, rate=mean, stock=stock), shift


class LongTail(NamedTuple):
    """How the orders of E3 come about: `popularity` float64[I] of items, `share` float64[metros]."""

    popularity: Floats
    share: Floats

    def orders(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
        """(start, item, metro) of `count` orders: lines by TAIL_LINES, items by popularity without replacement."""
        size = rng.choice(len(TAIL_LINES), count, p=TAIL_LINES) + 1
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        order = np.repeat(np.arange(count), size)
        item = np.zeros(len(order), np.int64)
        again = np.arange(len(order))
        while len(again):  # one after another without replacement: what the order has already is drawn again
            item[again] = rng.choice(len(self.popularity), len(again), p=self.popularity)
            ranked = np.lexsort((item, order))  # stable: of equal ones the first drawn comes first
            same = (np.diff(order[ranked]) == 0) & (np.diff(item[ranked]) == 0)
            again = np.sort(ranked[1:][same])
        metro = rng.choice(len(self.share), count, p=self.share)
        return start, item, metro.astype(np.int64)

    def wanted(self, rng: np.random.Generator) -> Floats:
        """float64[I]: units of each item in a mean order."""
        _, item, _ = self.orders(TAIL_SAMPLE, rng)
        return np.bincount(item, minlength=len(self.popularity)) / TAIL_SAMPLE


def stocked(demand: Floats, carried: Bools, where: Geometry, horizon: int) -> Ints:
    """int64[I, N]: the demand float64[I, metros] of the metros to which a node is the closest that carries it."""
    distance = np.where(carried[:, :, None], where.miles[None], np.inf)
    closest = np.argmin(distance, axis=1)
    own = np.zeros(carried.shape)
    item = np.arange(len(demand))[:, None]
    np.add.at(own, (item, closest), demand)
    own *= carried
    return np.rint(horizon * own + SAFETY * np.sqrt(horizon * own * (1 - own))).astype(np.int64)


def _costs(where: Geometry) -> tuple[Ints, Ints]:
    parcel = np.full(len(where.miles), _units(PARCEL), np.int64)
    return parcel, _units(UNIT + UNIT_MILE * where.miles)


def _units(dollars: Floats | float) -> Ints:
    found: Ints = np.rint(np.asarray(dollars) * SCALE).astype(np.int64)
    return found


def tail_orders(world: World, sample: tuple[Ints, Ints, Ints]) -> tuple[World, Ints]:
    """(the world with these orders as its baskets, their kinds): every order of a long tail is a kind of its own."""
    start, item, metro = sample
    orders = replace(world, basket_start=start, basket_item=item, rate=np.zeros(0))
    return orders, np.arange(len(metro), dtype=np.int64) * world.metros + metro


def long_tail(where: Geometry, rng: np.random.Generator) -> tuple[World, LongTail]:
    """An instance of E3: stock for the mean demand, and how its orders come about. Its baskets come with a path."""
    popularity = 1.0 / np.arange(1, TAIL_ITEMS + 1) ** ZIPF
    tail = LongTail(rng.permutation(popularity / popularity.sum()), where.share)
    carried = rng.random((TAIL_ITEMS, len(where.miles))) < TAIL_CARRIED
    stock = stocked(np.outer(tail.wanted(rng), tail.share), carried, where, TAIL_ORDERS)
    parcel, unit = _costs(where)
    none = np.zeros(0, np.int64)
    world = World(
        basket_start=np.zeros(1, np.int64),
        basket_item=none,
        rate=np.zeros(0),
        parcel=parcel,
        unit=unit,
        stock=stock,
        horizon=TAIL_ORDERS,
        outside=False,
        unfilled=int(_units(TAIL_UNFILLED)),
    )
    return world, tail
