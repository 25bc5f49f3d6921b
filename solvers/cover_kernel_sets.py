"""Which sites a plain large order opens, as compiled loops: sets judged by pouring the demands into them."""

from __future__ import annotations

import numpy as np

from solvers.compiled import inner
from solvers.cover_demands import Floats
from solvers.cover_kernel_rates import (
    INF,
    LEAST_GAIN,
    Goods,
    Services,
    Sizes,
    lines_in,
    site_cost,
)
from solvers.problem import Ints

ALL_SETS = 120_000
"""Sets times demands up to which all sets are judged."""


@inner
def pour_set(
    goods: Goods,
    services: Services,
    sizes: Sizes,
    rank: Ints,
    mask: int,
    most_missing: float,
    units: Floats,
    sums: Floats,
    smooth: bool,
) -> float:
    """Fill the demands from the sites of a set, each by its `rank`; returns the cost, INF where it cannot be carried or
    more than `most_missing` units find no place.

    `units` [G * K] is set, if it has any room; `sums` [3 * K]: units, lines, grams by site. The units that find no
    place are in `sums[-1]`.
    """
    sites = sizes.sites
    sums[:] = 0.0
    if len(units):
        units[:] = 0.0
    cost = 0.0
    for demand in range(sizes.demands):
        missing = goods.quantity[demand]
        for place in range(sites):
            site = rank[demand * sites + place]
            if site < 0 or missing <= 0.0:
                break
            if not mask >> site & 1:
                continue
            given = min(missing, goods.reach[demand * sites + site])
            missing -= given
            sums[site] += given
            sums[sites + site] += lines_in(goods, demand, given)
            sums[2 * sites + site] += given * goods.weight[demand]
            cost += given * goods.toll[demand * sites + site]
            if len(units):
                units[demand * sites + site] = given
        sums[3 * sites] += missing
    if sums[3 * sites] > most_missing:
        return INF
    for site in range(sites):
        cost += site_cost(services, sizes, site, sums[site], sums[sites + site], sums[2 * sites + site], smooth)
    return cost


@inner
def set_rank(sizes: Sizes, goods: Goods, price: Floats, rank: Ints) -> None:
    """Of every demand the sites that hold any of it, by price; then -1."""
    sites = sizes.sites
    for demand in range(sizes.demands):
        low, count = demand * sites, 0
        for site in range(sites):
            if goods.reach[low + site] <= 0.0 or price[low + site] == INF:
                continue
            place = low + count
            while place > low and price[low + rank[place - 1]] > price[low + site]:
                rank[place] = rank[place - 1]
                place -= 1
            rank[place] = site
            count += 1
        for place in range(low + count, low + sites):
            rank[place] = -1


@inner
def _keep(masks: Ints, voids: Floats, costs: Floats, count: int, mask: int, void: float, cost: float) -> int:
    """Take a set among the best, ascending, if it is one of them and not known; returns how many there are."""
    for at in range(count):
        if masks[at] == mask:
            return count
    place = count
    while place > 0 and (void < voids[place - 1] or (void == voids[place - 1] and cost < costs[place - 1])):
        place -= 1
    if place == len(masks):
        return count
    count = min(count + 1, len(masks))
    for at in range(count - 1, place, -1):
        masks[at], voids[at], costs[at] = masks[at - 1], voids[at - 1], costs[at - 1]
    masks[place], voids[place], costs[place] = mask, void, cost
    return count


@inner
def best_sets(
    goods: Goods,
    services: Services,
    sizes: Sizes,
    rank: Ints,
    masks: Ints,
    voids: Floats,
    costs: Floats,
    sums: Floats,
) -> int:
    """The best sets, smooth prices: all sets are judged where they are few, else by add, drop and swap from all sites.

    Returns how many were judged; unused places of `masks` are 0.
    """
    none = np.zeros(0)
    masks[:] = 0
    ships = len(services.row) // sizes.services
    stays, whole = (1 << sizes.sites) - (1 << ships), (1 << ships) - 1
    if (1 << min(ships, 40)) * sizes.demands <= ALL_SETS:
        count, fewest = 0, INF
        for mask in range(whole, 0, -1):
            cost = pour_set(goods, services, sizes, rank, mask | stays, fewest, none, sums, True)
            if cost < INF:
                fewest = min(fewest, sums[3 * sizes.sites])
                count = _keep(masks, voids, costs, count, mask, sums[3 * sizes.sites], cost)
        return whole
    judged, now, count = 1, whole, 0
    cost = pour_set(goods, services, sizes, rank, now | stays, INF, none, sums, True)
    void = sums[3 * sizes.sites] if cost < INF else INF
    count = _keep(masks, voids, costs, count, now, void, cost)
    improved = True
    while improved:
        improved, start = False, now
        for one in range(ships):
            for two in range(one, ships):
                mask = start ^ (1 << one)
                if two > one:
                    if not ((start >> one & 1) ^ (start >> two & 1)):
                        continue
                    mask ^= 1 << two
                if mask == 0:
                    continue
                other = pour_set(goods, services, sizes, rank, mask | stays, INF, none, sums, True)
                missing = sums[3 * sizes.sites] if other < INF else INF
                judged += 1
                count = _keep(masks, voids, costs, count, mask, missing, other)
                if missing < void or (missing == void and other < cost - LEAST_GAIN):
                    now, void, cost, improved = mask, missing, other, True
    return judged
