"""What exchanges look up: the step prices of every site on one grid of weights, and the knapsack over that grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_sets import Judge
from solvers.problem import Ints

STATES = 2048
"""Weights that the search tells apart, from nothing to the whole order."""

UNPAYABLE = 2.0**50
"""Mills that stand for a weight no service carries."""


@dataclass(slots=True)
class Ladder:
    """What the exchanges of a scene look up: K sites, and where units may stay one more that stands for leaving them.

    `price` [K, steps]: step prices at 0, 1, 2 ... steps of `scale`, terms by line and unit left out; the first column
    is an empty site. `least` the same, lowered to the cheapest price of that weight or more. `each` [G] is what a unit
    weighs on the grid: grams, or one each where nothing in the order has a weight. `reach` [K, G]; `per_unit`,
    `per_line` [K] are those of a site's plainest service; `toll` [K, G] as in the scene, None for none; `lines_each`
    [G] lines per unit of a demand; `alike`: a unit costs the same by count everywhere. Where
    dimensional weight counts, goods are taken as equally dense; what an exchange saves is judged exactly afterwards.
    """

    judge: Judge
    leaving: bool = field(init=False)
    each: Floats = field(init=False)
    price: Floats = field(init=False)
    least: Floats = field(init=False)
    reach: Floats = field(init=False)
    per_unit: Floats = field(init=False)
    per_line: Floats = field(init=False)
    toll: Floats | None = field(init=False)
    alike: bool = field(init=False)
    lines_each: Floats = field(init=False)

    def __post_init__(self) -> None:
        scene, tariff = self.judge.scene, self.judge.tariff
        total_g = float(scene.quantity @ scene.weight_g)
        measure = scene.weight_g if total_g else np.ones_like(scene.weight_g)
        whole = float(scene.quantity @ measure)
        scale = max(1.0, whole / STATES)
        self.each = measure / scale
        steps = np.arange(int(whole / scale) + 2) * scale
        grams = np.broadcast_to((steps if total_g else 0.0 * steps)[:, None], (len(steps), len(scene.node)))
        bulk = grams * (float(scene.quantity @ scene.volume_mm3) / max(total_g, 1.0))
        bare = tariff.without_counts(np.zeros_like(tariff.per_unit))
        price = bare.price(np.ones_like(grams), grams, grams, bulk).min(axis=-1).T
        lead = (tariff.per_box + tariff.barred).argmin(axis=1)[:, None]
        per_unit = np.take_along_axis(tariff.per_unit, lead, axis=1)[:, 0]
        per_line = np.take_along_axis(tariff.per_line, lead, axis=1)[:, 0]
        self.leaving = not self.judge.objective.fill_always
        if self.leaving:
            price = np.vstack([price, np.zeros((1, len(steps)))])
            per_unit = np.append(per_unit, float(self.judge.objective.unfilled_per_unit))
            per_line = np.append(per_line, 0.0)
        # A price that cannot be paid stands finite here, so that sums and differences stay numbers.
        self.price = np.ascontiguousarray(np.minimum(price, UNPAYABLE))
        self.price[:, 0] = 0.0
        self.least = np.minimum.accumulate(self.price[:, ::-1], axis=1)[:, ::-1]
        self.per_unit, self.per_line = per_unit, per_line
        self.toll = scene.toll
        if scene.toll is not None:
            self.toll = np.vstack([scene.toll.T, np.zeros((int(self.leaving), len(self.each)))])
        self.alike = bool((per_unit == per_unit[0]).all()) and self.toll is None
        self.lines_each = scene.lines / scene.quantity
        self.reach = np.vstack([scene.reach.T, *([scene.quantity] if self.leaving else [])])

    def by_count(self, a: Ints, b: Ints, at_a: Floats, at_b: Floats, demands: Ints | slice = slice(None)) -> Floats:
        """What demands [..., m] cost by line and unit at the sites a and b [..., 1]; less what no sharing changes."""
        each = self.lines_each[demands]
        cost: Floats = self.per_line[a] * np.ceil(at_a * each) + self.per_line[b] * np.ceil(at_b * each)
        if self.alike:
            return cost
        a_unit, b_unit = self.per_unit[a], self.per_unit[b]
        if self.toll is not None:
            which = np.arange(len(self.each))[demands]
            a_unit, b_unit = a_unit + self.toll[a, which], b_unit + self.toll[b, which]
        return cost + a_unit * at_a + b_unit * at_b


def cheapest_choice(menus: list[list[tuple[int, float, float]]], ends: Floats, standing: float) -> Floats | None:
    """Multiple-choice knapsack over sums of steps [states]: units taken of each menu; None if not below `standing`."""
    states = len(ends)
    cost = np.full((len(menus) + 1, states), np.inf)
    cost[0, 0] = 0.0
    top = 0
    for row, menu in enumerate(menus):
        before, after = cost[row, : top + 1], cost[row + 1]
        after[: top + 1] = before
        reached = top
        for step, price, _ in menu:
            target = after[step : step + top + 1]
            np.minimum(target, before + price, out=target)
            reached = max(reached, step + top)
        top = reached
    state = int((cost[-1] + ends).argmin())
    if cost[-1, state] + ends[state] >= standing:
        return None
    taken = np.zeros(len(menus))
    for row in range(len(menus) - 1, -1, -1):
        if cost[row, state] == cost[row + 1, state]:
            continue
        # The sums are those of the way there, so the entry that led here is found by comparing exactly.
        for step, price, units in menus[row]:
            if step <= state and cost[row, state - step] + price == cost[row + 1, state]:
                taken[row] = units
                state -= step
                break
    return taken
