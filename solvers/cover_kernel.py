"""The search for one plain large order as compiled loops: sets of sites, and pairs of sites that share out anew.

The same ideas as `cover_sets` and `cover_exchange` where nothing binds but stock: every set of sites is judged by
pouring the demands into it (smooth prices), the best are poured again at the prices of their loads, then two sites at
a time share out all that either ships, by listing or by a knapsack over weight, until no pair gains. A pair may
contain a closed site. At last demands of the best may be divided at any sixth.

G demands, K sites, S services, B breaks of a curve. Where units may stay, one more site without a price stands for it.
All float64 and integral, so exact; money in mills.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from solvers.compiled import FLAG, INT, INTS, NONE, compiled
from solvers.cover_demands import Floats
from solvers.problem import Ints

FLOAT, FLOATS = types.float64, types.float64[::1]
INF = np.inf

LISTED = 7
"""Movable demands of a pair up to which all choices are listed."""

SAMPLED = 48
"""Movable demands of a pair at most; of more an even sample."""

STATES = 1024
"""Weights a pair's knapsack tells apart."""

PARTS = 6
"""Ways to divide a demand, in the last pass."""

INTERVALS = 24
"""Parts in which the bound of a pair looks at its weights."""

LEAST_GAIN = 0.5
"""Mills an exchange must save."""

REFITS = 3
"""Times that a set is poured, each time at the prices of the loads before."""

LOOK = 1_000
"""Work of solving a pair, for each part."""

ALL_SETS = 120_000
"""Sets times demands up to which all sets are judged."""


class Goods(NamedTuple):
    """The demands: quantity, lines and grams of a unit [G]; reach and toll of a unit [G * K]; price [G * K] of a unit,
    roughly, by which sites are preferred."""

    quantity: Floats
    lines: Floats
    weight: Floats
    reach: Floats
    toll: Floats
    price: Floats


class Services(NamedTuple):
    """What shipping costs, as in `cover_scene.Tariff`: [K * S] each, `barred` 0 or 1, `row` of `breaks`, `prices`
    [rows * B]. `last` [1]: mills of a unit that stays, below 0 where units come first."""

    per_box: Floats
    per_line: Floats
    per_unit: Floats
    per_kg: Floats
    box_g: Floats
    barred: Floats
    row: Floats
    breaks: Floats
    prices: Floats
    last: Floats


class Sizes(NamedTuple):
    """G, K (with the one that stays), S and B."""

    demands: int
    sites: int
    services: int
    breaks: int


def tables_of(element: Any, table: type) -> Any:
    """The type of a NamedTuple whose fields are all of one type."""
    make: Any = types.NamedUniTuple
    return make(element, len(table.__annotations__), table)


GOODS, SERVICES = tables_of(FLOATS, Goods), tables_of(FLOATS, Services)
SIZES = tables_of(INT, Sizes)


@compiled(FLOAT, SERVICES, SIZES, INT, FLOAT, FLAG)
def _curve(services: Services, sizes: Sizes, at: int, grams: float, smooth: bool) -> float:
    """The price of one box by a service."""
    low = int(services.row[at]) * sizes.breaks
    begin, end = low, low + sizes.breaks
    while begin < end:
        middle = (begin + end) // 2
        if services.breaks[middle] < grams:
            begin = middle + 1
        else:
            end = middle
    if begin == low + sizes.breaks:
        return INF
    price: float = services.prices[begin]
    if smooth and begin > low and price < INF:
        share = (services.breaks[begin] - grams) / (services.breaks[begin] - services.breaks[begin - 1])
        price -= share * (price - services.prices[begin - 1])
    return price


@compiled(FLOAT, SERVICES, SIZES, INT, FLOAT, FLOAT, FLOAT, FLAG)
def _cost(services: Services, sizes: Sizes, site: int, units: float, lines: float, grams: float, smooth: bool) -> float:
    """What a site's shipment costs by its cheapest service; boxes after the first are taken as full."""
    if units <= 0.0:
        return 0.0
    if site * sizes.services >= len(services.row):
        return units * float(services.last[0])
    best = INF
    for at in range(site * sizes.services, (site + 1) * sizes.services):
        if services.barred[at] > 0.0:
            continue
        full = max(0.0, np.ceil(grams / services.box_g[at]) - 1.0)
        cost = _curve(services, sizes, at, grams - full * services.box_g[at], smooth) + services.per_box[at]
        if full > 0.0:
            cost += full * (_curve(services, sizes, at, services.box_g[at], smooth) + services.per_box[at])
        cost += services.per_line[at] * lines + services.per_unit[at] * units
        cost += np.floor(services.per_kg[at] * grams / 1000.0 + 0.5)
        best = min(best, cost)
    return best


