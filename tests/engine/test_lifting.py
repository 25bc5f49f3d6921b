"""From a solution to decisions: parcels, money, dates, what to take, and why something does not ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decisions import Reason
from engine.domain import Sku, mills
from engine.ledger.port import LoadTake, Take
from engine.promise import to_day
from tests.engine.making import card, compiled, document, node, order, window
from tests.engine.reading import decided, said, where, why

MON = to_day(date(2026, 11, 23))


def test_a_decision_reads_as_the_contract_says():
    """Every field by name and order, every figure by hand: this is what callers parse."""
    costs = {"per_parcel": "0.90", "per_line": "0.25", "per_unit": "0.05"}
    nodes = [
        node("A", costs=costs, cutoff="15:00", timezone="America/New_York"),
        node("B", lon=-94.0, safety_units=1),
    ]
    network = compiled(document(nodes))
    one = order(
        "O-1001", ("X", 2), ("Y", 9), ship_to={"timezone": "America/Chicago"}, deliver_by="2026-11-20T12:00:00Z"
    )
    weights = [Sku(sku="X", weight_g=350), Sku(sku="Y", weight_g=100)]
    stock = {"X": {"A": 5}, "Y": {"A": 1, "B": {"on_hand": 9, "held": 3, "safety": -1}}}
    terms = {"objective": {"split_parcel": "1.50", "late_per_day": "5.00", "unfilled_per_unit": "25.00"}}
    asked = window(network, [one], stock, skus=weights, policy=terms)
    (proposal,) = decided(asked, {("A", "ground"): [2, 1], ("B", "ground"): [0, 5]})
    assert said(proposal) == {
        "order_id": "O-1001",
        "status": "partially_allocated",
        "parcels": [
            {
                "parcel_id": "O-1001-1", "node_id": "A", "carrier": "usps", "service": "ground",
                # Monday's cut-off in New York; one workday later where the order goes.
                "ship_by": "2026-11-23T15:00:00-05:00", "deliver_by": "2026-11-24T23:59:59-06:00",
                # 2 * 350 + 100 g; zone 1, up to 1 kg: 5.00. 0.90 + 2 * 0.25 + 3 * 0.05 = 1.55.
                "weight_g": 800,
                "lines": [{"line_id": "1", "sku": "X", "quantity": 2}, {"line_id": "2", "sku": "Y", "quantity": 1}],
                "cost": {"shipping": "5.00", "handling": "1.55"},
            },
            {
                # 270 miles: zone 2, 2 days. B has no cut-off: the end of Monday, UTC.
                "parcel_id": "O-1001-2", "node_id": "B", "carrier": "usps", "service": "ground",
                "ship_by": "2026-11-23T23:59:59+00:00", "deliver_by": "2026-11-25T23:59:59-06:00", "weight_g": 500,
                "lines": [{"line_id": "2", "sku": "Y", "quantity": 5}],
                "cost": {"shipping": "6.00", "handling": "0"},
            },
        ],
        # Y: 1 free at A, 9 - 3 - 1 = 5 at B. Of 3 missing, 3 are held by others.
        "unallocated": [
            {"line_id": "2", "sku": "Y", "quantity": 3, "reason": "held", "transient": True, "free": 6, "held": 3,
             "safety": 1, "elsewhere": []}
        ],
        "backordered": [],
        # Late from the 20th to the 25th: 5 * 5.00. Unfilled 3 * 25.00. 11 + 1.55 + 1.50 + 25 + 75 = 114.05.
        "cost": {"shipping": "11.00", "handling": "1.55", "split": "1.50", "late": "25.00", "unfilled": "75.00",
                 "total": "114.05"},
        "guidance": {"stock_price": "0", "rules": "0", "balance": "0"},
        "window": {"window_id": "w-1", "orders": 1, "waited_ms": 1.5, "solve_ms": 12.346, "solver": "by hand",
                   "gap": None, "cut": False, "policy_version": 1, "network_version": 7, "price_version": 0},
    }  # fmt: skip
    assert [*said(proposal)] == [
        "order_id", "status", "parcels", "unallocated", "backordered", "cost", "guidance", "window",
    ]  # fmt: skip


def test_a_proposal_takes_each_cell_once_and_loads_every_day():
    """Two lines of one SKU are one take; nodes without limits are loaded, too; slots and numbers are the ledger's."""
    nodes = [node("A", capacity={"parcels_per_day": 7}), node("B", safety_units=2)]
    network = compiled(document(nodes))
    one = order("O", ("X", 2), ("Y", 1), ("X", 3), priority=4)
    stock = {"X": {"B": 9, "A": 4}, "Y": {"B": 3}}
    asked = window(network, [order("first", ("Y", 1)), one], stock)
    _, proposal = decided(asked, {}, {("A", "ground"): [2, 0, 2], ("B", "ground"): [0, 1, 1]})
    # Window order of SKUs: Y, X. A is number 3, B is 13; in X's row B has slot 0 and A slot 1.
    assert proposal.takes == (Take(0, 0, 13, 1, 2), Take(1, 1, 3, 4, 0), Take(1, 0, 13, 1, 2))
    assert proposal.loads == (LoadTake(MON, 3, 1, 4, 7, -1), LoadTake(MON, 13, 1, 2, -1, -1))
    assert (proposal.state, proposal.short_skus, proposal.short_days) == ("allocated", (), ())
    assert json.loads(proposal.order)["priority"] == 4


