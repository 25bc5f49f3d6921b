"""Orders with limits: what ships, and which word is said of the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine import relaxing
from engine.domain import Order, Sku
from engine.policy.document import Policy
from solvers import choose
from tests.engine.making import compiled, document, node, order, window
from tests.engine.reading import decided, said, where, why

NYC_LA = compiled(document([node("NYC", priority=1), node("LA", priority=2)]))
THREE = compiled(document([node("A"), node("B"), node("C")]))


def limited(*lines: tuple[str, int], order_id: str = "O", **limits: Any) -> Order:
    """An order with limits."""
    return order(order_id, *lines, limits=limits)


def grouped(*lines: tuple[str, int, str | None], **fields: Any) -> Order:
    """An order of (sku, quantity, group) lines."""
    plain = order("O", *((sku, quantity) for sku, quantity, _ in lines), **fields)
    written = [
        msgspec.structs.replace(line, group=group) for line, (_, _, group) in zip(plain.lines, lines, strict=True)
    ]
    return msgspec.structs.replace(plain, lines=written)


def reasons(proposal) -> dict[str, str]:
    """The reason of every line that is short, by SKU."""
    return {line[0]: line[2] for line in why(proposal)}


def test_case_12_one_parcel_at_most():
    """A in NYC, B in LA: two parcels; with at most one, one line ships and the other says why it does not."""
    stock = {"A": {"NYC": 10}, "B": {"LA": 10}}
    (free,) = decided(window(NYC_LA, [order("O", ("A", 1), ("B", 1))], stock))
    assert len(said(free)["parcels"]) == 2
    (one,) = decided(window(NYC_LA, [limited(("A", 1), ("B", 1), max_parcels=1)], stock))
    assert len(said(one)["parcels"]) == 1
    assert list(reasons(one).values()) == ["max_parcels"]
    # Either stock may bring the order into one parcel.
    assert sorted(one.short_skus) == [0, 1]


def test_case_12_one_parcel_and_complete():
    """Nothing ships, and what stands in the way of both lines is the number of parcels."""
    stock = {"A": {"NYC": 10}, "B": {"LA": 10}}
    (proposal,) = decided(window(NYC_LA, [limited(("A", 1), ("B", 1), max_parcels=1, ship_complete=True)], stock))
    assert proposal.state == "refused"
    assert reasons(proposal) == {"A": "max_parcels", "B": "max_parcels"}


def test_case_19_two_parcels_suffice():
    """3 + 3 + 3, want 5: two parcels."""
    (proposal,) = decided(window(THREE, [order("O", ("X", 5))], {"X": {"A": 3, "B": 3, "C": 3}}))
    assert len(said(proposal)["parcels"]) == 2


def test_case_20_complete_or_nothing():
    """1 + 1, want 5: refused, and the answer lists the SKU with 2 free."""
    (proposal,) = decided(window(NYC_LA, [limited(("X", 5), ship_complete=True)], {"X": {"NYC": 1, "LA": 1}}))
    assert proposal.state == "refused"
    assert proposal.takes == ()
    assert why(proposal) == [("X", 5, "out_of_stock", 2, 0, 0)]


def test_what_waits_for_the_rest_says_so():
    """Y alone could ship; X is out of stock. Y waits for it, and the answer rests on both."""
    asked = window(NYC_LA, [limited(("X", 1), ("Y", 1), ship_complete=True)], {"Y": {"NYC": 1}})
    (proposal,) = decided(asked)
    assert reasons(proposal) == {"X": "out_of_stock", "Y": "ship_complete"}
    assert sorted(proposal.short_skus) == [0, 1]


def test_a_policy_may_ask_for_complete_orders():
    """Limits of the policy bind like the order's own."""
    policy = {"limits": {"ship_complete": True}}
    (proposal,) = decided(window(NYC_LA, [order("O", ("X", 1), ("Y", 1))], {"Y": {"NYC": 1}}, policy=policy))
    assert reasons(proposal) == {"X": "out_of_stock", "Y": "ship_complete"}


def test_case_33_no_split_below_a_value():
    """An order of 100.00 in two lines; the one of 15.00 is only elsewhere and 20.00 is the least: no split."""
    skus = [Sku(sku="big", value="85.00"), Sku(sku="small", value="15.00")]
    stock = {"big": {"NYC": 1}, "small": {"LA": 1}}
    for least, parcels in (("20.00", 1), ("15.00", 2)):
        asked = window(NYC_LA, [limited(("big", 1), ("small", 1), min_split_value=least)], stock, skus=skus)
        (proposal,) = decided(asked)
        assert len(said(proposal)["parcels"]) == parcels
        assert list(reasons(proposal).values()) == ["min_split_value"] * (2 - parcels)


