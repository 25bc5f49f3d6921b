"""From ids to arrays: stock, eligibility, dates, capacity, and the orders' own facts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest

from engine.deciding import decide
from engine.domain import Sku, epoch_ms
from engine.lowering import Lowered, days_of, lower
from engine.pricing.sheet import Keep, RoomPrice
from engine.promise import to_date, to_day
from solvers.problem import UNLIMITED, Mode
from tests.engine.making import MONDAY, card, column, compiled, document, node, order, window
from tests.engine.sheets import price_sheet

MON, TUE, FRI = (to_day(date(2026, 11, day)) for day in (23, 24, 27))


def grid(lowered: Lowered) -> dict[tuple[str, str], int]:
    """Free stock as {(sku, node_id): units} where there is any."""
    ids = lowered.window.network.node_ids
    found = np.argwhere(lowered.problem.stock > 0)
    return {(lowered.window.skus[i], ids[n]): int(lowered.problem.stock[i, n]) for i, n in found}


def nodes_of(lowered: Lowered, o: int = 0) -> list[str]:
    """The nodes that have an option for an order."""
    rows = lowered.problem.options_of(o)
    return [lowered.window.network.node_ids[n] for n in lowered.problem.options.node[rows]]


def ship_days(lowered: Lowered) -> list[int]:
    """The ship day of every option."""
    return column(lowered.ship_day(np.arange(len(lowered.problem.options.node))))


def test_free_stock_is_what_is_on_hand_less_held_safety_and_blocked():
    """10 - 2 - 3 - 1 = 4; the node's default safety where the cell has none; never below zero."""
    network = compiled(document([node("A", safety_units=5), node("B"), node("C")]))
    stock = {
        "X": {"C": {"on_hand": 10, "held": 2, "safety": 3, "blocked": 1}, "A": 7},
        "Y": {"A": {"on_hand": 7, "safety": 0}, "B": {"on_hand": 1, "held": 3}},
    }
    lowered = lower(window(network, [order("O", ("X", 1), ("Y", 1), ("Z", 1))], stock))
    assert grid(lowered) == {("X", "C"): 4, ("X", "A"): 2, ("Y", "A"): 7}
    cells = lowered.cells
    assert column(cells.place(np.array([1, 0, 0, 1]), np.array([1, 2, 0, 0]))) == [1, 0, 1, 0]
    assert column(lowered.cells.physical[0]) == [2, 0, 6]


def test_stock_of_a_node_that_left_the_network_is_passed_over():
    """A removed node's number may still stand in a row, inside and beyond the known numbers."""
    network = compiled(document([node("A"), node("B")]))
    asked = window(network, [order("O", ("X", 1))], {"X": {"A": 1, "B": 2}})
    slots = asked.snapshot.rows[0].slots.copy()
    slots["node"] = [5, network.numbers["B"]]
    row = asked.snapshot.rows[0]._replace(slots=slots)
    lowered = lower(replace(asked, snapshot=replace(asked.snapshot, rows=(row,))))
    assert grid(lowered) == {("X", "B"): 2}
    slots["node"] = [60_000, network.numbers["B"]]
    lowered = lower(replace(asked, snapshot=replace(asked.snapshot, rows=(row._replace(slots=slots),))))
    assert grid(lowered) == {("X", "B"): 2}
    assert column(lowered.cells.place(np.array([0]), np.array([1]))) == [1]


def test_lines_keep_their_order_and_items_are_shared():
    """The same SKU on two lines and in two orders is one row of stock."""
    network = compiled(document([node("A")]))
    orders = [order("O1", ("X", 2), ("Y", 3), ("X", 1)), order("O2", ("Y", 4), priority=5)]
    skus = [Sku(sku="X", weight_g=30, length_mm=10, width_mm=20, height_mm=30)]
    lowered = lower(window(network, orders, {"X": {"A": 9}, "Y": {"A": 9}}, skus=skus))
    lines = lowered.problem.lines
    assert column(lines.start) == [0, 3, 4]
    assert column(lines.item) == [0, 1, 0, 1]
    assert column(lines.quantity) == [2, 3, 1, 4]
    assert column(lines.weight_g) == [30, 0, 30, 0]
    assert column(lines.volume_mm3) == [6000, 0, 6000, 0]
    assert column(lowered.problem.priority) == [0, 5]


