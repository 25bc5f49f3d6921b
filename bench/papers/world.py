"""One instance of an experiment: kinds of orders, their rates, costs and stock, and windows of it as problems.

A kind of order is a basket (distinct items, one unit each) for a metro: kind = basket * metros + metro. Money is in
hundredths of a mill, so that rounding prices like 0.423 + 0.000541 per mile moves no cost by a millionth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.papers.source import Floats
from solvers.menu import spans
from solvers.problem import (
    UNLIMITED,
    Curves,
    Derived,
    Ints,
    Limits,
    Lines,
    Mode,
    Objective,
    Options,
    Problem,
)

SCALE = 100_000
"""Money units of a dollar."""

PLENTY = 10**9
"""Stock of the node outside, which stands for not shipping: more than any path asks for."""


@dataclass(frozen=True, slots=True)
class World:
    """The arrays of an instance.

    `basket_start` int64[B + 1], `basket_item`: the items of each basket. `rate` float64[B * metros]: the probability
    that an arrival is of the kind; what is missing to 1 are empty slots. `parcel` int64[N] and `unit` int64[N, metros]
    in money units. `stock` int64[I, N]. `outside`: the last node is no node but the choice not to ship, at its price;
    without it a unit stays only where no node has it, at `unfilled`.
    """

    basket_start: Ints
    basket_item: Ints
    rate: Floats
    parcel: Ints
    unit: Ints
    stock: Ints
    horizon: int
    outside: bool
    unfilled: int

    @property
    def metros(self) -> int:
        """How many destinations there are."""
        return int(self.unit.shape[1])

    @property
    def nodes(self) -> int:
        """How many nodes there are, the one outside included."""
        return len(self.parcel)

    @property
    def baskets(self) -> int:
        """How many baskets there are."""
        return len(self.basket_start) - 1

    def lines_of(self, kinds: Ints) -> tuple[Ints, Ints]:
        """(item, order) of every line of orders of these kinds, int64[L] each."""
        at, order = spans(self.basket_start, kinds // self.metros)
        return self.basket_item[at], order

    def problem(self, kinds: Ints, stock: Ints) -> Problem:
        """The window of orders of these kinds on this stock, int64[I, N]."""
        count, nodes = len(kinds), self.nodes
        item, order = self.lines_of(kinds)
        rows, options = len(item), count * nodes
        metro = kinds % self.metros
        none, option_none = np.zeros(rows, np.int64), np.zeros(options, np.int64)
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(order, minlength=count))])
        return Problem(
            lines=Lines(
                start=start,
                line=np.arange(rows, dtype=np.int64),
                item=item,
                quantity=none + 1,
                weight_g=none,
                volume_mm3=none,
                eligible=np.ones((rows, nodes), np.bool_),
                draw=np.arange(rows, dtype=np.int64),
                more_line=none,
                more_unit=none,
                group=none - 1,
                value=none,
                alone=np.zeros(rows, np.bool_),
                dated=none,
            ),
            options=Options(
                start=np.arange(count + 1, dtype=np.int64) * nodes,
                node=np.tile(np.arange(nodes, dtype=np.int64), count),
                curve=option_none - 1,
                ship_parcel=np.tile(self.parcel, count),
                ship_line=option_none,
                ship_unit=np.ascontiguousarray(self.unit[:, metro].T).ravel(),
                ship_per_kg=option_none,
                handle_parcel=option_none,
                handle_line=option_none,
                handle_unit=option_none,
                max_weight_g=option_none + UNLIMITED,
                dim_divisor=option_none,
                late_days=option_none,
                bucket=option_none - 1,
                day=option_none,
            ),
            curves=Curves(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.int64)),
            priority=np.zeros(count, np.int64),
            stock=stock,
            bucket_parcels=np.zeros(0, np.int64),
            bucket_units=np.zeros(0, np.int64),
            node_rank=np.arange(nodes, dtype=np.int64),
            distance_m=np.zeros((count, nodes), np.int64),
            derived=Derived.none(),
            limits=Limits.none(count),
            source_bucket=np.full((1, nodes), -1, np.int64),
            modes=(Mode.OPTIMISE,) * count,
            objective=Objective(fill_always=not self.outside, unfilled_per_unit=self.unfilled),
        )

    def arrivals(self, count: int, rng: np.random.Generator) -> Ints:
        """Kinds of `count` arrivals, independent and alike; -1 for an empty slot."""
        edges = np.cumsum(self.rate)
        drawn = np.searchsorted(edges, rng.random(count), side="right")
        kinds: Ints = np.where(drawn < len(self.rate), drawn, -1).astype(np.int64)
        return kinds
