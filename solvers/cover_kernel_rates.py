"""What plain large orders cost, as compiled loops: tariffs by weight, sites, assignments, and linear prices.

G demands, K sites, S services, B breaks of a curve. Where units may stay, one more site without a price stands for it.
All float64 and integral, so exact; money in mills. See `cover_kernel` for the search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.compiled import inner, type_of
from solvers.cover_demands import Floats

INF = np.inf

LEAST_GAIN = 0.5
"""Mills an exchange must save."""


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


GOODS, SERVICES, SIZES = map(type_of, (Goods, Services, Sizes))


@inner
def curve_price(services: Services, sizes: Sizes, at: int, grams: float, smooth: bool) -> float:
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


@inner
def site_cost(
    services: Services, sizes: Sizes, site: int, units: float, lines: float, grams: float, smooth: bool
) -> float:
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
        cost = curve_price(services, sizes, at, grams - full * services.box_g[at], smooth) + services.per_box[at]
        if full > 0.0:
            cost += full * (curve_price(services, sizes, at, services.box_g[at], smooth) + services.per_box[at])
        cost += services.per_line[at] * lines + services.per_unit[at] * units
        cost += np.floor(services.per_kg[at] * grams / 1000.0 + 0.5)
        best = min(best, cost)
    return best


@inner
def lines_in(goods: Goods, demand: int, units: float) -> float:
    """Lines that so many units of a demand touch at least."""
    if goods.lines[demand] == 1.0:
        return 1.0 if units > 0.0 else 0.0
    return float(np.ceil(units * goods.lines[demand] / goods.quantity[demand]))


class Span(NamedTuple):
    """Mills of a shipment by weight alone, from above `low` up to `high` grams."""

    price: float
    low: float
    high: float


@inner
def weight_span(services: Services, sizes: Sizes, site: int, grams: float) -> Span:
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
    return Span(site_cost(services, sizes, site, 1e-9, 0.0, grams, False), low, high)


@inner
def weight_price(services: Services, sizes: Sizes, site: int, grams: float) -> float:
    """What a shipment costs by weight alone; nothing weighs nothing and costs nothing."""
    if site * sizes.services >= len(services.row):
        return 0.0
    return site_cost(services, sizes, site, 1e-9 if grams > 0.0 else 0.0, 0.0, grams, False)


@inner
def assigned_cost(goods: Goods, services: Services, sizes: Sizes, units: Floats, site: int) -> float:
    """What one site of an assignment costs, exactly as it is judged, with tolls."""
    load = lines = grams = cost = 0.0
    for demand in range(sizes.demands):
        given = units[demand * sizes.sites + site]
        if given > 0.0:
            load += given
            lines += lines_in(goods, demand, given)
            grams += given * goods.weight[demand]
            cost += given * goods.toll[demand * sizes.sites + site]
    return cost + site_cost(services, sizes, site, load, lines, grams, False)


@inner
def assignment_cost(goods: Goods, services: Services, sizes: Sizes, units: Floats) -> float:
    """What an assignment costs."""
    cost = 0.0
    for site in range(sizes.sites):
        cost += assigned_cost(goods, services, sizes, units, site)
    return cost


@inner
def set_prices(goods: Goods, services: Services, sizes: Sizes, grams: Floats, price: Floats) -> None:
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
            low, high = curve_price(services, sizes, at, top / 4.0, False), curve_price(services, sizes, at, top, False)
            if services.per_box[at] + low < best:
                best, lead = services.per_box[at] + low, at
                slope = (high - low) / (0.75 * top) if high < INF else low / top
        for demand in range(sizes.demands):
            each = goods.weight[demand] * (slope + services.per_kg[lead] / 1000.0) + services.per_unit[lead]
            each += services.per_line[lead] * goods.lines[demand] / goods.quantity[demand]
            each += goods.toll[demand * sites + site]
            stays = services.last[0] >= 0.0 and each > services.last[0]
            price[demand * sites + site] = INF if stays else each