def test_an_absurd_size_does_not_break_the_window():
    """Catalogue entries may claim 2^31 mm in each direction: that is more than 64 bits of volume."""
    network = compiled(document([node("A")]))
    huge = Sku(sku="X", length_mm=2**31 - 1, width_mm=2**31 - 1, height_mm=2**31 - 1)
    lower(window(network, [order("O", ("X", 1))], {"X": {"A": 1}}, skus=[huge]))


@pytest.mark.parametrize(
    ("fields", "asked", "serves"),
    [
        ({"active": False}, {}, False),
        ({"channels": ["shop"]}, {}, False),
        ({"channels": ["shop", "web"]}, {}, True),
        ({"channels": ["shop"]}, {"channel": "shop"}, True),
        ({"serves": {"countries": ["CA", "US"]}}, {}, True),
        ({"serves": {"countries": ["CA"]}}, {}, False),
        ({"serves": {"postal_prefixes": ["100", "2"]}}, {"ship_to": {"postal_code": "10001"}}, True),
        ({"serves": {"postal_prefixes": ["100", "2"]}}, {"ship_to": {"postal_code": "11201"}}, False),
        ({"serves": {"postal_prefixes": ["100"]}}, {}, False),
        ({"serves": {"postal_prefixes": ["SW1A"]}}, {"ship_to": {"postal_code": "sw1a 1aa"}}, True),
        ({"serves": {"except_postal_prefixes": ["967"]}}, {"ship_to": {"postal_code": "96701"}}, False),
        ({"serves": {"except_postal_prefixes": ["967"]}}, {"ship_to": {"postal_code": "10001"}}, True),
        ({"serves": {"except_postal_prefixes": ["967"]}}, {}, True),
    ],
)
def test_a_node_serves_whom_it_says_it_serves(fields, asked, serves):
    """Activity, channel, country and postal prefixes decide before any price is looked at."""
    network = compiled(document([node("A", **fields), node("B")]))
    lowered = lower(window(network, [order("O", ("X", 1), **asked)], {"X": {"A": 9, "B": 9}}))
    assert column(lowered.problem.lines.eligible) == [[serves, True]]
    assert nodes_of(lowered) == (["A", "B"] if serves else ["B"])


def test_a_line_needs_a_node_with_all_its_capabilities():
    """Hazardous goods must not go to a node without the licence, though the rest of the order may."""
    nodes = [node("A"), node("B", capabilities=["hazmat"]), node("C", capabilities=["cold", "hazmat"])]
    skus = [Sku(sku="X", requires=["hazmat", "cold"]), Sku(sku="Y", requires=["hazmat"])]
    asked = order("O", ("X", 1), ("Y", 1), ("Z", 1))
    stock = {sku: {"A": 1, "B": 1, "C": 1} for sku in "XYZ"}
    lowered = lower(window(compiled(document(nodes)), [asked], stock, skus=skus))
    eligible = column(lowered.problem.lines.eligible)
    assert eligible == [[False, False, True], [False, True, True], [True, True, True]]


def test_options_are_ordered_by_node_and_only_where_there_is_something_to_ship():
    """The order of ties is (node, carrier, service); nodes without stock for the order are no work for the solver."""
    carriers = [card(carrier="usps"), card(carrier="dhl")]
    network = compiled(document([node("C"), node("A"), node("B", priority=-1)], carriers))
    orders = [order("O1", ("X", 1)), order("O2", ("Y", 1)), order("O3", ("X", 1), ("Y", 1))]
    lowered = lower(window(network, orders, {"X": {"A": 1, "C": 1}, "Y": {"B": 2, "A": {"on_hand": 1, "held": 1}}}))
    assert [nodes_of(lowered, o) for o in range(3)] == [
        ["A", "A", "C", "C"],
        ["B", "B"],
        ["B", "B", "A", "A", "C", "C"],
    ]
    carriers_used = [network.rates.services[k].carrier for k in lowered.ways.service]
    assert carriers_used == ["dhl", "usps"] * 6


