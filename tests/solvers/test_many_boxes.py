"""Orders of thousands of boxes: settled, judged and answered as groups of equal boxes, never refused."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.choose import Budget, solve
from solvers.judge import _first_fit
from solvers.packing import MAX_BOXES, pack
from solvers.problem import UNLIMITED, Objective
from solvers.solution import Shipment, check, settle
from tests.solvers.worlds import Want, Way, World

MOST = 2**31 - 1


@pytest.mark.parametrize("lines", [3, 14])
@pytest.mark.parametrize(("weight", "limit"), [(29_000, 30_000), (2**31, 30_000), (2**31, 2**31), (2**31, UNLIMITED)])
def test_a_window_of_five_absurd_orders_is_answered_and_clean(lines: int, weight: int, limit: int) -> None:
    """Units from 29 kilograms to two thousand tonnes by the billion, any budget: what can be boxed goes."""
    world = World([[2**40] * 2] * lines, rooms=[(MOST, 2**40)] * 2, objective=Objective(unfilled_per_unit=1))
    for _ in range(5):
        wants = [Want(item, MOST, weight, 1000) for item in range(lines)]
        world.order(wants, [Way(k, ship_parcel=100, max_weight_g=limit, bucket=k) for k in range(2)])
    problem = world.problem()
    for budget in (Budget(), Budget(work=1), Budget(floor=True)):
        answer = solve(problem, budget)
        assert check(problem, answer) == []
        if limit < UNLIMITED:
            assert bool(len(answer.boxes.order)) == (weight <= limit)


def test_the_most_boxes_a_shipment_may_have_are_each_a_row() -> None:
    """Ten thousand boxes of one shipment: full ones alike, the last with what is left, the money by box exact."""
    world = World([[MOST], [MOST]], objective=Objective(split_parcel=7))
    problem = world.order([Want(0, 5), Want(1, 4 * MAX_BOXES - 2, 10)], [Way(0, -1, 100, max_weight_g=40)]).problem()
    small = Shipment(0, np.array([0, 4 * MAX_BOXES - 2], np.int64))
    answer = settle(problem, [(small,)], solver="by hand", work=0, bound=None, cut=False)
    assert check(problem, answer) == []
    assert answer.boxes.weight_g.tolist() == [40] * (MAX_BOXES - 1) + [20]
    assert int(answer.costs.shipping[0]) == 100 * MAX_BOXES
    assert int(answer.costs.split[0]) == 7 * (MAX_BOXES - 1)


def test_the_judge_packs_its_own_boxes_as_the_solvers_do() -> None:
    """Two packings that share no code agree unit by unit, goods without weight among them, over 2,000 shipments."""
    rng = np.random.default_rng(1)
    for _ in range(2000):
        lines = int(rng.integers(1, 6))
        weight, units = rng.integers(0, 9, lines).tolist(), rng.integers(1, 30, lines).tolist()
        limit = int(rng.integers(8, 30))
        groups = pack(weight, units, limit)
        assert groups is not None
        packed = [group.units for group in groups for _ in range(group.boxes)]
        judged = [tuple(box.tolist()) for alike, box in _first_fit(weight, units, limit) for _ in range(alike)]
        assert judged == packed
