"""Orders from a generator: Poisson in every hour, from a seed, an hour at a time.

Common random numbers: what is drawn for an order depends on the seed, its hour and its number alone. Each order has a
mark, uniform in [0, 1); the orders of a further layer in [1, 2), and so on; of a demand `factor` times as large those
come whose mark is below `factor`. So all scenarios with one seed share their orders, and more demand only adds some.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.domain import Order, OrderLine, ShipTo, epoch_ms, instant_of
from engine.promise import DAY_MS
from engine.sample.places import METROS
from engine.simulation.demand_document import Destination, Generator, Season
from solvers.problem import Ints

HOUR_MS = 3_600_000
SELLERS = (1, 7)
"""Seed of which SKU sells how well: seeds are other orders of the same merchant, whose stock suits what he sells."""

Floats = NDArray[np.float64]


class _Drawn(NamedTuple):
    """The orders of one layer of one hour that come, by time. `start` int64[n + 1]: the lines of each."""

    number: Ints
    at_ms: Ints
    to: Ints
    level: Ints
    due_days: Ints
    start: Ints
    sku: Ints
    quantity: Ints


def rates_of(terms: Generator) -> list[tuple[int, int, float]]:
    """(beginning in ms, length in ms, orders expected) of every hour of the demand, the last one perhaps shorter."""
    first = epoch_ms(terms.since)
    end = first + round(terms.days * DAY_MS)
    peaks = {peak.date: peak for peak in terms.peaks}
    found = []
    at = first
    while at < end:
        length = min(HOUR_MS, end - at)
        moment = instant_of(at)
        date = moment.date().isoformat()
        season, factor = terms.season, 1.0
        if date in peaks:
            season = Season(hours=peaks[date].hours or season.hours, weekdays=season.weekdays, dates=season.dates)
            factor = peaks[date].factor
        rate = terms.orders_per_day / DAY_MS * length * factor * _swing(season, moment)
        found.append((at, length, rate))
        at += length
    return found


def _swing(season: Season, moment: datetime) -> float:
    hour = season.hours[moment.hour] if season.hours else 1.0
    weekday = season.weekdays[moment.weekday()] if season.weekdays else 1.0
    return hour * weekday * season.dates.get(moment.date().isoformat(), 1.0)


def destinations_of(terms: Generator) -> list[Destination]:
    """Those of the terms, or the large metros of the US by population."""
    return terms.destinations or [
        Destination(
            ship_to=ShipTo(
                country="US",
                region=metro.region,
                postal_code=metro.postal_code,
                lat=metro.lat,
                lon=metro.lon,
                timezone=metro.timezone,
            ),
            share=float(metro.thousands),
        )
        for metro in METROS
    ]


class Generated:
    """The demand of one seed. `catalogue`: all SKUs there are, which sell where the terms name none."""

    def __init__(self, terms: Generator, catalogue: Sequence[str], seed: int) -> None:
        self._terms = terms
        self._seed = seed
        self._skus = list(terms.skus) or list(catalogue)
        self._weights = self._sellers()
        self._places = destinations_of(terms)
        self._to_steps = _steps([place.share for place in self._places])
        self._levels = list(terms.levels)
        self._level_steps = _steps(list(terms.levels.values()))
        self._own = [bool(place.skus) for place in self._places]
        self._promotions = [
            (epoch_ms(each.since), epoch_ms(each.until), each.factor, self._members(each.skus))
            for each in terms.promotions
        ]
        self._steps_of = lru_cache(64 + len(self._places))(self._steps_now)

    def _sellers(self) -> Floats:
        if self._terms.skus:
            return np.array(list(self._terms.skus.values()), np.float64)
        ranks = np.arange(1, len(self._skus) + 1, dtype=np.float64)
        return np.random.default_rng(SELLERS).permutation(ranks**-self._terms.zipf)

    def _members(self, skus: Sequence[str]) -> Ints:
        wanted = set(skus)
        return np.array([at for at, sku in enumerate(self._skus) if sku in wanted], np.int64)

    def expected(self, factor: float = 1.0) -> float:
        """How many orders are to be expected."""
        return factor * sum(rate * self._lift(self._promoted(at, length)) for at, length, rate in rates_of(self._terms))

    def units_per_day(self) -> dict[str, float]:
        """Units of each SKU that are to be expected of a day, before all factors."""
        terms = self._terms
        lines, quantities = (_mean_count(chances) for chances in (terms.lines, terms.quantities))
        total = terms.orders_per_day * lines * quantities
        shares = self._weights / self._weights.sum()
        return dict(zip(self._skus, (total * shares).tolist(), strict=True))

    def orders(self, factor: float = 1.0) -> Iterator[Order]:
        """The orders by instant, of a demand so many times as large."""
        for hour, (at, length, rate) in enumerate(rates_of(self._terms)):
            factors = self._promoted(at, length)
            expected = rate * self._lift(factors)
            layers = [
                self._draw(hour, layer, at, length, expected, factor - layer, factors) for layer in range(ceil(factor))
            ]
            yield from self._told(hour, layers)

    def _promoted(self, at: int, length: int) -> tuple[float, ...]:
        """The factor of each promotion over an hour; one that begins or ends within it counts for its part."""
        factors = []
        for since, until, factor, _ in self._promotions:
            share = max(0, min(until, at + length) - max(since, at)) / length
            factors.append(1.0 + share * (factor - 1.0))
        return tuple(factors)

    def _lift(self, factors: tuple[float, ...]) -> float:
        """How many times as many orders promotions make of the rest."""
        return float(self._weighted(factors).sum() / self._weights.sum())

    def _weighted(self, factors: tuple[float, ...]) -> Floats:
        weights = self._weights.copy()
        for factor, (*_, members) in zip(factors, self._promotions, strict=True):
            weights[members] *= factor
        return weights

    def _steps_now(self, factors: tuple[float, ...], place: int) -> Floats:
        """Cumulated shares of the SKUs at a destination, or (-1) wherever it has no preferences."""
        weights = self._weighted(factors)
        if place >= 0:
            for sku, factor in self._places[place].skus.items():
                weights[self._members([sku])] *= factor
        return _steps(weights)

    def _draw(
        self, hour: int, layer: int, at: int, length: int, rate: float, below: float, factors: tuple[float, ...]
    ) -> _Drawn:
        """The orders of one layer of an hour whose mark is `below` so much."""
        terms, rng = self._terms, np.random.default_rng([self._seed, hour, layer])
        count = int(rng.poisson(rate))
        comes = rng.random(count) < below
        at_ms = at + (rng.random(count) * length).astype(np.int64)
        to = _drawn(self._to_steps, rng.random(count))
        level = _drawn(self._level_steps, rng.random(count))
        due = rng.random((2, count))
        lines = 1 + _drawn(_steps(terms.lines), rng.random(count))
        order = np.repeat(np.arange(count), lines)
        draws = rng.random(len(order))
        sku = _drawn(self._steps_of(factors, -1), draws)
        for place in np.flatnonzero(self._own).tolist():
            there = to[order] == place
            sku[there] = _drawn(self._steps_of(factors, place), draws[there])
        quantity = 1 + _drawn(_steps(terms.quantities), rng.random(len(order)))
        place_of = np.empty(count, np.int64)
        chosen = np.flatnonzero(comes)[np.argsort(at_ms[comes], kind="stable")]
        place_of[chosen] = np.arange(len(chosen))
        kept = comes[order]
        # A SKU drawn twice is one line of more units.
        keys, which = np.unique(place_of[order[kept]] * len(self._skus) + sku[kept], return_inverse=True)
        units = np.bincount(which, weights=quantity[kept], minlength=len(keys)).astype(np.int64)
        start = np.searchsorted(keys, np.arange(len(chosen) + 1) * len(self._skus))
        days = self._due_days(due[:, chosen])
        return _Drawn(chosen, at_ms[chosen], to[chosen], level[chosen], days, start, keys % len(self._skus), units)

    def _due_days(self, due: Floats) -> Ints:
        """Days until each order is due; -1 for no date."""
        promised = self._terms.promised
        if promised is None:
            return np.full(due.shape[1], -1, np.int64)
        span = promised.days_max - promised.days_min + 1
        days = promised.days_min + np.minimum((due[1] * span).astype(np.int64), span - 1)
        return np.where(due[0] < promised.share, days, -1)

    def _told(self, hour: int, layers: Sequence[_Drawn]) -> Iterator[Order]:
        """The orders of an hour by instant, those of the first layer first."""
        at = np.concatenate([drawn.at_ms for drawn in layers])
        layer = np.repeat(np.arange(len(layers)), [len(drawn.at_ms) for drawn in layers])
        index = np.concatenate([np.arange(len(drawn.at_ms)) for drawn in layers])
        columns = [[column.tolist() for column in drawn] for drawn in layers]
        terms = self._terms
        for k in np.argsort(at, kind="stable").tolist():
            which, i = int(layer[k]), int(index[k])
            number, at_ms, to, level, days, start, sku, quantity = columns[which]
            placed = instant_of(at_ms[i])
            first, last = start[i], start[i + 1]
            yield Order(
                order_id=f"S{self._seed}-{hour}-{which}-{number[i]}",
                placed_at=placed,
                ship_to=self._places[to[i]].ship_to,
                level=self._levels[level[i]],
                deliver_by=placed + timedelta(days=days[i]) if days[i] >= 0 else None,
                policy_id=terms.policy_id,
                backorder=terms.backorder,
                lines=[_line(row + 1 - first, self._skus[sku[row]], quantity[row]) for row in range(first, last)],
            )


@lru_cache(100_000)
def _line(number: int, sku: str, quantity: int) -> OrderLine:
    return OrderLine(line_id=str(number), sku=sku, quantity=quantity)


def _steps(weights: Sequence[float] | Floats) -> Floats:
    """Cumulated shares; the last is 1."""
    steps: Floats = np.cumsum(np.asarray(weights, np.float64))
    shares: Floats = steps / steps[-1]
    return shares


def _drawn(steps: Floats, draws: Floats) -> Ints:
    """The index that each uniform draw falls on."""
    found: Ints = np.searchsorted(steps, draws, side="right")
    return np.minimum(found, len(steps) - 1)


def _mean_count(chances: Sequence[float]) -> float:
    return sum(count * chance for count, chance in enumerate(chances, start=1)) / sum(chances)
