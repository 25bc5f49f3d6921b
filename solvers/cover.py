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
from typing import NamedTuple

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_exchange import Exchange
from solvers.cover_fill import affordable_plan, careful_cover, fullest, most_units, separated
from solvers.cover_ladder import Ladder
from solvers.cover_plain import is_plain, plain_assignments
from solvers.cover_scene import Scene, set_scene
from solvers.cover_sets import Judge, Meter, SetSearch, cover_greedily, pour, refit, unit_prices, unmasked
from solvers.cover_value import MOST_MENDED, enriched
from solvers.load import is_careful
from solvers.menu import Supply
from solvers.plan import Priced, plan_cost
from solvers.problem import Ints, Problem
from solvers.quick import STEP, topped_up

WORK = 1_000_000
"""Enough for the largest real orders; see `Meter` for the unit."""

MOST_SITES = 16
"""Sites searched in full; more only where covering the order takes more."""

DOUBTFUL = 2
"""Assignments tried that no service carries as they are: cut down they may still ship more than any other."""

FINALISTS = 4
"""Sets of sites that are improved by exchanges, per lateness allowed."""

TILTS = (0.5,)
"""How much cheaper a site is made to seem, to start exchanges from elsewhere."""

ECONOMIC_FINALISTS = 5
"""The same where units may stay: what to leave is decided by exchanges, so sets look less alike before them."""

MANY_CELLS = 1_500
"""Demands times sites from which on exchanges start from the best set only."""

LEAST = 100_000
"""Work that a plain order gets in any case: two milliseconds, and half a per cent above what the whole search finds."""

PLAIN = 200_000
"""Work that a plain order costs beside what its search counts: measured."""

DIVIDED = 1
"""Assignments of those that are improved once more, dividing lines."""


class Candidate(NamedTuple):
    """An assignment [G, K] of units to the sites of `ladder`, its score (see `Judge`), and what improves it."""

    void: float
    cost: float
    units: Floats
    ladder: Ladder


def cheapest_cover(
    problem: Problem, order: int, stock: Ints, room_parcels: Ints, room_units: Ints, *, work: int = WORK
) -> Priced:
    """A cheap plan of one order of any size on the stock and room left; always feasible, `bound` always None.

    stock int64[I, N], room_parcels and room_units int64[D]: what is left, not what the problem began with. `work`
    bounds the search (see `Meter`); the same input gives the same plan. Fills as many units as stock allows before
    money where the objective says so, otherwise leaves units that are dearer to ship than to leave.
    """
    meter, supply = Meter(work), Supply(stock, room_parcels, room_units)
    careful, whole_order = is_careful(problem, order), bool(problem.limits.complete[order])
    aim = replace(problem, objective=replace(problem.objective, fill_always=True)) if whole_order else problem
    scene = separated(set_scene(aim, order, stock, room_parcels, room_units))
    nothing = Priced((), plan_cost(problem, order, ()).total, 0, None, 0)
    most = most_units(scene) if aim.objective.fill_always else 0
    if not scene.reach.any() or (whole_order and most < problem.demand_of(order)):
        return nothing
    if is_plain(scene, aim.objective):
        return _searched(aim, order, supply, scene, meter)
    answers: list[Priced] = []
    for each in _candidates(aim, scene, meter):
        judged = each.ladder.judge.scene
        if careful:
            plan, filled = careful_cover(problem, order, supply, judged, each.units)
        else:
            plan, filled = affordable_plan(problem, order, room_parcels, room_units, judged, each.units)
        answers.append(Priced(plan, plan_cost(problem, order, plan).total, filled, None, 0))
        if abs(answers[-1].cost - each.cost) < 1.0 and filled == int(each.units.sum()) and filled >= most:
            # It is just what the search took it for, so those that looked dearer need not be tried.
            break
    best = _best(aim, [*answers, nothing])
    if aim.objective.fill_always and best.filled < most:
        # Units that were trimmed, or that a site cannot carry together: by the services not used yet.
        for start in (best.plan, ()):
            plan, steps = topped_up(problem, order, supply, start)
            filled = sum(int(shipment.units.sum()) for shipment in plan)
            best = _best(aim, [best, Priced(plan, plan_cost(problem, order, plan).total, filled, None, 0)])
            meter.take(STEP * steps)
    if whole_order:
        best = _best(problem, [best, nothing]) if best.filled == problem.demand_of(order) else nothing
    return best._replace(work=meter.spent)


def plain_plan(problem: Problem, order: int, supply: Supply, *, work: int) -> Priced | None:
    """`cheapest_cover` of an order that nothing binds but stock; None for any other. At least LEAST work is done."""
    if is_careful(problem, order):
        return None
    scene = separated(set_scene(problem, order, supply.stock, supply.parcels, supply.units))
    if not scene.reach.any():
        return Priced((), plan_cost(problem, order, ()).total, 0, None, 0)
    if not is_plain(scene, problem.objective):
        return None
    return _searched(problem, order, supply, scene, Meter(max(work, LEAST)))


def _searched(problem: Problem, order: int, supply: Supply, whole: Scene, meter: Meter) -> Priced:
    """The compiled search, then the same way back to whole lines."""
    scene = _promising(problem, whole, meter)
    price = _price(Judge(scene, scene.tariff, problem.objective))
    assignments, spent = plain_assignments(scene, price, problem.objective, meter.left)
    meter.take(spent)
    best = Priced((), plan_cost(problem, order, ()).total, 0, None, 0)
    if assignments:
        # Its prices are exact, so the first is the best.
        plan, filled = affordable_plan(problem, order, supply.parcels, supply.units, scene, assignments[0])
        best = _best(problem, [best, Priced(plan, plan_cost(problem, order, plan).total, filled, None, 0)])
    return best._replace(work=meter.spent)


