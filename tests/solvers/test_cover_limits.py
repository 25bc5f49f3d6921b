"""Large orders with limits: always lawful, close to an exact integer programme, seldom less filled than possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from solvers.alone import large_plan
from solvers.choose import Budget, solve
from solvers.cover import cheapest_cover
from solvers.cover_bound import cover_bound
from solvers.limits import broken
from solvers.menu import Supply
from solvers.plan import fits, plan_cost, use_of
from solvers.problem import UNLIMITED, Limits, Mode, Objective, Problem
from solvers.purse import Purse
from solvers.solution import check
from tests.solvers.test_cover_gap import answer, optimum, parcel_curve, realistic
from tests.solvers.worlds import Made, Want, Way, World

PAYING = Objective(False, 0, 0, 1500)


def limited(
    problem: Problem,
    *,
    max_parcels: int = UNLIMITED,
    complete: bool = False,
    whole_lines: bool = False,
    min_split_value: int = 0,
    groups: int = 0,
    seed: int = 0,
) -> Problem:
    """The one order of a problem with limits; a unit is worth 12,000 mills; `groups` of three lines each."""
    rng = np.random.default_rng(seed)
    size = len(problem.lines.item)
    group = np.full(size, -1, np.int64)
    members = rng.permutation(size)[: 3 * groups]
    group[members] = np.arange(len(members)) // 3
    limits = Limits(np.array([max_parcels]), np.array([complete]), np.array([whole_lines]), np.array([min_split_value]))
    lines = replace(problem.lines, group=group, value=np.full(size, 12_000, np.int64))
    return replace(problem, lines=lines, limits=limits)


SHAPES: dict[str, Callable[[int], Problem]] = {
    "two parcels": lambda seed: limited(realistic(seed, lines=16, nodes=8, cover=0.6), max_parcels=2),
    "three parcels": lambda seed: limited(realistic(seed, lines=20, nodes=10, cover=0.5), max_parcels=3),
    "whole lines": lambda seed: limited(realistic(seed, lines=16, nodes=8, cover=0.5), whole_lines=True),
    "whole, three": lambda seed: limited(
        realistic(seed, lines=16, nodes=8, cover=0.6), whole_lines=True, max_parcels=3
    ),
    "groups": lambda seed: limited(realistic(seed, lines=16, nodes=8, cover=0.8), groups=2, seed=seed),
    "groups, three": lambda seed: limited(
        realistic(seed, lines=18, nodes=8, cover=0.8), groups=2, max_parcels=3, seed=seed
    ),
    "value": lambda seed: limited(realistic(seed, lines=14, nodes=6, cover=0.5), min_split_value=150_000),
    "complete": lambda seed: limited(realistic(seed, lines=13, nodes=10, cover=0.85), complete=True, max_parcels=4),
    "paying": lambda seed: limited(
        realistic(seed, lines=16, nodes=6, cover=0.5, objective=PAYING), whole_lines=True, max_parcels=3
    ),
    "all at once": lambda seed: limited(
        realistic(seed, lines=16, nodes=8, cover=0.8),
        whole_lines=True,
        max_parcels=4,
        min_split_value=60_000,
        groups=1,
        seed=seed,
    ),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_large_limited_orders_are_close_to_the_optimum(name: str) -> None:
    """The money promise under limits: as much ships as can lawfully ship, at a price near the exact optimum,
    and the bound holds."""
    gaps = []
    for seed in range(3):
        problem = SHAPES[name](seed)
        priced = answer(problem)
        assert broken(problem, 0, priced.plan) is None
        most, value, proven = optimum(problem, nodes=5_000)
        if problem.limits.complete[0] and most < problem.demand_of(0):
            assert priced.filled == 0
            continue
        if problem.objective.fill_always:
            assert priced.filled == most, seed
        assert priced.cost >= proven - 1, seed
        assert cover_bound(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units, priced) <= value + 1
        gaps.append((priced.cost - value) / value)
    assert float(np.mean(gaps)) <= 0.015
    assert max(gaps) <= 0.04


def odd_window(seed: int, orders: int = 1) -> Problem:
    """Large orders with everything at once: substitutes, kits, a dock of two nodes, groups, lone and dated units,
    limits, weight limits, rooms."""
    rng = np.random.default_rng(seed)

    def roll(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    items, nodes = 18, 5
    kits = [Made(((a, roll(1, 2)), (a + 1, 1)), None, None) for a in (0, 3)]
    moved = [Made(((item, 1),), 1, 0) for item in range(6)]
    world = World(
        stock=np.where(rng.random((items, nodes)) < 0.7, rng.integers(1, 9, (items, nodes)), 0).tolist(),
        curves=[parcel_curve(zone) for zone in range(8)],
        rooms=[(roll(1, 9), roll(10, 90)) for _ in range(nodes)],
        source_rooms=[[-1, 1, -1, -1, -1]],
        made=[*kits, *moved],
        objective=Objective(bool(roll(0, 2)), roll(0, 1) * 700, roll(0, 1) * 900, roll(0, 2) * 2500),
        node_rank=rng.permutation(nodes).tolist(),
        distance_m=rng.integers(0, 9, (orders, nodes)).tolist(),
    )
    for order in range(orders):
        wants = []
        for item in rng.permutation(items)[: roll(13, items)].tolist():
            ways = []
            if item < 6 and roll(0, 1):
                ways.append(Want(items + 2 + item, nodes=[0], weight_g=120, more_line=40, more_unit=-5, value=9000))
            if not roll(0, 3):
                ways.append(
                    Want(
                        (item + 7) % items,
                        weight_g=roll(1, 4) * 90,
                        value=8000,
                        same_draw=bool(ways) and not ways[-1].more_line,
                    )
                )
            group = 3 * order + roll(0, 1) if not roll(0, 5) else -1
            wants.append(
                Want(
                    items + roll(0, 1) if not roll(0, 9) else item,
                    roll(1, 6),
                    weight_g=120,
                    value=9000,
                    alone=not roll(0, 12),
                    dated=roll(0, 1),
                    group=group,
                    instead=ways,
                )
            )
        services = [
            Way(n, curve=roll(0, 7), handle_parcel=900, handle_unit=50, max_weight_g=(31_751, 1500)[not roll(0, 3)])
            for n in (0, 2, 3, 4)
            for _ in range(roll(1, 2))
        ]
        for way in services:
            way.bucket, way.late_days = way.node if roll(0, 1) else -1, roll(0, 2)
        world.order(
            wants,
            services,
            roll(0, 1),
            max_parcels=roll(1, 4) if roll(0, 1) else UNLIMITED,
            complete=not roll(0, 5),
            whole_lines=not roll(0, 3),
            min_split_value=roll(0, 3) * 20_000,
        )
    return world.problem()


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_any_large_odd_order_is_served_lawfully(start: int) -> None:
    """Nothing that is on offer breaks a limit, takes a part twice or is priced wrong; more work never fills less."""
    for seed in range(start, start + 20):
        problem = odd_window(seed)
        rooms = problem.bucket_parcels, problem.bucket_units
        priced = cheapest_cover(problem, 0, problem.stock, *rooms)
        assert broken(problem, 0, priced.plan) is None, seed
        assert fits(use_of(problem, 0, priced.plan), problem.stock, *rooms), seed
        assert plan_cost(problem, 0, priced.plan).total == priced.cost
        assert priced.filled == sum(int(shipment.units.sum()) for shipment in priced.plan)
        again = large_plan(problem, 0, Supply.of(problem), Purse(10_000_000), work=1_000_000)
        assert again.filled >= priced.filled or not problem.objective.fill_always


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_large_odd_orders_hold_whatever_the_budget(seed: int) -> None:
    """Every rung of the ladder and every rule answers lawfully."""
    problem = odd_window(seed, orders=3)
    budgets = (Budget(), Budget(work=1), Budget(floor=True))
    for answered in [solve(problem, budget) for budget in budgets]:
        assert check(problem, answered) == []
    for mode in (Mode.SEQUENCE, Mode.NEAREST, Mode.MOST_STOCK):
        assert check(problem, solve(replace(problem, modes=(mode,) * 3))) == []