def test_every_box_is_a_parcel_and_counts_for_the_load():
    """5 units of 2 kg at 5 kg a box: 3 parcels, numbered, 5 units of load."""
    network = compiled(document([node("A")]))
    asked = window(network, [order("O", ("X", 5))], {"X": {"A": 5}}, skus=[Sku(sku="X", weight_g=2000)])
    (proposal,) = decided(asked)
    parcels = said(proposal)["parcels"]
    assert [(p["parcel_id"], p["weight_g"], p["cost"]["shipping"]) for p in parcels] == [
        ("O-1", 4000, "9.00"), ("O-2", 4000, "9.00"), ("O-3", 2000, "9.00"),
    ]  # fmt: skip
    assert [(load.parcels, load.units) for load in proposal.loads] == [(3, 5)]
    assert [take.units for take in proposal.takes] == [5]


def fixture_m(**eu_1):
    """Fixture M of the case list: nodes marked x have safety = on_hand, eu-off is inactive, us-1 serves only the US."""
    europe = {"serves": {"countries": ["DE"]}}
    nodes = [
        node("eu-1", priority=1, **europe, **eu_1),
        node("eu-2", priority=2, **europe),
        node("eu-3", priority=3, **europe),
        node("eu-off", priority=4, active=False, **europe),
        node("us-1", priority=5, serves={"countries": ["US"]}),
    ]
    lanes = [{"node_id": each["node_id"], "to": "*", "service": "post", "parcel": "5.00"} for each in nodes]
    stock = {
        "SKU-1": {"eu-1": 55, "eu-2": 30, "eu-3": {"on_hand": 100, "safety": 100}, "eu-off": 100},
        "SKU-2": {"us-1": 50},
        "SKU-3": {"eu-2": {"on_hand": 60, "safety": 60}},
        "SKU-4": {"eu-2": 60},
    }
    return compiled(document(nodes, [], lanes)), stock


def in_europe(order_id: str, *lines: tuple[str, int]):
    """An order to Germany: the pool EU."""
    return order(order_id, *lines, ship_to={"country": "DE"})


def test_case_1_sequence_fills_by_priority():
    """Magento's source selection: eu-1 first, the rest from eu-2."""
    network, stock = fixture_m()
    asked = window(network, [in_europe("O", ("SKU-1", 80), ("SKU-4", 40))], stock, policy={"mode": "sequence"})
    (proposal,) = decided(asked)
    assert where(proposal) == {("eu-1", "SKU-1"): 55, ("eu-2", "SKU-1"): 25, ("eu-2", "SKU-4"): 40}
    assert proposal.state == "allocated"


