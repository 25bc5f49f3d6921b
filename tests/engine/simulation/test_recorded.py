"""Recorded orders: written down by instant, read again as they were, more or fewer of them."""

from __future__ import annotations

import pytest

from engine.errors import InvalidInputError
from engine.simulation.recorded import Recorded, spooled
from tests.engine.simulation.worlds import order


def test_orders_are_read_by_instant_whatever_sequence_they_came_in(tmp_path):
    """A file sorted by id, or by nothing, is simulated in time."""
    orders = [order(str(k), at) for k, at in enumerate([30, 10, 20, 10])]
    spool = spooled(orders, tmp_path / "orders", 10)
    read = list(Recorded(spool.path).orders())
    assert read == [orders[1], orders[3], orders[2], orders[0]]
    assert (spool.orders, spool.last_ms - spool.first_ms) == (4, 20_000)
    assert [each.name for each in tmp_path.iterdir()] == ["orders"]


def test_a_sorted_demand_is_left_as_it_came(tmp_path):
    """Nothing is lost or changed but holds of minutes, of which nobody knows what became."""
    spool = spooled([order("1", 0, hold_seconds=60), order("2", 1)], tmp_path / "orders", 10)
    assert list(Recorded(spool.path).orders()) == [order("1", 0), order("2", 1)]


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([order("1", 0), order("2", 1), order("1", 2)], "order 3: the same order_id as order 1"),
        ([order(str(k), k) for k in range(5)], "order 5: more than 4 orders"),
    ],
)
def test_what_cannot_be_simulated_is_told_with_its_place(tmp_path, orders, reason):
    """The same order twice, and more than there may be, are found before anything runs."""
    with pytest.raises(InvalidInputError, match=reason):
        spooled(orders, tmp_path / "orders", 4)


def test_more_and_less_of_a_recorded_demand_are_the_same_in_every_run(tmp_path):
    """x 0.5 are some of the orders and x 2.5 all of them twice and some thrice, by id alone."""
    orders = [order(f"O-{k}", k) for k in range(400)]
    recorded = Recorded(spooled(orders, tmp_path / "orders", 400).path)
    half, more = (list(recorded.orders(factor)) for factor in (0.5, 2.5))
    assert {each.order_id for each in half} <= {each.order_id for each in orders}
    assert len(half) / 400 == pytest.approx(0.5, abs=0.1)
    assert {each.order_id for each in orders} <= {each.order_id for each in more}
    assert len({each.order_id for each in more}) == len(more)
    assert len(more) / 400 == pytest.approx(2.5, abs=0.1)
    assert half == list(recorded.orders(0.5))
