"""The judge on limits, groups, alternatives, kits, docks and backorders: what holds, and every way to break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from solvers import brute
from solvers.limits import broken
from solvers.plan import fits, use_of
from solvers.problem import Objective, Problem
from solvers.solution import Shipment, Solution, check, settle
from solvers.tariff import shipment_cost
from tests.solvers.worlds import Made, Want, Way, World, random_limited_world

LIMIT_RULES = {"quantity", "group", "split_lines", "min_split_value", "max_parcels", "ship_complete"}


def decided(problem: Problem, *plans: list[tuple[int, list[int]]]) -> Solution:
    """One plan per order, of (option, units), settled."""
    shipments = [[Shipment(option, np.array(units, np.int64)) for option, units in plan] for plan in plans]
    return settle(problem, shipments, solver="hand", work=0, bound=None, cut=False)


def rules(problem: Problem, *plans: list[tuple[int, list[int]]]) -> list[str]:
    """The rules that the settled plans break."""
    return [violation.rule for violation in check(problem, decided(problem, *plans))]


def pair(wants: list[Want], **limits: int) -> Problem:
    """One order over two well stocked nodes; option 0 carries 300 g a box, option 1 anything."""
    world = World([[9, 9], [9, 9], [9, 9]])
    world.order(wants, [Way(0, ship_parcel=100, max_weight_g=300), Way(1, ship_parcel=100)], **limits)
    return world.problem()


@pytest.mark.parametrize(
    ("wants", "limits", "good", "bad", "rule"),
    [
        ([Want(0, 4)], {"max_parcels": 1}, [(1, [4])], [(0, [4])], "max_parcels"),
        ([Want(0, 4)], {"max_parcels": 1}, [(0, [3])], [(0, [1]), (1, [1])], "max_parcels"),
        ([Want(0), Want(1)], {"complete": True}, [(0, [1, 0]), (1, [0, 1])], [(1, [1, 0])], "ship_complete"),
        ([Want(0, 2)], {"whole_lines": True}, [(0, [2])], [(0, [1]), (1, [1])], "split_lines"),
        ([Want(0, 4)], {"whole_lines": True}, [(0, [4])], [(0, [2]), (0, [2])], "split_lines"),
        (
            [Want(0, 2, value=5), Want(1, value=9)],
            {"min_split_value": 9},
            [(0, [2, 0]), (1, [0, 1])],
            [(0, [1, 0]), (1, [0, 1])],
            "min_split_value",
        ),
        ([Want(0, group=0), Want(1, group=0)], {}, [(0, [1, 1])], [(0, [1, 0]), (1, [0, 1])], "group"),
        ([Want(0, group=0), Want(1, group=0)], {}, [], [(0, [1, 0])], "group"),
        ([Want(0, 2, group=0), Want(1)], {}, [(0, [2, 0])], [(0, [1, 1])], "group"),
        ([Want(0, 4, group=0)], {}, [(1, [4])], [(0, [4])], "group"),
        ([Want(0, 2, instead=[Want(1)])], {}, [(1, [1, 1])], [(1, [2, 1])], "quantity"),
        ([Want(0, 2, instead=[Want(1)])], {"complete": True}, [(1, [1, 1])], [(1, [1, 0])], "ship_complete"),
        (
            [Want(0, 2, instead=[Want(1)])],
            {"whole_lines": True},
            [(1, [1, 1])],
            [(0, [1, 0]), (1, [0, 1])],
            "split_lines",
        ),
    ],
)
def test_a_broken_limit_is_caught(
    wants: list[Want],
    limits: dict[str, int],
    good: list[tuple[int, list[int]]],
    bad: list[tuple[int, list[int]]],
    rule: str,
) -> None:
    """Each limit by its name, beside a plan that keeps it; a limit is the order's own and counts all rows of a line."""
    problem = pair(wants, **limits)
    assert rules(problem, good) == []
    assert set(rules(problem, bad)) == {rule}


