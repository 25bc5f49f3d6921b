"""The search for one plain large order as compiled loops: sets of sites, and pairs of sites that share out anew.

The same ideas as `cover_sets` and `cover_exchange` where nothing binds but stock: every set of sites is judged by
pouring the demands into it (smooth prices), the best are poured again at the prices of their loads, then two sites at
a time share out all that either ships, by listing or by a knapsack over weight, until no pair gains. A pair may
contain a closed site. At last demands of the best may be divided at any sixth.
"""

from __future__ import annotations

import numpy as np

from solvers.compiled import FLOATS, INT, compiled, inner
from solvers.cover_demands import Floats
from solvers.cover_kernel_pairs import SAMPLED, STATES, Room, settle_pairs
from solvers.cover_kernel_rates import (
    GOODS,
    INF,
    LEAST_GAIN,
    SERVICES,
    SIZES,
    Goods,
    Services,
    Sizes,
    assignment_cost,
    set_prices,
)
from solvers.cover_kernel_sets import best_sets, pour_set, set_rank
from solvers.problem import Ints

PARTS = 6
"""Ways to divide a demand, in the last pass."""

REFITS = 3
"""Times that a set is poured, each time at the prices of the loads before."""


@inner
def _tilt(
    goods: Goods,
    services: Services,
    sizes: Sizes,
    best: Floats,
    costs: Floats,
    trial: Floats,
    rank: Ints,
    price: Floats,
    left: int,
    stale: Ints,
    room: Room,
) -> int:
    """Start anew from the best assignment's sites, each of them once made to seem cheaper and once dearer; keep
    what is better, `costs[0]` with it. Returns the work."""
    sites, spent = sizes.sites, 0
    ships, sums, grams = len(services.row) // sizes.services, np.zeros(3 * sites + 1), np.zeros(sites)
    for turn in range(2 * ships):
        site = turn // 2
        if spent >= left:
            break
        mask, missing = 0, 0.0
        grams[:] = 0.0
        for demand in range(sizes.demands):
            missing += goods.quantity[demand]
            for site in range(sites):
                given = best[demand * sites + site]
                missing -= given
                if given > 0.0:
                    mask |= 1 << site
                    grams[site] += given * goods.weight[demand]
        if not mask >> site & 1:
            continue
        set_prices(goods, services, sizes, grams, price)
        for demand in range(sizes.demands):
            price[demand * sites + site] *= 0.5 if turn % 2 == 0 else 2.0
        set_rank(sizes, goods, price, rank)
        stays = (1 << sites) - (1 << ships)
        cost = pour_set(goods, services, sizes, rank, mask | stays, INF, trial, sums, False)
        spent += 2 * sizes.demands
        if sums[3 * sites] > missing or cost == INF:
            continue
        spent += settle_pairs(goods, services, sizes, trial, 1, False, left - spent, stale, room)
        cost = assignment_cost(goods, services, sizes, trial)
        if cost < costs[0] - LEAST_GAIN:
            costs[0] = cost
            best[:] = trial
    return spent


@compiled(INT, GOODS, SERVICES, SIZES, INT, FLOATS, FLOATS)
def search(goods: Goods, services: Services, sizes: Sizes, work: int, found: Floats, costs: Floats) -> int:
    """The best assignments, `found` [F * G * K] with their `costs` [F], cheapest first; returns the work done.

    Of unused places the cost is INF. `work` bounds the exchanges, which are the dear part.
    """
    demands, sites, starts = sizes.demands, sizes.sites, len(costs)
    cells = demands * sites
    rank, sums, price = np.zeros(cells, np.int64), np.zeros(3 * sites + 1), goods.price.copy()
    masks, voids, scores = np.zeros(starts, np.int64), np.zeros(starts), np.zeros(starts)
    set_rank(sizes, goods, price, rank)
    spent = best_sets(goods, services, sizes, rank, masks, voids, scores, sums) * (demands + 2 * sites)
    room = Room(
        np.zeros(SAMPLED),
        np.zeros(SAMPLED),
        np.zeros(SAMPLED),
        np.zeros(SAMPLED),
        np.zeros(SAMPLED),
        np.zeros(SAMPLED),
        np.zeros(7),
        np.zeros((SAMPLED + 1) * (STATES + SAMPLED + 2)),
    )
    ships = len(services.row) // sizes.services
    stays = (1 << sites) - (1 << ships)
    stale, trial = np.zeros(sites * sites, np.int64), np.zeros(cells)
    costs[:] = INF
    for at in range(starts):
        if masks[at] == 0 or voids[at] > voids[0]:
            break
        best = found[at * cells : (at + 1) * cells]
        price[:] = goods.price
        for _ in range(REFITS):
            set_rank(sizes, goods, price, rank)
            cost = pour_set(goods, services, sizes, rank, masks[at] | stays, INF, trial, sums, False)
            if sums[3 * sites] > voids[0] or cost >= costs[at]:
                break
            costs[at] = cost
            best[:] = trial
            set_prices(goods, services, sizes, sums[2 * sites : 3 * sites].copy(), price)
        if costs[at] == INF:
            continue
        if spent < work or at == 0:
            spent += settle_pairs(goods, services, sizes, best, 1, at == 0, work - spent, stale, room)
            costs[at] = assignment_cost(goods, services, sizes, best)
    order = np.argsort(costs, kind="mergesort")
    copy = found.copy()
    scores[:] = costs
    for place in range(starts):
        costs[place] = scores[order[place]]
        found[place * cells : (place + 1) * cells] = copy[order[place] * cells : (order[place] + 1) * cells]
    if costs[0] == INF:
        return spent
    best = found[:cells]
    spent += _tilt(goods, services, sizes, best, costs, trial, rank, price, work - spent, stale, room)
    if spent < work:
        spent += settle_pairs(goods, services, sizes, best, PARTS, True, work - spent, stale, room)
        costs[0] = assignment_cost(goods, services, sizes, best)
    return spent