def test_case_2_what_is_not_there_is_out_of_stock():
    """55 + 30 of 150; nodes kept back by safety and inactive nodes are untouched; the rest names its reason."""
    network, stock = fixture_m()
    (proposal,) = decided(window(network, [in_europe("O", ("SKU-1", 150))], stock))
    assert where(proposal) == {("eu-1", "SKU-1"): 55, ("eu-2", "SKU-1"): 30}
    assert why(proposal) == [("SKU-1", 65, "out_of_stock", 85, 0, 100)]
    assert said(proposal)["unallocated"][0]["elsewhere"] == ["eu-off"]
    assert proposal.state == "partially_allocated"


def test_case_3_elsewhere_names_the_nodes_outside_the_pool():
    """SKU-2 stands only in us-1, which does not serve Germany."""
    network, stock = fixture_m()
    (proposal,) = decided(window(network, [in_europe("O", ("SKU-1", 50), ("SKU-2", 30))], stock))
    assert where(proposal) == {("eu-1", "SKU-1"): 50}
    assert why(proposal) == [("SKU-2", 30, "out_of_stock", 0, 0, 0)]
    assert said(proposal)["unallocated"][0]["elsewhere"] == ["us-1"]
    assert proposal.short_skus == (1,)


def test_case_5_what_others_hold_is_held():
    """85 of 85 are held: one more would be there if nobody held it, so the answer says held and how many."""
    network, stock = fixture_m()
    stock["SKU-1"]["eu-1"] = {"on_hand": 55, "held": 55}
    stock["SKU-1"]["eu-2"] = {"on_hand": 30, "held": 30}
    (proposal,) = decided(window(network, [in_europe("O", ("SKU-1", 1))], stock))
    assert why(proposal) == [("SKU-1", 1, "held", 0, 85, 100)]
    assert proposal.state == "refused"
    assert proposal.takes == proposal.loads == ()
    assert proposal.short_skus == (0,)


def test_case_10_no_way_there_is_no_lane():
    """Stock 100 and nobody who carries it: not a question of stock, and not transient."""
    network = compiled(document([node("A")], []))
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 100}}))
    assert why(proposal) == [("X", 1, "no_lane", 100, 0, 0)]
    assert said(proposal)["unallocated"][0]["transient"] is False
    # Neither stock nor room that comes back could change it.
    assert proposal.short_skus == ()


def test_case_17_one_order_competes_with_itself():
    """5 on hand, two lines of 3: 5 ship, never 6, and the last unit is out of stock, not held by the order itself."""
    network = compiled(document([node("A")]))
    (proposal,) = decided(window(network, [order("O", ("X", 3), ("X", 3))], {"X": {"A": 5}}))
    assert where(proposal) == {("A", "X"): 5}
    assert why(proposal) == [("X", 1, "out_of_stock", 5, 0, 0)]


@pytest.mark.parametrize(("grams", "carried"), [(5000, True), (5001, False)])
def test_case_21_a_unit_over_the_limit_has_no_lane(grams, carried):
    """Weight belongs to the stage of lanes: no service takes a unit of 5001 g on a card that ends at 5000."""
    network = compiled(document([node("A")]))
    asked = window(network, [order("O", ("X", 1))], {"X": {"A": 9}}, skus=[Sku(sku="X", weight_g=grams)])
    (proposal,) = decided(asked)
    assert [line[2] for line in why(proposal)] == ([] if carried else ["no_lane"])


