"""Each reason of the contract over HTTP: the stage of the funnel that empties the set of nodes names it."""

from __future__ import annotations

import pytest

from engine.decisions import Reason
from engine.settings import Settings
from tests.api.scenes import left

MONDAY = "2030-01-07T09:00:00Z"


def missing(decision):
    """The one line that stays."""
    (line,) = decision["unallocated"]
    assert line["transient"] == Reason(line["reason"]).transient
    return line


@pytest.mark.parametrize(
    ("node", "sku", "order", "stage"),
    [
        ({"active": False}, "X", {}, "active"),
        ({"channels": ["app"]}, "X", {}, "channel"),
        ({"serves": {"countries": ["CA"]}}, "X", {}, "serves"),
        ({"serves": {"postal_prefixes": ["9"]}}, "X", {"ship_to": {"country": "US", "postal_code": "10001"}}, "serves"),
        (
            {"serves": {"except_postal_prefixes": ["100"]}},
            "X",
            {"ship_to": {"country": "US", "postal_code": "10001"}},
            "serves",
        ),
        ({}, "X", {"limits": {"nodes": ["B"]}}, "limits"),
        ({}, "X", {"limits": {"except_nodes": ["A"]}}, "limits"),
        ({}, "X", {"pickup_node": "B"}, "pickup"),
        ({}, "X", {"priority": 9}, "rule"),
        ({}, "H", {}, "capability"),
    ],
    ids=["inactive", "channel", "country", "prefix", "not-prefix", "allowed", "excluded", "pickup", "rule", "hazmat"],
)
async def test_no_eligible_node(scene, node, sku, order, stage):
    """Every kind of restriction at the first stage, each alone, where everything else would let it ship."""
    nodes = {"A": node, "B": {"active": False}}
    only_b = {"name": "vip", "when": {"priority": {"min": 9}}, "then": {"nodes": ["B"]}}
    stock = {sku: {"A": 5} for sku in "XH"}
    await scene.open(nodes, stock, [{"sku": "H", "requires": ["hazmat"]}], {"rules": [only_b]})
    decision = await scene.order("O", (sku, 1), **order)
    assert (decision["status"], missing(decision)["reason"]) == ("refused", "no_eligible_node")
    assert missing(decision)["elsewhere"] == ["A"]
    assert (await scene.explained("O", decision))["A"] == {stage}


async def test_no_lane(scene):
    """Eligible, with stock, but no lane there and no carrier that takes the weight or the level."""
    card = {"carrier": "post", "service": "parcel", "zones": {"kind": "distance_km", "upper": []}, "transit_days": [1],
            "rates": [{"up_to_g": 1000, "by_zone": ["4.00"]}], "levels": ["standard"]}  # fmt: skip
    await scene.open("A", {"X": {"A": 5}, "heavy": {"A": 5}}, [{"sku": "heavy", "weight_g": 1001}], carriers=[card])
    assert (await scene.order("O1", ("X", 1)))["status"] == "allocated"
    for order_id, sku, fields in (
        ("O2", "heavy", {}), ("O3", "X", {"level": "express"}), ("O4", "X", {"ship_to": {"country": "US"}}),
    ):  # fmt: skip
        decision = await scene.order(order_id, (sku, 1), **fields)
        line, stage = missing(decision), "weight" if sku == "heavy" else "service"
        assert (await scene.explained(order_id, decision))["A"] == {stage}
        assert (line["reason"], line["free"], line["elsewhere"]) == ("no_lane", 4 if sku == "X" else 5, [])


async def test_out_of_stock_says_where_else(scene):
    """Nothing in the pool, whatever is held: nodes outside that have it are named, those without are not."""
    await scene.open("ABCD", {"X": {"A": (4, 4), "B": 3, "C": 0, "D": 1}})
    decision = await scene.order("O", ("X", 1), limits={"nodes": ["A"]})
    line, stages = missing(decision), await scene.explained("O", decision)
    assert (stages["A"], stages["B"]) == ({"stock"}, {"limits"})
    assert (line["reason"], line["free"], line["safety"], line["elsewhere"]) == ("out_of_stock", 0, 4, ["B", "D"])


async def test_held(scene):
    """Stock is there and others hold it: how much is told, and that it may change."""
    await scene.open("A", {"X": {"A": 5}})
    await scene.order("H", ("X", 4), hold_seconds=600)
    decision = await scene.order("O", ("X", 3))
    line = missing(decision)
    assert (await scene.explained("O", decision))["A"] == {"held"}
    assert (line["quantity"], line["reason"], line["free"], line["held"]) == (2, "held", 1, 4)


async def test_capacity(scene):
    """Free stock at a node that ships nothing more that day; the day after it does."""
    await scene.open({"A": {"capacity": {"units_per_day": 2}}}, {"X": {"A": 5}})
    decision = await scene.order("O1", ("X", 3), placed_at=MONDAY)
    line = missing(decision)
    assert (await scene.explained("O1", decision))["A"] == {"capacity"}
    assert (line["quantity"], line["reason"], line["free"]) == (1, "capacity", 5)
    assert (await scene.order("O2", ("X", 2), placed_at="2030-01-08T09:00:00Z"))["status"] == "allocated"


