"""What no plan of a large order can undercut: a Lagrangian bound that knows the step prices.

Every demand is given a price per unit shipped. Each node then chooses on its own what to ship for those prices: for
every weight break, as much of the best-paying goods as weigh that much (a fractional knapsack), or nothing. Whatever
the prices, the sum is a lower bound, also over only those sets of nodes that can fill the order (Geoffrion 1974,
"Lagrangean relaxation for integer programming"; for location
problems Cornuejols, Fisher & Nemhauser 1977). It is at least as strong as the linear programme in which each tariff
is replaced by its convex envelope, holds for shipments of several boxes, and needs no solver. The prices are improved
by subgradient steps (Polyak 1969).

Left out, so the bound is weaker there: room in buckets, dimensional weight, lines of one SKU sharing a cell of stock,
limits but that groups are whole.
"""

from __future__ import annotations

from math import floor

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_kernel_bound import Relaxed, best_bound, room_of
from solvers.cover_scene import Scene, Tariff, set_scene
from solvers.plan import Priced
from solvers.problem import Ints, Problem

BOUND_WORK = 2_000_000
"""Cells (demand, node) looked at: a hundred steps for 25 lines at 10 nodes cost 25,000 of them."""

MOST_STEPS = 150
"""Subgradient steps after which little is left to gain."""

LISTED_NODES = 12
"""Up to here all sets of nodes are listed, and only sets that can fill the order count."""


def is_bounded(problem: Problem, order: int) -> bool:
    """Whether `cover_bound` speaks of the order: not where lines can be supplied in several ways or at other handling,
    units go in boxes of their own, or wait uncharged. Limits only make plans dearer."""
    lines, at = problem.lines, problem.lines_of(order)
    odd = lines.alone[at].any() or lines.dated[at].any() or lines.more_line[at].any() or lines.more_unit[at].any()
    return not odd and bool((np.diff(lines.line[at]) > 0).all())