def _best(problem: Problem, plans: list[Priced]) -> Priced:
    first = problem.objective.fill_always
    return min(plans, key=lambda plan: (-plan.filled if first else 0, plan.cost))


def _candidates(problem: Problem, whole: Scene, meter: Meter) -> list[Candidate]:
    """A few assignments, the most promising first, that differ by the lateness allowed or by the sites opened."""
    found: list[Candidate] = []
    for late_days in _lateness(problem, whole):
        scene = _promising(problem, replace(whole, tariff=whole.tariff.until(late_days)), meter)
        judge = Judge(scene, scene.tariff, problem.objective)
        found += _search(judge, Ladder(judge), meter)
    if whole.binding and problem.objective.fill_always:
        found.append(_fullest(problem, whole, meter))
    found.sort(key=_score)
    sure = [candidate for candidate in found if np.isfinite(candidate.cost)]
    doubtful = [candidate for candidate in found if not np.isfinite(candidate.cost)]
    finest = [_divided(candidate, meter) for candidate in sure[:DIVIDED]] + sure[DIVIDED:FINALISTS]
    return finest + doubtful[:DOUBTFUL]


def _score(candidate: Candidate) -> tuple[float, float]:
    return candidate.void, candidate.cost


def _settled(ladder: Ladder, meter: Meter, units: Floats, *, divide: bool = False) -> list[Candidate]:
    """Assignments [B, G, K] improved by exchanges; of those that cannot go as they are, one where none can."""
    void, cost = ladder.judge(units)
    can = np.isfinite(cost)
    if not can.any():
        fullest_first = int(void.argmin())
        return [Candidate(float(void[fullest_first]), np.inf, units[fullest_first], ladder)]
    exchange = Exchange(ladder.judge, ladder, meter, units[can], void[can], cost[can], divide)
    exchange.settle()
    scores = zip(exchange.void.tolist(), exchange.cost.tolist(), strict=True)
    return [Candidate(*score, each, ladder) for score, each in zip(scores, exchange.units, strict=True)]


def _tilted(judge: Judge, units: Floats) -> Floats:
    """The sites of an assignment [G, K] shared out otherwise: each time one of them seems cheaper than it is."""
    scene = judge.scene
    opened = units.sum(axis=0) > 0.0
    sites = np.flatnonzero(opened)
    if len(sites) < 2:
        return np.zeros((0, *units.shape))
    price = unit_prices(scene, scene.tariff, judge.loads(units)[2], judge.objective)
    starts = len(sites) * len(TILTS)
    tilted = np.repeat(price[None], starts, axis=0)
    tilted[np.arange(starts), :, np.tile(sites, len(TILTS))] *= np.repeat(TILTS, len(sites))[:, None]
    return pour(scene, np.broadcast_to(opened, (starts, len(opened))), tilted)


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
    cost = judge.tariff.price(load, lines, grams, bulk).min(axis=-1)
    if judge.scene.toll is not None:
        cost = cost + (reach * judge.scene.toll).sum(axis=0)
    each = cost / np.maximum(load, 1.0)
    order: list[int] = np.argsort(np.where(load > 0.0, each, np.inf), kind="stable").tolist()
    return order


def _price(judge: Judge) -> Floats:
    """Unit prices at the load each site would carry if three such sites shared the order."""
    scene = judge.scene
    grams = (scene.reach * scene.weight_g[:, None]).sum(axis=0) / 3.0
    return unit_prices(scene, judge.tariff, grams, judge.objective)


def _search(judge: Judge, ladder: Ladder, meter: Meter) -> list[Candidate]:
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
    if scene.least_value:
        return _settled(ladder, meter, _worthwhile(judge, search, price, meter))
    masks = search.finest(FINALISTS if judge.objective.fill_always else ECONOMIC_FINALISTS)
    if meter.left <= meter.spent:
        masks = masks[:1]
    opened = np.array([[mask >> site & 1 for site in range(sites)] for mask in masks], dtype=np.bool_)
    if scene.reach.size > MANY_CELLS:
        # The larger the order, the less one start differs from another, and the dearer each is.
        return _settled(ladder, meter, refit(judge, opened[:1], price, 2))
    starts = refit(judge, opened, price, 2)
    return _settled(ladder, meter, np.concatenate([starts, _tilted(judge, starts[0])]))


def _worthwhile(judge: Judge, search: SetSearch, price: Floats, meter: Meter) -> Floats:
    """Assignments [B, G, K] of the best sets in which every site holds enough."""
    found: list[Floats] = []
    masks = search.finest(MOST_MENDED)
    opened = unmasked(masks, judge.scene.reach.shape[1])
    for units in pour(judge.scene, opened, price):
        meter.take(units.size)
        enough = enriched(judge.scene, units, price)
        if enough is not None:
            found.append(enough)
        if len(found) == ECONOMIC_FINALISTS or (found and meter.left <= 0):
            break
    return np.stack(found) if found else np.zeros((1, *judge.scene.reach.shape))


def _fullest(problem: Problem, scene: Scene, meter: Meter) -> Candidate:
    """The assignment of most units, improved without losing any."""
    judge = Judge(scene, scene.tariff, problem.objective)
    units = fullest(scene, _price(judge))
    ladder = Ladder(judge)
    return _settled(ladder, meter, units[None])[0]


def _divided(candidate: Candidate, meter: Meter) -> Candidate:
    """The candidate improved once more, now dividing demands at any unit."""
    return _settled(candidate.ladder, meter, candidate.units[None], divide=True)[0]
