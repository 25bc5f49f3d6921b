"""The experiments: what is drawn, which policies decide it, and what their costs are measured by.

A row holds one path, that is one sequence of arrivals of one instance: dollars by policy, and dollars of what they are
measured by. Everything is drawn from (seed, instance, sequence), so any row can be had again alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File

import numpy as np
from msgspec import Struct

from bench.papers.deciding import Delivery, Moment, Path, Prices, Rhythm, decide
from bench.papers.policies import (
    Learner,
    Sampler,
    descent,
    futures,
    learned_rates,
    learned_sampler,
    no_prices,
    outlook_of,
    supply,
    tail_sampler,
    true_rates,
)
from bench.papers.published import ROUNDINGS, cost_of, item_lp, myopic, rounded
from bench.papers.recipe import (
    LARGE,
    PARCEL,
    SHIFT_STEP,
    SMALL,
    Bed,
    LongTail,
    long_tail,
    published_bed,
    shifting,
    tail_orders,
    unrefusing,
)
from bench.papers.source import Floats, Geometry, geometry
from bench.papers.world import SCALE, World
from engine.pricing.descent import STEP
from solvers.problem import Ints
from solvers.shadow import Outlook, shadow_prices

DLP, FLOOR, ITEMS = "DLP", "method LP", "item LP"
LIVE = "live-myopic"
UNFILLED = 50.0


FOLLOWS = 1
"""How often prices of sampled futures are followed before futures are sampled again."""


class AccountError(AssertionError):
    """A path's figures do not add up: a fault of the benchmark or of the engine."""


class Row(Struct, frozen=True):
    """One path: dollars by policy in `cost`, by bound in `base`; parcels and orders by policy; the worst window gap."""

    instance: int
    sequence: int
    cost: dict[str, float]
    base: dict[str, float]
    parcels: dict[str, int]
    orders: int
    gap: float


@dataclass(frozen=True, slots=True)
class Draw:
    """Which paths: `sequences` of one instance under a seed; `only`: policies with one of these in their name (and
    live-myopic), none for all; `futures`: sampled for every pricing of the long tail.
    """

    seed: int
    instance: int
    sequences: int = 1
    only: tuple[str, ...] = ()
    futures: int = 8

    def generator(self, *more: int) -> np.random.Generator:
        """For what is drawn once for the instance, or for one sequence of it."""
        return np.random.default_rng([self.seed, self.instance, *more])

    def wants(self, name: str) -> bool:
        """Whether the policy is asked for."""
        return name == LIVE or not self.only or any(part in name for part in self.only)


@dataclass(frozen=True, slots=True)
class Plan:
    """One policy: its name, what its prices come from, and its rhythm."""

    name: str
    prices: Callable[[np.random.Generator], Prices]
    rhythm: Rhythm


class Tally:
    """The figures of one path, every one of them recounted."""

    def __init__(self, world: World, arrivals: Ints) -> None:
        self.world, self.arrivals, self.kinds = world, arrivals, arrivals[arrivals >= 0]
        self.cost: dict[str, float] = {}
        self.base: dict[str, float] = {}
        self.parcels: dict[str, int] = {}
        self.gap = 0.0

    def run(self, plans: Sequence[Plan], draw: Draw, sequence: int) -> None:
        """Decide the path by every plan that is asked for."""
        for at, plan in enumerate(plans):
            if draw.wants(plan.name):
                prices = plan.prices(draw.generator(sequence, 1, at))
                self.take(plan.name, decide(self.world, self.arrivals, prices, plan.rhythm), plan.rhythm)

    def take(self, name: str, path: Path, rhythm: Rhythm) -> None:
        """Book a path; raises AccountError unless its cost and its stock add up."""
        item, owner = self.world.lines_of(self.kinds)
        sent = path.node >= 0
        used = np.zeros(self.world.stock.shape, np.int64)
        np.add.at(used, (item[sent], path.node[sent]), 1)
        there = self.world.stock + sum(one.units for one in rhythm.deliveries)
        if (used > there).any() or path.cost != cost_of(self.world, self.kinds, path.node):
            raise AccountError(f"{name}: {path.cost} is not what its parcels cost, or it ships what is not there")
        self.cost[name] = path.cost / SCALE
        self.parcels[name] = len(np.unique(owner[sent] * self.world.nodes + path.node[sent]))
        self.gap = max([self.gap, *path.gaps])

    def row(self, instance: int, sequence: int) -> Row:
        """What there is to tell."""
        return Row(instance, sequence, self.cost, self.base, self.parcels, len(self.kinds), self.gap)


