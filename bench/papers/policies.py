"""Where prices come from: true rates, learned rates, sampled futures, or followed without a solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.papers.deciding import Moment, Prices
from bench.papers.recipe import LongTail, tail_orders
from bench.papers.source import Floats
from bench.papers.world import World
from engine.pricing.demand import FORECAST_WORTH, Demand, Kind
from engine.pricing.descent import stepped
from solvers.menu import Supply
from solvers.problem import Ints
from solvers.shadow import Outlook, Shadow

FUTURE_GAP = 1e-4
"""How well the LP of one sampled future is solved: the mean over futures is far less certain than that."""

Sampler = Callable[[Moment, np.random.Generator], tuple[World, Ints] | None]
"""A possible rest of the horizon: a world and the kinds of its orders; None if nothing is known yet."""


def no_prices(_: Moment) -> Ints | None:
    """Live-myopic: the cheapest plan on the stock there is now."""
    return None


def supply(stock: Ints) -> Supply:
    """Stock alone, no rooms."""
    none = np.zeros(0, np.int64)
    return Supply(stock, none, none)


def in_money(price: Floats) -> Ints:
    """Prices as whole money units."""
    found: Ints = np.rint(price).astype(np.int64)
    return found


def outlook_of(world: World, most: Ints | None = None) -> Outlook:
    """Every kind of the world, ready to be priced; `most` int64[I, N]: the most stock there will be."""
    return Outlook(world.problem(np.arange(len(world.rate)), world.stock if most is None else most))


def true_rates(outlook: Outlook, rate: Callable[[Moment], Floats]) -> Prices:
    """Duals for the mean demand to come; `rate` tells the kinds still to come, float64[K] orders."""

    def prices(now: Moment) -> Ints | None:
        return in_money(outlook.prices(rate(now), supply(now.stock)).stock)

    return prices


@dataclass(slots=True)
class Learner:
    """`Demand` fed with the orders of a path as they become known, kinds of `world` as what is learned.

    `forecast` float64[K]: rates to begin with, or None. Zones are destinations, SKUs are items.
    """

    world: World
    forecast: Floats | None
    half_life: float | None = None
    demand: Demand = field(init=False)
    _seen: int = 0

    def __post_init__(self) -> None:
        self.demand = Demand(self.half_life)
        if self.forecast is not None:
            known = np.flatnonzero(self.forecast > 0)
            kinds = [(kind_of(self.world, at), float(self.forecast[at])) for at in known.tolist()]
            self.demand.expect(kinds, FORECAST_WORTH)

    def watch(self, past: Ints) -> None:
        """Observe what is new of the arrivals so far."""
        for kind in past[self._seen :].tolist():
            self.demand.observe(kind_of(self.world, kind))
        self._seen = len(past)


def kind_of(world: World, kind: int) -> Kind:
    """A kind of a world as demand is learned by: its items and its metro."""
    basket, metro = divmod(kind, world.metros)
    items = world.basket_item[world.basket_start[basket] : world.basket_start[basket + 1]]
    return Kind(tuple((item, 1) for item in items.tolist()), metro)


def learned_rates(world: World, outlook: Outlook, forecast: Floats | None, half_life: float | None = None) -> Prices:
    """Duals for the mean demand to come, learned as orders come: every kind by what was seen of it, baskets and metros
    pooled as in `Demand`, whose expected rates these are.
    """
    learner = Learner(world, forecast, half_life)
    numbers = {kind_of(world, at): at for at in range(len(world.rate))}

    def prices(now: Moment) -> Ints | None:
        learner.watch(now.past)
        pace = float(forecast.sum()) if forecast is not None and not now.gone else now.pace
        expected = learner.demand.expected(pace * now.remaining)
        if not expected:
            return None
        weight = np.zeros(len(world.rate))
        for kind, orders in expected:
            weight[numbers[kind]] += orders
        return in_money(outlook.prices(weight, supply(now.stock)).stock)

    return prices


def futures(sampler: Sampler, count: int, rng: np.random.Generator, short: float = 0.0) -> Prices:
    """Mean duals over sampled futures, each LP warm by the one before. `short`: units by which every cell is taken to
    be short, so that the price is that of the last unit rather than of one more.
    """
    last: list[Shadow] = []

    def prices(now: Moment) -> Ints | None:
        found = []
        left = np.maximum(now.stock - short, 0)
        for _ in range(count):
            future = sampler(now, rng)
            if future is None:
                return None
            world, kinds = future
            one = Outlook(world.problem(kinds, now.stock))
            weight = np.ones(len(kinds))
            last[:] = [one.prices(weight, supply(left), last[0] if last else None, FUTURE_GAP)]
            found.append(last[0].stock)
        return in_money(np.mean(found, axis=0))

    return prices


def tail_sampler(world: World, tail: LongTail) -> Sampler:
    """Futures of a long tail whose popularity and shares are known (or wrongly known)."""
    return lambda now, rng: tail_orders(world, tail.orders(now.remaining, rng))


def learned_sampler(learner: Learner) -> Sampler:
    """Futures out of learned demand."""

    def sample(now: Moment, rng: np.random.Generator) -> tuple[World, Ints] | None:
        learner.watch(now.past)
        future = learner.demand.sample(now.pace * now.remaining, rng)
        if not future.kinds:
            return None
        baskets = [[item for item, _ in kind.basket] for kind in future.kinds]
        times = future.orders
        start = np.cumsum([0, *map(len, baskets)], dtype=np.int64)
        flat = np.array([item for basket in baskets for item in basket], np.int64)
        metro = np.array([kind.zone for kind in future.kinds], np.int64)
        each, kinds = tail_orders(learner.world, (start, flat, metro))
        return each, np.repeat(kinds, times)

    return sample


def descent(world: World, rate: float) -> Prices:
    """Prices that follow the pace of sales, without a solver and without a forecast; `rate` in money units a unit."""
    price = np.zeros(world.stock.shape)
    before: list[Moment] = []

    def prices(now: Moment) -> Ints | None:
        nonlocal price
        if before:
            last = before.pop()
            used = np.maximum(last.stock - now.stock, 0)
            price = stepped(price, used, last.remaining - now.remaining, last.stock, last.remaining, rate)
        before.append(now)
        return in_money(price)

    return prices
