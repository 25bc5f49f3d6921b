"""Shipments that must each hold goods of some value (`Limits.min_split_value`): goods moved to where too little lies.

Sets of sites are searched as if no such limit were; the most promising are then mended here, by moving goods from sites
that hold more than they must, those that cost least to move first.
"""

from __future__ import annotations

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_scene import Scene
from solvers.problem import Bools

MOST_MENDED = 48
"""Sets of sites that are mended at most, the most promising first."""


def poor_sites(scene: Scene) -> Bools:
    """bool[K]: the site could never hold enough, so that it ships alone or not at all."""
    held: Bools = scene.value @ scene.reach < scene.least_value
    return held


def most_sites(scene: Scene) -> int:
    """No plan opens more sites: the boxes an order may have, and the shipments its value suffices for."""
    if not scene.least_value:
        return scene.most_boxes
    worth = float(scene.value @ np.minimum(scene.quantity, scene.reach.sum(axis=1)))
    return min(scene.most_boxes, max(1, int(worth // scene.least_value)))


def enriched(scene: Scene, units: Floats, price: Floats) -> Floats | None:
    """The assignment [G, K] with enough at every open site, filled as before; None if no way was found.

    `price` [G, K]: mills of a unit at each site, roughly.
    """
    least, value = float(scene.least_value), scene.value
    units = units.copy()
    if (units.sum(axis=0) > 0.0).sum() <= 1:
        return units
    dear = np.where(np.isfinite(price), price, 0.0)
    worth = value @ units
    while True:
        poor = np.flatnonzero((units.sum(axis=0) > 0.0) & (worth < least))
        if not len(poor):
            return units
        # The site that misses least is the easiest to help.
        to = int(poor[np.argmax(worth[poor])])
        more = _cheapest_move(scene, units, dear, worth, to)
        if more is None:
            return None
        demand, source, moved = more
        units[demand, source] -= moved
        units[demand, to] += moved
        worth[source] -= moved * value[demand]
        worth[to] += moved * value[demand]


def _cheapest_move(scene: Scene, units: Floats, price: Floats, worth: Floats, to: int) -> tuple[int, int, float] | None:
    """(demand, site, units) of the move to a site that costs least per value, leaving enough where it comes from."""
    least, value = float(scene.least_value), scene.value[:, None]
    spare = np.maximum(worth - least, 0.0)[None, :]
    room = np.maximum(np.minimum(scene.reach[:, to], scene.quantity) - units[:, to], 0.0)[:, None]
    missing = least - worth[to]
    could = np.minimum(np.minimum(units, room), np.floor(spare / np.maximum(value, 1e-9)))
    wanted = np.minimum(could, np.ceil(missing / np.maximum(value, 1e-9)))
    whole = scene.whole[:, None]
    moved = np.where(whole, np.where((could >= units) & (room >= units), units, 0.0), wanted)
    moved = np.where(value > 0.0, moved, 0.0)
    moved[:, to] = 0.0
    if not moved.any():
        return None
    gained = np.minimum(moved * value, missing)
    extra = moved * (price[:, [to]] - price)
    ratio = np.where(moved > 0.0, (extra + 1.0) / np.maximum(gained, 1e-9), np.inf)
    demand, source = np.unravel_index(int(ratio.argmin()), ratio.shape)
    return int(demand), int(source), float(moved[demand, source])
