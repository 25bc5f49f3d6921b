"""Cases that other order systems pin down: what waits for stock. Numbers are those of the case list.

Restated against our contract, through the public API, on the memory twin and on the store.
"""

from __future__ import annotations

import asyncio

from tests.api.scenes import left, shipped


async def settled(scene, order_id, state):
    """The order's current decision once it is in a state, soon; costs checked."""
    async with asyncio.timeout(60):
        while (view := (await scene.http.get(f"/v1/orders/{order_id}")).json())["state"] != state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return scene.checked(view["decision"], view["order"])


async def receive(scene, sku, node_id, quantity):
    """Stock arrives."""
    row = {"movement_id": f"{sku}-{node_id}", "node_id": node_id, "sku": sku, "kind": "receive", "quantity": quantity}
    assert (await scene.http.post("/v1/stock/movements", json=row)).status_code == 200


async def test_case_14_one_ships_and_two_wait(scene):
    """Spree: 1 of 3 there, backorder on: exactly 1 allocated and 2 backordered, 3 in all (a peer's suite pins 4)."""
    await scene.open(["NYC", "LA"], {"X": {"NYC": 1, "LA": 0}})
    decision = await scene.order("O", ("X", 3), backorder=True)
    assert (decision["status"], shipped(decision)) == ("partially_allocated", {("NYC", "X"): 1})
    assert [(line["sku"], line["quantity"]) for line in decision["backordered"]] == [("X", 2)]
    assert left(decision) == []
    await receive(scene, "X", "LA", 9)
    assert shipped(await settled(scene, "O", "allocated")) == {("NYC", "X"): 1, ("LA", "X"): 2}
    assert await scene.held("X") == {"NYC": 1, "LA": 2}


async def test_case_25_a_cancel_gives_back_what_was_taken(scene):
    """Vendure: of 5 units 2 were taken and 3 waited: a cancel gives back the 2, and what comes later is free."""
    await scene.open("A", {"X": {"A": 2}})
    await scene.order("O", ("X", 5), backorder=True)
    assert await scene.command("O", "cancel") == "cancelled"
    assert (await scene.cells("X"))["A"]["available"] == 2
    await receive(scene, "X", "A", 4)
    await asyncio.sleep(0.3)
    assert (await scene.cells("X"))["A"]["available"] == 6


async def test_what_waits_keeps_its_pool(scene):
    """Pick-up and backorder: the missing units come to that node or not at all, and cost no carriage."""
    await scene.open("AB", {"X": {"A": 1, "B": 1}})
    await scene.order("O", ("X", 2), pickup_node="A", backorder=True)
    await receive(scene, "X", "B", 5)
    await asyncio.sleep(0.3)
    assert await scene.held("X") == {"A": 1}
    await receive(scene, "X", "A", 1)
    decision = await settled(scene, "O", "allocated")
    assert (shipped(decision), decision["cost"]["total"]) == ({("A", "X"): 2}, "0")


async def test_a_kit_waits_for_its_parts_along_a_dock(scene):
    """Kit, dock, backorder: the kit is filled when one node has all its parts, and leaves from the dock's first."""
    kit = {"sku": "K", "components": [{"sku": "X", "quantity": 1}, {"sku": "Y", "quantity": 1}]}
    await scene.open(
        {n: {"dock": "d"} for n in "AB"}, {"X": {"B": 1}, "Y": {"A": 1}}, [{"sku": "X"}, {"sku": "Y"}, kit]
    )
    decision = await scene.order("O", ("K", 1), backorder=True)
    assert (decision["status"], await scene.held("X")) == ("backordered", {})
    await receive(scene, "Y", "B", 1)
    decision = await settled(scene, "O", "allocated")
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["A"]
    assert (await scene.held("X"), await scene.held("Y")) == ({"B": 1}, {"B": 1})
