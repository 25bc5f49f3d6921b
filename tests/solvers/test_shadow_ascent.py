"""Prices by ascent: near those of the LP, whatever the shapes of the orders, and what their users rely on."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.master import FINE
from solvers.menu import Supply
from solvers.problem import Objective, Problem
from solvers.shadow import Outlook
from tests.solvers.worlds import Want, Way, World, random_world


def two_places(near: int, far: int = 1_000) -> Problem:
    """Two kinds of orders for one item: 0 is near node 0 alone, 1 is served as well from both."""
    world = World(stock=[[near, far]], objective=Objective(fill_always=True))
    world.order([Want(0)], [Way(0, ship_parcel=100), Way(1, ship_parcel=900)])
    world.order([Want(0)], [Way(0, ship_parcel=300), Way(1, ship_parcel=310)])
    return world.problem()


def proven(outlook: Outlook, weight: np.ndarray, price: np.ndarray, free: np.ndarray) -> float:
    """What prices prove of the LP: no plan of these orders costs less (Lagrange)."""
    fine = np.rint(price * FINE).astype(np.int64)
    plans = outlook._pricer.best(fine)
    return (float(plans.value @ weight[plans.order]) - float(fine @ free)) / FINE


@pytest.mark.parametrize("seed", range(12))
def test_ascended_prices_nearly_prove_what_the_lp_does(seed: int):
    """Quantities, split lines, capacity and splits: on large stocks their bound is near the value."""
    problem = random_world(seed, orders=8, fill_always=False, quantity=2, lines=3, stock=6)
    rng = np.random.default_rng(seed)
    weight = rng.integers(20, 60, problem.orders).astype(np.float64)
    many = Supply(problem.stock * 20, problem.bucket_parcels * 20, problem.bucket_units * 20)
    exact, ascended = Outlook(problem).prices(weight, many), Outlook(problem).settled(weight, many)
    assert exact.value is not None
    weight[exact.left_out] = 0
    free = np.concatenate([many.stock.ravel(), many.parcels, many.units]).astype(np.float64)
    price = np.concatenate([ascended.stock.ravel(), ascended.room, ascended.room_units])
    bound = proven(Outlook(problem), weight, price, free)
    nothing = proven(Outlook(problem), weight, np.zeros(len(price)), free)
    assert bound <= exact.value * (1 + 1e-6) + 1
    assert exact.value - bound <= 0.25 * (exact.value - nothing) + 0.01 * exact.value


def test_a_unit_is_kept_for_the_order_that_needs_it():
    """The price of near units lies between what either kind loses without them, and says for whom they are kept."""
    found = Outlook(two_places(300)).settled(np.array([300, 400]))
    assert 5 <= found.stock[0, 0] - found.stock[0, 1] <= 800
    kept = {(o, n) for o, n, units in zip(found.keeping.order, found.keeping.node, found.keeping.units, strict=True)}
    assert (0, 0) in kept
    assert found.value is None


def test_plenty_has_no_price():
    """Stock that nobody can exhaust is worth next to nothing, and orders that nothing is there for are left out."""
    found = Outlook(two_places(10_000, 10_000)).settled(np.array([3, 4]))
    assert found.stock.max() < 1
    nothing = Outlook(two_places(0, 0)).settled(np.array([3, 4]))
    assert not nothing.stock.any()
    assert nothing.left_out.tolist() == [0, 1]


def test_runs_repeat():
    """The same kinds and numbers give the same prices to the last digit, however often they are asked for."""
    problem = random_world(5, orders=8, fill_always=True)
    outlook = Outlook(problem)
    one, again, anew = (one.settled(np.arange(8)).stock for one in (outlook, outlook, Outlook(problem)))
    assert (one == again).all()
    assert (one == anew).all()
