"""Learned demand: it converges, keeps baskets together, follows change, and repeats by its seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.pricing.demand import Demand
from engine.pricing.kinds import Kind

PAIR = Kind((("A", 1), ("B", 2)), "east")
ALONE = Kind((("C", 1),), "west")


def shares(demand: Demand, horizon: int, futures: int = 20, seed: int = 0) -> Counter[Kind]:
    """Mean part of each kind in sampled futures."""
    rng, found = np.random.default_rng(seed), Counter()
    for _ in range(futures):
        future = demand.sample(horizon, rng)
        for kind, count in zip(future.kinds, future.orders.tolist(), strict=True):
            found[kind] += count / horizon / futures
    return found


def test_learning_converges_to_the_true_rates():
    """After enough orders futures hold each kind as often as it comes."""
    rng, demand = np.random.default_rng(1), Demand()
    for pair in (rng.random(5_000) < 0.3).tolist():
        demand.observe(PAIR if pair else ALONE)
    found = shares(demand, 2_000)
    assert found[PAIR] == pytest.approx(0.3, abs=0.02)
    assert found[ALONE] == pytest.approx(0.7, abs=0.02)


def test_baskets_stay_together():
    """What was never bought apart is never sampled apart, wherever it is sent."""
    demand = Demand()
    for _ in range(50):
        demand.observe(PAIR)
        demand.observe(ALONE)
    assert {kind.basket for kind in shares(demand, 500)} == {PAIR.basket, ALONE.basket}


def test_a_kind_never_seen_comes_about_by_its_parts():
    """An item bought a few times in one zone is expected, if less often, in the others as well."""
    demand = Demand(pooling=10)
    for _ in range(10):
        demand.observe(PAIR)
    for _ in range(90):
        demand.observe(ALONE)
    found = shares(demand, 2_000)
    strange = found[Kind(PAIR.basket, "west")]
    assert 0.02 < strange < found[PAIR]


def test_a_forecast_counts_as_orders_and_is_outweighed_by_them():
    """With no order seen the forecast is all there is; a wrong one fades as orders come."""
    demand = Demand()
    demand.expect([(PAIR, 9.0), (ALONE, 1.0)], worth=300)
    assert shares(demand, 2_000)[ALONE] < 0.2
    for _ in range(2_700):
        demand.observe(ALONE)
    assert shares(demand, 2_000)[ALONE] > 0.85


def test_a_forecast_takes_the_place_of_the_one_before():
    """What is forecast anew does not add up, what is taken back is gone, and orders seen stay."""
    demand = Demand(half_life=500)
    demand.observe(ALONE)
    demand.expect([(PAIR, 1.0)])
    demand.expect([(ALONE, 2.0), (ALONE, 1.0)], worth=200)
    assert (demand.foreseen, demand.seen) == (pytest.approx(200), pytest.approx(201))
    assert PAIR.basket not in {kind.basket for kind in shares(demand, 500)}
    for _ in range(500):
        demand.observe(PAIR)
    assert demand.foreseen == pytest.approx(100)
    demand.expect([])
    assert demand.foreseen == 0
    assert demand.seen > 300


def test_the_lightest_of_too_many_kinds_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    """What is known stays small: kinds that came most stay, with what is foreseen of them or of others, and no more."""
    monkeypatch.setattr("engine.pricing.demand.KINDS_MAX", 2)
    demand = Demand()
    often, seldom = (Kind(((sku, 1),), sku) for sku in ("often", "seldom"))
    for kind in (seldom, often, often, ALONE, ALONE):
        assert not demand.observe(kind)
    demand.expect([(PAIR, 3.0), (often, 1.0)], worth=40)
    assert not demand.observe(Kind((("once", 1),), "once"))
    assert demand.observe(Kind((("twice", 1),), "twice"))
    assert demand.zones() == {kind.zone for kind in (PAIR, often, ALONE)}
    assert (demand.seen, demand.foreseen) == (pytest.approx(44), pytest.approx(40))
    assert shares(demand, 1_000)[often] > shares(demand, 1_000)[ALONE]


def test_old_orders_fade_by_the_half_life():
    """After a change of the mix, one half-life of orders later the new kind has half the weight."""
    demand = Demand(half_life=500)
    for _ in range(20_000):
        demand.observe(PAIR)
    for _ in range(500):
        demand.observe(ALONE)
    assert shares(demand, 4_000)[ALONE] == pytest.approx(0.5, abs=0.05)
    assert demand.seen == pytest.approx(500 / np.log(2), rel=0.01)


def test_the_expected_orders_are_the_mean_of_the_futures():
    """Who prices the mean and who samples futures see the same demand."""
    demand = Demand(pooling=20)
    for at in range(200):
        demand.observe((PAIR, ALONE, Kind((("A", 1),), "west"))[at % 3])
    found = shares(demand, 2_000, futures=60)
    for kind, orders in demand.expected(1.0):
        assert found[kind] == pytest.approx(orders, abs=0.02)


def test_the_same_seed_gives_the_same_future():
    """A priced window can be replayed: nothing but the generator decides what is sampled."""
    demand = Demand()
    for at in range(100):
        demand.observe(Kind((("A", 1), (f"S{at % 7}", 1)), at % 3))
    one, two = (demand.sample(300, np.random.default_rng(5)) for _ in range(2))
    assert one.kinds == two.kinds
    assert (one.orders == two.orders).all()


def test_nothing_seen_nothing_comes():
    """Without orders and forecast there is no future to price."""
    assert Demand().sample(100, np.random.default_rng(0)).kinds == ()


def test_baskets_that_never_come_twice_are_put_together_anew() -> None:
    """Where every basket is another one, those to come are others too, of what sells; where they repeat, they stay."""
    rng = np.random.default_rng(3)
    several, repeated = Demand(), Demand()
    seen = set()
    for order in range(200):
        one, other = rng.choice(40, 2, replace=False).tolist()
        basket = tuple(sorted(((f"S{one:02}", 1), (f"S{other:02}", 2))))
        seen.add(basket)
        several.observe(Kind(basket, "zone"))
        repeated.observe(Kind((("A", 1), (f"B{order % 5}", 1)), "zone"))
    future = several.sample(500, rng)
    assert sum(kind.basket not in seen for kind in future.kinds) > 0.3 * len(future.kinds)
    assert {sku for kind in future.kinds for sku, _ in kind.basket} <= {f"S{at:02}" for at in range(40)}
    assert len(set(future.kinds)) == len(future.kinds)
    assert {kind.basket for kind in repeated.sample(500, rng).kinds} == {(("A", 1), (f"B{k}", 1)) for k in range(5)}