def test_the_price_of_the_line_comes_before_the_catalogue():
    """The customer's price counts where there is one: 25.00 for what the catalogue says is worth 15.00."""
    skus = [Sku(sku="big", value="85.00"), Sku(sku="small", value="15.00")]
    asked = limited(("big", 1), ("small", 1), min_split_value="20.00")
    lines = [asked.lines[0], msgspec.structs.replace(asked.lines[1], unit_price="25.00")]
    asked = msgspec.structs.replace(asked, lines=lines)
    (proposal,) = decided(window(NYC_LA, [asked], {"big": {"NYC": 1}, "small": {"LA": 1}}, skus=skus))
    assert proposal.state == "allocated"


def test_case_36_three_parcels_are_too_many():
    """max_parcels 2, only a cover of three nodes exists: what stays says `max_parcels`."""
    stock = {"X": {"A": 1}, "Y": {"B": 1}, "Z": {"C": 1}}
    (proposal,) = decided(window(THREE, [limited(("X", 1), ("Y", 1), ("Z", 1), max_parcels=2)], stock))
    assert len(said(proposal)["parcels"]) == 2
    assert list(reasons(proposal).values()) == ["max_parcels"]


def test_a_line_that_must_not_be_divided():
    """4 + 3, want 5: 4 ship in one parcel, the fifth would divide the line."""
    (proposal,) = decided(window(NYC_LA, [limited(("X", 5), split_lines=False)], {"X": {"NYC": 4, "LA": 3}}))
    assert where(proposal) == {("NYC", "X"): 4}
    assert why(proposal) == [("X", 1, "split_lines", 7, 0, 0)]


def test_a_group_ships_in_one_parcel_or_not_at_all():
    """X and Y belong together and stand in two places: neither ships, Z does."""
    asked = grouped(("X", 1, "g"), ("Y", 1, "g"), ("Z", 1, None))
    (proposal,) = decided(window(NYC_LA, [asked], {"X": {"NYC": 1}, "Y": {"LA": 1}, "Z": {"LA": 1}}))
    assert where(proposal) == {("LA", "Z"): 1}
    assert reasons(proposal) == {"X": "group", "Y": "group"}
    (together,) = decided(window(NYC_LA, [asked], {"X": {"LA": 1}, "Y": {"LA": 1}, "Z": {"NYC": 1}}))
    assert together.state == "allocated"


def test_a_line_of_a_group_waits_for_a_short_one():
    """Y of the group is out of stock: it keeps its own reason, X waits for it."""
    (proposal,) = decided(window(NYC_LA, [grouped(("X", 1, "g"), ("Y", 1, "g"))], {"X": {"NYC": 1}}))
    assert reasons(proposal) == {"X": "group", "Y": "out_of_stock"}


def test_of_several_limits_the_one_that_binds_is_named():
    """Two parcels are allowed and would do; it is the value that keeps the second back."""
    stock = {"X": {"NYC": 1}, "Y": {"LA": 1}}
    skus = [Sku(sku="X", value="50.00"), Sku(sku="Y", value="5.00")]
    asked = limited(("X", 1), ("Y", 1), max_parcels=2, min_split_value="20.00")
    (proposal,) = decided(window(NYC_LA, [asked], stock, skus=skus))
    assert list(reasons(proposal).values()) == ["min_split_value"]


def test_a_large_order_is_not_solved_again_for_its_reasons(monkeypatch):
    """An order of thousands of lines names the first of its limits: finding the one that binds takes minutes."""
    monkeypatch.setattr(relaxing, "LINES_MAX", 1)
    monkeypatch.setattr(choose, "solve", lambda *_: pytest.fail("solved again"))
    stock = {"A": {"NYC": 10}, "B": {"LA": 10}}
    asked = limited(("A", 1), ("B", 1), max_parcels=5, min_split_value="100.00")
    (proposal,) = decided(window(NYC_LA, [asked], stock))
    assert set(reasons(proposal).values()) == {"max_parcels"}


@pytest.mark.parametrize(("allow_late", "reason"), [(True, None), (False, "too_late")])
def test_what_must_not_be_late_stays(allow_late, reason):
    """NYC ships on Monday and arrives on Tuesday, a day late."""
    asked = order("O", ("X", 1), deliver_by="2026-11-23T12:00:00Z", limits={"allow_late": allow_late})
    (proposal,) = decided(window(NYC_LA, [asked], {"X": {"NYC": 1}}))
    assert reasons(proposal) == ({} if reason is None else {"X": reason})


def test_a_nearer_node_in_time_is_used_up_first():
    """One unit arrives in time; the second could only come late."""
    network = compiled(document([node("near"), node("far", lon=-120.0)]))
    asked = order("O", ("X", 2), deliver_by="2026-11-24T12:00:00Z", limits={"allow_late": False})
    (proposal,) = decided(window(network, [asked], {"X": {"near": 1, "far": 9}}))
    assert where(proposal) == {("near", "X"): 1}
    assert reasons(proposal) == {"X": "too_late"}
    assert said(proposal)["cost"]["late"] == "0"


