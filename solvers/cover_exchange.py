"""Local search inside a set of sites: two sites at a time share out anew everything either of them ships.

Step prices make single moves useless: taking one line out of a parcel saves nothing until the parcel falls below a
weight break. So the exchange of a pair is solved as a whole, as a knapsack over the weight at the first site (Bellman
1957): the cheapest linear cost for each weight, to which both step prices are added at the end. A very large
neighbourhood in the sense of Ahuja, Ergun, Orlin & Punnen (2002); it contains every move, swap, split that stock
forces, consolidation around a break, and the closing of either site.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solvers.cover_scene import Floats
from solvers.cover_sets import Judge, Meter
from solvers.problem import Ints

STATES = 4096
"""Weights that the search tells apart, from nothing to the whole order."""

MOVABLE = 40
"""Demands of one pair that may change sides; of more than that an even sample by weight does."""

LEAST_GAIN = 0.5
"""Mills an exchange must save: below one mill only rounding is left."""


@dataclass(slots=True)
class Ladder:
    """Step prices of every site on one grid of weights, terms by line and unit left out.

    `price` [K, STATES + 1]: mills at 0, 1, 2 ... steps of `scale`; the first column is an empty site. `measure` [G]
    is what a unit weighs on the grid: grams, or one each where nothing in the order has a weight. Where dimensional
    weight counts, goods are taken as equally dense; what an exchange really saves is judged exactly afterwards.
    """

    judge: Judge
    scale: float = field(init=False)
    measure: Floats = field(init=False)
    price: Floats = field(init=False)

    def __post_init__(self) -> None:
        scene, tariff = self.judge.scene, self.judge.tariff
        total_g = float(scene.quantity @ scene.weight_g)
        self.measure = scene.weight_g if total_g else np.ones_like(scene.weight_g)
        whole = float(scene.quantity @ self.measure)
        self.scale = max(1.0, whole / STATES)
        steps = np.arange(int(whole / self.scale) + 2) * self.scale
        grams = np.broadcast_to((steps if total_g else 0.0 * steps)[:, None], (len(steps), len(scene.node)))
        bulk = grams * (float(scene.quantity @ scene.volume_mm3) / max(total_g, 1.0))
        ones = np.ones_like(grams)
        bare = tariff.without_counts(np.zeros_like(tariff.per_unit))
        self.price = np.ascontiguousarray(bare.price(ones, ones, grams, bulk).min(axis=-1).T)
        self.price[:, 0] = 0.0

    def steps(self, units: Floats) -> Ints:
        """Grid steps that each of these quantities weighs, int64[G]."""
        rounded: Ints = np.floor(units * self.measure / self.scale + 0.5).astype(np.int64)
        return rounded


@dataclass(slots=True)
class Exchange:
    """Improves one assignment float64[G, K] in place; `score` is its (void, cost)."""

    judge: Judge
    ladder: Ladder
    meter: Meter
    units: Floats
    score: tuple[float, float]

    def settle(self) -> None:
        """Exchange pair after pair until no pair improves or the work is used up."""
        version = [0] * (self.units.shape[1] + 1)
        tried: set[tuple[int, int, int, int]] = set()
        improved = True
        while improved:
            improved = False
            for a, b in self._pairs():
                state = (a, b, version[a], version[b])
                if state in tried or self.meter.left <= 0:
                    continue
                tried.add(state)
                if self._share(a, b):
                    version[a] += 1
                    version[b] += 1
                    improved = True

    def _pairs(self) -> list[tuple[int, int]]:
        """Open sites two by two; -1 stands for leaving units unfilled, where that is a choice."""
        opened = np.flatnonzero(self.units.any(axis=0)).tolist()
        pairs = [(a, b) for place, a in enumerate(opened) for b in opened[place + 1 :]]
        if not self.judge.objective.fill_always:
            pairs += [(a, -1) for a in opened]
        return pairs

    def _share(self, a: int, b: int) -> bool:
        """Share out anew what sites a and b ship (b -1: what a ships or nobody does); True if that is cheaper."""
        mine = self.units[:, a]
        both = mine + (self.units[:, b] if b >= 0 else self.judge.scene.quantity - self.units.sum(axis=1))
        most = np.minimum(both, self._free(a))
        least = both - np.minimum(both, self._free(b)) if b >= 0 else np.zeros_like(both)
        movable = np.flatnonzero(most > least)
        if len(movable) == 0:
            return False
        if len(movable) > MOVABLE:
            movable = self._sample(movable, (most - least)[movable])
        start = mine.copy()
        start[movable] = least[movable]
        pick = self._knapsack(a, b, start, most, both, movable)
        if pick is None:
            return False
        start[pick] = most[pick]
        return self._accept(a, b, start, both)

    def _free(self, site: int) -> Floats:
        """Units of each demand the site could hold beside what its siblings take."""
        scene = self.judge.scene
        if not scene.siblings:
            return scene.reach[:, site]
        beside = (scene.node == scene.node[site]) & (np.arange(len(scene.node)) != site)
        return np.maximum(scene.reach[:, site] - self.units[:, beside].sum(axis=1), self.units[:, site])

    def _sample(self, movable: Ints, span: Floats) -> Ints:
        """MOVABLE of the movable demands, of every weight alike, so that breaks can still be met."""
        by_weight = movable[np.argsort(span * self.ladder.measure[movable], kind="stable")]
        return np.unique(by_weight[np.linspace(0, len(by_weight) - 1, MOVABLE).astype(np.int64)])

    def _knapsack(self, a: int, b: int, start: Floats, most: Floats, both: Floats, movable: Ints) -> Ints | None:
        """Which movable demands a should ship `most` instead of `start` of; None if that cannot beat what stands."""
        ladder = self.ladder
        jump = ladder.steps(most - start)[movable]
        states = int(jump.sum()) + 1
        ends = self._ends(a, b, start, both, states)
        trial = start.copy()
        trial[movable] = most[movable]
        extra = (self._by_count(a, b, trial, both) - self._by_count(a, b, start, both))[movable]
        now = self.units[movable, a]
        shifted = (now - start[movable]) / (most - start)[movable]
        here = min(int((jump * shifted).sum() + 0.5), states - 1)
        standing = float(ends[here] + (extra * shifted).sum())
        if float(ends.min()) + float(np.minimum(extra, 0.0).sum()) >= standing - LEAST_GAIN:
            return None
        self.meter.take(len(movable) * states)
        cost, taken = _cheapest_weights(jump.tolist(), extra.tolist(), states)
        cost += ends
        state = int(cost.argmin())
        if cost[state] >= standing - LEAST_GAIN:
            return None
        picked: list[int] = []
        for row in range(len(movable) - 1, -1, -1):
            if taken[row, state]:
                picked.append(int(movable[row]))
                state -= int(jump[row])
        return np.array(picked, dtype=np.int64)

    def _ends(self, a: int, b: int, start: Floats, both: Floats, states: int) -> Floats:
        """Step prices of both sites for every weight moved to a: [states]."""
        at_a, grid = self.ladder.steps(start), self.ladder.price
        low_a = int(at_a.sum())
        # Goods that round to nothing still open a site: its first step stands for them.
        low_a = max(low_a, int(start.any()))
        last = grid.shape[1] - 1
        span = np.arange(states)
        cost: Floats = grid[a, np.minimum(low_a + span, last)]
        if b < 0:
            return cost
        top_b = int(self.ladder.steps(both - start).sum())
        low_b = max(top_b - (states - 1), 0)
        return cost + grid[b, np.minimum(low_b + (states - 1) - span, last)]

    def _by_count(self, a: int, b: int, at_a: Floats, both: Floats) -> Floats:
        """What each demand costs by line and unit when a ships `at_a` of it and b (-1: nobody) the rest: [G]."""
        cost = self._handled(a, at_a)
        rest = both - at_a
        return cost + (self._handled(b, rest) if b >= 0 else self.judge.objective.unfilled_per_unit * rest)

    def _handled(self, site: int, units: Floats) -> Floats:
        tariff, scene = self.judge.tariff, self.judge.scene
        service = int((tariff.per_box[site] + tariff.barred[site]).argmin())
        cost: Floats = tariff.per_unit[site, service] * units
        return cost + tariff.per_line[site, service] * scene.lines * (units > 0.0)

    def _accept(self, a: int, b: int, at_a: Floats, both: Floats) -> bool:
        """Put the new sharing in place if, exactly priced, it is better."""
        kept = self.units.copy()
        self.units[:, a] = at_a
        if b >= 0:
            self.units[:, b] = both - at_a
        void, cost = self.judge(self.units[None])
        fuller = not self.judge.objective.fill_always or void[0] <= self.score[0]
        if fuller and cost[0] < self.score[1] - LEAST_GAIN:
            self.score = (float(void[0]), float(cost[0]))
            return True
        self.units[:] = kept
        return False


def _cheapest_weights(jump: list[int], extra: list[float], states: int) -> tuple[Floats, Ints]:
    """Subset sums with prices: the least sum of `extra` for every sum of `jump`, and which rows were added there."""
    cost = np.full(states, np.inf)
    cost[0] = 0.0
    taken = np.zeros((len(jump), states), dtype=np.bool_)
    top = 0
    for row, (step, price) in enumerate(zip(jump, extra, strict=True)):
        top += step
        moved = cost[: top + 1 - step] + price
        target = cost[step : top + 1]
        np.less(moved, target, out=taken[row, step : top + 1])
        np.minimum(target, moved, out=target)
    return cost, taken
