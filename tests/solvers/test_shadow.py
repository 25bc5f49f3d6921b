"""Shadow prices against an LP over every plan there is, and what their users rely on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from solvers.brute import TooLargeError, every_plan
from solvers.menu import Supply
from solvers.plan import use_of
from solvers.problem import Objective, Problem
from solvers.shadow import Outlook, shadow_prices
from solvers.shadow_lp import Pool, Relaxed
from tests.solvers.worlds import Want, Way, World, random_world


class Whole:
    """The LP over every plan of every order, built the plain way: `value`, and the plans with what they take."""

    def __init__(self, problem: Problem, weight: np.ndarray, left_out: set[int]) -> None:
        items, nodes = problem.stock.shape
        buckets = len(problem.bucket_parcels)
        free = np.concatenate([problem.stock.ravel(), problem.bucket_parcels, problem.bucket_units])
        self.plans = []
        for order in set(range(problem.orders)) - left_out:
            for plan in every_plan(problem, order, problem.stock, problem.bucket_parcels, problem.bucket_units):
                use, takes = use_of(problem, order, plan.plan), np.zeros(len(free))
                for (item, node), units in use.cells.items():
                    takes[item * nodes + node] += units
                for bucket, boxes in use.parcels.items():
                    takes[items * nodes + bucket] += boxes
                for bucket, units in use.units.items():
                    takes[items * nodes + buckets + bucket] += units
                self.plans.append((order, plan.cost, takes))
        self.value, self.weight, self.free = 0.0, weight, free
        if not self.plans:
            return
        cost = [cost for _, cost, _ in self.plans]
        rows = np.array([[order == one for order, _, _ in self.plans] for one in range(problem.orders)], float)
        kept = rows.any(axis=1)
        taken = np.array([takes for _, _, takes in self.plans]).T
        found = linprog(cost, A_eq=rows[kept], b_eq=weight[kept], A_ub=taken, b_ub=free)
        assert found.status == 0
        self.value = found.fun

    def bound_at(self, price: np.ndarray) -> float:
        """What the prices prove, with every plan looked at."""
        best: dict[int, float] = {}
        for order, cost, takes in self.plans:
            best[order] = min(best.get(order, np.inf), cost + takes @ price)
        return sum(self.weight[order] * value for order, value in best.items()) - self.free @ price


@pytest.mark.parametrize("seed", range(40))
def test_prices_are_the_duals_of_the_lp_over_every_plan(seed: int):
    """Weights, quantities, capacity, lateness, splits: the value is the LP's, and the prices prove it."""
    rng = np.random.default_rng(seed)
    problem = random_world(seed, orders=5, fill_always=False, quantity=2, lines=2)
    weight = rng.integers(0, 4, problem.orders)
    found = shadow_prices(problem, weight)
    try:
        whole = Whole(problem, weight, set(found.left_out.tolist()))
    except TooLargeError:
        pytest.skip("more plans than the referee looks at")
    assert found.value == pytest.approx(whole.value, abs=1 + 2e-5 * abs(whole.value))
    price = np.concatenate([found.stock.ravel(), found.room, found.room_units])
    assert (price >= 0).all()
    assert whole.bound_at(price) == pytest.approx(whole.value, abs=1 + 2e-5 * abs(whole.value))
    assert found.bound <= whole.value + 1


@pytest.mark.parametrize("seed", range(12))
def test_loose_plans_only_lower_the_bound(seed: int):
    """Protects floors and sheets from loose plans: their bound holds for plans that are possible by themselves."""
    problem = random_world(seed, orders=5, fill_always=False, quantity=2, lines=2)
    weight = np.random.default_rng(seed).integers(0, 4, problem.orders)
    strict, loose = (Outlook(problem, loose=loose).prices(weight) for loose in (False, True))
    assert strict.value is not None
    assert loose.bound <= strict.value + 1


def two_places(near: int) -> Problem:
    """Two kinds of orders for one item: 0 is near node 0 alone, 1 is served as well from both."""
    world = World(stock=[[near, 10]], objective=Objective(fill_always=True))
    world.order([Want(0)], [Way(0, ship_parcel=100), Way(1, ship_parcel=900)])
    world.order([Want(0)], [Way(0, ship_parcel=300), Way(1, ship_parcel=310)])
    return world.problem()


def test_a_unit_is_kept_for_the_order_that_needs_it():
    """The price of the last near unit is what the order with a good alternative loses by leaving it, and says for whom
    it is kept.
    """
    found = shadow_prices(two_places(3), np.array([3, 4]))
    assert 10 <= found.stock[0, 0] <= 800
    assert found.stock[0, 1] == 0
    kept = found.keeping
    assert {(o, i, n, u) for o, i, n, u in zip(*map(np.ndarray.tolist, kept), strict=True)} == {(0, 0, 0, 3.0)}


def test_plenty_has_no_price():
    """Stock that nobody can exhaust is worth nothing to keep, whatever the orders."""
    found = shadow_prices(two_places(10), np.array([3, 4]))
    assert not found.stock.any()
    assert found.value == found.bound == 3 * 100 + 4 * 300


def test_an_outlook_solved_again_answers_as_a_new_one():
    """Columns that are kept change nothing but the time it takes."""
    problem = random_world(3, orders=5, fill_always=False, stock=6)
    outlook = Outlook(problem)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        supply = Supply(rng.integers(0, 1 + problem.stock), problem.bucket_parcels, problem.bucket_units)
        weight = rng.integers(0, 5, problem.orders)
        again, anew = outlook.prices(weight, supply), Outlook(problem).prices(weight, supply)
        assert again.value == pytest.approx(anew.value, abs=1 + 2e-5 * anew.value)


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_an_lp_that_ends_badly_leaves_what_was_found(monkeypatch: pytest.MonkeyPatch, rounds: int):
    """Prices of the last programme that ended well stand, with a bound below the value, whatever columns came after."""
    problem, solves = random_world(3, orders=8, fill_always=False, quantity=2, lines=3), [0]
    relax = Pool.relax

    def fails(self: Pool, *arguments: np.ndarray) -> Relaxed | None:
        solves[0] += 1
        return relax(self, *arguments) if solves[0] <= rounds else None

    monkeypatch.setattr(Pool, "relax", fails)
    found = shadow_prices(problem, np.ones(problem.orders))
    assert solves[0] == rounds + 1, "the programme that failed was the last"
    assert (found.value is None) == (rounds == 0)
    assert found.value is None or found.bound <= found.value
    assert (found.stock >= 0).all()


def test_runs_repeat():
    """The same problem and weights give the same prices to the last digit."""
    problem = random_world(5, orders=8, fill_always=True)
    one, two = (shadow_prices(problem, np.arange(8)) for _ in range(2))
    assert (one.stock == two.stock).all()
    assert one.value == two.value


def test_weights_must_be_counts():
    """A weight for each order, and none below nothing."""
    problem = replace(two_places(3))
    for weight in (np.array([1]), np.array([1, -1])):
        with pytest.raises(ValueError, match="weight"):
            shadow_prices(problem, weight)
