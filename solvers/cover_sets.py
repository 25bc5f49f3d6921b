"""Which sites to open: many sets of sites judged at once by pouring the demands into them.

Once the open sites are fixed and no room binds, the best assignment under linear prices is a waterfall: every demand
takes from its cheapest open site what that holds, then from the next. The set is then judged by its true step prices.
The search over sets is add, drop and swap from several starts (Kuehn & Hamburger 1963, "A heuristic program for
locating warehouses"; the covering start is Chvatal 1979, "A greedy heuristic for the set-covering problem").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_scene import Scene, Tariff
from solvers.cover_value import most_sites, poor_sites
from solvers.problem import Bools, Ints, Objective

DEAREST = 2.0**50
"""Mills above any price of a unit."""

BATCH_CELLS = 400_000
"""Sets judged in one go times demands times sites: about what stays in cache."""


@dataclass(slots=True)
class Meter:
    """Work left. One unit is one (set, demand, site) cell poured, or one state of a pair's exchange."""

    left: int
    spent: int = 0

    def take(self, cells: int) -> bool:
        """Pay for a step; False once the work is used up (the step in hand may still be finished)."""
        enough = self.left > 0
        self.left -= cells
        self.spent += cells
        return enough


@dataclass(slots=True)
class Judge:
    """Prices assignments of one scene. `void` is the units left unfilled where fill comes
    before money, else 0; `cost` is everything the order pays, mills."""

    scene: Scene
    tariff: Tariff
    objective: Objective
    rows: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.stack([np.ones_like(self.scene.weight_g), self.scene.weight_g, self.scene.volume_mm3])

    def loads(self, units: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Units, lines, grams and mm3 at every site of assignments [..., G, K] -> four of [..., K]."""
        sums = np.matmul(self.rows, units)
        lines = self.scene.lines_in(units).sum(axis=-2)
        return sums[..., 0, :], lines, sums[..., 1, :], sums[..., 2, :]

    def __call__(self, units: Floats) -> tuple[Floats, Floats]:
        """Assignments [B, G, K] -> void [B], cost [B]; cost inf where a service cannot carry, a room is too small or a
        limit of the order is broken."""
        load, lines, grams, bulk = self.loads(units)
        by_service = self.tariff.price(load, lines, grams, bulk)
        cost = by_service.min(axis=-1).sum(axis=-1)
        if self.scene.toll is not None:
            cost = cost + (units * self.scene.toll).sum(axis=(-2, -1))
        filled = load.sum(axis=-1)
        void = self.scene.quantity.sum() - filled
        if self.objective.late_per_day and self.tariff.late_days.any():
            cheapest = by_service.argmin(axis=-1)[..., None]
            late = np.broadcast_to(self.tariff.late_days, by_service.shape)
            late = np.where(load > 0.0, np.take_along_axis(late, cheapest, axis=-1)[..., 0], 0.0)
            cost = cost + self.objective.late_per_day * late.max(axis=-1, initial=0.0)
        if self.scene.binding or self.scene.limited:
            boxes = self._boxes(load, grams, by_service.argmin(axis=-1)[..., None])
            barred = self._overfull(load, boxes) if self.scene.binding else np.zeros(len(units), np.bool_)
            if self.scene.limited:
                barred |= self._unlawful(units, load, boxes)
            cost = np.where(barred, np.inf, cost)
        cost = cost + self.objective.unfilled_per_unit * void
        # Where units may stay, their penalty in the cost is all they count; fill must not come first anywhere.
        rank = void if self.objective.fill_always else np.zeros_like(void)
        return rank, cost - self.objective.split_parcel * (filled > 0.0)

    def _boxes(self, load: Floats, grams: Floats, cheapest: Ints) -> Floats:
        """Boxes at every site [B, K], by its cheapest service."""
        box_g = np.take_along_axis(
            np.broadcast_to(self.tariff.box_g, (*load.shape, self.tariff.box_g.shape[-1])), cheapest, axis=-1
        )[..., 0]
        boxes: Floats = np.where(load > 0.0, np.maximum(np.ceil(grams / box_g), 1.0), 0.0)
        return boxes

    def _overfull(self, load: Floats, boxes: Floats) -> Bools:
        """Assignments that ask more of a bucket than its units or boxes."""
        scene = self.scene
        over = np.zeros(load.shape[:-1], dtype=np.bool_)
        for bucket in set(scene.bucket[scene.bucket >= 0].tolist()):
            behind = scene.bucket == bucket
            over |= load[..., behind].sum(axis=-1) > scene.room_units[bucket]
            over |= boxes[..., behind].sum(axis=-1) > scene.room_boxes[bucket]
        return over

    def _unlawful(self, units: Floats, load: Floats, boxes: Floats) -> Bools:
        """Assignments that break a limit: too many boxes, a whole demand divided or in two boxes, too little value."""
        scene = self.scene
        over: Bools = boxes.sum(axis=-1) > scene.most_boxes
        if scene.whole.any():
            over |= ((units > 0.0).sum(axis=-1) > 1)[..., scene.whole].any(axis=-1)
            over |= ((boxes > 1.0) & (units[..., scene.tied, :] > 0.0).any(axis=-2)).any(axis=-1)
        if scene.least_value and not self.tariff.smooth:
            poor = (load > 0.0) & (np.matmul(scene.value, units) < scene.least_value)
            over |= poor.any(axis=-1) & ((load > 0.0).sum(axis=-1) > 1)
        return over


def unit_prices(scene: Scene, tariff: Tariff, load_g: Floats, objective: Objective) -> Floats:
    """Linear price of a unit of each demand at each site around loads in grams [..., K]: [..., G, K], mills.

    Without what opening a site costs.
    """
    top = np.minimum(np.maximum(load_g, 2.0)[..., None], tariff.box_g)
    low = tariff.by_weight(top / 4.0)
    high = tariff.by_weight(top)
    with np.errstate(invalid="ignore"):
        slope = np.where(np.isfinite(high), (high - low) / (0.75 * top), low / top)
    slope = np.where(np.isfinite(slope), slope, 0.0) + tariff.per_kg / 1000.0
    lead = (tariff.per_box + tariff.barred + low).argmin(axis=-1)
    sites = np.arange(len(tariff.box_g))
    slope = np.take_along_axis(slope, lead[..., None], axis=-1)[..., 0]
    price: Floats = scene.weight_g[:, None] * slope[..., None, :] + tariff.per_unit[sites, lead][..., None, :]
    price += (scene.lines / scene.quantity)[:, None] * tariff.per_line[sites, lead][..., None, :]
    if scene.toll is not None:
        price += scene.toll
    if not objective.fill_always:
        price = np.where(price > objective.unfilled_per_unit, np.inf, price)
    return price


def pour(scene: Scene, opened: Bools, price: Floats) -> Floats:
    """Waterfall of every demand over the open sites, cheapest first: opened [B, K] -> units [B, G, K].

    price [G, K] for all, or [B, G, K] for each its own.
    """
    worth = np.where(np.isfinite(price), scene.reach, 0.0)
    if scene.whole.any():
        # A whole demand goes where most of it can.
        short = (scene.quantity[:, None] - worth) * scene.whole[:, None]
        price = np.where(worth > 0.0, price, 0.0) + DEAREST * short
    rank = np.argsort(price, axis=-1, kind="stable")
    if scene.siblings or scene.binding:
        if price.ndim == 2:
            return _pour_by_rank(scene, opened, worth, rank)
        each = zip(opened[:, None], worth, rank, strict=True)
        return np.concatenate([_pour_by_rank(scene, *one) for one in each])
    batch, sites = opened.shape
    # One flat take instead of three by several indexes: a third of the time.
    where = rank + sites * (np.arange(batch)[:, None, None])
    held = opened.reshape(-1)[where] * np.take_along_axis(worth, rank, axis=-1)
    if scene.whole.any():
        held = np.where(scene.whole[:, None] & (np.cumsum(held > 0.0, axis=2) > 1), 0.0, held)
    level = np.minimum(np.cumsum(held, axis=2), scene.quantity[:, None])
    level[..., 1:] -= level[..., :-1].copy()
    units = np.empty_like(level)
    np.put_along_axis(units, np.broadcast_to(rank, level.shape), level, axis=2)
    poured: Floats = units
    return poured


def _pour_by_rank(scene: Scene, opened: Bools, worth: Floats, rank: Ints) -> Floats:
    """The waterfall one preference at a time, so that shared cells of stock and rooms are never drawn twice."""
    batch, (demands, sites) = len(opened), worth.shape
    nodes, node = np.unique(scene.node, return_inverse=True)
    cells = np.zeros((demands, len(nodes)))
    for column in range(sites):
        cells[:, node[column]] = np.maximum(cells[:, node[column]], scene.reach[:, column])
    left = np.broadcast_to(cells, (batch, *cells.shape)).copy()
    missing = np.broadcast_to(scene.quantity, (batch, demands)).copy()
    rooms = _Rooms(scene, batch)
    units = np.zeros((batch, demands, sites))
    scarce_first = np.argsort((worth > 0.0).sum(axis=1), kind="stable")
    rows = np.arange(demands)
    for place in range(sites):
        site = rank[:, place]
        behind = node[site]
        want = np.minimum(missing, np.where(opened[:, site], worth[rows, site], 0.0))
        want = np.minimum(want, left[:, rows, behind])
        if scene.binding:
            want = rooms.grant(want, site, scarce_first)
        units[:, rows, site] = want
        missing = np.where(scene.whole & (want > 0.0), 0.0, missing - want)
        left[:, rows, behind] -= want
    return units


class _Rooms:
    """Capacity left while pouring, by bucket (units) and by site (grams), for a batch of sets."""

    def __init__(self, scene: Scene, batch: int) -> None:
        self._scene = scene
        self._buckets = [d for d in set(scene.bucket.tolist()) if d >= 0]
        self._units = {d: np.full(batch, scene.room_units[d]) for d in self._buckets}
        self._limited = np.flatnonzero(np.isfinite(scene.room_g)).tolist()
        self._grams = {site: np.full(batch, scene.room_g[site]) for site in self._limited}

    def grant(self, want: Floats, site: Ints, turn: Ints) -> Floats:
        """As much of `want` [B, G], each from its own `site` [G], as the rooms still hold; `turn` is who is first."""
        given = want[:, turn]
        site = site[turn]
        for bucket in self._buckets:
            here = np.flatnonzero(self._scene.bucket[site] == bucket)
            asked = given[:, here]
            before = np.cumsum(asked, axis=1) - asked
            given[:, here] = np.clip(self._units[bucket][:, None] - before, 0.0, asked)
            self._units[bucket] -= given[:, here].sum(axis=1)
        for limited in self._limited:
            here = np.flatnonzero(site == limited)
            each = self._scene.weight_g[turn[here]]
            asked = given[:, here]
            before = np.cumsum(asked * each, axis=1) - asked * each
            fits = np.floor((self._grams[limited][:, None] - before) / np.maximum(each, 1e-9))
            given[:, here] = np.clip(fits, 0.0, asked)
            self._grams[limited] -= (given[:, here] * each).sum(axis=1)
        back = np.empty_like(given)
        back[:, turn] = given
        return back


def cover_greedily(scene: Scene, tariff: Tariff, price: Floats) -> list[int]:
    """Open the site with the lowest price per unit newly served until nothing more can be served."""
    first = tariff.by_weight(np.ones_like(tariff.box_g))
    opening = (tariff.per_box + tariff.barred + first).min(axis=1)
    reach = np.where(np.isfinite(price) & np.isfinite(opening), scene.reach, 0.0)
    reach = np.where(scene.whole[:, None] & (reach < reach.max(axis=1, initial=0.0)[:, None]), 0.0, reach)
    linear = np.where(reach > 0.0, price, 0.0)
    missing = scene.quantity.copy()
    chosen: list[int] = []
    nodes, node = np.unique(scene.node, return_inverse=True)
    left = np.zeros((len(missing), len(nodes)))
    np.maximum.at(left.T, node, reach.T)
    if scene.least_value:
        reach = np.where(poor_sites(scene), 0.0, reach)
    for _ in range(min(reach.shape[1], most_sites(scene))):
        # Sites of one node draw on the same cells.
        gain = np.minimum(missing[:, None], np.minimum(reach, left[:, node]))
        if chosen:
            gain[:, chosen] = 0.0
        served = gain.sum(axis=0)
        if not served.any():
            break
        ratio = np.where(served > 0.0, (opening + (gain * linear).sum(axis=0)) / np.maximum(served, 1.0), np.inf)
        best = int(ratio.argmin())
        chosen.append(best)
        missing = np.where(scene.whole & (gain[:, best] > 0.0), 0.0, missing - gain[:, best])
        left[:, node[best]] -= gain[:, best]
    return chosen


@dataclass(slots=True)
class SetSearch:
    """Add, drop and swap over sets of sites. Sets are bit masks; `seen` maps each to (void, cost), lower is better.

    What each site must hold (`Scene.least_value`) is not looked at, but that it could: see `cover_value`. `most` sites
    at most; `poor` is the set of those that only go alone.
    """

    judge: Judge
    price: Floats
    meter: Meter
    seen: dict[int, tuple[float, float]] = field(default_factory=dict)
    most: int = field(init=False)
    poor: int = field(init=False)

    def __post_init__(self) -> None:
        self.most = most_sites(self.judge.scene)
        self.poor = sum(1 << site for site in np.flatnonzero(poor_sites(self.judge.scene)).tolist())

    def _possible(self, mask: int) -> bool:
        """Whether a plan could open all of a set's sites."""
        return mask.bit_count() <= self.most and (not mask & self.poor or mask.bit_count() == 1)

    @property
    def best(self) -> int:
        """The best set so far; the smallest mask among equals."""
        return min(self.seen, key=lambda mask: (*self.seen[mask], mask))

    def finest(self, count: int) -> list[int]:
        """The `count` best sets seen, best first."""
        return sorted(self.seen, key=lambda mask: (*self.seen[mask], mask))[:count]

    def try_all(self, masks: Iterable[int]) -> None:
        """Judge the possible sets not seen before, in batches, while work is left."""
        demands, sites = self.judge.scene.reach.shape
        fresh = sorted(mask for mask in set(masks) - self.seen.keys() if self._possible(mask))
        step = max(1, BATCH_CELLS // max(1, demands * sites))
        for start in range(0, len(fresh), step):
            batch = fresh[start : start + step]
            if not self.meter.take(len(batch) * demands * sites) and self.seen:
                return
            void, cost = self.judge(pour(self.judge.scene, unmasked(batch, sites), self.price))
            void = np.where(np.isfinite(cost), void, np.inf)
            self.seen.update(zip(batch, zip(void.tolist(), cost.tolist(), strict=True), strict=True))

    def small(self, cells: int) -> int:
        """Judge all sets of one site, of two, and so on, while a size costs at most `cells`; the sizes covered."""
        demands, sites = (int(side) for side in self.judge.scene.reach.shape)
        for size in range(1, min(sites, self.most) + 1):
            if size > 1 and comb(sites, size) * demands * sites > cells:
                return size - 1
            self.try_all(sum(1 << site for site in chosen) for chosen in combinations(range(sites), size))
        return sites

    def descend(self, mask: int) -> None:
        """Walk from a set to the best neighbour until none is better: first add and drop, then swap."""
        sites = self.judge.scene.reach.shape[1]
        self.try_all([mask])
        while self.meter.left > 0:
            inside = [site for site in range(sites) if mask >> site & 1]
            outside = [site for site in range(sites) if not mask >> site & 1]
            near = [mask ^ (1 << site) for site in range(sites)]
            self.try_all(near)
            best = self._best_of([mask, *near])
            if best == mask:
                near = [mask ^ (1 << leaving) ^ (1 << entering) for leaving in inside for entering in outside]
                near += [mask ^ (1 << x) ^ (1 << y) ^ (1 << z) for x, y in combinations(inside, 2) for z in outside]
                self.try_all(near)
                best = self._best_of([mask, *near])
            if best == mask:
                return
            mask = best

    def _best_of(self, masks: list[int]) -> int:
        known = [mask for mask in masks if mask in self.seen]
        return min(known, key=lambda mask: self.seen[mask])


def unmasked(masks: list[int], sites: int) -> Bools:
    """Bit masks as sets: bool[len(masks), sites]."""
    width = (sites + 7) // 8
    octets = np.frombuffer(b"".join(mask.to_bytes(width, "little") for mask in masks), dtype=np.uint8)
    return np.unpackbits(octets.reshape(-1, width), axis=1, count=sites, bitorder="little").astype(np.bool_)


def refit(judge: Judge, opened: Bools, price: Floats, rounds: int) -> Floats:
    """Pour sets [B, K] again with prices taken at the loads they led to, and keep the best of each: [B, G, K]."""
    best = pour(judge.scene, opened, price)
    score = judge(best)
    units = best
    for _ in range(rounds):
        price = unit_prices(judge.scene, judge.tariff, judge.loads(units)[2], judge.objective)
        units = pour(judge.scene, opened, price)
        void, cost = judge(units)
        better = np.isfinite(cost) & ((void < score[0]) | ((void == score[0]) & (cost < score[1])))
        if not better.any():
            break
        best = np.where(better[:, None, None], units, best)
        score = np.where(better, void, score[0]), np.where(better, cost, score[1])
    return best