def test_a_unit_too_bulky_for_every_row_has_no_lane():
    """6,000,000 mm3 at 1000 cm3 per kg are 6000 g by volume: over the last row, though the unit weighs 1 g."""
    network = compiled(document([node("A")], [card(dim_divisor=1000)]))
    bulky = Sku(sku="X", weight_g=1, length_mm=100, width_mm=200, height_mm=300)
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 9}}, skus=[bulky]))
    assert [line[2] for line in why(proposal)] == ["no_lane"]


def test_case_22_safety_stock_is_told():
    """3 on hand, 2 kept back, 5 wanted: 1 ships, and the reason shows free 1, safety 2."""
    network = compiled(document([node("A")]))
    (proposal,) = decided(window(network, [order("O", ("X", 5))], {"X": {"A": {"on_hand": 3, "safety": 2}}}))
    assert where(proposal) == {("A", "X"): 1}
    assert why(proposal) == [("X", 4, "out_of_stock", 1, 0, 2)]


def test_case_32_the_second_order_gets_what_is_free():
    """100 on hand: 40, then 65. Whether in two windows or in one, the second gets 60 and reads the same figures."""
    network = compiled(document([node("A")]))
    (apart,) = decided(window(network, [order("O2", ("X", 65))], {"X": {"A": {"on_hand": 100, "held": 40}}}))
    first, second = order("O1", ("X", 40), priority=1), order("O2", ("X", 65))
    _, together = decided(window(network, [first, second], {"X": {"A": 100}}))
    for proposal in (apart, together):
        assert where(proposal) == {("A", "X"): 60}
        assert why(proposal) == [("X", 5, "held", 60, 40, 0)]


def test_case_35_a_full_node_names_capacity_and_its_day():
    """Room for one parcel, two orders: one ships; the other's claim rests on that day and that SKU."""
    network = compiled(document([node("A", capacity={"parcels_per_day": 1})]))
    proposals = decided(window(network, [order("O1", ("X", 1)), order("O2", ("X", 1))], {"X": {"A": 9}}))
    assert sorted(proposal.state for proposal in proposals) == ["allocated", "refused"]
    (refused,) = (proposal for proposal in proposals if proposal.state == "refused")
    # Of 9 the other order took 1.
    assert why(refused) == [("X", 1, "capacity", 8, 1, 0)]
    assert (refused.short_skus, refused.short_days) == ((0,), (MON,))
    assert said(refused)["unallocated"][0]["transient"] is True


def test_capacity_in_units_leaves_the_rest():
    """Room for 4 units of 9: 4 ship, 5 wait for capacity."""
    network = compiled(document([node("A", capacity={"units_per_day": 4})]))
    (proposal,) = decided(window(network, [order("O", ("X", 9))], {"X": {"A": 9}}))
    assert where(proposal) == {("A", "X"): 4}
    assert [line[1:3] for line in why(proposal)] == [(5, "capacity")]


def test_a_claim_of_no_stock_rests_on_the_day_too_where_room_was_short():
    """9 free behind a full dock, 20 wanted: out of stock by the funnel, but room given back would ship 9 of them."""
    network = compiled(document([node("A", capacity={"parcels_per_day": 0})]))
    (proposal,) = decided(window(network, [order("O", ("X", 20))], {"X": {"A": 9}}))
    assert [line[2] for line in why(proposal)] == ["out_of_stock"]
    assert (proposal.short_skus, proposal.short_days) == ((0,), (MON,))


def test_nobody_serves_it_is_the_first_reason():
    """No node of the channel: stock and lanes are not even looked at, and elsewhere tells who has it."""
    network = compiled(document([node("A", channels=["shop"]), node("B", active=False)]))
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 2, "B": 3}}))
    assert why(proposal) == [("X", 1, "no_eligible_node", 0, 0, 0)]
    assert said(proposal)["unallocated"][0]["elsewhere"] == ["A", "B"]


def test_what_is_dearer_than_leaving_it_is_uneconomic():
    """Objective economic: a parcel of 5.00 for a unit worth 3.00 stays, and says so."""
    network = compiled(document([node("A")]))
    policy = {"objective": {"fill": "economic", "unfilled_per_unit": "3.00"}}
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 2}}, policy=policy))
    assert [line[2] for line in why(proposal)] == ["uneconomic"]
    assert said(proposal)["cost"]["total"] == "3.00"


