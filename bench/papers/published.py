"""What the literature does: the item-facility LP, and policies that round its answer order by order, blind to stock.

The LP and the roundings are those of Ma (2023), M&SOM 25(4): independent, Jasin & Sinha (2015), dilate, force-open;
myopic sends every item from the closest node that carries it. An item whose node has run out is not shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from bench.papers.source import Floats, Geometry
from bench.papers.world import World
from solvers.problem import Ints

Rounding = Callable[[Floats, int, np.random.Generator], Ints]
"""(probability float64[items, nodes], count, generator) -> the node of every item, int64[count, items]."""

TINY = 1e-7


class LpFailedError(RuntimeError):
    """An LP run did not end well: a fault of the solver, never a figure."""


class ItemLp(NamedTuple):
    """The LP's value in money units, and the part of each item to leave each node, float64[L, nodes], L the lines of
    `kinds` in order."""

    value: float
    kinds: Ints
    part: Floats


def item_lp(world: World, count: Floats) -> ItemLp:
    """Facility opening by item: kind o comes count[o] times. The published denominator with count = horizon * rate.

    min sum count (parcel y + unit u)  s.t.  sum over nodes of u = 1, u <= y, sum of count u within the stock.
    """
    kinds, nodes = np.flatnonzero(count > 0), world.nodes
    item, owner = world.lines_of(kinds)
    weight, metro = count[kinds], kinds % world.metros
    y, u = len(kinds) * nodes, len(item) * nodes
    every = np.arange(u)
    line, node = np.divmod(every, nodes)
    cell, used = item[line] * nodes + node, weight[owner[line]]
    ones, columns = np.ones(u), y + every
    whole = csr_matrix((ones, (line, columns)), shape=(len(item), y + u))
    rows, at = np.concatenate([every, every]), np.concatenate([columns, owner[line] * nodes + node])
    opened = csr_matrix((np.concatenate([ones, -ones]), (rows, at)), shape=(u, y + u))
    taken = csr_matrix((used, (cell, columns)), shape=(world.stock.size, y + u))
    stock = world.stock.ravel()
    short = np.flatnonzero(np.bincount(cell, weights=used, minlength=len(stock)) > stock)
    parcels, units = np.outer(weight, world.parcel).ravel(), used * world.unit[node, metro[owner[line]]]
    found = linprog(
        np.concatenate([parcels, units]),
        A_eq=whole,
        b_eq=np.ones(len(item)),
        A_ub=vstack([opened, taken[short]]).tocsr(),
        b_ub=np.concatenate([np.zeros(u), stock[short]]),
        method="highs",
    )
    if found.status != 0:
        raise LpFailedError(found.message)
    return ItemLp(float(found.fun), kinds, np.maximum(found.x[y:], 0).reshape(-1, nodes))


def independent(part: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Every item by itself."""
    edges = np.cumsum(part, axis=1)
    drawn = rng.random((count, len(part), 1)) * edges[None, :, -1:]
    return np.minimum((drawn >= edges[None]).sum(axis=2), part.shape[1] - 1)