def test_units_that_ship_alone_are_parcels():
    """3 units that ship alone and 2 that do not: 4 parcels; in a group they can go nowhere."""
    skus = [Sku(sku="X", ships_alone=True, weight_g=100), Sku(sku="Y", weight_g=100)]
    stock = {"X": {"NYC": 9}, "Y": {"NYC": 9}}
    (proposal,) = decided(window(NYC_LA, [order("O", ("X", 3), ("Y", 2))], stock, skus=skus))
    assert [parcel["weight_g"] for parcel in said(proposal)["parcels"]] == [200, 100, 100, 100]
    (stuck,) = decided(window(NYC_LA, [grouped(("X", 3, "g"), ("Y", 2, "g"))], stock, skus=skus))
    assert reasons(stuck) == {"X": "group", "Y": "group"}


def test_only_nodes_that_are_named():
    """`nodes` and `except_nodes` leave B; the rest is elsewhere."""
    stock = {"X": {"A": 5, "B": 1, "C": 5}}
    (proposal,) = decided(window(THREE, [limited(("X", 2), nodes=["A", "B", "mars"], except_nodes=["A"])], stock))
    assert where(proposal) == {("B", "X"): 1}
    assert said(proposal)["unallocated"][0]["reason"] == "out_of_stock"
    assert said(proposal)["unallocated"][0]["elsewhere"] == ["A", "C"]
    (none,) = decided(window(THREE, [limited(("X", 2), nodes=["mars"])], stock))
    assert reasons(none) == {"X": "no_eligible_node"}


def test_a_rule_keeps_a_node_out():
    """Rules are part of the first stage of the funnel, and money of rules is guidance only."""
    rule = {"name": "no A", "when": {"channel": "web"}, "then": {"except_nodes": ["A", "B"], "money": {"C": "2.00"}}}
    (proposal,) = decided(
        window(THREE, [order("O", ("X", 1))], {"X": {"A": 1, "C": 1}}, policy={"rules": [rule]}),
    )
    assert where(proposal) == {("C", "X"): 1}
    assert said(proposal)["guidance"] == {"stock_price": "0", "rules": "2.00", "balance": "0"}
    assert said(proposal)["cost"]["total"] == "5.00"


def test_case_pickup_costs_no_shipping():
    """Only the node where it is fetched, no carrier, no days under way, any weight; handling as usual."""
    nodes = [node("A", costs={"per_parcel": "0.90"}, serves={"countries": ["CA"]}), node("B")]
    network = compiled(document(nodes))
    asked = order("O", ("X", 2), pickup_node="A")
    stock = {"X": {"A": 1, "B": 9}}
    (proposal,) = decided(window(network, [asked, order("P", ("X", 1))], stock, skus=[Sku(sku="X", weight_g=9000)]))[:1]
    (parcel,) = said(proposal)["parcels"]
    assert (parcel["node_id"], parcel["carrier"], parcel["service"]) == ("A", None, "pickup")
    assert parcel["cost"] == {"shipping": "0", "handling": "0.90"}
    assert (parcel["ship_by"], parcel["deliver_by"]) == ("2026-11-23T23:59:59+00:00", "2026-11-23T23:59:59+00:00")
    assert why(proposal) == [("X", 1, "out_of_stock", 1, 0, 0)]
    assert said(proposal)["unallocated"][0]["elsewhere"] == ["B"]


def test_a_pickup_where_there_is_no_node():
    """A shop that closed or never was: no node may serve the order."""
    network = compiled(document([node("A", active=False), node("B")]))
    for shop in ("A", "mars"):
        (proposal,) = decided(window(network, [order("O", ("X", 1), pickup_node=shop)], {"X": {"A": 1, "B": 1}}))
        assert reasons(proposal) == {"X": "no_eligible_node"}


def test_balance_guides_away_from_a_busy_node():
    """A is half full: half of 4.00 per parcel makes B the choice, though A is named first; costs stay true."""
    capacity = {"capacity": {"parcels_per_day": 100}}
    network = compiled(document([node("A", **capacity), node("B", **capacity)]))
    loads = {20780: {"A": (50, 50)}}
    policy = msgspec.to_builtins(Policy()) | {"objective": {"balance": "4.00"}}
    stock = {"X": {"A": 1, "B": 1}}
    (calm,) = decided(window(network, [order("O", ("X", 1))], stock, loads=loads))
    (steered,) = decided(window(network, [order("O", ("X", 1))], stock, loads=loads, policy=policy))
    assert (where(calm), where(steered)) == ({("A", "X"): 1}, {("B", "X"): 1})
    (busy,) = decided(window(network, [order("O", ("X", 1))], {"X": {"A": 1}}, loads=loads, policy=policy))
    assert said(busy)["guidance"]["balance"] == "2.00"
    assert said(busy)["cost"]["total"] == "5.00"