def test_a_node_that_never_stocked_it_is_out_of_stock():
    """Case 26: no row at all is the same answer as an empty row."""
    network = compiled(document([node("A")]))
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {}))
    assert why(proposal) == [("X", 1, "out_of_stock", 0, 0, 0)]


def test_the_reasons_come_in_the_order_of_the_funnel():
    """Precedence is part of the contract, and only what may pass by itself is transient."""
    assert [reason.value for reason in Reason] == [
        "unknown_sku", "no_eligible_node", "no_lane", "out_of_stock", "held", "capacity", "max_parcels",
        "ship_complete", "group", "split_lines", "min_split_value", "too_late", "uneconomic", "undecided",
    ]  # fmt: skip
    assert [reason.value for reason in Reason if reason.transient] == ["held", "capacity", "undecided"]


def test_an_agreed_lane_of_no_carrier_has_no_carrier():
    """Nobody's name is made up for the parcel of a private lane."""
    network = compiled(document([node("A")], [], [{"node_id": "A", "to": "*", "service": "van", "transit_days": 2}]))
    (proposal,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 2}}))
    parcel = said(proposal)["parcels"][0]
    assert (parcel["carrier"], parcel["service"]) == (None, "van")
    assert parcel["deliver_by"] == "2026-11-25T23:59:59+00:00"


small = st.integers(0, 6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("XYZ"), st.integers(1, 4)), min_size=1, max_size=3), min_size=1, max_size=4
    ),
    st.dictionaries(st.sampled_from("XYZ"), st.dictionaries(st.sampled_from("ABC"), st.tuples(small, small, small))),
    st.dictionaries(st.sampled_from("ABC"), small),
)
def test_nothing_is_lost_between_demand_and_decision(orders: Sequence, stock: dict, limits: dict):
    """Shipped + unallocated = ordered; takes and loads are the parcels, within stock and room; terms add up."""
    nodes = [node(n, **({"capacity": {"units_per_day": limits[n]}} if n in limits else {})) for n in "ABC"]
    network = compiled(document(nodes))
    made = [order(f"O{i}", *lines) for i, lines in enumerate(orders)]
    levels = {
        sku: {n: {"on_hand": on_hand, "held": held, "safety": safety} for n, (on_hand, held, safety) in cells.items()}
        for sku, cells in stock.items()
    }
    proposals = decided(window(network, made, levels))
    taken: dict[tuple[str, str], int] = {}
    for one, proposal in zip(made, proposals, strict=True):
        decision = said(proposal)
        for line in one.lines:
            ships = sum(
                part["quantity"] for p in decision["parcels"] for part in p["lines"] if part["line_id"] == line.line_id
            )
            stays = sum(part["quantity"] for part in decision["unallocated"] if part["line_id"] == line.line_id)
            assert ships + stays == line.quantity
        assert sum(take.units for take in proposal.takes) == sum(where(proposal).values())
        assert sum(load.units for load in proposal.loads) == sum(where(proposal).values())
        assert sum(load.parcels for load in proposal.loads) == len(decision["parcels"])
        terms = {name: mills(amount) for name, amount in decision["cost"].items()}
        assert terms.pop("total") == sum(terms.values())
        assert terms["shipping"] == sum(mills(p["cost"]["shipping"]) for p in decision["parcels"])
        assert all(line["reason"] != "undecided" for line in decision["unallocated"])
        for key, units in where(proposal).items():
            taken[key] = taken.get(key, 0) + units
    for (n, sku), units in taken.items():
        on_hand, held, safety = stock[sku][n]
        assert units <= on_hand - held - safety
    for n, limit in limits.items():
        assert sum(units for (m, _), units in taken.items() if m == n) <= limit