def bids(outlook: Outlook, rate: Callable[[Moment], Floats], resolves: Sequence[int]) -> list[Plan]:
    """Bid prices order by order, at several numbers of re-solves."""
    return [Plan(f"bid prices, {n} re-solves", lambda _: true_rates(outlook, rate), Rhythm(n)) for n in resolves]


def live() -> Plan:
    """The engine without prices, one order at a time."""
    return Plan(LIVE, lambda _: no_prices, Rhythm())


def multinomial(world: World) -> Callable[[Moment, np.random.Generator], tuple[World, Ints]]:
    """Futures of a test bed with known rates."""
    rates = np.append(world.rate, max(0.0, 1 - world.rate.sum()))

    def sample(now: Moment, rng: np.random.Generator) -> tuple[World, Ints]:
        return world, np.repeat(np.arange(len(world.rate)), rng.multinomial(now.remaining, rates)[:-1])

    return sample


def of_kinds(outlook: Outlook) -> Callable[[World, Ints, Ints], Floats]:
    """How a future of a test bed is priced: its kinds are the same in all futures."""

    def settle(world: World, kinds: Ints, stock: Ints) -> Floats:
        return outlook.settled(np.bincount(kinds, minlength=len(world.rate)), supply(stock)).stock

    return settle


def floor_of(outlook: Outlook, tally: Tally) -> float:
    """Dollars of the method LP in hindsight."""
    counts = np.bincount(tally.kinds, minlength=len(tally.world.rate))
    return dollars(outlook.prices(counts, supply(tally.world.stock)).value)


def dollars(value: float | None) -> float:
    """Of an LP's value; raises AccountError where there is none."""
    if value is None:
        raise AccountError("the LP of the floor did not end well")
    return value / SCALE


def e1(where: Geometry, bed: Bed, draw: Draw, *, loose: bool) -> Iterator[Row]:
    """The published table. `loose`: with the item LPs, the published denominator and what is rounded from it; of the
    large bed they have 600,000 columns, and all is measured by the method LP.
    """
    world = published_bed(where, bed, draw.generator())
    outlook = outlook_of(world)
    mean = item_lp(world, world.rate * world.horizon) if loose else None

    def rate(now: Moment) -> Floats:
        return world.rate * now.remaining

    def sampled(rng: np.random.Generator) -> Prices:
        return futures(multinomial(world), 4, rng, FOLLOWS, of_kinds(outlook))

    plans = [
        live(),
        *bids(outlook, rate, (1, 10, 50, 200)),
        Plan("windows of 100, no prices", lambda _: no_prices, Rhythm(1, 100)),
        Plan("windows of 100, bid prices", lambda _: true_rates(outlook, rate), Rhythm(50, 100)),
        Plan("4 futures, order by order", sampled, Rhythm(50 * (1 + FOLLOWS))),
        Plan("4 futures, windows of 100", sampled, Rhythm(50 * (1 + FOLLOWS), 100)),
    ]
    for sequence in range(draw.sequences):
        rng = draw.generator(sequence, 0)
        tally = Tally(world, world.arrivals(world.horizon, rng))
        tally.base = {FLOOR: floor_of(outlook, tally)}
        tally.cost["static myopic"] = myopic(world, where, tally.kinds) / SCALE
        if mean is not None:
            hindsight = item_lp(world, np.bincount(tally.kinds, minlength=len(world.rate)))
            tally.base |= {DLP: mean.value / SCALE, ITEMS: hindsight.value / SCALE}
            for name, rounding in ROUNDINGS.items():
                tally.cost[name] = rounded(world, mean, tally.kinds, rounding, rng) / SCALE
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


def wrong(rate: Floats, sigma: float, rng: np.random.Generator) -> Floats:
    """Rates with a log-normal error of their own each."""
    guess = rate * np.exp(sigma * rng.standard_normal(len(rate)))
    return guess * (rate.sum() / guess.sum())


def shuffled(world: World, rng: np.random.Generator) -> Floats:
    """Rates given to the wrong baskets."""
    by_basket = world.rate.reshape(-1, world.metros)
    return by_basket[rng.permutation(len(by_basket))].ravel()


