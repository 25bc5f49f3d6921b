"""What plans take, added up in one pass, and the linear program that grows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from solvers.alone import plans_alone
from solvers.choose import Budget, solve
from solvers.column import columns_of
from solvers.menu import Supply
from solvers.plan import use_of
from solvers.problem import Objective, Problem
from solvers.purse import Purse
from solvers.resources import contested, free, in_turn, take_all, taken_by, used
from solvers.simplex import Simplex, Sparse
from solvers.solution import Shipment, check
from tests.solvers.worlds import Want, Way, World, random_limited_world, random_world


def sparse(entries: list[tuple[list[int], list[int]]]) -> Sparse:
    """Rows or columns from (places, values) of each."""
    owner = np.repeat(np.arange(len(entries)), [len(places) for places, _ in entries])
    place, value = (np.array([one for entry in entries for one in entry[part]], np.int64) for part in (0, 1))
    return Sparse.of(owner, place, value, len(entries))


def one_at_a_time(problem: Problem, order: int, plan: tuple) -> np.ndarray:
    """int64[resources] that a plan takes, from its `use_of`."""
    use, total = use_of(problem, order, plan), np.zeros(problem.stock.size + 2 * len(problem.bucket_parcels), np.int64)
    for (item, node), units in use.cells.items():
        total[item * problem.nodes + node] += units
    for bucket, boxes in use.parcels.items():
        total[problem.stock.size + bucket] += boxes
    for bucket, units in use.units.items():
        total[problem.stock.size + len(problem.bucket_parcels) + bucket] += units
    return total


@pytest.mark.parametrize("seed", range(40))
def test_a_window_is_added_up_as_its_orders_are(seed: int) -> None:
    """Cells, boxes and units of all plans at once are those of each plan by itself; kits and docks included."""
    problem = random_limited_world(seed) if seed % 2 else random_world(seed, orders=6, lines=3, quantity=3)
    orders = np.arange(problem.orders)
    plans = [one.plan for one in plans_alone(problem, orders, Supply.of(problem), Purse(10**9), work=10**6).plans]
    taken = taken_by(problem, range(problem.orders), plans)
    expected = [one_at_a_time(problem, order, plan) for order, plan in enumerate(plans)]
    assert used(problem, taken).tolist() == np.sum(expected, axis=0).tolist()
    over = np.sum(expected, axis=0) > free(Supply.of(problem))
    assert contested(problem, taken).tolist() == over.tolist()
    for order, alone in enumerate(expected):
        mine = taken.owner == order
        assert dict(zip(taken.resource[mine].tolist(), taken.amount[mine].tolist(), strict=True)) == {
            at: units for at, units in enumerate(alone.tolist()) if units
        }
    fitting = in_turn(taken, Supply.of(problem), problem.orders)
    running, limit = np.zeros(len(expected[0]), np.int64), free(Supply.of(problem))
    for order, alone in enumerate(expected):
        running += alone
        assert fitting[order] == (running <= limit)[alone > 0].all()
    left = Supply.of(problem).copy()
    take_all(problem, taken.only(fitting), left)
    kept = np.sum([alone for alone, fits in zip(expected, fitting.tolist(), strict=True) if fits], axis=0)
    real = np.setdiff1d(np.arange(len(problem.stock)), problem.derived.item)
    cells = (limit - kept)[: problem.stock.size].reshape(problem.stock.shape)
    assert (left.stock[real] == cells[real]).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_program_that_grew_has_the_optimum_of_one_made_at_once(seed: int) -> None:
    """Rows and columns added, bounds and costs changed: value and duals as `linprog` finds them from nothing."""
    rng = np.random.default_rng(seed)
    rows, columns = 6, 14
    matrix = rng.integers(0, 3, (rows, columns)).astype(float)
    cost, high = rng.integers(1, 50, columns).astype(float), rng.integers(1, 9, rows).astype(float)
    # A column of ones with a high cost makes every one of these feasible.
    need = rng.integers(1, 4)
    grown = Simplex()
    grown.add_rows(np.full(1, float(need)), np.full(1, np.inf), Sparse.none(1))
    for first in range(0, columns, 5):
        some = range(first, min(columns, first + 5))
        grown.add_columns(cost[some], sparse([([0], [1]) for _ in some]))
        assert grown.solve() is not None
    inside = [(np.flatnonzero(row).tolist(), row[row > 0].astype(int).tolist()) for row in matrix]
    grown.add_rows(np.full(rows, -np.inf), high, sparse(inside))
    grown.add_columns(np.array([500.0]), sparse([([0], [1])]))
    grown.price(0, cost[0] + 7)
    grown.bound_row(1, -np.inf, high[0] + 1)
    found = grown.solve()
    every = np.vstack([-np.ones(columns), matrix])
    every = np.hstack([every, np.r_[-1.0, np.zeros(rows)][:, None]])
    limit = np.concatenate([[-need], [high[0] + 1], high[1:]])
    right = linprog(np.r_[cost[0] + 7, cost[1:], 500.0], A_ub=every, b_ub=limit, method="highs")
    assert found is not None
    assert found.value == pytest.approx(right.fun)
    # Strong duality, whichever of several dual optima it is.
    assert found.duals[0] * need + found.duals[1:] @ limit[1:] == pytest.approx(right.fun)


def test_a_program_without_a_solution_says_so_and_can_be_mended() -> None:
    """Infeasible is None, never a number; after the bound is changed back it is solved again."""
    grown = Simplex()
    grown.add_rows(np.array([2.0]), np.array([2.0]), Sparse.none(1))
    grown.add_columns(np.array([3.0]), sparse([([0], [1])]))
    grown.bound_column(0, 3.0)
    assert grown.solve() is None
    grown.bound_column(0, 0.0)
    found = grown.solve()
    assert found is not None
    assert (found.value, found.columns.tolist()) == (6.0, [2.0])


def crowd(orders: int, nodes: int, stock: int, quantity: int, price: int) -> Problem:
    """Orders alike for two SKUs, every node at one price."""
    world = World([[stock] * nodes] * 2, objective=Objective(split_parcel=price, unfilled_per_unit=5 * price))
    for _ in range(orders):
        world.order([Want(0, quantity), Want(1, quantity)], [Way(k, ship_parcel=price) for k in range(nodes)])
    return world.problem()


@pytest.mark.parametrize(
    "problem",
    [
        crowd(150, 20, 3, 1, 100),
        crowd(150, 20, 3, 1, 0),
        crowd(60, 1, 30, 1, 100),
        crowd(60, 5, 0, 1, 100),
        crowd(40, 4, 2**31, 2**31 - 1, 100),
        crowd(40, 6, 7, 4, 0),
    ],
    ids=["equal prices", "free", "one node", "nothing there", "as many as can be counted", "free and several"],
)
@pytest.mark.parametrize("work", [1, 2_000_000, 30_000_000])
def test_windows_without_a_best_plan_end_within_their_work(problem: Problem, work: int) -> None:
    """Ties everywhere, one node, no stock, the largest quantities: an answer that holds, fills, and repeats itself."""
    answer, again = solve(problem, Budget(work=work)), solve(problem, Budget(work=work))
    assert check(problem, answer) == []
    assert answer.work <= work + 4_000_000 + 200_000 * problem.orders
    assert (answer.total, answer.bound, answer.work) == (again.total, again.bound, again.work)
    shipped = answer.boxes.take_units.sum()
    wanted = np.zeros(2, np.int64)
    np.add.at(wanted, problem.lines.item, problem.lines.quantity)
    assert shipped == np.minimum(wanted, problem.stock.sum(axis=1)).sum()


def test_plans_of_different_orders_or_contents_have_different_keys() -> None:
    """A plan taken for another would be missing in the master, and with it the optimum."""
    world = World([[3, 3], [3, 3]])
    for _ in range(3):
        world.order([Want(0, 2), Want(1, 2)], [Way(0), Way(1)])
    problem = world.problem()
    orders, plans = [], []
    for order in range(3):
        orders.append(order)
        plans.append((0, ()))
        for option, units in product((2 * order, 2 * order + 1), product(range(3), repeat=2)):
            if any(units):
                orders.append(order)
                plans.append((0, (Shipment(option, np.array(units)),)))
    keys = columns_of(problem, orders, plans, None).key
    assert len(np.unique(keys)) == len(keys) == 3 * 17
