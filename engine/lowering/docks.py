"""Which goods are drawn from along a dock, from another node than the one that the parcel leaves.

Sizes: W supplies of lines, I SKUs, G goods, N nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.lowering.goods import Goods
from engine.network import Network
from solvers.problem import Bools, Ints


@dataclass(frozen=True, slots=True)
class Draws:
    """int64 each: the supply, the node that it is drawn from, and the node that the parcel leaves."""

    supply: Ints
    source: Ints
    leader: Ints


def no_draws() -> Draws:
    """Every parcel holds what its own node has."""
    none = np.zeros(0, np.int64)
    return Draws(none, none, none)


def draws_of(allowed: Bools, leader: Ints, stocked: Bools) -> Draws:
    """Each supply from each node that is not the first of its dock. All [W, N]: may serve, the first, has some."""
    supply, source = np.nonzero(allowed & stocked & (leader != np.arange(leader.shape[1])))
    return Draws(supply, source, leader[supply, source])


def useful(network: Network, goods: Goods, free: Ints, wanted: Ints, good: Ints, allowed: Bools) -> Bools:
    """bool[W, N]: without nodes of a dock that the best plans can do without.

    That is where another node of the dock that may serve the supply has all that the window can want of it (`free`
    int64[I, N], `wanted` int64[I]), ships any number of units a day, and handles neither line nor unit dearer. Each
    such node would only be one more way to the same, and every way costs the solver time.
    """
    enough = (free >= wanted[:, None]) & (network.units_max < 0)
    ample = np.array([enough[list(goods.parts_of(g))].all(axis=0) for g in range(len(goods))], bool)[good] & allowed
    kept = allowed.copy()
    for members in network.docks:
        line, unit = network.handle_line[members], network.handle_unit[members]
        # Rows: the node that would do; columns: the node that could go. Of equals the first does.
        no_dearer = (line[:, None] <= line) & (unit[:, None] <= unit)
        cheaper = no_dearer & ~(no_dearer.T & (members[:, None] >= members))
        kept[:, members] &= ~((ample[:, members].astype(np.int64) @ cheaper.astype(np.int64)) > 0)
    return kept
