"""The cheapest plan of one large order: which few sites to open, and which of them ships what.

Orders of many SKUs are a facility-location problem with step prices: opening a parcel costs most of the money, stock
decides which sites can serve which lines, weight breaks decide the rest. The exact method for small orders grows as
2^lines; this one is bounded by `work` and needs no solver. Its parts:

1. `cover_scene`: the order as demands and sites;
2. `cover_sets`: add, drop and swap over sets of sites, every set priced by pouring the demands into it;
3. `cover_exchange`: the best sets improved by sharing out pairs of sites anew;
4. `cover_fill`: the fullest assignment, where capacity binds, and the way back to whole lines;
5. `cover_bound`: what no plan can undercut, only where a caller asks for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.cover_exchange import Exchange, Ladder
from solvers.cover_fill import affordable_plan, fullest, separated
from solvers.cover_scene import Floats, Scene, set_scene
from solvers.cover_sets import Judge, Meter, SetSearch, cover_greedily, refit, unit_prices
from solvers.plan import Priced, plan_cost
from solvers.problem import Ints, Problem

WORK = 1_000_000
"""Enough for the largest real orders; see `Meter` for the unit."""

MOST_SITES = 16
"""Sites searched in full; more only where covering the order takes more."""

FINALISTS = 3
"""Sets of sites that are improved by exchanges, per lateness allowed."""

TILTS = (0.6,)
"""How much cheaper or dearer a site is made to seem, to start exchanges from elsewhere."""

ECONOMIC_FINALISTS = 5
"""The same where units may stay: what to leave is decided by exchanges, so sets look less alike before them."""

DIVIDED = 2
"""Assignments of those that are improved once more, dividing lines."""

Candidate = tuple[tuple[float, float], Floats, Scene]


def cheapest_cover(
    problem: Problem, order: int, stock: Ints, room_parcels: Ints, room_units: Ints, *, work: int = WORK
) -> Priced:
    """A cheap plan of one order of any size on the stock and room left; always feasible, `bound` always None.

    stock int64[I, N], room_parcels and room_units int64[D]: what is left, not what the problem began with. `work`
    bounds the search (see `Meter`); the same input gives the same plan. Fills as many units as stock allows before
    money where the objective says so, otherwise leaves units that are dearer to ship than to leave.
    """
    meter = Meter(work)
    scene = separated(set_scene(problem, order, stock, room_parcels, room_units))
    nothing = Priced((), plan_cost(problem, order, ()).total, 0, None, 0)
    if not scene.reach.any():
        return nothing
    found = _candidates(problem, scene, meter)
    answers = [affordable_plan(problem, order, room_parcels, room_units, s, units) for _, units, s in found]
    priced = [Priced(plan, plan_cost(problem, order, plan).total, filled, None, 0) for plan, filled in answers]
    fill_first = problem.objective.fill_always
    best = min([*priced, nothing], key=lambda plan: (-plan.filled if fill_first else 0, plan.cost))
    return best._replace(work=meter.spent)


def _candidates(problem: Problem, whole: Scene, meter: Meter) -> list[Candidate]:
    """A few assignments, the most promising first, that differ by the lateness allowed or by the sites opened."""
    found: list[Candidate] = []
    for late_days in _lateness(problem, whole):
        scene = _promising(problem, replace(whole, tariff=whole.tariff.until(late_days)), meter)
        judge = Judge(scene, scene.tariff, problem.objective)
        found += _search(judge, meter)
    if whole.binding and problem.objective.fill_always:
        found.append(_fullest(problem, whole, meter))
    found.sort(key=lambda candidate: candidate[0])
    if found:
        found = [min([found[0], *_tilted(problem, found[0], meter)], key=lambda each: each[0]), *found[1:]]
    return [_divided(problem, candidate, meter) for candidate in found[:DIVIDED]] + found[DIVIDED:FINALISTS]


def _tilted(problem: Problem, candidate: Candidate, meter: Meter) -> list[Candidate]:
    """The same sites shared out from other starts: each time one of them seems cheaper than it is."""
    _, units, scene = candidate
    judge = Judge(scene, scene.tariff, problem.objective)
    opened = units.sum(axis=0) > 0.0
    price, ladder = unit_prices(scene, scene.tariff, judge.loads(units)[2], problem.objective), Ladder(judge)
    found: list[Candidate] = []
    for site in np.flatnonzero(opened).tolist():
        for tilt in TILTS:
            if meter.left <= meter.spent:
                return found
            tilted = price.copy()
            tilted[:, site] *= tilt
            start, score = refit(judge, opened, tilted, 0)
            if np.isfinite(score[0]):
                exchange = Exchange(judge, ladder, meter, start, score)
                exchange.settle()
                found.append((exchange.score, exchange.units, scene))
    return found


def _lateness(problem: Problem, scene: Scene) -> list[float]:
    """The latest arrivals worth trying, at most four: a day late costs the same for one parcel as for all."""
    days = np.unique(scene.tariff.late_days[np.isfinite(scene.tariff.barred)])
    if len(days) == 0 or not problem.objective.late_per_day:
        return [np.inf]
    few = days if len(days) <= 4 else days[np.linspace(0, len(days) - 1, 4).astype(np.int64)]
    return [float(day) for day in few]


def _promising(problem: Problem, scene: Scene, meter: Meter) -> Scene:
    """Only the sites worth a search: those of a greedy cover, then the cheapest alone, per unit they can serve."""
    sites = scene.reach.shape[1]
    meter.take(scene.reach.size)
    if sites <= MOST_SITES:
        return scene
    judge = Judge(scene, scene.tariff, problem.objective)
    price = _price(judge)
    chosen = cover_greedily(scene, scene.tariff, price)
    rest = [site for site in _alone(judge, price) if site not in set(chosen)]
    keep = sorted(chosen + rest[: max(MOST_SITES - len(chosen), 4)])
    return scene.only(np.array(keep, dtype=np.int64))


def _alone(judge: Judge, price: Floats) -> list[int]:
    """Sites by what a unit costs when they serve all they can."""
    reach = np.where(np.isfinite(price), judge.scene.reach, 0.0)
    load, lines, grams, bulk = judge.loads(reach)
    each = judge.tariff.price(load, lines, grams, bulk).min(axis=-1) / np.maximum(load, 1.0)
    order: list[int] = np.argsort(np.where(load > 0.0, each, np.inf), kind="stable").tolist()
    return order


def _price(judge: Judge) -> Floats:
    """Unit prices at the load each site would carry if three such sites shared the order."""
    scene = judge.scene
    grams = (scene.reach * scene.weight_g[:, None]).sum(axis=0) / 3.0
    return unit_prices(scene, judge.tariff, grams, judge.objective)


def _search(judge: Judge, meter: Meter) -> list[Candidate]:
    """The finalists under one lateness, improved."""
    scene = judge.scene
    price = _price(judge)
    sites = scene.reach.shape[1]
    search = SetSearch(Judge(scene, replace(scene.tariff, smooth=True), judge.objective), price, meter)
    cover = sum(1 << site for site in cover_greedily(scene, judge.tariff, price))
    # These two fill the most there is to fill, so that even a search without work left answers well.
    search.try_all([cover, (1 << sites) - 1])
    if search.small(meter.left // 40) < sites:
        search.descend(search.best)
        search.descend(cover)
    found: list[Candidate] = []
    ladder = Ladder(judge)
    for mask in search.finest(FINALISTS if judge.objective.fill_always else ECONOMIC_FINALISTS):
        if found and meter.left <= meter.spent:
            break
        opened = np.array([mask >> site & 1 for site in range(sites)], dtype=np.bool_)
        units, score = refit(judge, opened, price, 2)
        if not np.isfinite(score[0]):
            continue
        exchange = Exchange(judge, ladder, meter, units, score)
        exchange.settle()
        found.append((exchange.score, exchange.units, scene))
    return found


def _fullest(problem: Problem, scene: Scene, meter: Meter) -> Candidate:
    """The assignment of most units, improved without losing any."""
    judge = Judge(scene, scene.tariff, problem.objective)
    units = fullest(scene, _price(judge))
    void, cost = judge(units[None])
    exchange = Exchange(judge, Ladder(judge), meter, units, (float(void[0]), float(cost[0])))
    exchange.settle()
    return exchange.score, exchange.units, scene


def _divided(problem: Problem, candidate: Candidate, meter: Meter) -> Candidate:
    """The candidate improved once more, now dividing demands at any unit."""
    score, units, scene = candidate
    judge = Judge(scene, scene.tariff, problem.objective)
    exchange = Exchange(judge, Ladder(judge), meter, units, score, divide=True)
    exchange.settle()
    return exchange.score, exchange.units, scene
