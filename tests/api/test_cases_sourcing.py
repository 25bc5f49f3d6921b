"""Cases that other order systems pin down: where goods come from. Numbers are those of the case list.

Restated against our contract, through the public API, on the memory twin and on the store.
"""

from __future__ import annotations

import pytest

from tests.api.scenes import left, shipped

EU = {"nodes": ["eu-1", "eu-2", "eu-3", "eu-off"]}
EU_NODES = {"eu-1": {}, "eu-2": {}, "eu-3": {}, "eu-off": {"active": False}, "us-1": {}}
GIVEN = {
    "SKU-1": {"eu-1": 55, "eu-2": 30, "eu-3": (100, 100), "eu-off": 100},
    "SKU-2": {"us-1": 50},
    "SKU-3": {"eu-2": (60, 60)},
    "SKU-4": {"eu-2": 60},
}


async def test_case_1_two_lines_by_priority(scene):
    """Magento source selection: 80 and 40 by priority: each node gives what it has before the next is asked."""
    await scene.open(EU_NODES, GIVEN, policy={"mode": "sequence"})
    decision = await scene.order("O", ("SKU-1", 80), ("SKU-4", 40), limits=EU)
    assert decision["status"] == "allocated"
    assert shipped(decision) == {("eu-1", "SKU-1"): 55, ("eu-2", "SKU-1"): 25, ("eu-2", "SKU-4"): 40}
    assert await scene.held("SKU-1") == {"eu-1": 55, "eu-2": 25}


async def test_case_2_inactive_sources_are_left_alone(scene):
    """Magento source selection: 150 of 85 within reach: switched-off sources give nothing; complete: nothing at all."""
    await scene.open(EU_NODES, GIVEN)
    whole = await scene.order("W", ("SKU-1", 150), limits={"ship_complete": True})
    assert (whole["status"], left(whole)) == ("refused", [("SKU-1", 150, "out_of_stock")])
    assert await scene.held("SKU-1") == {}
    decision = await scene.order("P", ("SKU-1", 150))
    assert shipped(decision) == {("eu-1", "SKU-1"): 55, ("eu-2", "SKU-1"): 30}
    assert left(decision) == [("SKU-1", 65, "out_of_stock")]
    assert decision["unallocated"][0]["elsewhere"] == ["eu-off"]
    assert await scene.held("SKU-1") == {"eu-1": 55, "eu-2": 30}


async def test_case_3_what_lies_outside_the_pool_is_named(scene):
    """Magento source selection: SKU-2 is at us-1 only, outside the pool: it stays, and the answer says where it is."""
    await scene.open(EU_NODES, GIVEN)
    decision = await scene.order("O", ("SKU-1", 50), ("SKU-2", 30), limits=EU)
    assert shipped(decision) == {("eu-1", "SKU-1"): 50}
    assert left(decision) == [("SKU-2", 30, "out_of_stock")]
    assert decision["unallocated"][0]["elsewhere"] == ["us-1"]


async def test_case_4_priorities_reversed(scene):
    """Magento source selection: with priorities reversed eu-2 gives 30 first, eu-1 the other 20."""
    await scene.open(dict(reversed(EU_NODES.items())), GIVEN, policy={"mode": "sequence"})
    decision = await scene.order("O", ("SKU-1", 50))
    assert shipped(decision) == {("eu-2", "SKU-1"): 30, ("eu-1", "SKU-1"): 20}
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["eu-2", "eu-1"]


@pytest.mark.parametrize("stock", [{"A": 4, "B": 3}, {"B": 4, "A": 3}])
async def test_case_7_most_stock_first(scene, stock):
    """Saleor: 5 of 4 + 3 with the fullest first: 4 + 1, whichever of the nodes it is."""
    await scene.open("AB", {"X": stock}, policy={"mode": "most_stock"})
    decision = await scene.order("O", ("X", 5))
    fullest, other = sorted(stock, key=stock.get, reverse=True)
    assert shipped(decision) == {(fullest, "X"): 4, (other, "X"): 1}


async def test_case_9_one_answer_names_every_line(scene):
    """Saleor: two lines far over stock: one answer with both, nothing written."""
    await scene.open("A", {"X": {"A": 5}, "Y": {"A": 7}})
    decision = await scene.order("O", ("X", 100), ("Y", 100), limits={"ship_complete": True})
    assert (decision["status"], decision["parcels"]) == ("refused", [])
    assert left(decision) == [("X", 100, "out_of_stock"), ("Y", 100, "out_of_stock")]
    assert [line["free"] for line in decision["unallocated"]] == [5, 7]
    assert await scene.held("X") == await scene.held("Y") == {}


async def test_case_10_no_way_to_the_destination(scene):
    """Saleor: stock of 100, but neither lane nor carrier goes there: `no_lane`, not a lack of stock."""
    lane = {"node_id": "A", "to": "US", "service": "ground", "parcel": "5.00"}
    await scene.open("A", {"X": {"A": 100}}, lanes=[lane])
    decision = await scene.order("O", ("X", 1), ship_to={"country": "CA"})
    assert (decision["status"], left(decision)) == ("refused", [("X", 1, "no_lane")])
    assert decision["unallocated"][0]["free"] == 100


