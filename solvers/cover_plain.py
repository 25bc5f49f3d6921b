"""A plain large order by the compiled search: nothing binds it but stock, and all it may go by arrives in time."""

from __future__ import annotations

import numpy as np

from solvers.cover_demands import Floats
from solvers.cover_kernel import search
from solvers.cover_kernel_rates import Goods, Services, Sizes
from solvers.cover_scene import Scene
from solvers.problem import Objective

STARTS = 8
"""Sets of sites whose assignments are improved."""

MOST_SITES = 60
"""Sites that a set's mask can hold."""


def is_plain(scene: Scene, objective: Objective) -> bool:
    """Whether `plain_assignments` speaks of the order: no limits, no room, cell or dimensional weight that matters."""
    tariff = scene.tariff
    if scene.siblings or scene.binding or scene.limited or tariff.dim_divisor.any():
        return False
    late = tariff.late_days[np.isfinite(tariff.barred)]
    return len(scene.node) <= MOST_SITES and not (objective.late_per_day and len(late) and late.min() < late.max())


def plain_assignments(scene: Scene, price: Floats, objective: Objective, work: int) -> tuple[list[Floats], int]:
    """The best assignments [G, K] found, cheapest first, and the work done (see `Meter`).

    `price` [G, K]: mills of a unit at each site, roughly, without what opening a site costs.
    """
    tariff, (demands, sites) = scene.tariff, scene.reach.shape
    stays = not objective.fill_always
    leaving = np.full((demands, 1), float(objective.unfilled_per_unit))

    def wide(table: Floats, last: Floats) -> Floats:
        whole = np.hstack([table, last]) if stays else table
        return np.ascontiguousarray(whole, np.float64).ravel()

    def flat(table: Floats) -> Floats:
        return np.ascontiguousarray(table, np.float64).ravel()

    curves = tariff.curves
    toll = np.zeros_like(scene.reach) if scene.toll is None else scene.toll
    goods = Goods(
        flat(scene.quantity),
        flat(scene.lines),
        flat(scene.weight_g),
        wide(scene.reach, scene.quantity[:, None]),
        wide(toll, np.zeros_like(leaving)),
        wide(price, leaving),
    )
    services = Services(
        flat(tariff.per_box),
        flat(tariff.per_line),
        flat(tariff.per_unit),
        flat(tariff.per_kg),
        flat(tariff.box_g),
        flat(np.where(np.isfinite(tariff.barred), 0.0, 1.0)),
        flat(tariff.curve_row.astype(np.float64)),
        flat(curves),
        flat(tariff.prices),
        np.array([leaving[0, 0] if stays else -1.0]),
    )
    sizes = Sizes(demands, sites + stays, tariff.per_box.shape[1], curves.shape[1])
    found, costs = np.zeros(STARTS * demands * sizes.sites), np.zeros(STARTS)
    spent = search(goods, services, sizes, work, found, costs)
    assignments = found.reshape(STARTS, demands, sizes.sites)[np.isfinite(costs), :, :sites]
    return list(assignments), int(spent)
