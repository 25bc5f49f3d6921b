"""Cases that other systems' suites pin down, through the public API; numbers are those of the case list."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


async def prepared(http: httpx.AsyncClient, stock: dict[str, dict[str, int]], *skus: dict[str, Any]) -> None:
    """Nodes L1, L2, L3 with equal lanes, and a card of the service `parcel` up to 150 kg; the stock by SKU and node."""
    place = {"country": "US", "lat": 40, "lon": -75}
    network = {
        "nodes": [{"node_id": f"L{n}", "priority": n, **place} for n in (1, 2, 3)],
        "carriers": [{"carrier": "post", "service": "parcel", "zones": {"kind": "distance_km", "upper": [5000]},
                      "rates": [{"up_to_g": 150_000, "by_zone": ["9.00"]}], "transit_days": [2]}],
    }  # fmt: skip
    assert (await http.put("/v1/network", json=network)).status_code == 200
    if skus:
        assert (await http.put("/v1/skus", json=list(skus))).status_code == 200
    rows = [{"node_id": n, "sku": sku, "on_hand": units} for sku, cells in stock.items() for n, units in cells.items()]
    assert (await http.put("/v1/stock", json=rows)).status_code == 200


async def decided(http: httpx.AsyncClient, *lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
    """The decision of an order near the nodes."""
    body = {
        "order_id": fields.pop("order_id", "O"),
        "ship_to": {"country": "US", "lat": 41, "lon": -75},
        "lines": [{"line_id": str(n), "sku": sku, "quantity": units} for n, (sku, units) in enumerate(lines, 1)],
        **fields,
    }
    answer = await http.post("/v1/orders", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def parcels(decision: dict[str, Any]) -> dict[tuple[str, str], int]:
    """{(node, SKU): units} of the parcels."""
    found: dict[tuple[str, str], int] = {}
    for parcel in decision["parcels"]:
        for line in parcel["lines"]:
            found[parcel["node_id"], line["sku"]] = found.get((parcel["node_id"], line["sku"]), 0) + line["quantity"]
    return found


def reasons(decision: dict[str, Any]) -> list[tuple[str, int, str]]:
    """(SKU, units, reason) of what stays."""
    return [(line["sku"], line["quantity"], line["reason"]) for line in decision["unallocated"]]


async def held(http: httpx.AsyncClient, sku: str) -> int:
    """Units held of a SKU, over all nodes."""
    return sum(cell["held"] for cell in (await http.get(f"/v1/stock/{sku}")).json()["nodes"])


async def test_case_12_and_36_at_most_so_many_parcels(empty):
    """A cover by three nodes where two parcels are allowed: one line stays for `max_parcels`; complete: all three."""
    await prepared(empty, {"A": {"L1": 1}, "B": {"L2": 1}, "C": {"L3": 1}})
    lines = (("A", 1), ("B", 1), ("C", 1))
    whole = await decided(empty, *lines, order_id="W", limits={"max_parcels": 2, "ship_complete": True})
    assert whole["status"] == "refused"
    assert {reason for _, _, reason in reasons(whole)} == {"max_parcels"}
    partly = await decided(empty, *lines, order_id="P", limits={"max_parcels": 2})
    assert (partly["status"], len(partly["parcels"])) == ("partially_allocated", 2)
    assert [reason for _, _, reason in reasons(partly)] == ["max_parcels"]


async def test_case_19_and_20_three_and_three_and_three(empty):
    """5 of 3 + 3 + 3 in two parcels; 5 of the 4 that are left, complete: refused with what is free, nothing held."""
    await prepared(empty, {"X": {"L1": 3, "L2": 3, "L3": 3}})
    assert len((await decided(empty, ("X", 5), order_id="O1"))["parcels"]) == 2
    refused = await decided(empty, ("X", 5), order_id="O2", limits={"ship_complete": True})
    assert (refused["status"], refused["unallocated"][0]["free"]) == ("refused", 4)
    assert await held(empty, "X") == 5


@pytest.mark.parametrize(("grams", "boxes"), [(100_000, 4), (200_000, 0)])
async def test_case_21_heavy_units(empty, grams, boxes):
    """4 units of 100 kg under a limit of 150 kg are 4 parcels; of 200 kg none, for want of a lane."""
    await prepared(empty, {"X": {"L1": 9}}, {"sku": "X", "weight_g": grams})
    decision = await decided(empty, ("X", 4))
    assert len(decision["parcels"]) == boxes
    assert reasons(decision) == ([] if boxes else [("X", 4, "no_lane")])


async def test_case_33_no_split_for_little(empty):
    """An order of 100.00, of which 15.00 are elsewhere, and 20.00 the least: no split."""
    await prepared(empty, {"big": {"L1": 1}, "small": {"L2": 1}})
    body = {
        "order_id": "O", "ship_to": {"country": "US", "lat": 41, "lon": -75}, "limits": {"min_split_value": "20.00"},
        "lines": [{"line_id": "1", "sku": "big", "quantity": 1, "unit_price": "85.00"},
                  {"line_id": "2", "sku": "small", "quantity": 1, "unit_price": "15.00"}],
    }  # fmt: skip
    decision = (await empty.post("/v1/orders", json=body)).json()
    assert len(decision["parcels"]) == 1
    assert [reason for _, _, reason in reasons(decision)] == ["min_split_value"]


async def test_case_38_kits_are_whole_by_node(empty):
    """Kit = 2 x X; X: 4 and 4; 4 kits: 2 + 2, and 8 units of X are held."""
    kit = {"sku": "K", "components": [{"sku": "X", "quantity": 2}]}
    await prepared(empty, {"X": {"L1": 4, "L2": 4}}, {"sku": "X"}, kit)
    assert parcels(await decided(empty, ("K", 4))) == {("L1", "K"): 2, ("L2", "K"): 2}
    assert await held(empty, "X") == 8


async def test_case_39_a_shared_part_is_sold_once(empty):
    """X 3, two kits of 2 X each, ordered together: one ships, never both."""
    kits = [{"sku": name, "components": [{"sku": "X", "quantity": 2}]} for name in ("KA", "KB")]
    await prepared(empty, {"X": {"L1": 3}}, {"sku": "X"}, *kits)
    decision = await decided(empty, ("KA", 1), ("KB", 1))
    assert decision["status"] == "partially_allocated"
    assert await held(empty, "X") == 2


async def test_pickup_and_substitutes_read_as_the_contract_says(empty):
    """No carrier, no price, no days under way; the parcel shows what ships and what it stands for."""
    original = {"sku": "X", "substitutes": [{"sku": "Y", "ratio": 2}]}
    await prepared(empty, {"Y": {"L2": 4}}, original, {"sku": "Y"})
    decision = await decided(empty, ("X", 2), pickup_node="L2", limits={"allow_substitutes": True})
    (parcel,) = decision["parcels"]
    assert (parcel["carrier"], parcel["service"], parcel["cost"]["shipping"]) == (None, "pickup", "0")
    assert parcel["lines"] == [{"line_id": "1", "sku": "Y", "quantity": 4, "substituted_for": "X"}]
    assert await held(empty, "Y") == 4