def test_ship_dates_run_from_the_later_of_placing_and_now():
    """A past placing ships as of now, a future one waits for its day; replay looks at placing alone."""
    network = compiled(document([node("A", cutoff="15:00")]))
    orders = [order(f"O{i}", ("X", 1), **at) for i, at in enumerate((
        {}, {"placed_at": "2026-11-20T10:00:00Z"}, {"placed_at": "2026-12-01T16:00:00Z"},
    ))]  # fmt: skip
    asked = window(network, orders, {"X": {"A": 9}})
    days = [to_date(day) for day in ship_days(lower(asked))]
    assert days == [date(2026, 11, 23), date(2026, 11, 23), date(2026, 12, 2)]
    days = [to_date(day) for day in ship_days(lower(replace(asked, as_placed=True)))]
    assert days == [date(2026, 11, 23), date(2026, 11, 20), date(2026, 12, 2)]


@pytest.mark.parametrize(
    ("deliver_by", "timezone", "late"),
    [
        # Shipped Monday, 2 workdays: arrives Wednesday the 25th.
        (None, None, 0),
        ("2026-11-25T00:00:00Z", None, 0),
        ("2026-11-24T23:59:59Z", None, 1),
        ("2026-11-20T12:00:00Z", None, 5),
        # 04:00 UTC on the 25th is still the 24th in New York.
        ("2026-11-25T04:00:00Z", "America/New_York", 1),
        ("2026-11-25T05:00:00Z", "America/New_York", 0),
        ("2030-01-01T00:00:00Z", None, 0),
    ],
)
def test_late_days_are_calendar_days_after_the_promise(deliver_by, timezone, late):
    """Lateness is judged on the customer's calendar, not on hours."""
    network = compiled(document([node("A", lon=-95.0)], [card(transit_days=[1, 2, 3])]))
    asked = order("O", ("X", 1), deliver_by=deliver_by, ship_to={"timezone": timezone})
    lowered = lower(window(network, [asked, order("P", ("X", 1))], {"X": {"A": 9}}))
    assert column(lowered.problem.options.late_days) == [late, 0]
    assert column(lowered.ways.transit_days) == [2, 2]


def test_capacity_is_the_room_left_on_the_ship_date():
    """5 - 3 parcels; units without limit; another day's load and a node without limits do not matter."""
    nodes = [
        node("A", capacity={"parcels_per_day": 5}),
        node("B", capacity={"units_per_day": 7}, cutoff="09:00"),
        node("C"),
    ]
    network = compiled(document(nodes))
    loads = {MON: {"A": (3, 30), "B": (9, 9), "C": (99, 99)}, TUE: {"A": (5, 5), "B": (0, 8)}}
    lowered = lower(window(network, [order("O", ("X", 1))], {"X": dict.fromkeys("ABC", 9)}, loads=loads))
    problem = lowered.problem
    bucket = dict(zip(nodes_of(lowered), column(problem.options.bucket), strict=True))
    assert bucket["C"] == -1
    room = {n: (problem.bucket_parcels[b], problem.bucket_units[b]) for n, b in bucket.items() if b >= 0}
    # B's cut-off is over at 10:00, so it ships on Tuesday, where it is 1 unit over its limit already.
    assert room == {"A": (2, UNLIMITED), "B": (UNLIMITED, 0)}


def test_a_day_that_was_not_asked_for_counts_as_empty():
    """The commit judges again; a missing page must not stop the window."""
    network = compiled(document([node("A", capacity={"parcels_per_day": 5, "units_per_day": 0})]))
    problem = lower(window(network, [order("O", ("X", 1))], {"X": {"A": 9}})).problem
    assert (column(problem.bucket_parcels), column(problem.bucket_units)) == ([5], [0])


