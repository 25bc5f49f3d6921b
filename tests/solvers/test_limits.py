"""What each limit means, by hand: one order, the plan that just keeps it and the one that just does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers.choose import solve
from solvers.limits import Broken, broken, limited, value_of
from solvers.problem import InvalidProblemError, Objective, Problem
from solvers.solution import Shipment, check
from tests.solvers.worlds import Want, Way, World, random_limited_world, random_world

LIGHT, HEAVY, OTHER = 0, 1, 2
"""Options of `one_order`: boxes of 300 g from node 0, any weight from node 0, any weight from node 1."""


def one_order(*wants: Want, **limits: int) -> Problem:
    """One order of units of 100 g unless said."""
    world = World([[9, 9]] * 3)
    world.order(list(wants), [Way(0, max_weight_g=300), Way(0), Way(1)], **limits)
    return world.problem()


def verdict(problem: Problem, *plan: tuple[int, list[int]]) -> Broken | None:
    """What a plan of (option, units) breaks."""
    return broken(problem, 0, [Shipment(option, np.array(units, np.int64)) for option, units in plan])


def test_nothing_shipped_keeps_every_limit() -> None:
    """An order may always be refused."""
    problem = one_order(Want(0, group=0), max_parcels=1, complete=True, whole_lines=True, min_split_value=5)
    assert verdict(problem) is None


@pytest.mark.parametrize(
    ("boxes", "plan", "found"),
    [
        (1, [(LIGHT, [3])], None),
        (1, [(LIGHT, [4])], Broken.MAX_PARCELS),  # one shipment, two boxes: the weight forces the second
        (1, [(HEAVY, [4])], None),
        (2, [(LIGHT, [6])], None),
        (2, [(LIGHT, [4]), (OTHER, [1])], Broken.MAX_PARCELS),
        (2, [(LIGHT, [3]), (LIGHT, [3])], None),
    ],
)
def test_max_parcels_counts_boxes(boxes: int, plan: list[tuple[int, list[int]]], found: Broken | None) -> None:
    """Not shipments: what weight forces apart counts as well."""
    assert verdict(one_order(Want(0, 6), max_parcels=boxes), *plan) is found


def test_max_parcels_counts_units_that_go_alone() -> None:
    """Each of them is a box, beside the one of the others."""
    wants = Want(0, 2, alone=True), Want(1, 2)
    assert verdict(one_order(*wants, max_parcels=3), (HEAVY, [2, 2])) is None
    assert verdict(one_order(*wants, max_parcels=2), (HEAVY, [2, 2])) is Broken.MAX_PARCELS
    assert verdict(one_order(*wants, max_parcels=2), (HEAVY, [2, 0])) is None


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        ([(HEAVY, [2, 2, 0])], None),
        ([(HEAVY, [2, 2, 1])], None),
        ([(OTHER, [0, 0, 1])], None),
        ([(HEAVY, [2, 2, 0]), (HEAVY, [0, 0, 1])], None),
        ([(HEAVY, [2, 1, 0])], Broken.GROUP),
        ([(HEAVY, [2, 0, 0])], Broken.GROUP),
        ([(HEAVY, [2, 0, 0]), (HEAVY, [0, 2, 0])], Broken.GROUP),
        ([(HEAVY, [1, 1, 0]), (OTHER, [1, 1, 0])], Broken.GROUP),
        ([(LIGHT, [2, 2, 0])], Broken.GROUP),  # 400 g in boxes of 300 g
    ],
)
def test_a_group_ships_whole_in_one_box_or_not_at_all(plan: list[tuple[int, list[int]]], found: Broken | None) -> None:
    """Every unit of both its lines; other goods may come along where they fit."""
    assert verdict(one_order(Want(0, 2, group=0), Want(1, 2, group=0), Want(2)), *plan) is found


def test_a_shipment_with_a_group_is_a_single_box() -> None:
    """What would not fit beside the group goes in another shipment, by the same option if need be."""
    problem = one_order(Want(0, 2, group=0), Want(1, 2))
    assert verdict(problem, (LIGHT, [2, 1])) is None
    assert verdict(problem, (LIGHT, [2, 2])) is Broken.GROUP
    assert verdict(problem, (LIGHT, [2, 0]), (LIGHT, [0, 2])) is None


def test_two_groups_are_two_promises() -> None:
    """Each ships whole in its own box or in one with the other; neither waits for the other."""
    problem = one_order(Want(0, 2, group=0), Want(1, 2, group=1))
    assert verdict(problem, (HEAVY, [2, 2])) is None
    assert verdict(problem, (LIGHT, [2, 0]), (OTHER, [0, 2])) is None
    assert verdict(problem, (LIGHT, [2, 0])) is None
    assert verdict(problem, (LIGHT, [2, 2])) is Broken.GROUP


def test_a_group_of_units_that_go_alone_ships_only_if_it_is_one_unit() -> None:
    """Two boxes are never one."""
    assert verdict(one_order(Want(0, 1, alone=True, group=0)), (HEAVY, [1])) is None
    assert verdict(one_order(Want(0, 2, alone=True, group=0)), (HEAVY, [2])) is Broken.GROUP


def test_a_grouped_line_may_be_supplied_in_several_ways() -> None:
    """The line counts as whole over its alternatives, so long as they lie in one box."""
    problem = one_order(Want(0, 2, group=0, instead=[Want(1)]), Want(2, group=0))
    assert verdict(problem, (HEAVY, [1, 1, 1])) is None
    assert verdict(problem, (HEAVY, [1, 0, 1])) is Broken.GROUP
    assert verdict(problem, (HEAVY, [1, 0, 1]), (HEAVY, [0, 1, 0])) is Broken.GROUP


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        ([(LIGHT, [4, 0])], None),  # two boxes of one shipment do not split a line
        ([(LIGHT, [4, 0]), (OTHER, [0, 2])], None),
        ([(LIGHT, [2, 0])], None),
        ([(LIGHT, [2, 0]), (OTHER, [2, 0])], Broken.WHOLE_LINES),
        ([(LIGHT, [2, 0]), (LIGHT, [2, 0])], Broken.WHOLE_LINES),
        ([(LIGHT, [2, 1]), (OTHER, [0, 1])], Broken.WHOLE_LINES),
    ],
)
def test_an_unsplit_line_leaves_in_one_shipment(plan: list[tuple[int, list[int]]], found: Broken | None) -> None:
    """Part of it may stay, and weight may force it into several boxes; no second shipment has the rest."""
    assert verdict(one_order(Want(0, 4), Want(1, 2), whole_lines=True), *plan) is found


def test_an_unsplit_line_counts_its_alternatives() -> None:
    """A unit of the SKU here and of its substitute there is a split line."""
    problem = one_order(Want(0, 2, instead=[Want(1)]), whole_lines=True)
    assert verdict(problem, (HEAVY, [1, 1])) is None
    assert verdict(problem, (HEAVY, [1, 0]), (OTHER, [0, 1])) is Broken.WHOLE_LINES


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        ([(HEAVY, [1, 0])], None),  # alone it need not be worth anything
        ([(LIGHT, [4, 0])], None),  # two boxes are not two shipments
        ([(HEAVY, [2, 0]), (OTHER, [0, 1])], None),
        ([(HEAVY, [1, 0]), (OTHER, [0, 1])], Broken.MIN_SPLIT_VALUE),
        ([(HEAVY, [4, 0]), (OTHER, [0, 1]), (OTHER, [0, 1])], None),
    ],
)
def test_only_goods_of_some_value_are_split_off(plan: list[tuple[int, list[int]]], found: Broken | None) -> None:
    """With several shipments each must be worth the trouble; exactly the value is enough."""
    problem = one_order(Want(0, 4, value=50), Want(1, 2, value=100), min_split_value=100)
    assert verdict(problem, *plan) is found


def test_complete_is_every_unit_of_every_line() -> None:
    """In as many shipments as it takes, by whichever alternative."""
    problem = one_order(Want(0, 2, instead=[Want(1)]), Want(2), complete=True)
    assert verdict(problem, (HEAVY, [0, 2, 0]), (OTHER, [0, 0, 1])) is None
    assert verdict(problem, (HEAVY, [1, 1, 1])) is None
    assert verdict(problem, (HEAVY, [1, 0, 1])) is Broken.COMPLETE
    assert verdict(problem, (HEAVY, [1, 1, 0])) is Broken.COMPLETE


def test_alternatives_share_the_quantity() -> None:
    """Two ways to supply a line are not twice the line."""
    problem = one_order(Want(0, 2, instead=[Want(1)]))
    assert verdict(problem, (HEAVY, [1, 0]), (OTHER, [0, 1])) is None
    assert verdict(problem, (HEAVY, [1, 0]), (OTHER, [0, 2])) is Broken.QUANTITY


@pytest.mark.parametrize(
    ("wants", "limits", "found"),
    [
        ([Want(0)], {}, False),
        ([Want(0), Want(0, alone=True, dated=1, value=3)], {}, False),
        ([Want(0), Want(0, group=0)], {}, True),
        ([Want(0, instead=[Want(1)])], {}, True),
        ([Want(0)], {"max_parcels": 9}, True),
        ([Want(0)], {"complete": True}, True),
        ([Want(0)], {"whole_lines": True}, True),
        ([Want(0)], {"min_split_value": 1}, True),
    ],
)
def test_an_order_is_limited_by_what_it_asks_itself(wants: list[Want], limits: dict[str, int], found: bool) -> None:
    """Plain orders must be known as such, for they take the fast way; so must the others, whatever is beside them."""
    world = World([[9]] * 2)
    world.order([Want(0)], [Way(0)])
    world.order(wants, [Way(0)], **limits)
    world.order([Want(1)], [Way(0)])
    assert limited(world.problem()).tolist() == [False, found, False]


def test_plain_windows_are_not_limited() -> None:
    """The windows of most merchants never meet this room."""
    assert not any(limited(random_world(seed, orders=3)).any() for seed in range(20))
    assert any(limited(random_limited_world(seed)).any() for seed in range(20))


def test_values_at_the_edge_are_compared_exactly() -> None:
    """A shipment worth more than 64 bits of mills holds enough, and is not taken for less than nothing."""
    most, dear = 2**31 - 1, 10**15
    world = World(stock=[[most, 1], [0, most]], objective=Objective())
    wants = [Want(0, quantity=most, weight_g=0, value=dear), Want(1, quantity=most, weight_g=0, value=dear)]
    world.order(wants, [Way(0), Way(1)], min_split_value=dear)
    problem = world.problem()
    answer = solve(problem)
    assert check(problem, answer) == []
    assert sum(int(shipment.units.sum()) for shipment in answer.plans[0]) == 2 * most
    assert value_of(problem, 0, np.array([most, most], np.int64)) == 2 * most * dear


@pytest.mark.parametrize(
    ("name", "column"),
    [("more_line", [0, 5]), ("group", [7, 7])],
    ids=["a draw at two prices", "a group of two orders"],
)
def test_rows_that_contradict_each_other_are_no_problem_to_decide(name: str, column: list[int]) -> None:
    """What every method relies on is claimed when the window is built."""
    world = World(stock=[[3]])
    if name == "group":
        world.order([Want(0)], [Way(0)]).order([Want(0)], [Way(0)])
    else:
        world.order([Want(0, instead=[Want(0, same_draw=True)])], [Way(0)])
    problem = world.problem()
    lines = replace(problem.lines, **{name: np.array(column, np.int64)})
    with pytest.raises(InvalidProblemError, match=r"lines\."):
        replace(problem, lines=lines).validate()
