"""The judge: an honest solution holds, and every kind of corruption is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from solvers import choose
from solvers.problem import Objective, Problem
from solvers.solution import Shipment, Solution, check, settle
from tests.solvers.worlds import Want, Way, World, random_world


def window() -> Problem:
    """Two orders; the first needs three boxes of its only service and both nodes, the second ships one unit late."""
    world = World(
        [[5, 2], [1, 1]],
        curves=[[(100, 500), (300, 900)]],
        rooms=[(9, 9)],
        objective=Objective(split_parcel=70, late_per_day=11, unfilled_per_unit=1000),
    )
    world.order(
        [Want(0, 5, 100), Want(1, 1, 50, nodes=[1])],
        [Way(0, curve=0, max_weight_g=200, handle_parcel=5, bucket=0), Way(1, curve=0, handle_unit=3)],
    )
    world.order([Want(1, 2, 10)], [Way(0, ship_parcel=400, late_days=2)])
    return world.problem()


def plans() -> list[list[Shipment]]:
    """A feasible plan of both orders of `window`."""
    one = [Shipment(0, np.array([5, 0])), Shipment(1, np.array([0, 1]))]
    return [one, [Shipment(2, np.array([1]))]]


def honest() -> Solution:
    """`plans` settled."""
    return settle(window(), plans(), solver="hand", work=0, bound=None, cut=False)


def test_an_honest_solution_holds_and_costs_what_the_contract_says() -> None:
    """The judge and the settlement are separate code: both must agree with the sum done by hand."""
    solution = honest()
    assert check(window(), solution) == []
    # Order 0: boxes of 2, 2, 1 units at 900, 900, 500, handling 3 x 5, and one parcel of 500 + 3; split 3 x 70.
    assert solution.costs.shipping.tolist() == [2800, 400]
    assert solution.costs.handling.tolist() == [18, 0]
    assert solution.costs.split.tolist() == [210, 0]
    # Order 1: 2 days x 11 late, one unit of two left at 1000.
    assert solution.costs.late.tolist() == [0, 22]
    assert solution.costs.unfilled.tolist() == [0, 1000]
    assert solution.total == 2800 + 18 + 210 + 400 + 22 + 1000


def bump(part: str, name: str) -> Callable[[Solution], Solution]:
    """A corruption: one more in the first entry of an array."""

    def corrupt(solution: Solution) -> Solution:
        table = getattr(solution, part)
        values = getattr(table, name).copy()
        values[0] += 1
        return replace(solution, **{part: replace(table, **{name: values})})

    return corrupt


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("weight_g", "box_weight"),
        ("shipping", "box_shipping"),
        ("handling", "box_handling"),
        ("take_units", "packing"),
        ("take_line", "packing"),
        ("order", "packing"),
        ("option", "packing"),
        ("take_start", "shape"),
    ],
)
def test_a_changed_box_is_caught(name: str, rule: str) -> None:
    """No array of the parcels can be wrong without being named."""
    assert rule in {violation.rule for violation in check(window(), bump("boxes", name)(honest()))}


@pytest.mark.parametrize("name", ["shipping", "handling", "split", "late", "unfilled", "total"])
def test_a_changed_cost_is_caught(name: str) -> None:
    """Every term of every order's cost is recomputed."""
    assert f"cost_{name}" in {violation.rule for violation in check(window(), bump("costs", name)(honest()))}


def test_a_bound_above_the_total_is_caught() -> None:
    """A bound that the solution itself undercuts proves nothing."""
    solution = honest()
    assert [v.rule for v in check(window(), replace(solution, bound=solution.total + 1))] == ["bound"]


@pytest.mark.parametrize(
    ("order", "shipment", "rule"),
    [
        (0, Shipment(2, np.array([1, 0])), "ownership"),
        (0, Shipment(1, np.array([1])), "shape"),
        (0, Shipment(1, np.array([-1, 0])), "units"),
        (0, Shipment(1, np.array([0, 0])), "units"),
        (0, Shipment(1, np.array([6, 0])), "quantity"),
        (0, Shipment(0, np.array([0, 1])), "eligibility"),
        (0, Shipment(1, np.array([3, 0])), "stock"),
        (1, Shipment(2, np.array([2])), "stock"),
    ],
)
def test_a_wrong_shipment_is_caught(order: int, shipment: Shipment, rule: str) -> None:
    """Ownership, shape, signs, quantity, eligibility and stock, each by its name."""
    changed = [plan if at != order else [shipment] for at, plan in enumerate(plans())]
    solution = replace(honest(), plans=tuple(tuple(plan) for plan in changed))
    assert rule in {violation.rule for violation in check(window(), solution)}


def test_a_missing_plan_is_caught() -> None:
    """One plan per order, or nothing else is worth reading."""
    assert [v.rule for v in check(window(), replace(honest(), plans=honest().plans[:1]))] == ["shape"]


@pytest.mark.parametrize(("room", "rule"), [((2, 9), "capacity_parcels"), ((9, 4), "capacity_units")])
def test_a_full_bucket_is_caught(room: tuple[int, int], rule: str) -> None:
    """Boxes and units are both counted: order 0 takes 3 boxes and 5 units of bucket 0."""
    problem = replace(window(), bucket_parcels=np.array(room[:1]), bucket_units=np.array(room[1:]))
    assert [v.rule for v in check(problem, honest())] == [rule]


def test_a_box_over_the_limit_and_one_nobody_carries_are_caught() -> None:
    """The box limit and the last break of the curve hold for every physical box."""
    problem = window()
    lighter = replace(problem, options=replace(problem.options, max_weight_g=np.array([150, 2**62, 2**62])))
    assert "box_limit" in {v.rule for v in check(lighter, honest())}
    curves = replace(problem.curves, up_to_g=np.array([[100, 150]]))
    assert "carrier" in {v.rule for v in check(replace(problem, curves=curves), honest())}


def test_what_the_solvers_answer_always_holds() -> None:
    """The judge runs on every production window and must find nothing there."""
    for seed in range(150):
        problem = random_world(seed, orders=4, nodes=3, priorities=2)
        assert check(problem, choose.solve(problem)) == [], seed