def test_orders_of_different_ship_dates_draw_on_different_days():
    """Two orders of one window may ship on two days, each with its own room."""
    network = compiled(document([node("A", capacity={"parcels_per_day": 5})]))
    later = order("O2", ("X", 1), placed_at="2026-11-27T10:00:00Z")
    loads = {MON: {"A": (1, 1)}, FRI: {"A": (4, 4)}}
    problem = lower(window(network, [order("O1", ("X", 1)), later], {"X": {"A": 9}}, loads=loads)).problem
    assert column(problem.bucket_parcels[problem.options.bucket]) == [4, 1]


def test_the_snapshot_is_asked_for_the_ship_days_of_limited_nodes():
    """The day after is asked for too: the ledger's clock may pass a cut-off that ours has not."""
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    nodes = [node("A"), node("B", capacity={"units_per_day": 7}, cutoff="15:00", workdays=weekdays)]
    network = compiled(document(nodes))
    asked = [order("O1", ("X", 1)), order("O2", ("X", 1), placed_at="2026-11-27T10:00:00Z")]
    days = {to_date(day) for day in days_of(asked, network, epoch_ms(MONDAY))}
    assert days == {date(2026, 11, day) for day in (23, 24, 27, 30)}
    assert days_of(asked, compiled(document([node("A")])), epoch_ms(MONDAY)) == set()


def test_distances_and_ranks_serve_the_rule_based_modes():
    """NEAREST needs metres, unknown places last; SEQUENCE follows priority and id."""
    unknown = {"node_id": "Z", "country": "FR", "postal_code": "75001"}
    network = compiled(document([node("B"), node("A", lat=39.5), unknown]))
    asked = window(network, [order("O", ("X", 1), ship_to={"lon": -98.0})], {"X": {"A": 1}}, policy={"mode": "nearest"})
    problem = lower(asked).problem
    # One degree of latitude: 2 * pi * 6371008.8 / 360 = 111195.08 m.
    assert column(problem.distance_m) == [[111_195, 0, UNLIMITED]]
    assert column(problem.node_rank) == [0, 1, 2]
    assert set(problem.modes) == {Mode.NEAREST}


def test_the_policy_becomes_an_objective_in_mills():
    """Weights reach the solver as exact money."""
    terms = {"fill": "economic", "split_parcel": "1.5", "late_per_day": "0.001", "unfilled_per_unit": "12.00"}
    network = compiled(document([node("A")]))
    objective = lower(window(network, [order("O", ("X", 1))], {}, policy={"objective": terms})).problem.objective
    assert (objective.fill_always, objective.split_parcel) == (False, 1500)
    assert (objective.late_per_day, objective.unfilled_per_unit) == (1, 12_000)


def test_an_order_that_nobody_can_serve_has_no_options_and_harms_no_other():
    """A hopeless order in a window is an answer, not a fault."""
    network = compiled(document([node("A", serves={"countries": ["US"]})]))
    orders = [order("O1", ("X", 1), ship_to={"country": "FR"}), order("O2", ("X", 1)), order("O3", ("Q", 1))]
    problem = lower(window(network, orders, {"X": {"A": 9}})).problem
    assert column(problem.options.start) == [0, 0, 1, 1]


