"""Two sites at a time share out anew what they ship, as compiled loops: by listing, or by a knapsack over weight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.compiled import inner
from solvers.cover_demands import Floats
from solvers.cover_kernel_rates import (
    INF,
    LEAST_GAIN,
    Goods,
    Services,
    Sizes,
    assigned_cost,
    lines_in,
    site_cost,
    weight_price,
    weight_span,
)
from solvers.problem import Ints

LISTED = 7
"""Movable demands of a pair up to which all choices are listed."""

SAMPLED = 48
"""Movable demands of a pair at most; of more an even sample."""

STATES = 1024
"""Weights a pair's knapsack tells apart."""

INTERVALS = 24
"""Parts in which the bound of a pair looks at its weights."""

LOOK = 1_000
"""Work of solving a pair, for each part."""


class Room(NamedTuple):
    """To work in, by movable demand of a pair: `which` it is, what a ships at `least`, the `span` to its most, what b
    ships at least (`other`), what the span costs more by count at a (`extra`), how much of it a takes (`taken`).
    `fixed` [7]: units, lines, grams at a and at b in any case, and what all costs by count with the least at a."""

    which: Floats
    least: Floats
    span: Floats
    other: Floats
    extra: Floats
    taken: Floats
    fixed: Floats
    table: Floats


@inner
def _by_count(
    goods: Goods, services: Services, sizes: Sizes, a: int, b: int, at_a: float, demand: int, both: float
) -> float:
    """What a demand costs by line, unit and toll with so many units at a and the rest at b, by their first services."""
    cost, sites = 0.0, sizes.sites
    for site, units in ((a, at_a), (b, both - at_a)):
        if units > 0.0:
            at = site * sizes.services
            if at < len(services.row):
                cost += services.per_line[at] * lines_in(goods, demand, units) + services.per_unit[at] * units
            else:
                cost += services.last[0] * units
            cost += goods.toll[demand * sites + site] * units
    return cost


@inner
def _pair_cost(goods: Goods, services: Services, sizes: Sizes, units: Floats, a: int, b: int) -> float:
    """What two sites of an assignment cost."""
    one = assigned_cost(goods, services, sizes, units, a)
    return one + assigned_cost(goods, services, sizes, units, b)


@inner
def _movable(
    goods: Goods, services: Services, sizes: Sizes, units: Floats, a: int, b: int, total: int, room: Room
) -> int:
    """List the demands that may change sides between two sites; returns how many. Of `total` above SAMPLED an even
    sample, and the others stay; 0 for all, as many as may, of which only SAMPLED are listed."""
    sites, count, listed = sizes.sites, 0, 0
    room.fixed[:] = 0.0
    for demand in range(sizes.demands):
        low = demand * sites
        both = units[low + a] + units[low + b]
        if both <= 0.0:
            continue
        most = min(both, goods.reach[low + a])
        least = both - min(both, goods.reach[low + b])
        if most > least:
            count += 1
            if total > SAMPLED and count * SAMPLED // total == (count - 1) * SAMPLED // total:
                least = most = units[low + a]
        base = _by_count(goods, services, sizes, a, b, least, demand, both)
        room.fixed[0] += least
        room.fixed[1] += lines_in(goods, demand, least)
        room.fixed[2] += least * goods.weight[demand]
        room.fixed[3] += both - most
        room.fixed[4] += lines_in(goods, demand, both - most)
        room.fixed[5] += (both - most) * goods.weight[demand]
        room.fixed[6] += base
        if most > least and listed < SAMPLED:
            room.which[listed], room.least[listed], room.span[listed] = demand, least, most - least
            room.other[listed] = both - most
            room.extra[listed] = _by_count(goods, services, sizes, a, b, most, demand, both) - base
            listed += 1
    return count