def dilate(part: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Nodes open at exponential times, every item sees them on a scale of its own and takes the first."""
    opening = rng.exponential(size=(count, 1, part.shape[1]))
    return np.argmin(_seen(opening, part), axis=2)


def force_open(part: Floats, count: int, rng: np.random.Generator) -> Ints:
    """As `dilate`, but an item's likeliest node opens by its full time at the latest, or just then."""
    opening = rng.exponential(size=(count, 1, part.shape[1]))
    seen = _seen(opening, part)
    item, likeliest = np.arange(len(part)), np.argmax(part, axis=1)
    most = part[item, likeliest]
    with np.errstate(over="ignore"):
        late = (1 - most) / (1 - most + most * np.exp(1 / most) - np.e)
    forced = np.minimum(opening[:, 0, likeliest], 1.0)
    at_end = rng.random((count, len(part))) < np.where(most < 1 - TINY, late, 0.0)
    seen[:, item, likeliest] = np.where(at_end, 1.0, forced) / most
    return np.argmin(seen, axis=2)


def jasin_sinha(part: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Each node's probabilities in layers shared by m items; a layer is drawn by its share of all, the items in it
    take its node, the others draw from what the layers leave of their own.
    """
    items, nodes = part.shape
    left, layer = np.where(part > TINY, part, 0.0), np.zeros((items, nodes, items))
    for level in range(items, 0, -1):
        alive = left > TINY
        least = np.where(alive, left, np.inf).min(axis=0)
        shared = np.where((alive.sum(axis=0) == level), least, 0.0)
        layer[level - 1] = np.where(alive, shared, 0.0).T
        left = left - layer[level - 1].T
    share = layer.max(axis=2) * np.arange(1, items + 1)[:, None] / items
    drawn = rng.choice(items * nodes, count, p=share.ravel() / share.sum())
    level, node = np.divmod(drawn, nodes)
    rest = np.where(layer > TINY, layer - share[:, :, None], 0.0).sum(axis=0).T
    own = independent(np.maximum(rest, 0) + TINY**2, count, rng)
    return np.where(layer[level, node] > TINY, node[:, None], own)


ROUNDINGS: dict[str, Rounding] = {
    "independent": independent,
    "jasin-sinha": jasin_sinha,
    "force-open": force_open,
    "dilate": dilate,
}


def _seen(opening: Floats, part: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        seen: Floats = np.where(part > TINY, opening / np.maximum(part, TINY), np.inf)
    return seen


def rounded(world: World, lp: ItemLp, arrivals: Ints, rounding: Rounding, rng: np.random.Generator) -> float:
    """What a path costs when every order is rounded by itself, in money units."""
    item, owner = world.lines_of(arrivals)
    node = np.zeros(len(item), np.int64)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(owner, minlength=len(arrivals)))])
    _, lp_owner = world.lines_of(lp.kinds)
    lp_first = np.searchsorted(lp_owner, np.arange(len(lp.kinds) + 1))
    for at, kind in enumerate(lp.kinds.tolist()):
        came = np.flatnonzero(arrivals == kind)
        if len(came):
            part = lp.part[lp_first[at] : lp_first[at + 1]]
            chosen = rounding(part, len(came), rng)
            node[(first[came][:, None] + np.arange(len(part))).ravel()] = chosen.ravel()
    return blind_cost(world, arrivals, node)


def myopic(world: World, where: Geometry, carried: Ints, arrivals: Ints) -> float:
    """What a path costs when every item leaves the closest node that carries it; carried bool[items, nodes]."""
    item, owner = world.lines_of(arrivals)
    metro = (arrivals % world.metros)[owner]
    miles = np.where(carried[item], where.miles[:, metro].T, np.inf)
    node = np.where(carried[item].any(axis=1), np.argmin(miles, axis=1), world.nodes - 1)
    return blind_cost(world, arrivals, node)


def blind_cost(world: World, arrivals: Ints, node: Ints) -> float:
    """Money units of a path whose lines try these nodes in order of arrival; who finds a node empty goes outside."""
    item, owner = world.lines_of(arrivals)
    cell = item * world.nodes + node
    by_cell = np.argsort(cell, kind="stable")
    opens = np.r_[True, np.diff(cell[by_cell]) != 0]
    rank = np.arange(len(cell)) - np.maximum.accumulate(np.where(opens, np.arange(len(cell)), 0))
    served = np.zeros(len(cell), np.bool_)
    served[by_cell] = rank < world.stock.ravel()[cell[by_cell]]
    return cost_of(world, arrivals, np.where(served, node, world.nodes - 1))


def cost_of(world: World, arrivals: Ints, node: Ints) -> float:
    """Money units of a path whose lines leave these nodes, one parcel for each node of an order; -1: not shipped."""
    _, owner = world.lines_of(arrivals)
    metro, sent = (arrivals % world.metros)[owner], node >= 0
    parcels = np.unique(owner[sent] * world.nodes + node[sent]) % world.nodes
    units = world.unit[node[sent], metro[sent]]
    return float(world.parcel[parcels].sum() + units.sum() + world.unfilled * (~sent).sum())