def test_the_dates_of_many_orders_are_those_of_each_alone():
    """Working out distinct instants once must not mix up the orders that share them."""
    rng = random.Random(7)
    zones = ("America/New_York", "UTC", "Asia/Tokyo")
    nodes = [
        node(
            f"N{i}",
            timezone=zones[i % 3],
            cutoff="12:00",
            workdays=["mon", "wed", "fri"],
            capacity={"units_per_day": i},
        )
        for i in range(5)
    ]
    network = compiled(document(nodes))
    at = [MONDAY + timedelta(hours=rng.randrange(90)) for _ in range(30)]
    orders = [order(f"O{i}", ("X", 1), placed_at=day.isoformat()) for i, day in enumerate(at)]
    stock = {"X": {f"N{i}": 3 for i in range(5)}}
    together = lower(window(network, orders, stock, as_placed=True))
    for o, one in enumerate(orders):
        alone = lower(window(network, [one], stock, as_placed=True))
        assert column(alone.days.ship[0, 0]) == column(together.days.ship[0, together.days.of_order[o]])
        rows = together.problem.options_of(o)
        room = together.problem.bucket_units[together.problem.options.bucket[rows]]
        assert column(room) == column(alone.problem.bucket_units[alone.problem.options.bucket])


def test_instants_before_a_quarter_hour_belong_to_the_quarter_that_began():
    """Offsets are kept by quarter hours: the last millisecond before a change still has the old one."""
    network = compiled(document([node("A", timezone="America/New_York")]))
    change = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    for at, day in ((change - timedelta(milliseconds=1), 8), (change, 8), (change + timedelta(hours=21), 9)):
        lowered = lower(window(network, [order("O", ("X", 1))], {"X": {"A": 1}}, at=at))
        assert to_date(ship_days(lowered)[0]) == date(2026, 3, day)


def priced_window(**policy: object):
    """A unit at each of two nodes, A's worth 2.000; a parcel from A on Monday takes 0.150 of room."""
    limited = node("A", capacity={"parcels_per_day": 9})
    network = compiled(document([limited, node("B")], [card()]))
    stock = {"S": {"A": {"on_hand": 1}, "B": {"on_hand": 1}}}
    a, b = network.numbers["A"], network.numbers["B"]
    gone = [Keep(1, 9), Keep(99, 9)]
    sheet = price_sheet(
        {"S": [Keep(a, 2_000, "US:021"), *gone], "other": [Keep(b, 7)]},
        room=(RoomPrice(a, MON, 150), RoomPrice(a, FRI, 99), *(RoomPrice(keep.node, MON, 9) for keep in gone)),
        version=4,
    )
    return window(network, [order("O", ("S", 1))], stock, policy={"objective": policy}, prices=sheet)


def test_prices_become_those_of_the_problem_weighted_by_the_policy():
    """By node and SKU, and by day and node; of names that the window does not have nothing is left."""
    lowered = lower(priced_window(stock_price="0.5"))
    assert lowered.problem.guide is not None
    assert lowered.problem.guide.stock.tolist() == [[1_000, 0]]
    assert sorted(lowered.problem.guide.room.tolist())[-1] == 75
    assert (lowered.priced_by, lowered.problem.guide.prices_refuse) == (4, False)
    assert lower(priced_window(fill="economic", stock_price_refuses=True)).problem.guide.prices_refuse


def test_a_weight_of_nothing_switches_prices_off():
    """Then nothing steers, and the decision says that no prices did."""
    lowered = lower(priced_window(stock_price=0))
    assert (lowered.problem.guide, lowered.priced_by) == (None, 0)


def test_a_decision_tells_what_prices_steered_it_by():
    """The dearer node keeps its unit, and what the other's was worth is told, beside the version of the sheet."""
    decision = msgspec.json.decode(decide(priced_window(), now=lambda: 0.0).proposals[0].decision)
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["B"]
    assert (decision["guidance"]["stock_price"], decision["window"]["price_version"]) == ("0", 4)
    only = priced_window()
    stock = only.snapshot.rows[0].slots.copy()
    stock["on_hand"][stock["node"] == only.network.numbers["B"]] = 0
    only = replace(only, snapshot=replace(only.snapshot, rows=(replace_row(only, stock),)))
    decision = msgspec.json.decode(decide(only, now=lambda: 0.0).proposals[0].decision)
    assert decision["guidance"]["stock_price"] == "2.15"


def replace_row(asked, slots):
    """The first row with other cells."""
    return asked.snapshot.rows[0]._replace(slots=slots)
