"""Where prices come from: true rates, learned rates, sampled futures, or followed without a solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.papers.deciding import Moment, Prices
from bench.papers.recipe import PARCEL, LongTail, tail_orders
from bench.papers.source import Floats
from bench.papers.world import SCALE, World
from engine.pricing.demand import FORECAST_WORTH, Demand
from engine.pricing.descent import gentle, renewed, stepped
from engine.pricing.kinds import Kind
from solvers.menu import Supply
from solvers.problem import Ints
from solvers.shadow import Outlook

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


def priced_anew(world: World, kinds: Ints, stock: Ints) -> Floats:
    """Prices of one future whose orders are its own, float64[I, N]."""
    return Outlook(world.problem(kinds, stock)).settled(np.ones(len(kinds))).stock


def futures(
    sampler: Sampler,
    count: int,
    rng: np.random.Generator,
    between: int = 0,
    settle: Callable[[World, Ints, Ints], Floats] = priced_anew,
) -> Prices:
    """Prices as the engine's pricer makes them: those of `count` sampled futures, renewed little by little, and
    followed `between` times without a solver after each. `settle` prices one future.
    """
    price: Floats | None = None
    last: Moment | None = None
    calls = 0

    def prices(now: Moment) -> Ints | None:
        nonlocal price, last, calls
        if price is not None and last is not None:
            price = _followed(price, last, now, gentle(PARCEL * SCALE, last.stock))
        some = [sampler(now, rng) for _ in range(count)] if calls % (between + 1) == 0 else []
        found = [settle(*future, now.stock) for future in some if future is not None]
        if found:
            fresh = np.mean(found, axis=0)
            price = fresh if price is None else renewed(price, fresh)
        last, calls = now, calls + 1
        return None if price is None else in_money(price)

    return prices


def _followed(price: Floats, last: Moment, now: Moment, rate: float | Floats) -> Floats:
    used = np.maximum(last.stock - now.stock, 0)
    return stepped(price, used, last.remaining - now.remaining, last.stock, last.remaining, rate)


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
            price = _followed(price, before.pop(), now, rate)
        before.append(now)
        return in_money(price)

    return prices