def e1b(where: Geometry, draw: Draw) -> Iterator[Row]:
    """No refusing, rates known, guessed or unknown."""
    rng = draw.generator()
    world = unrefusing(published_bed(where, SMALL, rng), UNFILLED)
    outlook, errors = outlook_of(world), draw.generator(99)
    guesses = {
        "sigma 0.5": wrong(world.rate, 0.5, errors),
        "sigma 0.7": wrong(world.rate, 0.7, errors),
        "shuffled": shuffled(world, errors),
        "none": None,
    }

    def learning(forecast: Floats | None) -> Callable[[np.random.Generator], Prices]:
        return lambda _: learned_rates(world, outlook, forecast)

    plans = [
        live(),
        Plan("descent, no forecast", lambda _: descent(world, STEP * PARCEL * SCALE), Rhythm(200)),
        *bids(outlook, lambda now: world.rate * now.remaining, (50,)),
        *(Plan(f"learned, forecast {name}", learning(guess), Rhythm(50)) for name, guess in guesses.items()),
        Plan("learned, forecast sigma 0.5, windows of 100", learning(guesses["sigma 0.5"]), Rhythm(50, 100)),
        Plan("learned, forecast none, windows of 100", learning(None), Rhythm(50, 100)),
    ]
    for sequence in range(draw.sequences):
        tally = Tally(world, world.arrivals(world.horizon, draw.generator(sequence, 0)))
        tally.base = {FLOOR: floor_of(outlook, tally)}
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


