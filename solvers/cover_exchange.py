"""Local search inside sets of sites: two sites at a time share out anew everything either of them ships.

Step prices make single moves useless: taking one line out of a parcel saves nothing until the parcel falls below a
weight break. So the exchange of a pair is solved as a whole, as a knapsack over the weight at the first site (Bellman
1957): the cheapest linear cost for each weight, to which both step prices are added at the end. A very large
neighbourhood in the sense of Ahuja, Ergun, Orlin & Punnen (2002); it contains every move, swap, split that stock
forces, consolidation around a break, and the closing of either site.

Most pairs have nothing to gain. Several assignments are improved side by side, so that all their pairs pass one
vectorised bound first; only the rest is solved, by listing all choices where few demands can move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_ladder import UNPAYABLE, Ladder, cheapest_choice
from solvers.cover_sets import Judge, Meter
from solvers.problem import Bools, Ints

MOVABLE = 40
"""Demands of one pair that may change sides; of more than that an even sample by weight does."""

LISTED = (3, 6, 9)
"""Up to the last so many movable demands all choices are listed, together for the pairs of each of these sizes."""

INTERVALS = 32
"""Parts in which the bound looks at the weights of a pair."""

PAIR_CELLS = 500
"""Work of solving a pair at all, in the unit of `Meter`."""

DIVISIONS = 12
"""Ways to divide what one demand can move between two sites, where dividing is tried."""

LARGEST_TABLE = 60_000
"""States of an exchange that counts units beside the weight; larger ones count the weight only."""

LEAST_GAIN = 0.5
"""Mills an exchange must save: below one mill only rounding is left."""


@cache
def _choices(demands: int) -> Floats:
    """All choices among some demands, a row each: [2 ** demands, demands] of 0 and 1."""
    return (np.arange(2**demands)[:, None] >> np.arange(demands) & 1).astype(np.float64)


class _Look(NamedTuple):
    """P pairs of sites (a, b) of assignments, looked at together.

    int64 [P]: `start` (which assignment), `a`, `b`, and `at_a`, `at_b`: weights on the grid. [P, G]: what a ships
    now (`mine`), what `both` ship, the `least` and `most` that a could, and what the most costs by count beyond the
    least (`extra`). Mills [P]: `base` by count at the least, `standing` as it is, `bound` as little as it could be.
    """

    start: Ints
    a: Ints
    b: Ints
    mine: Floats
    both: Floats
    least: Floats
    most: Floats
    extra: Floats
    base: Floats
    at_a: Ints
    at_b: Ints
    standing: Floats
    bound: Floats


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
    """Improves B assignments float64[B, G, K] side by side; `void` and `cost` [B] are their scores.

    `divide`: a demand may be divided between the two sites at any unit, not only as far as stock forces it.
    """

    judge: Judge
    ladder: Ladder
    meter: Meter
    units: Floats
    void: Floats
    cost: Floats
    divide: bool = False
    _at: Floats = field(init=False)
    _stale: Bools = field(init=False)

    def __post_init__(self) -> None:
        sites = len(self.ladder.reach)
        # Site by site, so that what one site ships lies together.
        self._at = np.zeros((len(self.units), sites, self.units.shape[1]))
        self._at[:, : self.units.shape[2]] = self.units.transpose(0, 2, 1)
        if self.ladder.leaving:
            self._at[:, -1] = self.judge.scene.quantity - self.units.sum(axis=2)
        self._stale = np.repeat(np.triu(np.ones((1, sites, sites), np.bool_), 1), len(self.units), axis=0)

    def settle(self) -> None:
        """Exchange pairs until no pair of any assignment improves or the work is used up."""
        careful = np.zeros(len(self.units), np.bool_)
        while self.meter.left > 0:
            before = self._at.copy()
            moves = self._exchanged(careful)
            changed = list(moves)
            if not changed:
                break
            void, cost = self.judge(self._assignments(changed))
            for start, emptier, dearer in zip(changed, void.tolist(), cost.tolist(), strict=True):
                fuller = not self.judge.objective.fill_always or emptier <= self.void[start]
                if fuller and dearer < self.cost[start] - LEAST_GAIN:
                    self.void[start], self.cost[start] = emptier, dearer
                    self._renew(start, [site for pair in moves[start] for site in pair])
                    continue
                # The grid promised too much. Of several exchanges some may hold: again, one at a time.
                self._at[start] = before[start]
                careful[start] = True
                for a, b in moves[start] if len(moves[start]) > 1 else []:
                    self._stale[start, a, b] = True
        self.units = self._assignments(list(range(len(self.units))))

    def _exchanged(self, careful: Bools) -> dict[int, list[tuple[int, int]]]:
        """Share out anew every pair that gains and whose sites no better pair has changed: pairs by assignment.

        One pair only of the assignments that are `careful` [B]. Pairs passed over stay stale.
        """
        moves: dict[int, list[tuple[int, int]]] = {}
        look = self._look()
        if look is None:
            return moves
        order, shares = self._ranked(look)
        starts, first, second = look.start.tolist(), look.a.tolist(), look.b.tolist()
        for at in order:
            start, a, b = starts[at], first[at], second[at]
            done = moves.get(start, [])
            if (done and careful[start]) or any(site in pair for pair in done for site in (a, b)):
                self._stale[start, a, b] = True
                continue
            shared = shares[at] if at in shares else self._solved(look, at)
            if shared is not None:
                both = self._at[start, a] + self._at[start, b]
                self._at[start, a], self._at[start, b] = shared, both - shared
                moves.setdefault(start, []).append((a, b))
        return moves

    def _ranked(self, look: _Look) -> tuple[list[int], dict[int, Floats]]:
        """The pairs worth solving, those of known gain first; what a should ship [G] where that is known already."""
        promise = look.standing - look.bound
        worth = np.flatnonzero(promise > LEAST_GAIN)
        if self.divide or self.judge.scene.binding:
            return worth[np.argsort(-promise[worth], kind="stable")].tolist(), {}
        size = (look.most > look.least).sum(axis=1)
        shares: dict[int, Floats] = {}
        known: list[tuple[float, int]] = []
        low = 0
        for high in LISTED:
            rows = worth[(size[worth] > low) & (size[worth] <= high)]
            low = high
            if len(rows):
                gain, shared = self._listed(look, rows, high)
                known += [(-saved, at) for saved, at in zip(gain.tolist(), rows.tolist(), strict=True)]
                shares.update(zip(rows.tolist(), shared, strict=True))
        # Every other assignment goes by site instead of by gain: greed alone leads all of them to the same dead ends.
        by_site = (look.start % 2 == 1).tolist()
        ranked = sorted((0.0 if by_site[at] else saved, at) for saved, at in known if saved < -LEAST_GAIN)
        large = worth[size[worth] > low]
        return [at for _, at in ranked] + large[np.argsort(-promise[large], kind="stable")].tolist(), shares

    def _listed(self, look: _Look, rows: Ints, width: int) -> tuple[Floats, Floats]:
        """Pairs of at most `width` movable demands solved by listing: what each saves [R], what a ships [R, G]."""
        ladder, choices = self.ladder, _choices(min(width, look.least.shape[1]))
        least, most, mine = look.least[rows], look.most[rows], look.mine[rows]
        movable = np.argsort(most <= least, axis=1, kind="stable")[:, :width]
        row = np.arange(len(rows))[:, None]
        span, extra = (most - least)[row, movable], look.extra[rows[:, None], movable]
        self.meter.take(len(rows) * len(choices))
        jump = np.rint(span * ladder.each[movable])
        shift = np.rint((mine - least) * ladder.each).sum(axis=1)
        weight = (jump @ choices.T).astype(np.int64)
        last = ladder.price.shape[1] - 1
        low_a = np.maximum(look.at_a[rows] - shift.astype(np.int64), least.any(axis=1))
        top_b = look.at_b[rows] + shift.astype(np.int64)
        low_b = np.maximum(top_b - jump.sum(axis=1).astype(np.int64), (look.both[rows] > most).any(axis=1))
        top_b = low_b + jump.sum(axis=1).astype(np.int64)
        flat, stride = ladder.price.reshape(-1), ladder.price.shape[1]
        cost = extra @ choices.T
        cost += flat[np.minimum(low_a[:, None] + weight, last) + (look.a[rows] * stride)[:, None]]
        cost += flat[np.minimum(top_b[:, None] - weight, last) + (look.b[rows] * stride)[:, None]]
        if self.judge.scene.least_value:
            cost += self._worthless(look.b[rows], look.both[rows], least, choices, span, movable)
        best = cost.argmin(axis=1)
        gain: Floats = look.standing[rows] - look.base[rows] - cost[row[:, 0], best]
        shared = least.copy()
        shared[row, movable] += choices[best] * span
        return gain, shared

    def _worthless(self, b: Ints, both: Floats, least: Floats, choices: Floats, span: Floats, movable: Ints) -> Floats:
        """Mills that keep pairs [R] from choices that leave too little value at a site that is not empty."""
        scene = self.judge.scene
        value, ships = scene.value, (b < len(scene.node))[:, None]
        at_a = (least @ value)[:, None] + (span * value[movable]) @ choices.T
        at_b = (both @ value)[:, None] - at_a
        poor = ((at_a > 0.5) & (at_a < scene.least_value)) | (ships & (at_b > 0.5) & (at_b < scene.least_value))
        return np.where(poor, UNPAYABLE, 0.0)

    def _assignments(self, which: list[int]) -> Floats:
        sites = self.units.shape[2]
        return np.ascontiguousarray(self._at[which, :sites].transpose(0, 2, 1))

    def _renew(self, start: int, sites: list[int]) -> None:
        """Pairs with one of these sites are to be looked at again."""
        for site in sites:
            self._stale[start, site, site + 1 :] = True
            self._stale[start, :site, site] = True

    def _look(self) -> _Look | None:
        """Every stale pair of open sites, with a bound on what it can become; None if there is none."""
        ladder = self.ladder
        opened = self._at.sum(axis=2) > 0.0
        if ladder.leaving:
            opened[:, -1] = True
        start, a, b = np.nonzero(self._stale & opened[:, :, None] & opened[:, None, :])
        self._stale[:] = False
        if len(start) == 0:
            return None
        self.meter.take(len(start) * self._at.shape[2])
        mine, other = self._at[start, a], self._at[start, b]
        both = mine + other
        most = np.minimum(both, self._free(start, a))
        least = both - np.minimum(both, self._free(start, b))
        if self.judge.scene.whole.any():
            least, most = self._whole(b, mine, both, least, most)
        base = ladder.by_count(a[:, None], b[:, None], least, both - least)
        extra = ladder.by_count(a[:, None], b[:, None], most, both - most) - base
        now = ladder.by_count(a[:, None], b[:, None], mine, other).sum(axis=1)
        last = ladder.price.shape[1] - 1
        at_a = np.clip(np.rint(mine @ ladder.each).astype(np.int64), mine.any(axis=1), last)
        at_b = np.clip(np.rint(other @ ladder.each).astype(np.int64), other.any(axis=1), last)
        low_a, low_b = least @ ladder.each, (both - most) @ ladder.each
        step = (most - least) @ ladder.each / INTERVALS
        parts = np.arange(INTERVALS)
        from_a = np.minimum((low_a[:, None] + step[:, None] * parts).astype(np.int64), last)
        from_b = np.minimum((low_b[:, None] + step[:, None] * parts[::-1]).astype(np.int64), last)
        ends = (ladder.least[a[:, None], from_a] + ladder.least[b[:, None], from_b]).min(axis=1)
        charged = base.sum(axis=1)
        return _Look(
            start=start,
            a=a,
            b=b,
            mine=mine,
            both=both,
            least=least,
            most=most,
            extra=extra,
            base=charged,
            at_a=at_a,
            at_b=at_b,
            standing=now + ladder.price[a, at_a] + ladder.price[b, at_b],
            bound=charged + np.minimum(extra, 0.0).sum(axis=1) + ends,
        )

    def _whole(self, b: Ints, mine: Floats, both: Floats, least: Floats, most: Floats) -> tuple[Floats, Floats]:
        """(least, most) that a could ship [P, G] where whole demands change sides as a whole, or not at all."""
        scene = self.judge.scene
        movable = (least <= 0.0) & (most >= both)
        if self.ladder.leaving:
            # What would stay beside it may be any rest, as long as no third site ships some.
            stays = (b == len(scene.node))[:, None]
            movable = np.where(stays, (least <= 0.0) & (both >= scene.quantity), movable)
        fixed = scene.whole & ~movable
        return np.where(fixed, mine, least), np.where(fixed, mine, most)

    def _free(self, start: Ints, site: Ints) -> Floats:
        """Units of each demand the sites [P] could hold beside what their siblings take: [P, G]."""
        scene, whole = self.judge.scene, self.ladder.reach[site]
        if not scene.siblings:
            return whole
        node = np.append(scene.node, -1) if self.ladder.leaving else scene.node
        beside = (node[site][:, None] == node) & (np.arange(len(node)) != site[:, None])
        taken = np.matmul(beside[:, None, :].astype(np.float64), self._at[start])[:, 0]
        rest: Floats = np.maximum(whole - taken, self._at[start, site])
        return rest

    def _solved(self, look: _Look, at: int) -> Floats | None:
        """What a of one pair should ship [G], by a table over the weights; None if nothing beats what stands."""
        self.meter.take(PAIR_CELLS)
        mine, least, most = look.mine[at], look.least[at], look.most[at]
        movable = np.flatnonzero(most > least)
        if len(movable) > MOVABLE:
            movable = self._sample(movable, (most - least)[movable])
        if len(movable) == 0 or self.meter.left <= 0:
            return None
        chosen = mine[movable], least[movable], most[movable], look.both[at, movable]
        found = self._knapsack(int(look.start[at]), _Pair(int(look.a[at]), int(look.b[at]), movable, *chosen))
        if found is None:
            return None
        shared: Floats = mine.copy()
        shared[movable] = found
        return shared

    def _sample(self, movable: Ints, span: Floats) -> Ints:
        """MOVABLE of the movable demands, of every weight alike, so that breaks can still be met."""
        by_weight = movable[np.argsort(span * self.ladder.each[movable], kind="stable")]
        return np.unique(by_weight[np.linspace(0, len(by_weight) - 1, MOVABLE).astype(np.int64)])

    def _knapsack(self, start: int, pair: _Pair) -> Floats | None:
        """What a should ship of the movable demands; None if nothing beats what stands."""
        each, ladder = self.ladder.each[pair.movable], self.ladder
        sites = np.array(pair.a), np.array(pair.b)
        span = pair.most - pair.least
        jump, shift = np.rint(span * each), np.rint((pair.mine - pair.least) * each)
        ends = self._ends(start, pair, int(jump.sum()), int(shift.sum()))
        base = ladder.by_count(*sites, pair.least, pair.both - pair.least, pair.movable)
        now = ladder.by_count(*sites, pair.mine, pair.both - pair.mine, pair.movable)
        standing = float(ends[min(int(shift.sum()), len(ends) - 1)] + (now - base).sum()) - LEAST_GAIN
        stride = 1
        if self.judge.scene.binding:
            ends, stride = self._within_rooms(start, pair, ends)
        menus = self._menus(pair, base, stride)
        self.meter.take(len(ends) * sum(len(menu) for menu in menus))
        more = cheapest_choice(menus, ends, standing)
        return None if more is None else pair.least + more

    def _ends(self, start: int, pair: _Pair, span: int, shifted: int) -> Floats:
        """Step prices of both sites for every weight moved to a, from its least: [span + 1]."""
        grid, each = self.ladder.price, self.ladder.each
        last = grid.shape[1] - 1
        mine, other = self._at[start, pair.a], self._at[start, pair.b]
        # Goods that weigh next to nothing still open a site: its first step stands for them.
        low_a = max(round(float(mine @ each)) - shifted, int(mine.sum() > (pair.mine - pair.least).sum()))
        low_b = round(float(other @ each)) - (span - shifted)
        low_b = max(low_b, int(other.sum() > (pair.most - pair.mine).sum()))
        cost: Floats = grid[pair.a, np.minimum(np.arange(low_a, low_a + span + 1), last)]
        cost += grid[pair.b, np.minimum(np.arange(low_b + span, low_b - 1, -1), last)]
        return cost

    def _within_rooms(self, start: int, pair: _Pair, ends: Floats) -> tuple[Floats, int]:
        """Count units beside the weight, so that neither bucket overflows: ends [weights * stride], stride.

        State w * stride + u has u more units at a than the least; ends are inf where a room is too small.
        """
        stride = int((pair.most - pair.least).sum()) + 1
        room_a, room_b = self._spare(start, pair.a, pair.b), self._spare(start, pair.b, pair.a)
        if stride * len(ends) > LARGEST_TABLE or (np.isinf(room_a) and np.isinf(room_b)):
            return ends, 1
        more = np.arange(stride) - float((pair.mine - pair.least).sum())
        fits = (more <= room_a) & (-more <= room_b)
        return (ends[:, None] + np.where(fits, 0.0, np.inf)).reshape(-1), stride

    def _spare(self, start: int, site: int, partner: int) -> float:
        """Units the bucket of a site could still take; inf for no limit, or where the partner draws on it too."""
        scene = self.judge.scene
        bucket = int(scene.bucket[site]) if site < len(scene.bucket) else -1
        if bucket < 0 or (partner < len(scene.bucket) and scene.bucket[partner] == bucket):
            return np.inf
        behind = np.flatnonzero(scene.bucket == bucket)
        return float(scene.room_units[bucket] - self._at[start, behind].sum())

    def _menus(self, pair: _Pair, base: Floats, stride: int) -> list[list[tuple[int, float, float]]]:
        """Per movable demand the ways to give a more than its least: (states, linear cost, units more)."""
        span, each = pair.most - pair.least, self.ladder.each[pair.movable]
        parts = np.arange(1, DIVISIONS + 1)[:, None] / DIVISIONS if self.divide else np.ones((1, 1))
        more = np.ceil(span * parts)
        at_a = pair.least + more
        price = self.ladder.by_count(np.array(pair.a), np.array(pair.b), at_a, pair.both - at_a, pair.movable) - base
        steps = (np.rint(more * each) * stride + (more if stride > 1 else 0.0)).astype(np.int64)
        menus: list[dict[float, tuple[int, float, float]]] = [{} for _ in base]
        for entries in zip(steps.tolist(), price.tolist(), more.tolist(), strict=True):
            for menu, entry in zip(menus, zip(*entries, strict=True), strict=True):
                menu[entry[2]] = entry
        whole = self.judge.scene.whole[pair.movable].tolist()
        return [list(menu.values())[-1 if whole[at] else 0 :] for at, menu in enumerate(menus)]