@inner
def _bound(services: Services, sizes: Sizes, a: int, b: int, count: int, moved_g: float, room: Room) -> float:
    """About the least that the pair can cost by weight and count."""
    least = INF
    for part in range(INTERVALS):
        at_a = room.fixed[2] + moved_g * part / INTERVALS
        at_b = room.fixed[5] + moved_g * (INTERVALS - 1 - part) / INTERVALS
        least = min(least, weight_price(services, sizes, a, at_a) + weight_price(services, sizes, b, at_b))
    for at in range(count):
        least += min(0.0, room.extra[at])
    return float(least + room.fixed[6])


@inner
def _list_choices(goods: Goods, services: Services, sizes: Sizes, a: int, b: int, count: int, room: Room) -> None:
    """`room.taken` [count]: the cheapest of all choices of whole spans, exactly."""
    best, chosen = INF, 0
    for choice in range(1 << count):
        load_a, lines_a, grams_a = room.fixed[0], room.fixed[1], room.fixed[2]
        load_b, lines_b, grams_b, tolls = room.fixed[3], room.fixed[4], room.fixed[5], 0.0
        for at in range(count):
            demand = int(room.which[at])
            span, low = room.span[at], demand * sizes.sites
            if choice >> at & 1:
                load_a += span
                lines_a += lines_in(goods, demand, room.least[at] + span) - lines_in(goods, demand, room.least[at])
                grams_a += span * goods.weight[demand]
                tolls += span * goods.toll[low + a]
            else:
                load_b += span
                grams_b += span * goods.weight[demand]
                lines_b += lines_in(goods, demand, room.other[at] + span) - lines_in(goods, demand, room.other[at])
                tolls += span * goods.toll[low + b]
        cost = tolls + site_cost(services, sizes, a, load_a, lines_a, grams_a, False)
        cost += site_cost(services, sizes, b, load_b, lines_b, grams_b, False)
        if cost < best:
            best, chosen = cost, choice
    for at in range(count):
        room.taken[at] = room.span[at] if chosen >> at & 1 else 0.0


@inner
def _knapsack(
    goods: Goods, services: Services, sizes: Sizes, a: int, b: int, count: int, moved_g: float, parts: int, room: Room
) -> bool:
    """`room.taken` [count]: the cheapest by count for every weight moved to a, then by weight as well (Bellman 1957).

    Spans move whole, or by `parts`. False where nothing can go.
    """
    scale = max(1.0, moved_g / STATES)
    states = int(moved_g / scale) + count + 2
    table = room.table
    table[:states] = INF
    table[0] = 0.0
    top = 0
    for at in range(count):
        row, after = at * (STATES + SAMPLED + 2), (at + 1) * (STATES + SAMPLED + 2)
        table[after : after + states] = INF
        table[after : after + top + 1] = table[row : row + top + 1]
        weight, reached = goods.weight[int(room.which[at])], top
        before = 0.0
        for part in range(1, parts + 1):
            more = np.ceil(room.span[at] * part / parts)
            if more == before:
                continue
            before = more
            jump = int(np.rint(more * weight / scale))
            price = room.extra[at] * more / room.span[at]
            end = min(top, states - 1 - jump)
            for state in range(end + 1):
                value = table[row + state] + price
                if value < table[after + state + jump]:
                    table[after + state + jump] = value
            reached = max(reached, min(top + jump, states - 1))
        top = reached
    last, best, chosen = count * (STATES + SAMPLED + 2), INF, -1
    price_a, low_a, high_a = 0.0, INF, -INF
    price_b, low_b, high_b = 0.0, INF, -INF
    for state in range(top + 1):
        at_a = room.fixed[2] + state * scale
        at_b = room.fixed[5] + max(0.0, moved_g - state * scale)
        if at_a > high_a or at_a <= low_a:
            price_a, low_a, high_a = weight_span(services, sizes, a, at_a)
        if at_b > high_b or at_b <= low_b:
            price_b, low_b, high_b = weight_span(services, sizes, b, at_b)
        value = table[last + state] + price_a + price_b
        if value < best:
            best, chosen = value, state
    if chosen < 0:
        return False
    for at in range(count - 1, -1, -1):
        row, after = at * (STATES + SAMPLED + 2), (at + 1) * (STATES + SAMPLED + 2)
        room.taken[at] = 0.0
        if table[row + chosen] == table[after + chosen]:
            continue
        weight, before = goods.weight[int(room.which[at])], 0.0
        for part in range(1, parts + 1):
            more = np.ceil(room.span[at] * part / parts)
            if more == before:
                continue
            before = more
            jump = int(np.rint(more * weight / scale))
            price = room.extra[at] * more / room.span[at]
            if jump <= chosen and table[row + chosen - jump] + price == table[after + chosen]:
                room.taken[at] = more
                chosen -= jump
                break
    return True