def dock() -> Problem:
    """A dock of nodes 0 and 1; parcels leave from 0. Item 1 is a kit of 2 x item 0; items 2, 3 are 0, 1 from node 1.

    The order wants 2 of item 0 and 1 kit, from either node of the dock; units count at the node they are drawn from.
    """
    made = [Made([(0, 2)]), Made([(0, 1)], source=1, node=0), Made([(0, 2)], source=1, node=0)]
    world = World(
        [[3, 4]],
        made=made,
        rooms=[(9, 9), (0, 9)],
        source_rooms=[[-1, 1]],
        objective=Objective(unfilled_per_unit=1000),
    )
    from_member = {"nodes": [0], "more_line": 7, "more_unit": -3}
    world.order(
        [Want(0, 2, instead=[Want(2, **from_member)]), Want(1, 1, instead=[Want(3, **from_member)])],
        [Way(0, ship_parcel=500, ship_line=10, handle_parcel=90, handle_line=20, handle_unit=5, bucket=0)],
    )
    return world.problem()


def test_a_parcel_of_a_dock_pays_each_node_for_its_own_draws() -> None:
    """Two lines to the carrier, three draws to the packers: line costs by draw, unit costs by the node drawn from."""
    solution = decided(dock(), [(0, [1, 1, 0, 1])])
    assert check(dock(), solution) == []
    assert solution.costs.shipping.tolist() == [500 + 2 * 10]
    assert solution.costs.handling.tolist() == [90 + 3 * 20 + 2 * 7 + 3 * 5 - 2 * 3]


@pytest.mark.parametrize(
    ("units", "broken_rules"),
    [
        ([2, 0, 0, 1], []),
        ([1, 1, 1, 0], []),
        ([2, 0, 1, 0], ["stock"]),
        ([0, 2, 0, 1], []),
    ],
)
def test_parts_are_counted_where_they_are_drawn(units: list[int], broken_rules: list[str]) -> None:
    """A kit and its component take from one cell, whatever item they are sold as."""
    assert rules(dock(), [(0, units)]) == broken_rules


def test_units_drawn_elsewhere_count_in_the_room_of_that_node() -> None:
    """Unit capacity is each stock node's; box capacity is the first node's."""
    problem = replace(dock(), bucket_units=np.array([1, 2]))
    assert rules(problem, [(0, [1, 1, 0, 1])]) == []
    assert rules(problem, [(0, [2, 0, 0, 1])]) == ["capacity_units"]
    assert rules(replace(dock(), bucket_units=np.array([1, 1])), [(0, [1, 1, 0, 1])]) == ["capacity_units"]


def test_units_with_a_date_are_not_charged() -> None:
    """Of three units missing two may wait: one is unfilled; a date for more than is missing counts for nothing."""
    world = World([[9], [9]], objective=Objective(unfilled_per_unit=1000))
    world.order([Want(0, 4, dated=2), Want(1, 1, dated=1)], [Way(0)])
    problem = world.problem()
    solution = decided(problem, [(0, [1, 1])])
    assert solution.costs.unfilled.tolist() == [1000]
    assert check(problem, solution) == []
    strict = replace(problem, lines=replace(problem.lines, dated=np.zeros(2, np.int64)))
    assert {violation.rule for violation in check(strict, solution)} == {"cost_unfilled", "cost_total"}


def alone() -> Problem:
    """A line whose units each go alone, between two that share a box of 200 g."""
    world = World([[9], [9], [9]])
    wants = [Want(0, 2, 100), Want(1, 2, 150, alone=True), Want(2, 2, 60)]
    world.order(wants, [Way(0, ship_parcel=100, max_weight_g=200)])
    return world.problem()


def test_units_that_ship_alone_have_boxes_of_their_own() -> None:
    """First the boxes of the others, first-fit, then one for each unit; a unit put in with others is caught."""
    solution = decided(alone(), [(0, [2, 2, 2])])
    assert check(alone(), solution) == []
    assert solution.boxes.weight_g.tolist() == [200, 120, 150, 150]
    together = replace(alone(), lines=replace(alone().lines, alone=np.zeros(3, np.bool_)))
    assert "packing" in {violation.rule for violation in check(alone(), decided(together, [(0, [2, 2, 2])]))}
    assert "packing" in {violation.rule for violation in check(together, solution)}


