"""Local search inside a set of sites: two sites at a time share out anew everything either of them ships.

Step prices make single moves useless: taking one line out of a parcel saves nothing until the parcel falls below a
weight break. So the exchange of a pair is solved as a whole, as a knapsack over the weight at the first site (Bellman
1957): the cheapest linear cost for each weight, to which both step prices are added at the end. A very large
neighbourhood in the sense of Ahuja, Ergun, Orlin & Punnen (2002); it contains every move, swap, split that stock
forces, consolidation around a break, and the closing of either site.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.cover_scene import Floats
from solvers.cover_sets import Judge, Meter
from solvers.problem import Ints

STATES = 4096
"""Weights that the search tells apart, from nothing to the whole order."""

MOVABLE = 40
"""Demands of one pair that may change sides; of more than that an even sample by weight does."""

PAIR_CELLS = 500
"""Work of looking at a pair at all, in the unit of `Meter`."""

DIVISIONS = 12
"""Ways to divide what one demand can move between two sites, where dividing is tried."""

LARGEST_TABLE = 60_000
"""States of an exchange that counts units beside the weight; larger ones count the weight only."""

LEAST_GAIN = 0.5
"""Mills an exchange must save: below one mill only rounding is left."""


@dataclass(slots=True)
class Ladder:
    """Step prices of every site on one grid of weights, terms by line and unit left out.

    `price` [K, STATES + 1]: mills at 0, 1, 2 ... steps of `scale`; the first column is an empty site. `measure` [G]
    is what a unit weighs on the grid: grams, or one each where nothing in the order has a weight. `per_unit`,
    `per_line` [K] are those of a site's plainest service,
    `lines_each` [G] lines per unit of a demand. Where dimensional
    weight counts, goods are taken as equally dense; what an exchange really saves is judged exactly afterwards.
    """

    judge: Judge
    scale: float = field(init=False)
    measure: Floats = field(init=False)
    price: Floats = field(init=False)
    per_unit: Floats = field(init=False)
    per_line: Floats = field(init=False)
    lines_each: Floats = field(init=False)

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
        lead = (tariff.per_box + tariff.barred).argmin(axis=1)[:, None]
        self.per_unit = np.take_along_axis(tariff.per_unit, lead, axis=1)[:, 0]
        self.per_line = np.take_along_axis(tariff.per_line, lead, axis=1)[:, 0]
        self.lines_each = scene.lines / scene.quantity


class _Pair(NamedTuple):
    """Two sites and the demands that may change sides: what a ships now, its least and most, and what both ship."""

    a: int
    b: int
    movable: Ints
    mine: Floats
    least: Floats
    most: Floats
    both: Floats


@dataclass(slots=True)
class Exchange:
    """Improves one assignment float64[G, K] in place; `score` is its (void, cost).

    `divide`: a demand may be divided between the two sites at any unit, not only as far as stock forces it.
    """

    judge: Judge
    ladder: Ladder
    meter: Meter
    units: Floats
    score: tuple[float, float]
    divide: bool = False

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
        self.meter.take(PAIR_CELLS)
        mine = self.units[:, a]
        both = mine + (self.units[:, b] if b >= 0 else self.judge.scene.quantity - self.units.sum(axis=1))
        most = np.minimum(both, self._free(a))
        least = both - np.minimum(both, self._free(b)) if b >= 0 else np.zeros_like(both)
        movable = np.flatnonzero(most > least)
        if len(movable) == 0:
            return False
        if len(movable) > MOVABLE:
            movable = self._sample(movable, (most - least)[movable])
        pair = _Pair(a, b, movable, mine[movable], least[movable], most[movable], both[movable])
        shared = self._knapsack(pair)
        if shared is None:
            return False
        at_a = mine.copy()
        at_a[movable] = shared
        return self._accept(a, b, at_a, both)

    def _free(self, site: int) -> Floats:
        """Units of each demand the site could hold beside what its siblings take."""
        scene = self.judge.scene
        if not scene.siblings:
            whole: Floats = scene.reach[:, site]
            return whole
        beside = (scene.node == scene.node[site]) & (np.arange(len(scene.node)) != site)
        rest: Floats = np.maximum(scene.reach[:, site] - self.units[:, beside].sum(axis=1), self.units[:, site])
        return rest

    def _sample(self, movable: Ints, span: Floats) -> Ints:
        """MOVABLE of the movable demands, of every weight alike, so that breaks can still be met."""
        by_weight = movable[np.argsort(span * self.ladder.measure[movable], kind="stable")]
        return np.unique(by_weight[np.linspace(0, len(by_weight) - 1, MOVABLE).astype(np.int64)])

    def _knapsack(self, pair: _Pair) -> Floats | None:
        """What a should ship of the movable demands; None if nothing beats what stands."""
        each = self.ladder.measure[pair.movable] / self.ladder.scale
        jump = np.rint((pair.most - pair.least) * each)
        shift = np.rint((pair.mine - pair.least) * each)
        ends = self._ends(pair, int(jump.sum()), int(shift.sum()))
        base = self._by_count(pair, pair.least)
        extra = self._by_count(pair, pair.most) - base
        standing = float(ends[min(int(shift.sum()), len(ends) - 1)] + (self._by_count(pair, pair.mine) - base).sum())
        if float(ends.min()) + float(np.minimum(extra, 0.0).sum()) >= standing - LEAST_GAIN:
            return None
        stride = 1
        if self.judge.scene.binding:
            ends, stride = self._within_rooms(pair, ends)
        menus = self._menus(pair, each, base, stride)
        self.meter.take(len(ends) * sum(len(menu) for menu in menus))
        cost, taken = _cheapest_weights(menus, len(ends))
        cost += ends
        state = int(cost.argmin())
        if cost[state] >= standing - LEAST_GAIN:
            return None
        shared = pair.least.copy()
        for row in range(len(menus) - 1, -1, -1):
            chosen = int(taken[row, state])
            if chosen:
                step, _, units = menus[row][chosen - 1]
                shared[row] += units
                state -= step
        return shared

    def _ends(self, pair: _Pair, span: int, shifted: int) -> Floats:
        """Step prices of both sites for every weight moved to a, from its least: [span + 1]."""
        grid, measure = self.ladder.price, self.ladder.measure
        last = grid.shape[1] - 1
        mine = self.units[:, pair.a]
        low_a = round(float(mine @ measure) / self.ladder.scale) - shifted
        # Goods that weigh next to nothing still open a site: its first step stands for them.
        low_a = max(low_a, int(mine.sum() > (pair.mine - pair.least).sum()))
        cost: Floats = grid[pair.a, np.minimum(np.arange(low_a, low_a + span + 1), last)]
        if pair.b < 0:
            return cost
        other = self.units[:, pair.b]
        low_b = round(float(other @ measure) / self.ladder.scale) - (span - shifted)
        low_b = max(low_b, int(other.sum() > (pair.most - pair.mine).sum()))
        cost += grid[pair.b, np.minimum(np.arange(low_b + span, low_b - 1, -1), last)]
        return cost

    def _within_rooms(self, pair: _Pair, ends: Floats) -> tuple[Floats, int]:
        """Count units beside the weight, so that neither bucket overflows: ends [weights * stride], stride.

        State w * stride + u has u more units at a than the least; ends are inf where a room is too small.
        """
        stride = int((pair.most - pair.least).sum()) + 1
        room_a, room_b = self._spare(pair.a, pair.b), self._spare(pair.b, pair.a) if pair.b >= 0 else np.inf
        if stride * len(ends) > LARGEST_TABLE or (np.isinf(room_a) and np.isinf(room_b)):
            return ends, 1
        more = np.arange(stride) - float((pair.mine - pair.least).sum())
        fits = (more <= room_a) & (-more <= room_b)
        return (ends[:, None] + np.where(fits, 0.0, np.inf)).reshape(-1), stride

    def _spare(self, site: int, partner: int) -> float:
        """Units the bucket of a site could still take; inf for no limit, or where the partner draws on it too."""
        scene = self.judge.scene
        bucket = int(scene.bucket[site])
        if bucket < 0 or (partner >= 0 and scene.bucket[partner] == bucket):
            return np.inf
        return float(scene.room_units[bucket] - self.units[:, scene.bucket == bucket].sum())

    def _menus(self, pair: _Pair, each: Floats, base: Floats, stride: int) -> list[list[tuple[int, float, float]]]:
        """Per movable demand the ways to give a more than its least: (states, linear cost, units more)."""
        span = pair.most - pair.least
        parts = [part / DIVISIONS for part in range(1, DIVISIONS + 1)] if self.divide else [1.0]
        menus: list[dict[float, tuple[int, float, float]]] = [{} for _ in base]
        for part in parts:
            more = np.ceil(span * part)
            price = (self._by_count(pair, pair.least + more) - base).tolist()
            steps = np.rint(more * each) * stride + (more if stride > 1 else 0.0)
            for menu, row in zip(menus, zip(steps.tolist(), price, more.tolist(), strict=True), strict=True):
                menu[row[2]] = (int(row[0]), row[1], row[2])
        return [list(menu.values()) for menu in menus]

    def _by_count(self, pair: _Pair, at_a: Floats) -> Floats:
        """What each movable demand costs by line and unit when a ships `at_a` of it, and b (-1: nobody) the rest."""
        rest = pair.both - at_a
        unit, line = self.ladder.per_unit, self.ladder.per_line
        cost: Floats = unit[pair.a] * at_a + line[pair.a] * self._lines(pair, at_a)
        if pair.b < 0:
            return cost + self.judge.objective.unfilled_per_unit * rest
        cost += unit[pair.b] * rest + line[pair.b] * self._lines(pair, rest)
        return cost

    def _lines(self, pair: _Pair, units: Floats) -> Floats:
        lines: Floats = np.ceil(units * self.ladder.lines_each[pair.movable])
        return lines

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


def _cheapest_weights(menus: list[list[tuple[int, float, float]]], states: int) -> tuple[Floats, NDArray[np.int8]]:
    """Multiple-choice knapsack: the least cost of every sum of steps, and which entry of each menu leads there.

    int8 `taken` [rows, states]: 0 for none of the menu, else its entry counted from 1.
    """
    cost: Floats = np.full(states, np.inf)
    cost[0] = 0.0
    taken: NDArray[np.int8] = np.zeros((len(menus), states), dtype=np.int8)
    top = 0
    for row, menu in enumerate(menus):
        before = cost[: top + 1].copy()
        old, reached = top, top
        for entry, (step, price, _) in enumerate(menu, start=1):
            moved = before[: old + 1] + price
            target = cost[step : step + old + 1]
            better = moved < target
            target[better] = moved[better]
            taken[row, step : step + old + 1][better] = entry
            reached = max(reached, step + old)
        top = reached
    return cost, taken