async def test_case_12_two_parcels_where_one_is_allowed(scene):
    """Spree: A lies in NYC, B in LA: two parcels; at most one and complete: refused for `max_parcels`."""
    await scene.open(["NYC", "LA"], {"A": {"NYC": 10, "LA": 0}, "B": {"NYC": 0, "LA": 10}})
    decision = await scene.order("O1", ("A", 1), ("B", 1))
    assert shipped(decision) == {("NYC", "A"): 1, ("LA", "B"): 1}
    limits = {"max_parcels": 1, "ship_complete": True}
    whole = await scene.order("O2", ("A", 1), ("B", 1), limits=limits)
    assert (whole["status"], left(whole)) == ("refused", [("A", 1, "max_parcels"), ("B", 1, "max_parcels")])
    partly = await scene.order("O3", ("A", 1), ("B", 1), limits={"max_parcels": 1})
    assert (partly["status"], len(partly["parcels"])) == ("partially_allocated", 1)
    assert [reason for _, _, reason in left(partly)] == ["max_parcels"]


async def test_case_13_one_parcel_before_two(scene):
    """Spree: 5 of NYC 2, LA 10 at equal costs: all from LA; by sequence 2 + 3."""
    await scene.open(["NYC", "LA"], {"X": {"NYC": 2, "LA": 10}})
    assert shipped(await scene.order("O1", ("X", 5))) == {("LA", "X"): 5}
    await scene.policy(mode="sequence")
    assert shipped(await scene.order("O2", ("X", 5))) == {("NYC", "X"): 2, ("LA", "X"): 3}


async def test_case_15_an_inactive_node_is_no_candidate(scene):
    """Spree: the first node is switched off: its 10 units are never offered, whoever routes."""
    await scene.open({"off": {"active": False}, "on": {}}, {"X": {"off": 10, "on": 1}})
    for number, mode in enumerate(("optimise", "sequence", "nearest", "most_stock")):
        await scene.policy(mode=mode)
        decision = await scene.order(f"O{number}", ("X", 3))
        assert shipped(decision) == {("on", "X"): 1}
        assert left(decision) == [("X", 2, "out_of_stock")]
        assert await scene.command(f"O{number}", "cancel") == "cancelled"


async def test_case_16_an_order_without_lines(scene):
    """Spree: nothing to decide is a fault of the order, and its path is named."""
    await scene.open("A", {"X": {"A": 1}})
    answer = await scene.http.post("/v1/orders", json={"order_id": "O", "ship_to": {"country": "US"}, "lines": []})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "$.lines")
    assert (await scene.http.get("/v1/orders/O")).status_code == 404


async def test_case_17_one_sku_on_two_lines(scene):
    """Spree, Medusa #16502: two lines of 3 share a stock of 5: 5 ship or none, never 6."""
    await scene.open("A", {"X": {"A": 5}})
    whole = await scene.order("W", ("X", 3), ("X", 3), limits={"ship_complete": True})
    assert (whole["status"], await scene.held("X")) == ("refused", {})
    assert {reason for _, _, reason in left(whole)} == {"out_of_stock", "ship_complete"}
    decision = await scene.order("O", ("X", 3), ("X", 3))
    assert shipped(decision) == {("A", "X"): 5}
    assert left(decision) == [("X", 1, "out_of_stock")]
    assert await scene.held("X") == {"A": 5}


async def test_case_19_fewest_parcels(scene):
    """Solidus #2122: 5 of 3 + 3 + 3 are two parcels, not three."""
    await scene.open("ABC", {"X": {"A": 3, "B": 3, "C": 3}})
    decision = await scene.order("O", ("X", 5))
    assert (decision["status"], len(decision["parcels"])) == ("allocated", 2)


async def test_case_20_all_or_nothing(scene):
    """Solidus: 5 of 1 + 1, complete: refused, the SKU and the 2 free units named, nothing held."""
    await scene.open("AB", {"X": {"A": 1, "B": 1}})
    decision = await scene.order("O", ("X", 5), limits={"ship_complete": True})
    assert (decision["status"], left(decision)) == ("refused", [("X", 5, "out_of_stock")])
    assert decision["unallocated"][0]["free"] == 2
    assert await scene.held("X") == {}


POST = {
    "carrier": "post", "service": "parcel", "zones": {"kind": "distance_km", "upper": [5000]}, "transit_days": [2, 5],
    "rates": [{"up_to_g": 150_000, "by_zone": ["9.00", "19.00"]}], "max_weight_g": 150_000,
}  # fmt: skip


