"""Demand learned from the orders that came: rates by kind of order, and futures sampled from them.

Every order seen counts one for its kind (its basket and its zone), a forecast counts as orders seen before; the rate of
a kind is then Gamma distributed with that count as its shape, the number to come is Poisson. A future takes whole
baskets of orders seen, so that what is bought together stays together; but where hardly a basket of several lines
comes twice, as much a part of those to come is put together anew of what sells (Good-Turing). It sends each where one
of its items was sent before, or, as far as little is known of the item, where any order was.
Old orders fade by a half-life, counted in orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.pricing.kinds import Basket, Kind, Kinds, Line

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FORECAST_WORTH = 300.0
"""Orders that a forecast weighs as much as, unless told otherwise."""

POOLING = 30.0
"""Orders of an item that must have been seen until half of its zones are its own and not those of all orders."""

ONCE = 1.5
"""Weights below this are of baskets seen once."""

KINDS_MAX = 50_000
"""Kinds remembered; of more, those with the least weight are forgotten."""

LARGEST_GROWTH = 1e12
"""Weights of new orders grow instead of old ones fading; beyond this all are scaled back."""


class Future(NamedTuple):
    """One possible course of things: `orders` int64[K] of each of `kinds`."""

    kinds: tuple[Kind, ...]
    orders: Ints


@dataclass(slots=True)
class Demand:
    """The orders seen, as weights by kind.

    `half_life`: after so many orders one counts half; None: for ever (demand that does not change). Deterministic.
    """

    half_life: float | None = None
    pooling: float = POOLING
    _growth: float = 1.0
    _kinds: Kinds = field(default_factory=Kinds)
    """Those of the forecast first, then those that came."""
    _weight: list[float] = field(default_factory=list)
    """Of each kind: the orders that came, without the forecast."""
    _forecast: list[float] = field(default_factory=list)
    """Of the first kinds: what is expected of them."""
    _came: int = 0
    """How many kinds came."""
    _arrays: _Seen | None = None

    def expect(self, forecast: Sequence[tuple[Kind, float]], worth: float = FORECAST_WORTH) -> None:
        """Take a forecast as orders seen: kinds with their rates, in any unit, weighing `worth` orders together.

        It replaces an earlier one, and fades like orders do.
        """
        total = sum(rate for _, rate in forecast)
        expected: dict[Kind, float] = {}
        for kind, rate in forecast if total > 0 else ():
            expected[kind] = expected.get(kind, 0.0) + self._growth * worth * rate / total
        self._remember(expected, self._known())

    def observe(self, kind: Kind) -> bool:
        """One order came; whether kinds were forgotten for it, the lightest of too many."""
        self._arrays = None
        if self.half_life is not None:
            self._growth *= 2.0 ** (1.0 / self.half_life)
            if self._growth > LARGEST_GROWTH:
                self._weight, self._forecast = (
                    [weight / self._growth for weight in known] for known in (self._weight, self._forecast)
                )
                self._growth = 1.0
        number = self._kinds.add(kind)
        if number == len(self._weight):
            self._weight.append(0.0)
        self._came += self._weight[number] == 0.0
        self._weight[number] += self._growth
        if self._came <= 2 * KINDS_MAX:
            return False
        heaviest = sorted(self._known(), key=lambda one: -one[1])[:KINDS_MAX]
        self._remember(dict(zip(self._kinds.number, self._forecast, strict=False)), heaviest)
        return True

    def _known(self) -> Iterable[tuple[Kind, float]]:
        """The kinds that came, with their weights."""
        return [one for one in zip(self._kinds.number, self._weight, strict=True) if one[1]]

    def _remember(self, forecast: Mapping[Kind, float], came: Iterable[tuple[Kind, float]]) -> None:
        """These kinds, and no others."""
        weight = dict.fromkeys(forecast, 0.0) | dict(came)
        self._kinds, self._weight, self._forecast = Kinds(weight), list(weight.values()), list(forecast.values())
        self._came, self._arrays = sum(weight > 0.0 for weight in self._weight), None

    def zones(self) -> Set[Hashable]:
        """Those of all kinds that are known."""
        return self._kinds.zones.keys()

    @property
    def seen(self) -> float:
        """Orders that the weights amount to, what is left of the forecast's among them."""
        return (sum(self._weight) + sum(self._forecast)) / self._growth

    @property
    def foreseen(self) -> float:
        """Orders that what is left of the forecast amounts to."""
        return sum(self._forecast) / self._growth

    def _seen(self) -> _Seen | None:
        """All kinds as arrays, kept until another is seen; None where nothing is known."""
        if self._arrays is None and self._weight:
            weight = np.array(self._weight)
            weight[: len(self._forecast)] += self._forecast
            self._arrays = _Seen.of(self._kinds, weight / self._growth)
        return self._arrays

    def sample(self, horizon: float, rng: np.random.Generator) -> Future:
        """A future of about `horizon` orders: rates drawn from what is known of them, then numbers drawn from those.

        Nothing seen: nothing comes.
        """
        seen = self._seen()
        if seen is None or horizon <= 0:
            return Future((), np.zeros(0, np.int64))
        rate = rng.gamma(seen.weight)
        total = float(rate.sum())
        if total <= 0:
            return Future((), np.zeros(0, np.int64))
        came = rng.choice(len(rate), int(rng.poisson(horizon)), p=rate / total)
        basket = seen.basket[came]
        size = seen.basket_start[basket + 1] - seen.basket_start[basket]
        zone = self._zones(seen, rate, basket, size, rng)
        mixed = (size > 1) & (rng.random(len(basket)) < seen.novel)
        plain = np.flatnonzero(~mixed)
        pair, count = np.unique(basket[plain] * len(seen.zones) + zone[plain], return_counts=True)
        which, where = np.divmod(pair, len(seen.zones))
        orders = Counter[Kind]()
        for b, z, many in zip(which.tolist(), where.tolist(), count.tolist(), strict=True):
            orders[Kind(seen.baskets[b], seen.zones[z])] = many
        for mix, z in zip(seen.mixes(size[mixed], rate, rng), zone[mixed].tolist(), strict=True):
            orders[Kind(mix, seen.zones[z])] += 1
        return Future(tuple(orders), np.array(list(orders.values()), np.int64))

    def expected(self, horizon: float) -> list[tuple[Kind, float]]:
        """The mean of the futures: every basket seen in every zone seen, with the orders to expect of `horizon`.

        For few kinds, such as those of a test bed: there are baskets times zones of them.
        """
        seen = self._seen()
        if seen is None or horizon <= 0:
            return []
        zones, items = len(seen.zones), len(seen.item_weight)
        size = np.diff(seen.item_start)
        by_item = np.zeros((items, zones))
        np.add.at(by_item, (np.repeat(np.arange(items), size), seen.zone[seen.kind_of]), seen.weight[seen.kind_of])
        anyone = np.bincount(seen.zone, weights=seen.weight, minlength=zones) / seen.weight.sum()
        by_item = (by_item + self.pooling * anyone) / (seen.item_weight + self.pooling)[:, None]
        total = np.add.reduceat(by_item[seen.basket_item], seen.basket_start[:-1], axis=0)
        share = np.bincount(seen.basket, weights=seen.weight, minlength=len(seen.baskets)) / seen.weight.sum()
        orders = horizon * share[:, None] * total / np.diff(seen.basket_start)[:, None]
        return [
            (Kind(basket, zone), float(orders[b, z]))
            for b, basket in enumerate(seen.baskets)
            for z, zone in enumerate(seen.zones)
        ]

    def _zones(self, seen: _Seen, rate: Floats, basket: Ints, size: Ints, rng: np.random.Generator) -> Ints:
        """int64[N]: a zone for each basket, that of an order seen which holds a random item of it, or of any order."""
        line = seen.basket_start[basket] + (rng.random(len(basket)) * size).astype(np.int64)
        item = seen.basket_item[line]
        edges = np.append(0.0, np.cumsum(rate[seen.kind_of]))
        low, high = edges[seen.item_start[item]], edges[seen.item_start[item + 1]]
        own = rng.random(len(basket)) * (seen.item_weight[item] + self.pooling) < seen.item_weight[item]
        own &= high > low
        drawn = low + rng.random(len(basket)) * (high - low)
        found = np.clip(np.searchsorted(edges, drawn, side="right") - 1, 0, len(seen.kind_of) - 1)
        anyone = rng.choice(len(rate), len(basket), p=rate / rate.sum())
        zone: Ints = seen.zone[np.where(own, seen.kind_of[found], anyone)]
        return zone