def altered(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Problem:
    """`dock` with one column of its lines changed."""
    problem = dock()
    return replace(problem, lines=replace(problem.lines, **{name: change(getattr(problem.lines, name))}))


@pytest.mark.parametrize(
    ("name", "change", "rule"),
    [
        ("more_line", lambda column: column + 1, "box_handling"),
        ("more_unit", lambda column: column + 1, "box_handling"),
        ("draw", lambda column: (column + 1) // 2, "box_handling"),
        ("line", lambda column: np.arange(len(column)), "box_shipping"),
    ],
)
def test_a_price_that_counts_lines_or_draws_wrongly_is_caught(
    name: str, change: Callable[[np.ndarray], np.ndarray], rule: str
) -> None:
    """What was priced under another reading of lines, draws or surcharges does not pass."""
    solution = decided(altered(name, change), [(0, [1, 1, 0, 1])])
    assert rule in {violation.rule for violation in check(dock(), solution)}


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_the_judge_agrees_with_the_settlement_on_every_lawful_plan(start: int) -> None:
    """Two codes, one contract: whatever keeps the limits and fits is without fault, each cost and box included."""
    for seed in range(start, start + 100):
        problem, dice = random_limited_world(seed), np.random.default_rng(seed)
        free = (problem.stock, problem.bucket_parcels, problem.bucket_units)
        order = int(dice.integers(problem.orders))
        lawful = brute.every_plan(problem, order, *free)
        for priced in [lawful[at] for at in dice.integers(len(lawful), size=6).tolist()]:
            plans = [priced.plan if at == order else () for at in range(problem.orders)]
            goal = -(-brute.key_of(problem, plans)[-1] // 1000)
            solution = settle(problem, plans, solver="", work=0, bound=None, cut=False, guided_total=goal)
            assert check(problem, solution) == [], seed
            assert int(solution.costs.total[order]) == priced.cost, seed


def test_a_guided_total_that_is_not_what_the_guide_weighs_is_caught() -> None:
    """What the choice went by is told to within the rounding of a box, so that bound and gap mean something."""
    problem = random_limited_world(5, features={"guide"}, fill_always=True)
    best = brute.solve(problem)
    assert (check(problem, best), best.gap) == ([], 0)
    assert best.guided_total != best.total
    wrong = check(problem, replace(best, guided_total=best.guided_total + 100))
    assert [violation.rule for violation in wrong] == ["guided_total"]


def any_plan(problem: Problem, order: int, dice: np.random.Generator) -> tuple[Shipment, ...]:
    """Shipments that their options carry, and nothing else asked of them."""
    options, lines = problem.options_of(order), problem.lines_of(order)
    found = []
    for option in dice.integers(options.start, options.stop, size=dice.integers(1, 4)).tolist():
        units = dice.integers(0, 3, size=lines.stop - lines.start)
        if units.any() and shipment_cost(problem, option, units) is not None:
            found.append(Shipment(option, units))
    return tuple(found)


@pytest.mark.parametrize("start", range(0, 800, 200))
def test_the_judge_and_the_builders_mean_the_same_by_every_limit(start: int) -> None:
    """`limits.broken` and `fits` guide whoever builds plans; the judge finds a fault exactly where they do."""
    for seed in range(start, start + 200):
        problem, dice = random_limited_world(seed), np.random.default_rng(seed)
        room = (problem.stock, problem.bucket_parcels, problem.bucket_units)
        for order in range(problem.orders):
            if problem.options_of(order).start == problem.options_of(order).stop:
                continue
            for _ in range(4):
                plan = any_plan(problem, order, dice)
                plans = [plan if at == order else () for at in range(problem.orders)]
                solution = settle(problem, plans, solver="any", work=0, bound=None, cut=False)
                found = {violation.rule for violation in check(problem, solution)} - {"eligibility"}
                first = broken(problem, order, plan)
                assert (first is not None) == bool(found & LIMIT_RULES), seed
                assert first is None or first.value in found, seed
                taken = fits(use_of(problem, order, plan), *room)
                assert taken == (not found & {"stock", "capacity_units", "capacity_parcels"}), seed
