"""Every method that is no exact search keeps every limit: rules, the quick method, local moves, mending."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solvers import brute, choose, rules
from solvers.atoms import cheapest_by_atoms
from solvers.limits import Broken, broken
from solvers.load import is_careful
from solvers.mend import mended
from solvers.menu import Supply
from solvers.plan import Priced, derive, fits, plan_cost, use_of
from solvers.problem import Mode, Problem
from solvers.quick import quick_plan, topped_up
from solvers.solution import Shipment, check
from tests.solvers.worlds import Made, Want, Way, World, random_limited_world

RULES = (Mode.SEQUENCE, Mode.NEAREST, Mode.MOST_STOCK)


def lawful(problem: Problem, order: int, plan: tuple[Shipment, ...], *, unfinished: bool = False) -> None:
    """The plan keeps the order's limits and takes nothing that is not there."""
    assert broken(problem, order, plan) in ((None, Broken.COMPLETE) if unfinished else (None,))
    assert fits(use_of(problem, order, plan), problem.stock, problem.bucket_parcels, problem.bucket_units)


def best(problem: Problem, order: int) -> Priced | None:
    """The referee's plan of one order, None where it will not look."""
    try:
        return brute.best_plan(problem, order, problem.stock, problem.bucket_parcels, problem.bucket_units)
    except brute.TooLargeError:
        return None


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_every_method_is_lawful_and_close_to_the_referee(start: int) -> None:
    """Limits, groups, alternatives, kits and docks: never a broken one, seldom less filled than possible."""
    tried, short = {"quick": 0, "atoms": 0}, {"quick": 0, "atoms": 0}
    for seed in range(start, start + 100):
        problem = replace(random_limited_world(seed), guide=None)
        supply = Supply.of(problem)
        for order in range(problem.orders):
            quick = quick_plan(problem, order, supply)
            atoms = cheapest_by_atoms(problem, order, supply, quick, work=1_000_000)
            plan, _ = topped_up(problem, order, supply, quick.plan)
            lawful(problem, order, plan, unfinished=True)
            right = best(problem, order)
            for name, priced in (("quick", quick), ("atoms", atoms)):
                lawful(problem, order, priced.plan)
                assert priced.cost == plan_cost(problem, order, priced.plan).total
                assert priced.filled == sum(int(shipment.units.sum()) for shipment in priced.plan)
                if right is None:
                    continue
                tried[name] += 1
                if problem.objective.fill_always and priced.filled < right.filled:
                    short[name] += 1
                else:
                    assert priced.cost >= right.cost
    assert short["quick"] <= tried["quick"] * 0.08
    assert short["atoms"] <= tried["atoms"] * 0.04


@pytest.mark.parametrize("mode", RULES)
def test_rules_keep_every_limit(mode: Mode) -> None:
    """The ways other systems route give no excuse to break a limit or to take a part twice."""
    for seed in range(250):
        problem = random_limited_world(seed)
        problem = replace(problem, modes=(mode,) * problem.orders)
        answer = choose.solve(problem)
        assert check(problem, answer) == [], seed
        assert all(broken(problem, order, plan) is None for order, plan in enumerate(answer.plans))


@pytest.mark.parametrize("seed", range(60))
def test_mending_leaves_lawful_plans_alone_and_makes_others_lawful(seed: int) -> None:
    """Whatever shipments are thrown together, what comes back keeps the limits and fits the stock."""
    problem = random_limited_world(seed)
    rng = np.random.default_rng(seed)
    for order in range(problem.orders):
        at, options = problem.lines_of(order), problem.options_of(order)
        good = quick_plan(problem, order, Supply.of(problem)).plan
        assert mended(problem, order, good, Supply.of(problem)) is good
        for _ in range(8 if options.stop > options.start else 0):
            thrown = []
            for option in rng.choice(np.arange(options.start, options.stop), 3).tolist():
                units = rng.integers(0, 3, at.stop - at.start)
                units[~problem.lines.eligible[at][:, problem.options.node[option]]] = 0
                if units.any():
                    thrown.append(Shipment(option, units))
            lawful(problem, order, mended(problem, order, tuple(thrown), Supply.of(problem)))


def test_mending_leaves_no_more_behind_than_it_must() -> None:
    """One shipment too many: the smaller goes; a line in two: it stays where most of it is."""
    world = World([[9, 9], [9, 9]])
    world.order([Want(0, 4), Want(1, 4)], [Way(0), Way(1)], max_parcels=1)
    world.order([Want(0, 4), Want(1, 4)], [Way(0), Way(1)], whole_lines=True)
    problem = world.problem()
    two = tuple(Shipment(option, np.array(units)) for option, units in ((0, [3, 4]), (1, [1, 0])))
    assert [s.option for s in mended(problem, 0, two, Supply.of(problem))] == [0]
    two = tuple(Shipment(option, np.array(units)) for option, units in ((2, [3, 0]), (3, [1, 4])))
    assert [s.units.tolist() for s in mended(problem, 1, two, Supply.of(problem))] == [[3, 0], [0, 4]]


def test_rules_ship_a_line_that_must_not_be_split_from_the_first_node_that_has_all_of_it() -> None:
    """The rule's order counts among nodes with the whole line; where none has it, the first with some ships that."""
    world = World([[1, 5, 9], [1, 2, 0]], node_rank=[0, 1, 2], mode=Mode.SEQUENCE)
    world.order([Want(0, 4), Want(1, 3)], [Way(k) for k in range(3)], whole_lines=True)
    plan = rules.solve(world.problem()).plans[0]
    assert [(s.option, s.units.tolist()) for s in plan] == [(0, [0, 1]), (1, [4, 0])]


def test_rules_give_back_what_an_incomplete_order_had_taken() -> None:
    """The next order finds all of it, parts of kits included."""
    made = [Made(((0, 2),), None, None)]
    world = World([[4, 0], [0, 0]], made=made, mode=Mode.SEQUENCE, node_rank=[0, 1])
    world.order([Want(2, 2), Want(1, 1)], [Way(0)], complete=True).order([Want(2, 2)], [Way(0)])
    plans = rules.solve(world.problem()).plans
    assert [len(plan) for plan in plans] == [0, 1]
    assert plans[1][0].units.tolist() == [2]


def test_only_derived_items_of_a_part_that_moved_are_set_anew() -> None:
    """Taking parts updates exactly what is made of them, as setting everything anew would."""
    for seed in range(40):
        problem = random_limited_world(seed, features=("kits", "docks", "substitutes"))
        if not len(problem.derived.item):
            continue
        stock = problem.stock.copy()
        part = int(problem.derived.part[0])
        stock[part] //= 2
        everything = stock.copy()
        derive(problem, stock, {part})
        derive(problem, everything)
        assert (stock == everything).all()


def test_plain_orders_need_no_care() -> None:
    """The quick way of plain windows is not left without a reason."""
    world = World([[9, 9]]).order([Want(0, 4), Want(0, 2)], [Way(0)]).order([Want(0)], [Way(0)], max_parcels=2)
    assert [is_careful(world.problem(), order) for order in range(2)] == [False, True]