@dataclass(frozen=True, slots=True)
class _Seen:
    """The kinds as arrays: basket, zone and weight [K]; items of basket b are `basket_item[basket_start[b]:...]`; kinds
    that hold item i are `kind_of[item_start[i]:item_start[i + 1]]`, `item_weight` their weight. `novel`: the chance
    that a basket of several lines is one never seen."""

    baskets: list[Basket]
    zones: list[Hashable]
    lines: list[Line]
    basket: Ints
    zone: Ints
    weight: Floats
    basket_start: Ints
    basket_item: Ints
    kind_of: Ints
    item_start: Ints
    item_weight: Floats
    novel: float

    def mixes(self, size: Ints, rate: Floats, rng: np.random.Generator) -> list[Basket]:
        """Baskets of so many lines each, put together of lines out of all orders; rate float64[K] of the kinds.

        What is drawn twice for one basket is left out once.
        """
        lines = self.lines
        length = np.diff(self.basket_start)[self.basket]
        came = rng.choice(len(rate), int(size.sum()), p=rate * length / (rate * length).sum())
        at = self.basket_start[self.basket[came]] + (rng.random(len(came)) * length[came]).astype(np.int64)
        ends = np.cumsum(size)
        drawn = at.tolist()
        return [
            tuple(sorted({lines[one][0]: lines[one] for one in drawn[low:high]}.values(), key=_by_name))
            for low, high in zip((ends - size).tolist(), ends.tolist(), strict=True)
        ]

    @staticmethod
    def of(kinds: Kinds, weight: Floats) -> _Seen:
        """The kinds with these weights."""
        basket, zone, start, flat = (
            np.array(each, np.int64) for each in (kinds.basket, kinds.zone, kinds.start, kinds.item)
        )
        size = start[basket + 1] - start[basket]
        owner = np.repeat(np.arange(len(basket)), size)
        held = flat[np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size) + np.repeat(start[basket], size)]
        order = np.argsort(held, kind="stable")
        item_start = np.searchsorted(held[order], np.arange(len(kinds.items) + 1)).astype(np.int64)
        item_weight = np.bincount(held, weights=weight[owner], minlength=len(kinds.items)).astype(np.float64)
        by_basket = np.bincount(basket, weights=weight, minlength=len(kinds.baskets)).astype(np.float64)
        novel = _novel(by_basket[np.diff(start) > 1])
        return _Seen(
            list(kinds.baskets),
            list(kinds.zones),
            kinds.lines,
            basket,
            zone,
            weight,
            start,
            flat,
            owner[order],
            item_start,
            item_weight,
            novel,
        )


def _novel(weight: Floats) -> float:
    """The chance that an order's basket was never seen, from the weights of those of several lines: the part of them
    that was seen just once (Good 1953)."""
    once = float(weight[weight < ONCE].sum())
    return once / float(weight.sum()) if once else 0.0


def _by_name(line: Line) -> str:
    return str(line[0])