def e2(where: Geometry, draw: Draw) -> Iterator[Row]:
    """The delay curve: windows of W orders, without prices and with prices made anew for every window (at most 500);
    and windows of 100 with the orders before them that are not released yet."""
    world = published_bed(where, SMALL, draw.generator())
    outlook = outlook_of(world)
    windows = (10, 100, 1_000)
    kinds = len(world.rate)

    def ahead(now: Moment) -> Floats:
        return world.rate * now.remaining + np.bincount(now.movable, minlength=kinds)

    prices = true_rates(outlook, ahead)
    plans = [live()]
    plans += [Plan(f"W={w}, no prices", lambda _: no_prices, Rhythm(1, w)) for w in windows]
    for w in (1, *windows):
        resolves = min(500, world.horizon // w)
        plans.append(Plan(f"W={w}, prices", lambda _: prices, Rhythm(resolves, w)))
    for held in (300, 1_000, 3_000):
        plans.append(Plan(f"{held:,} movable, no prices", lambda _: no_prices, Rhythm(1, 100, movable=held)))
        plans.append(Plan(f"{held:,} movable, prices", lambda _: prices, Rhythm(100, 100, movable=held)))
    for sequence in range(draw.sequences):
        tally = Tally(world, world.arrivals(world.horizon, draw.generator(sequence, 0)))
        tally.base = {FLOOR: floor_of(outlook, tally)}
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


def misjudged(tail: LongTail, sigma: float, rng: np.random.Generator) -> LongTail:
    """The popularity of items with a log-normal error each."""
    guess = tail.popularity * np.exp(sigma * rng.standard_normal(len(tail.popularity)))
    return tail._replace(popularity=guess / guess.sum())


def e3(where: Geometry, draw: Draw) -> Iterator[Row]:
    """The long tail: prices of sampled futures, as the engine's pricer makes them."""
    rng = draw.generator()
    bare, tail = long_tail(where, rng)
    errors = draw.generator(99)
    shuffle = tail._replace(popularity=errors.permutation(tail.popularity))
    guesses = {"true": tail, **{f"sigma {s}": misjudged(tail, s, errors) for s in (0.3, 0.7)}, "shuffled": shuffle}
    rhythm, count = Rhythm(50 * (1 + FOLLOWS)), draw.futures

    def sampled(sampler: Callable[[], Sampler]) -> Callable[[np.random.Generator], Prices]:
        return lambda generator: futures(sampler(), count, generator, FOLLOWS)

    for sequence in range(draw.sequences):
        rng = draw.generator(sequence, 0)
        world, arrivals = tail_orders(bare, tail.orders(bare.horizon, rng))
        tally = Tally(world, arrivals)
        value = shadow_prices(world.problem(arrivals, world.stock), np.ones(len(arrivals))).value
        tally.base = {FLOOR: dollars(value)}
        plans = [live(), Plan("descent, no forecast", lambda _: descent(bare, STEP * PARCEL * SCALE), Rhythm(100))]
        for name, guess in guesses.items():
            believed = sampled(lambda of=guess, seen=world: tail_sampler(seen, of))
            plans.append(Plan(f"{count} futures, {name}", believed, rhythm))
        learned = sampled(lambda seen=world: learned_sampler(Learner(seen, None)))
        plans.append(Plan(f"{count} futures, none", learned, rhythm))
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


def e1_shift(where: Geometry, draw: Draw) -> Iterator[Row]:
    """Demand that changes under way, known only by its first mix or not at all."""
    rng = draw.generator()
    world, shift = shifting(unrefusing(published_bed(where, SMALL, rng), UNFILLED), where, SMALL, rng)
    outlook = outlook_of(world)

    def ahead(now: Moment) -> Floats:
        slots = range(now.gone, world.horizon, SHIFT_STEP)
        return np.mean([shift.rate(world, slot) for slot in slots], axis=0) * now.remaining

    def stale(now: Moment) -> Floats:
        return shift.first * now.remaining

    def learning(forecast: Floats | None, half_life: float | None) -> Callable[[np.random.Generator], Prices]:
        return lambda _: learned_rates(world, outlook, forecast, half_life)

    plans = [
        live(),
        Plan("descent, no forecast", lambda _: descent(world, STEP * PARCEL * SCALE), Rhythm(200)),
        Plan("bid prices, rates to come known", lambda _: true_rates(outlook, ahead), Rhythm(50)),
        Plan(
            "bid prices, first mix for ever",
            lambda _: true_rates(outlook, lambda m: shift.first * m.remaining),
            Rhythm(50),
        ),
        Plan("learned, first mix, no forgetting", learning(shift.first, None), Rhythm(50)),
        Plan("learned, first mix, half-life 1,500", learning(shift.first, 1_500), Rhythm(50)),
        Plan("learned, no forecast, half-life 1,500", learning(None, 1_500), Rhythm(50)),
    ]
    for sequence in range(draw.sequences):
        tally = Tally(world, shift.arrivals(world, draw.generator(sequence, 0)))
        tally.base = {FLOOR: floor_of(outlook, tally)}
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


QUARTERS = 4


def e1_replenish(where: Geometry, draw: Draw) -> Iterator[Row]:
    """Stock that comes in four equal deliveries. Prices look to the next one; the floor has all stock at once."""
    whole = unrefusing(published_bed(where, SMALL, draw.generator()), UNFILLED)
    each = whole.stock // QUARTERS
    world = replace(whole, stock=whole.stock - (QUARTERS - 1) * each)
    outlook, most = outlook_of(whole), outlook_of(whole)
    deliveries = tuple(Delivery(at * world.horizon // QUARTERS, each) for at in range(1, QUARTERS))
    plans = [
        Plan(LIVE, lambda _: no_prices, Rhythm(deliveries=deliveries)),
        Plan(
            "bid prices, 50 re-solves",
            lambda _: true_rates(outlook, lambda now: world.rate * now.remaining),
            Rhythm(50, deliveries=deliveries),
        ),
        Plan("learned, no forecast", lambda _: learned_rates(world, outlook, None), Rhythm(50, deliveries=deliveries)),
    ]
    for sequence in range(draw.sequences):
        tally = Tally(world, world.arrivals(world.horizon, draw.generator(sequence, 0)))
        counts = np.bincount(tally.kinds, minlength=len(world.rate))
        tally.base = {FLOOR: dollars(most.prices(counts, supply(whole.stock)).value)}
        tally.run(plans, draw, sequence)
        yield tally.row(draw.instance, sequence)


NAMES = {
    "e1": "the test bed of Jasin & Sinha (2015) and Ma (2023), not shipping has a price",
    "e1b": "the same without refusing, rates known, guessed or unknown",
    "e1-large": "100 items, 10 nodes, 99 metros",
    "e1-shift": "e1b with a mix that changes, and promotions",
    "e1-replenish": "e1b with stock in four deliveries",
    "e2": "the delay curve: windows of 1 to 1,000 orders",
    "e3": "a long tail: 300 items, 5,000 orders",
}


def rows(name: str, data: File, draw: Draw) -> Iterator[Row]:
    """The paths of one instance of an experiment."""
    if name == "e1-large":
        return e1(geometry(data, warmup=False), LARGE, draw, loose=False)
    if name == "e3":
        return e3(geometry(data, warmup=False, metros=20), draw)
    small = geometry(data, warmup=True)
    if name == "e1":
        return e1(small, SMALL, draw, loose=True)
    others = {"e1b": e1b, "e1-shift": e1_shift, "e1-replenish": e1_replenish, "e2": e2}
    return others[name](small, draw)