def cover_bound(
    problem: Problem,
    order: int,
    stock: Ints,
    room_parcels: Ints,
    room_units: Ints,
    found: Priced,
    *,
    work: int = BOUND_WORK,
) -> int:
    """Mills that no plan filling as many units as `found` can undercut; any fill where units may stay (`is_bounded`).

    Stock and rooms as in `cheapest_cover`. `work` bounds the steps; never more than `found.cost`, never negative.
    """
    scene = set_scene(problem, order, stock, room_parcels, room_units)
    if not scene.reach.any():
        return found.cost
    relaxed, reached = _relax(problem, order, scene, found), scene.reach.any(axis=1)
    goods, nodes = len(relaxed.wanted), len(relaxed.reach) // max(1, len(relaxed.wanted))
    steps = min(MOST_STEPS, max(1, work // max(1, len(relaxed.reach))))
    first = np.ascontiguousarray(_first_prices(problem, order, scene, found)[reached])
    best = best_bound(relaxed, first, float(found.cost), steps, room_of(goods, nodes, len(relaxed.late)))
    # A float sum of up to 2^53 mills is right to far less than this margin.
    return max(0, min(found.cost, floor(best - 1e-9 * abs(best) - 0.01) + 1))


def _relax(problem: Problem, order: int, scene: Scene, found: Priced) -> Relaxed:
    objective, tariff = problem.objective, scene.tariff
    nodes, where = np.unique(scene.node, return_inverse=True)
    reach = np.zeros((len(scene.quantity), len(nodes)))
    linear = np.full(reach.shape, np.inf)
    longest = np.zeros(len(scene.quantity))
    np.maximum.at(longest, scene.demand_of, problem.lines.quantity[problem.lines_of(order)].astype(np.float64))
    offered = np.isfinite(tariff.barred)
    per_unit = np.where(offered, tariff.per_unit, np.inf).min(axis=1)
    per_line = np.where(offered, tariff.per_line, np.inf).min(axis=1)
    per_kg = np.where(offered, tariff.per_kg, np.inf).min(axis=1)
    for site, node in enumerate(where.tolist()):
        reach[:, node] = np.maximum(reach[:, node], scene.reach[:, site])
        # A line used costs its charge whole, so at least this much for each of the units it could hold at most.
        most = np.maximum(1.0, np.minimum(longest, scene.reach[:, site]))
        cost = per_unit[site] + per_line[site] / most + per_kg[site] * scene.weight_g / 1000.0
        if scene.toll is not None:
            cost += scene.toll[:, site]
        linear[:, node] = np.minimum(linear[:, node], cost)
    wanted = np.minimum(scene.quantity, reach.sum(axis=1))
    kept = wanted > 0.0
    hopeless = float(scene.quantity.sum() - wanted.sum())
    may_leave = np.inf if not objective.fill_always else max(0.0, scene.quantity.sum() - found.filled - hopeless)
    rooms = _rooms(scene, where, len(nodes))
    grams = _breaks(scene)
    days = np.unique(tariff.late_days[offered])
    step = np.stack([_least_steps(tariff.until(float(day)), where, len(nodes), grams) for day in days])
    return Relaxed(
        wanted=wanted[kept],
        reach=reach[kept].ravel(),
        linear=linear[kept].ravel(),
        weight_g=scene.weight_g[kept],
        grams=grams,
        step=step.ravel(),
        late=objective.late_per_day * days,
        sets=_sufficient_sets(reach[kept], wanted[kept], rooms, may_leave).ravel(),
        may_leave=float(may_leave),
        leaving=float(objective.unfilled_per_unit),
        constant=float(objective.unfilled_per_unit * hopeless - objective.split_parcel),
    )


def _rooms(scene: Scene, where: Ints, nodes: int) -> Floats:
    """Units that the buckets behind each node could take at most, [N]; inf for no limit."""
    room = np.zeros(nodes)
    for node, bucket in {(int(n), int(d)) for n, d in zip(where.tolist(), scene.bucket.tolist(), strict=True)}:
        room[node] += scene.room_units[bucket] if bucket >= 0 else np.inf
    return room


def _sufficient_sets(reach: Floats, wanted: Floats, room: Floats, may_leave: float) -> Floats:
    """The sets of nodes that together can ship all but `may_leave` units: [F, N], or [0, N] for too many nodes."""
    nodes = reach.shape[1]
    if nodes > LISTED_NODES:
        return np.zeros((0, nodes))
    sets = (np.arange(2**nodes)[:, None] >> np.arange(nodes) & 1).astype(np.float64)
    shippable = np.minimum(reach.sum(axis=0), room)
    short = wanted.sum() - np.minimum(sets @ reach.T, wanted).sum(axis=1)
    short = np.maximum(short, wanted.sum() - sets @ shippable)
    enough: Floats = sets[short <= may_leave + 0.5]
    return enough


def _breaks(scene: Scene) -> Floats:
    """All weights at which some price of the order may step, in grams, the weight of the whole order last."""
    tariff = scene.tariff
    total = float((scene.quantity * scene.weight_g).sum())
    boxes = np.unique(tariff.box_g[np.isfinite(tariff.barred)])
    several = np.concatenate([box * np.unique(np.geomspace(1, 4096, 40).astype(np.int64)) for box in boxes])
    known = np.unique(np.concatenate([tariff.curves.reshape(-1), several]))
    return np.append(known[(known > 0.0) & (known < total)], total)


def _least_steps(tariff: Tariff, where: Ints, nodes: int, grams: Floats) -> Floats:
    """The least step price at each node of a shipment heavier than the break before: [N, T], never falling."""
    above = np.append(0.0, np.floor(grams[:-1]) + 1.0)
    ones = np.ones((len(above), len(where)))
    single = tariff.by_weight(np.broadcast_to(above[:, None, None], (*ones.shape, tariff.box_g.shape[1])))
    single = np.where(np.isnan(single), np.inf, single)
    single = np.minimum.accumulate(single[::-1], axis=0)[::-1]
    charge = tariff.per_box + tariff.barred - np.where(tariff.per_kg > 0.0, 0.5, 0.0)
    least = np.full((nodes, len(grams)), np.inf)
    for site, node in enumerate(where.tolist()):
        for service in range(tariff.box_g.shape[1]):
            if np.isfinite(charge[site, service]):
                box_g = float(tariff.box_g[site, service])
                price = _boxed(above, single[:, site, service] + charge[site, service], box_g)
                least[node] = np.minimum(least[node], price)
    return least


def _boxed(above: Floats, one_box: Floats, box_g: float) -> Floats:
    """Least price of all boxes of a shipment of at least `above` grams, from that of one box at the same weights.

    Under one box it is the price itself. Over it, every line a + b * grams that no box undercuts gives n * a + b * g
    for n boxes; the lines tried are the chords of the price that lie below it.
    """
    inside = np.flatnonzero((above <= box_g) & np.isfinite(one_box))
    least = np.where(above <= box_g, one_box, np.inf)
    over = above > box_g
    if not over.any() or len(inside) == 0:
        return least
    x, y = above[inside], one_box[inside]
    boxes = np.ceil(above[over] / box_g)
    best = boxes * max(0.0, float(y.min()))
    for place in range(len(x) - 1):
        slopes = (y[place + 1 :] - y[place]) / (x[place + 1 :] - x[place])
        slope = max(0.0, float(slopes.min()))
        # The line must hold for weights up to the next break too, where the price is that of its lower end.
        level = float((y - slope * np.append(x[1:] - 1.0, box_g)).min())
        if level >= 0.0:
            best = np.maximum(best, boxes * level + slope * above[over])
    least[over] = best
    return least


def _first_prices(problem: Problem, order: int, scene: Scene, found: Priced) -> Floats:
    """Prices to start from: every demand pays its share, by weight and count, of an average plan."""
    share = scene.weight_g / max(1.0, float(scene.quantity @ scene.weight_g)) + 1.0 / scene.quantity.sum()
    left = problem.lines.quantity[problem.lines_of(order)].sum() - found.filled
    paid = max(0, found.cost - problem.objective.unfilled_per_unit * int(left))
    # Half of it, because what the fixed costs share out differs from order to order; the steps find the rest.
    first: Floats = share * paid / 2.0
    return first