@inner
def _settle(
    goods: Goods,
    services: Services,
    sizes: Sizes,
    units: Floats,
    a: int,
    b: int,
    count: int,
    standing: float,
    room: Room,
) -> int:
    """Put `room.taken` into the assignment if the pair is then cheaper: 1, or 0 and all is as it was."""
    sites = sizes.sites
    for at in range(count):
        low = int(room.which[at]) * sites
        both = units[low + a] + units[low + b]
        room.extra[at] = units[low + a]
        units[low + a] = room.least[at] + room.taken[at]
        units[low + b] = both - units[low + a]
    if _pair_cost(goods, services, sizes, units, a, b) < standing - LEAST_GAIN:
        return 1
    for at in range(count):
        low = int(room.which[at]) * sites
        both = units[low + a] + units[low + b]
        units[low + a] = room.extra[at]
        units[low + b] = both - room.extra[at]
    return 0


@inner
def _exchange(
    goods: Goods, services: Services, sizes: Sizes, units: Floats, a: int, b: int, parts: int, room: Room
) -> int:
    """Share out anew what two sites ship, if that is cheaper: 1 if it was, 0 if not, -1 if a look was enough."""
    standing = _pair_cost(goods, services, sizes, units, a, b)
    count = _movable(goods, services, sizes, units, a, b, 0, room)
    if count > SAMPLED:
        _movable(goods, services, sizes, units, a, b, count, room)
        count = SAMPLED
    if count == 0:
        return -1
    moved_g = 0.0
    for at in range(count):
        moved_g += room.span[at] * goods.weight[int(room.which[at])]
    if _bound(services, sizes, a, b, count, moved_g, room) >= standing - LEAST_GAIN:
        return -1
    if count <= LISTED and parts == 1:
        _list_choices(goods, services, sizes, a, b, count, room)
    elif not _knapsack(goods, services, sizes, a, b, count, moved_g, parts, room):
        return 0
    return _settle(goods, services, sizes, units, a, b, count, standing, room)


@inner
def settle_pairs(
    goods: Goods,
    services: Services,
    sizes: Sizes,
    units: Floats,
    parts: int,
    closed: bool,
    left: int,
    stale: Ints,
    room: Room,
) -> int:
    """Exchange pairs of open sites, or of an open and a `closed` one too, until none gains or `left` work is done.

    Returns the work.
    """
    sites, work, opened = sizes.sites, 0, np.zeros(sizes.sites)
    ships = len(services.row) // sizes.services
    stale[:] = 1
    improved = True
    while improved and work < left:
        improved = False
        opened[:ships] = 0.0
        opened[ships:] = 1.0
        for demand in range(sizes.demands):
            for site in range(sites):
                if units[demand * sites + site] > 0.0:
                    opened[site] = 1.0
        for a in range(sites):
            for b in range(a + 1, sites):
                both = opened[a] + opened[b]
                if not stale[a * sites + b] or both == 0.0 or (both == 1.0 and not closed):
                    continue
                stale[a * sites + b] = 0
                done = _exchange(goods, services, sizes, units, a, b, parts, room)
                work += 2 * sizes.demands if done < 0 else 2 * sizes.demands + LOOK * (1 + parts)
                if done > 0:
                    improved = True
                    for other in range(sites):
                        for one in (a, b):
                            if other != one:
                                stale[min(one, other) * sites + max(one, other)] = 1
    return work