async def test_max_parcels(scene):
    """What would need one parcel more than the order, its policy or a rule allows."""
    await scene.open("AB", {"X": {"A": 1, "B": 1}})
    assert missing(await scene.order("O1", ("X", 2), limits={"max_parcels": 1}))["reason"] == "max_parcels"
    await scene.command("O1", "cancel")
    await scene.policy(limits={"max_parcels": 1})
    assert missing(await scene.order("O2", ("X", 2)))["reason"] == "max_parcels"
    await scene.command("O2", "cancel")
    await scene.policy(rules=[{"name": "one", "then": {"limits": {"max_parcels": 1}}}])
    assert missing(await scene.order("O3", ("X", 2)))["reason"] == "max_parcels"


async def test_ship_complete(scene):
    """The line that lacks stock says so; the others wait for it and say that."""
    await scene.open("A", {"X": {"A": 5}, "Y": {"A": 1}})
    decision = await scene.order("O", ("X", 2), ("Y", 2), limits={"ship_complete": True})
    assert left(decision) == [("X", 2, "ship_complete"), ("Y", 2, "out_of_stock")]


async def test_group(scene):
    """Lines of one group that lie at two nodes: none ships, and a line outside the group does."""
    await scene.open("AB", {"X": {"A": 5}, "Y": {"B": 5}, "Z": {"B": 5}})
    pair = [{"sku": sku, "quantity": 1, "group": "set"} for sku in "XY"]
    decision = await scene.order("O", *pair, ("Z", 1))
    assert decision["status"] == "partially_allocated"
    assert left(decision) == [("X", 1, "group"), ("Y", 1, "group")]


async def test_split_lines(scene):
    """A line that must stay whole and lies in two halves ships one half at most."""
    await scene.open("AB", {"X": {"A": 3, "B": 2}})
    line = missing(await scene.order("O", ("X", 5), limits={"split_lines": False}))
    assert (line["quantity"], line["reason"]) == (2, "split_lines")


async def test_min_split_value(scene):
    """A second parcel worth less than the least is not sent."""
    await scene.open("AB", {"X": {"A": 3}, "Y": {"B": 1}})
    lines = ("X", 3, "10.00"), ("Y", 1, "9.99")
    line = missing(await scene.order("O", *lines, limits={"min_split_value": "10.00"}))
    assert (line["sku"], line["reason"]) == ("Y", "min_split_value")


async def test_too_late(scene):
    """It could arrive on Wednesday and must on Tuesday; an order that bears delay gets it a day late."""
    await scene.open("A", {"X": {"A": 5}})
    promise = {"placed_at": MONDAY, "deliver_by": "2030-01-08T23:00:00Z"}
    decision = await scene.order("O1", ("X", 1), **promise, limits={"allow_late": False})
    assert missing(decision)["reason"] == "too_late"
    assert (await scene.explained("O1", decision))["A"] == {"late"}
    assert (await scene.order("O2", ("X", 1), **promise))["cost"]["late"] == "5.00"


@pytest.mark.parametrize(
    "scene_settings", [Settings(strict_skus=strict) for strict in (True, False)], ids=["strict", "lenient"]
)
async def test_unknown_sku(scene, scene_settings):
    """Strict about its catalogue the service ships nothing it does not know; otherwise it weighs nothing."""
    await scene.open("A", {"X": {"A": 5}, "Z": {"A": 5}}, [{"sku": "X", "weight_g": 7}])
    decision = await scene.order("O", ("X", 1), ("Z", 1))
    assert left(decision) == ([("Z", 1, "unknown_sku")] if scene_settings.strict_skus else [])
    assert [parcel["weight_g"] for parcel in decision["parcels"]] == [7]


async def test_uneconomic(scene):
    """Dearer to ship than to leave: with `economic` it stays, with `always` it ships whatever it costs."""
    objective = {"fill": "economic", "unfilled_per_unit": "4.00"}
    await scene.open("A", {"X": {"A": 5}}, policy={"objective": objective})
    line = missing(await scene.order("O1", ("X", 1)))
    assert (line["reason"], line["free"]) == ("uneconomic", 5)
    assert (await scene.order("O2", ("X", 2)))["status"] == "allocated"
    await scene.policy(objective={**objective, "fill": "always"})
    assert (await scene.order("O3", ("X", 1)))["cost"]["total"] == "5.00"


async def test_the_first_stage_that_empties_the_set_names_the_reason(scene):
    """One order, one line for each stage: every line stops where its own nodes run out."""
    nodes = {"A": {"capacity": {"units_per_day": 0}}, "B": {}}
    lanes = [{"node_id": "A", "to": "*", "service": "ground", "parcel": "5.00"}]
    stock = {"E": {"A": 1}, "N": {"B": 1}, "S": {"B": 1}, "H": {"A": 1}, "C": {"A": 1}}
    haz = {"sku": "E", "requires": ["hazmat"]}
    await scene.open(nodes, stock, [haz], lanes=lanes)
    await scene.order("P", ("H", 1), pickup_node="B")
    decision = await scene.order("O", ("E", 1), ("S", 1), ("C", 1), placed_at=MONDAY)
    assert left(decision) == [("E", 1, "no_eligible_node"), ("S", 1, "out_of_stock"), ("C", 1, "capacity")]
    decision = await scene.order("Q", ("N", 1), limits={"nodes": ["B"]})
    assert left(decision) == [("N", 1, "no_lane")]
