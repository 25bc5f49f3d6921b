"""Exact prices of shipments, one at a time and many at once."""

from __future__ import annotations

import numpy as np

from solvers.tariff import BEYOND, shipment_cost, shipment_table
from tests.solvers.worlds import Want, Way, World, random_limited_world, random_world


def units(*values: int) -> np.ndarray:
    """Units per line."""
    return np.array(values, np.int64)


def test_a_lane_price_has_four_terms_and_rounds_the_kilogram_term_half_up() -> None:
    """A wrong term or rounding would make every total differ from the contract."""
    way = Way(0, ship_parcel=1000, ship_line=10, ship_unit=3, ship_per_kg=5, handle_parcel=900, handle_unit=50)
    problem = World([[9], [9]]).order([Want(0, 2, weight_g=100), Want(1, 1, weight_g=300)], [way]).problem()
    # 1000 + 2 lines x 10 + 3 units x 3 + 5 x 500 g / 1000 = 2.5 -> 3; handling 900 + 3 x 50
    assert shipment_cost(problem, 0, units(2, 1)) == (1032, 1050, 1)


def test_the_curve_is_read_at_the_billable_weight() -> None:
    """Dimensional weight is rounded up, a break includes its own weight, and beyond the last there is no carrier."""
    way = Way(0, curve=0, dim_divisor=10)
    world = World([[9]], curves=[[(100, 500), (200, 800)]])
    for volume, price in ((1000, 500), (1001, 800), (2000, 800)):
        problem = world.order([Want(0, 1, 50, volume)], [way]).problem()
        assert shipment_cost(problem, len(world.orders) - 1, units(1)) == (price, 0, 1)
    problem = world.order([Want(0, 1, 50, 2001)], [way]).problem()
    assert shipment_cost(problem, len(world.orders) - 1, units(1)) is None


def test_every_box_of_a_heavy_shipment_pays_its_own_price() -> None:
    """Boxes over the weight limit are parcels of their own, with their own rate and handling."""
    way = Way(0, curve=0, max_weight_g=250, handle_parcel=7)
    problem = World([[9]], curves=[[(100, 500), (200, 800)]]).order([Want(0, 5, 100)], [way]).problem()
    # 5 x 100 g in boxes of at most 2: 800 + 800 + 500
    assert shipment_cost(problem, 0, units(5)) == (2100, 21, 3)


def test_the_table_agrees_with_one_at_a_time() -> None:
    """All exact methods read the table; settle reads single prices: they must be the same."""
    for seed in range(120):
        problem = random_world(seed, quantity=3)
        at, rows = problem.lines_of(0), np.arange(len(problem.options.node))
        if len(rows) == 0:
            continue
        states = np.array(list(np.ndindex(*(problem.lines.quantity[at] + 1))), np.int64)
        every = np.arange(at.start, at.stop)[None]
        price, boxes = shipment_table(problem, rows, np.zeros_like(rows), states, every)
        for m, r in np.ndindex(price.shape):
            if m:
                cost = shipment_cost(problem, r, states[m])
                got = None if price[m, r] >= BEYOND else (int(price[m, r]), int(boxes[m, r]))
                assert got == (None if cost is None else (cost.shipping + cost.handling, cost.boxes))


def test_the_table_knows_alternatives_draws_and_lone_units() -> None:
    """Rows that share a line or a draw, handling of another node and boxes of one unit are priced as settle does."""
    for seed in range(60):
        problem = random_limited_world(seed, features={"substitutes", "docks", "alone"})
        for order in range(problem.orders):
            at, options = problem.lines_of(order), problem.options_of(order)
            rows = np.arange(options.start, options.stop)
            if len(rows) == 0:
                continue
            states = np.array(list(np.ndindex(*(problem.lines.quantity[at] + 1))), np.int64)[:64]
            every = np.arange(at.start, at.stop)[None]
            price, boxes = shipment_table(problem, rows, np.zeros_like(rows), states, every)
            for m, r in np.ndindex(price.shape):
                if m:
                    cost = shipment_cost(problem, int(rows[r]), states[m])
                    got = None if price[m, r] >= BEYOND else (int(price[m, r]), int(boxes[m, r]))
                    assert got == (None if cost is None else (cost.shipping + cost.handling, cost.boxes)), seed


def test_huge_quantities_do_not_wrap_around() -> None:
    """2**31 - 1 units of a ton each must be dear or impossible, never negative."""
    free, dear = Way(0, ship_unit=10**6), Way(0, ship_per_kg=10**9)
    problem = World([[2**40]]).order([Want(0, 2**31 - 1, 10**6, 10**9)], [free, dear]).problem()
    quantity = np.array([[2**31 - 1]], np.int64)
    price, _ = shipment_table(problem, np.arange(2), np.zeros(2, np.int64), quantity, np.zeros((1, 1), np.int64))
    assert price.tolist() == [[BEYOND, BEYOND]]
    assert shipment_cost(problem, 0, quantity[0]) is None
