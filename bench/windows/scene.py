"""Random windows from a seed: places, prices, long-tailed demand, and as much stock as the scarcity says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.problem import UNLIMITED, Curves, Derived, Ints, Limits, Lines, Mode, Objective, Options, Problem

SCARCITIES = {"ample": 10.0, "normal": 3.0, "scarce": 0.8}
"""Units in stock for every unit that a window wants of a SKU."""

LINES_OF_ORDER = (0.55, 0.22, 0.12, 0.07, 0.04)
"""Chance of an order with one to five lines: 1.83 in the mean."""

CARRIED, UNEVEN = 0.5, 0.7
"""Chance that a node carries a SKU, and the shape of the gamma that spreads its stock over these nodes."""

ZIPF, SKUS_PER_ORDER = 0.8, 0.6
"""Exponent of the demand's tail, and how many SKUs there are for an order."""

MANY = 0.3
"""Share of lines with more than one unit, where there are such."""

PLANE_M, ZONE_M = (4_300_000, 2_500_000), 500_000
"""Size of the country, and how many metres a carrier's price zone spans."""


class Shape(NamedTuple):
    """What windows look like. `quantity`: units of a line at most; `single`: one line an order; `room`: nodes can send
    no more than their share of the window's boxes, and half as many again."""

    orders: int = 500
    scarcity: str = "normal"
    nodes: int = 50
    quantity: int = 1
    single: bool = False
    room: bool = False


def window(shape: Shape, seed: int) -> Problem:
    """The window of a seed: from every node one carrier service, priced by zone and weight."""
    rng = np.random.default_rng(
        [seed, shape.orders, shape.nodes, shape.quantity, list(SCARCITIES).index(shape.scarcity)]
    )
    size = np.ones(shape.orders, np.int64) if shape.single else 1 + rng.choice(5, shape.orders, p=LINES_OF_ORDER)
    skus = max(5, int(shape.orders * SKUS_PER_ORDER))
    popular = (1.0 + np.arange(skus)) ** -ZIPF
    popular /= popular.sum()
    item = np.concatenate([rng.choice(skus, n, replace=False, p=popular) for n in size.tolist()])
    quantity = np.ones(len(item), np.int64)
    if shape.quantity > 1:
        quantity = np.where(rng.random(len(item)) < MANY, rng.integers(2, shape.quantity + 1, len(item)), 1)
    problem = Problem(
        lines=_lines(rng, size, item, quantity, skus, shape.nodes),
        options=_options(rng, shape),
        curves=_curves(rng),
        priority=np.zeros(shape.orders, np.int64),
        stock=spread(rng, np.bincount(item, quantity, skus), SCARCITIES[shape.scarcity], shape.nodes),
        bucket_parcels=np.full(
            shape.nodes if shape.room else 0, max(2, 3 * shape.orders // (2 * shape.nodes)), np.int64
        ),
        bucket_units=np.full(shape.nodes if shape.room else 0, UNLIMITED, np.int64),
        node_rank=np.zeros(shape.nodes, np.int64),
        distance_m=np.full((shape.orders, shape.nodes), UNLIMITED, np.int64),
        derived=Derived.none(),
        limits=Limits.none(shape.orders),
        source_bucket=np.zeros((0, shape.nodes), np.int64),
        modes=(Mode.OPTIMISE,) * shape.orders,
        objective=Objective(fill_always=True, split_parcel=500, late_per_day=0, unfilled_per_unit=60_000),
    )
    problem.validate()
    return problem


def _lines(rng: np.random.Generator, size: Ints, item: Ints, quantity: Ints, skus: int, nodes: int) -> Lines:
    count = len(item)
    none, grams = np.zeros(count, np.int64), rng.integers(100, 1_500, skus)[item]
    return Lines(
        start=np.concatenate([none[:1], np.cumsum(size)]),
        line=np.arange(count),
        item=item,
        quantity=quantity,
        weight_g=grams,
        volume_mm3=grams * 4_000,
        eligible=np.ones((count, nodes), np.bool_),
        draw=np.arange(count),
        more_line=none,
        more_unit=none,
        group=none - 1,
        value=none,
        alone=np.zeros(count, np.bool_),
        dated=none,
    )


def _options(rng: np.random.Generator, shape: Shape) -> Options:
    orders, nodes = shape.orders, shape.nodes
    place, home = rng.random((nodes, 2)) * PLANE_M, rng.random((orders, 2)) * PLANE_M
    metres = np.hypot(*(home[:, None, :] - place[None, :, :]).transpose(2, 0, 1)).ravel()
    none = np.zeros(orders * nodes, np.int64)
    return Options(
        start=np.arange(orders + 1) * nodes,
        node=np.tile(np.arange(nodes), orders),
        curve=(metres // ZONE_M).astype(np.int64),
        ship_parcel=none,
        ship_line=none,
        ship_unit=none,
        ship_per_kg=none,
        handle_parcel=np.tile(rng.integers(800, 1_600, nodes), orders),
        handle_line=none + 150,
        handle_unit=np.tile(rng.integers(200, 500, nodes), orders),
        max_weight_g=none + 30_000,
        dim_divisor=none + 5_000,
        late_days=none,
        bucket=np.tile(np.arange(nodes), orders) if shape.room else none - 1,
        day=none,
    )


def _curves(rng: np.random.Generator) -> Curves:
    """A row for each zone: dearer with the zone and with every half kilogram, then every two, then every five."""
    up_to = np.concatenate([np.arange(500, 5_001, 500), np.arange(7_000, 20_001, 2_000), [25_000, 30_000]])
    zones = int(np.hypot(*PLANE_M)) // ZONE_M + 1
    zone = np.arange(zones)[:, None]
    price = 5_000 + 700 * zone + up_to * (400 + 90 * zone) // 1_000 + rng.integers(0, 150, (zones, len(up_to)))
    return Curves(np.tile(up_to, (zones, 1)), price)


def spread(rng: np.random.Generator, demand: Ints, scarcity: float, nodes: int) -> Ints:
    """int64[SKUs, nodes]: of every SKU as many units as the scarcity says, spread unevenly over who carries it."""
    skus = len(demand)
    share = rng.gamma(UNEVEN, size=(skus, nodes)) * (rng.random((skus, nodes)) < CARRIED)
    share[np.arange(skus), rng.integers(0, nodes, skus)] += 0.1
    share /= share.sum(axis=1, keepdims=True)
    total = np.floor(scarcity * demand + rng.random(skus)).astype(np.int64)
    return rng.multinomial(total, share)