@compiled(FLOAT, GOODS, INT, FLOAT)
def _lines(goods: Goods, demand: int, units: float) -> float:
    """Lines that so many units of a demand touch at least."""
    if goods.lines[demand] == 1.0:
        return 1.0 if units > 0.0 else 0.0
    return float(np.ceil(units * goods.lines[demand] / goods.quantity[demand]))


@compiled(FLOAT, GOODS, SERVICES, SIZES, INTS, INT, FLOAT, FLOATS, FLOATS, FLAG)
def _pour(
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
            sums[sites + site] += _lines(goods, demand, given)
            sums[2 * sites + site] += given * goods.weight[demand]
            cost += given * goods.toll[demand * sites + site]
            if len(units):
                units[demand * sites + site] = given
        sums[3 * sites] += missing
    if sums[3 * sites] > most_missing:
        return INF
    for site in range(sites):
        cost += _cost(services, sizes, site, sums[site], sums[sites + site], sums[2 * sites + site], smooth)
    return cost


@compiled(NONE, SIZES, GOODS, FLOATS, INTS)
def _set_rank(sizes: Sizes, goods: Goods, price: Floats, rank: Ints) -> None:
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


@compiled(INT, INTS, FLOATS, FLOATS, INT, INT, FLOAT, FLOAT)
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


@compiled(INT, GOODS, SERVICES, SIZES, INTS, INTS, FLOATS, FLOATS, FLOATS)
def _best_sets(
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
            cost = _pour(goods, services, sizes, rank, mask | stays, fewest, none, sums, True)
            if cost < INF:
                fewest = min(fewest, sums[3 * sizes.sites])
                count = _keep(masks, voids, costs, count, mask, sums[3 * sizes.sites], cost)
        return whole
    judged, now, count = 1, whole, 0
    cost = _pour(goods, services, sizes, rank, now | stays, INF, none, sums, True)
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
                other = _pour(goods, services, sizes, rank, mask | stays, INF, none, sums, True)
                missing = sums[3 * sizes.sites] if other < INF else INF
                judged += 1
                count = _keep(masks, voids, costs, count, mask, missing, other)
                if missing < void or (missing == void and other < cost - LEAST_GAIN):
                    now, void, cost, improved = mask, missing, other, True
    return judged


class Span(NamedTuple):
    """Mills of a shipment by weight alone, from above `low` up to `high` grams."""

    price: float
    low: float
    high: float


SPAN = tables_of(FLOAT, Span)


@compiled(SPAN, SERVICES, SIZES, INT, FLOAT)
def _span(services: Services, sizes: Sizes, site: int, grams: float) -> Span:
    """What a shipment costs by weight alone, and for which other weights that holds."""
    if site * sizes.services >= len(services.row):
        return Span(0.0, -INF, INF)
    if grams <= 0.0:
        return Span(0.0, -INF, 0.0)
    low, high = 0.0, INF
    for at in range(site * sizes.services, (site + 1) * sizes.services):
        if services.barred[at] > 0.0:
            continue
        if services.per_kg[at] > 0.0:
            low, high = grams, grams
            break
        full = max(0.0, np.ceil(grams / services.box_g[at]) - 1.0) * services.box_g[at]
        first = int(services.row[at]) * sizes.breaks
        begin, end = first, first + sizes.breaks
        while begin < end:
            middle = (begin + end) // 2
            if services.breaks[middle] < grams - full:
                begin = middle + 1
            else:
                end = middle
        low = max(low, full if begin == first else full + services.breaks[begin - 1])
        high = min(high, full + services.box_g[at])
        if begin < first + sizes.breaks:
            high = min(high, full + services.breaks[begin])
    return Span(_cost(services, sizes, site, 1e-9, 0.0, grams, False), low, high)


@compiled(FLOAT, SERVICES, SIZES, INT, FLOAT)
def _step(services: Services, sizes: Sizes, site: int, grams: float) -> float:
    """What a shipment costs by weight alone; nothing weighs nothing and costs nothing."""
    if site * sizes.services >= len(services.row):
        return 0.0
    return _cost(services, sizes, site, 1e-9 if grams > 0.0 else 0.0, 0.0, grams, False)


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


ROOM = tables_of(FLOATS, Room)


@compiled(FLOAT, GOODS, SERVICES, SIZES, INT, INT, FLOAT, INT, FLOAT)
def _by_count(
    goods: Goods, services: Services, sizes: Sizes, a: int, b: int, at_a: float, demand: int, both: float
) -> float:
    """What a demand costs by line, unit and toll with so many units at a and the rest at b, by their first services."""
    cost, sites = 0.0, sizes.sites
    for site, units in ((a, at_a), (b, both - at_a)):
        if units > 0.0:
            at = site * sizes.services
            if at < len(services.row):
                cost += services.per_line[at] * _lines(goods, demand, units) + services.per_unit[at] * units
            else:
                cost += services.last[0] * units
            cost += goods.toll[demand * sites + site] * units
    return cost


@compiled(FLOAT, GOODS, SERVICES, SIZES, FLOATS, INT, INT)
def _pair_cost(goods: Goods, services: Services, sizes: Sizes, units: Floats, a: int, b: int) -> float:
    """What two sites of an assignment cost, exactly as it is judged, with tolls."""
    sites, cost = sizes.sites, 0.0
    for site in (a, b):
        load = lines = grams = 0.0
        for demand in range(sizes.demands):
            given = units[demand * sites + site]
            if given > 0.0:
                load += given
                lines += _lines(goods, demand, given)
                grams += given * goods.weight[demand]
                cost += given * goods.toll[demand * sites + site]
        cost += _cost(services, sizes, site, load, lines, grams, False)
    return cost


@compiled(INT, GOODS, SERVICES, SIZES, FLOATS, INT, INT, INT, ROOM)
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
        room.fixed[1] += _lines(goods, demand, least)
        room.fixed[2] += least * goods.weight[demand]
        room.fixed[3] += both - most
        room.fixed[4] += _lines(goods, demand, both - most)
        room.fixed[5] += (both - most) * goods.weight[demand]
        room.fixed[6] += base
        if most > least and listed < SAMPLED:
            room.which[listed], room.least[listed], room.span[listed] = demand, least, most - least
            room.other[listed] = both - most
            room.extra[listed] = _by_count(goods, services, sizes, a, b, most, demand, both) - base
            listed += 1
    return count


@compiled(FLOAT, SERVICES, SIZES, INT, INT, INT, FLOAT, ROOM)
def _bound(services: Services, sizes: Sizes, a: int, b: int, count: int, moved_g: float, room: Room) -> float:
    """About the least that the pair can cost by weight and count."""
    least = INF
    for part in range(INTERVALS):
        at_a = room.fixed[2] + moved_g * part / INTERVALS
        at_b = room.fixed[5] + moved_g * (INTERVALS - 1 - part) / INTERVALS
        least = min(least, _step(services, sizes, a, at_a) + _step(services, sizes, b, at_b))
    for at in range(count):
        least += min(0.0, room.extra[at])
    return float(least + room.fixed[6])


@compiled(NONE, GOODS, SERVICES, SIZES, INT, INT, INT, ROOM)
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
                lines_a += _lines(goods, demand, room.least[at] + span) - _lines(goods, demand, room.least[at])
                grams_a += span * goods.weight[demand]
                tolls += span * goods.toll[low + a]
            else:
                load_b += span
                grams_b += span * goods.weight[demand]
                lines_b += _lines(goods, demand, room.other[at] + span) - _lines(goods, demand, room.other[at])
                tolls += span * goods.toll[low + b]
        cost = tolls + _cost(services, sizes, a, load_a, lines_a, grams_a, False)
        cost += _cost(services, sizes, b, load_b, lines_b, grams_b, False)
        if cost < best:
            best, chosen = cost, choice
    for at in range(count):
        room.taken[at] = room.span[at] if chosen >> at & 1 else 0.0


@compiled(FLAG, GOODS, SERVICES, SIZES, INT, INT, INT, FLOAT, INT, ROOM)
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
            price_a, low_a, high_a = _span(services, sizes, a, at_a)
        if at_b > high_b or at_b <= low_b:
            price_b, low_b, high_b = _span(services, sizes, b, at_b)
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


@compiled(INT, GOODS, SERVICES, SIZES, FLOATS, INT, INT, INT, FLOAT, ROOM)
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


@compiled(INT, GOODS, SERVICES, SIZES, FLOATS, INT, INT, INT, ROOM)
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


@compiled(INT, GOODS, SERVICES, SIZES, FLOATS, INT, FLAG, INT, INTS, ROOM)
def _settle_pairs(
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


@compiled(FLOAT, GOODS, SERVICES, SIZES, FLOATS)
def _judge(goods: Goods, services: Services, sizes: Sizes, units: Floats) -> float:
    """What an assignment costs."""
    sites, cost = sizes.sites, 0.0
    for site in range(sites):
        load = lines = grams = 0.0
        for demand in range(sizes.demands):
            given = units[demand * sites + site]
            if given > 0.0:
                load += given
                lines += _lines(goods, demand, given)
                grams += given * goods.weight[demand]
                cost += given * goods.toll[demand * sites + site]
        cost += _cost(services, sizes, site, load, lines, grams, False)
    return cost


@compiled(NONE, GOODS, SERVICES, SIZES, FLOATS, FLOATS)
def _set_prices(goods: Goods, services: Services, sizes: Sizes, grams: Floats, price: Floats) -> None:
    """Linear prices [G * K] of a unit around loads [K] in grams, without what opening a site costs."""
    sites, ships = sizes.sites, len(services.row) // sizes.services
    for site in range(sites):
        if site >= ships:
            for demand in range(sizes.demands):
                price[demand * sites + site] = services.last[0]
            continue
        best, lead, slope = INF, site * sizes.services, 0.0
        for at in range(site * sizes.services, (site + 1) * sizes.services):
            if services.barred[at] > 0.0:
                continue
            top = min(max(grams[site], 2.0), services.box_g[at])
            low, high = _curve(services, sizes, at, top / 4.0, False), _curve(services, sizes, at, top, False)
            if services.per_box[at] + low < best:
                best, lead = services.per_box[at] + low, at
                slope = (high - low) / (0.75 * top) if high < INF else low / top
        for demand in range(sizes.demands):
            each = goods.weight[demand] * (slope + services.per_kg[lead] / 1000.0) + services.per_unit[lead]
            each += services.per_line[lead] * goods.lines[demand] / goods.quantity[demand]
            each += goods.toll[demand * sites + site]
            stays = services.last[0] >= 0.0 and each > services.last[0]
            price[demand * sites + site] = INF if stays else each


@compiled(INT, GOODS, SERVICES, SIZES, FLOATS, FLOATS, FLOATS, INTS, FLOATS, INT, INTS, ROOM)
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
        _set_prices(goods, services, sizes, grams, price)
        for demand in range(sizes.demands):
            price[demand * sites + site] *= 0.5 if turn % 2 == 0 else 2.0
        _set_rank(sizes, goods, price, rank)
        stays = (1 << sites) - (1 << ships)
        cost = _pour(goods, services, sizes, rank, mask | stays, INF, trial, sums, False)
        spent += 2 * sizes.demands
        if sums[3 * sites] > missing or cost == INF:
            continue
        spent += _settle_pairs(goods, services, sizes, trial, 1, False, left - spent, stale, room)
        cost = _judge(goods, services, sizes, trial)
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
    _set_rank(sizes, goods, price, rank)
    spent = _best_sets(goods, services, sizes, rank, masks, voids, scores, sums) * (demands + 2 * sites)
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
            _set_rank(sizes, goods, price, rank)
            cost = _pour(goods, services, sizes, rank, masks[at] | stays, INF, trial, sums, False)
            if sums[3 * sites] > voids[0] or cost >= costs[at]:
                break
            costs[at] = cost
            best[:] = trial
            _set_prices(goods, services, sizes, sums[2 * sites : 3 * sites].copy(), price)
        if costs[at] == INF:
            continue
        if spent < work or at == 0:
            spent += _settle_pairs(goods, services, sizes, best, 1, at == 0, work - spent, stale, room)
            costs[at] = _judge(goods, services, sizes, best)
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
        spent += _settle_pairs(goods, services, sizes, best, PARTS, True, work - spent, stale, room)
        costs[0] = _judge(goods, services, sizes, best)
    return spent