async def test_case_21_the_carrier_sets_the_boxes(scene):
    """Solidus, Spree: 4 units of 100 kg under a limit of 150 kg are 4 parcels; of 200 kg none can go."""
    weights = [{"sku": "X", "weight_g": 100_000}, {"sku": "Z", "weight_g": 200_000}]
    await scene.open("A", {"X": {"A": 4}, "Z": {"A": 4}}, weights, carriers=[POST])
    decision = await scene.order("O", ("X", 4), ("Z", 4))
    assert [parcel["weight_g"] for parcel in decision["parcels"]] == [100_000] * 4
    assert left(decision) == [("Z", 4, "no_lane")]
    assert decision["cost"]["shipping"] == "36.00"


async def test_case_22_safety_stock_is_kept_back(scene):
    """Vendure: on hand 3 with safety 2: 1 of 5 ships, and the answer says 1 free, 2 kept back."""
    await scene.open("A", {"X": {"A": (3, 2)}})
    decision = await scene.order("O", ("X", 5))
    (missing,) = decision["unallocated"]
    assert (shipped(decision), missing["quantity"], missing["reason"]) == ({("A", "X"): 1}, 4, "out_of_stock")
    assert (missing["free"], missing["safety"]) == (1, 2)


async def test_case_26_a_node_that_never_had_it(scene):
    """Medusa: reserved at a node that never stocked the SKU: `out_of_stock` there, and who has it is named."""
    await scene.open("AB", {"X": {"B": 4}})
    decision = await scene.order("O", ("X", 1), limits={"nodes": ["A"]})
    assert left(decision) == [("X", 1, "out_of_stock")]
    assert (decision["unallocated"][0]["free"], decision["unallocated"][0]["elsewhere"]) == (0, ["B"])
    assert (await scene.explained("O", decision)) == {"A": {"stock"}, "B": {"limits"}}
    assert set(await scene.cells("X")) == {"B"}


async def test_case_33_no_split_for_little(scene):
    """HotWax: an order of 100.00 of which 15.00 lie elsewhere, 20.00 the least for a split: no split."""
    await scene.open("AB", {"big": {"A": 2}, "small": {"B": 1}})
    lines = ("big", 2, "42.50"), ("small", 1, "15.00")
    decision = await scene.order("O1", *lines, limits={"min_split_value": "20.00"})
    assert shipped(decision) == {("A", "big"): 2}
    assert left(decision) == [("small", 1, "min_split_value")]
    assert await scene.command("O1", "cancel") == "cancelled"
    assert len((await scene.order("O2", *lines, limits={"min_split_value": "15.00"}))["parcels"]) == 2


async def test_case_36_only_a_cover_by_three(scene):
    """Salesforce: at most two parcels and only three nodes together have all: `max_parcels`."""
    await scene.open("ABC", {"X": {"A": 1}, "Y": {"B": 1}, "Z": {"C": 1}})
    lines = ("X", 1), ("Y", 1), ("Z", 1)
    whole = await scene.order("W", *lines, limits={"max_parcels": 2, "ship_complete": True})
    assert (whole["status"], {reason for *_, reason in left(whole)}) == ("refused", {"max_parcels"})
    decision = await scene.order("O", *lines, limits={"max_parcels": 2})
    assert (decision["status"], len(decision["parcels"])) == ("partially_allocated", 2)
    assert [reason for *_, reason in left(decision)] == ["max_parcels"]


async def test_case_37_a_node_without_a_carrier_for_it(scene):
    """IBM: B is cheaper, but has no carrier for the weight, C none for the address: neither is used."""
    light = {"node_id": "C", "to": "US-CA", "service": "ground", "parcel": "1.00"}
    rates = [{"up_to_g": 2_000, "by_zone": ["4.00", "4.00"]}]
    courier = {**POST, "service": "courier", "max_weight_g": 2_000, "rates": rates}
    far = {"country": "US", "region": "NY"}
    lanes = [light, {"node_id": "A", "to": "US", "service": "ground", "parcel": "5.00"}]
    stock = {"heavy": {"A": 1, "B": 1, "C": 1}, "small": {"B": 1, "C": 1}}
    await scene.open("ABC", stock, [{"sku": "heavy", "weight_g": 3_000}], lanes=lanes, carriers=[courier])
    decision = await scene.order("O1", ("heavy", 1))
    assert shipped(decision) == {("A", "heavy"): 1}
    assert await scene.explained("O1", decision) == {"A": set(), "B": {"weight"}, "C": {"weight"}}
    decision = await scene.order("O2", ("heavy", 1), ship_to=far)
    assert left(decision) == [("heavy", 1, "held")]
    decision = await scene.order("O3", ("small", 1), ship_to=far)
    assert left(decision) == [("small", 1, "out_of_stock")]
    assert decision["unallocated"][0]["elsewhere"] == ["B", "C"]
    decision = await scene.order("O4", ("small", 1), ship_to=far, limits={"nodes": ["B", "C"]})
    assert left(decision) == [("small", 1, "no_lane")]
    stages = await scene.explained("O4", decision)
    assert (stages["B"], stages["C"]) == ({"service"}, {"service"})
