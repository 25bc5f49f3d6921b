"""Backorders over HTTP: what waits, what is filled when stock arrives, in which order, and what it costs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest

from engine.ledger.reconcile import reconcile
from tests.api.conftest import NETWORK, order, problem

FILLED_WITHIN_MS = 1_000
"""By the store's clock, from the arrival of stock."""


def waiting(order_id: str = "O-1", sku: str = "N", quantity: int = 3, **more: Any) -> dict[str, Any]:
    """An order that may wait."""
    return order(order_id, sku, quantity, backorder=True, **more)


async def post(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """A new order's decision."""
    answer = await client.post("/v1/orders", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def receive(client: httpx.AsyncClient, sku: str, quantity: int, node: str = "NYC", **more: Any) -> None:
    """Stock arrives."""
    receive.count += 1
    row = {"movement_id": f"R-{receive.count}", "node_id": node, "sku": sku, "kind": "receive", "quantity": quantity}
    answer = await client.post("/v1/stock/movements", json={**row, **more})
    assert answer.status_code == 200, answer.text


receive.count = 0


async def current(client: httpx.AsyncClient, order_id: str = "O-1") -> dict[str, Any]:
    """An order as it stands."""
    return (await client.get(f"/v1/orders/{order_id}")).json()


async def until(client: httpx.AsyncClient, state: str, order_id: str = "O-1") -> dict[str, Any]:
    """The order once it is in a state, which takes a second at most where nobody else works."""
    async with asyncio.timeout(60):
        while (view := await current(client, order_id))["state"] != state:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)
    return view


async def units(client: httpx.AsyncClient, order_id: str = "O-1") -> int:
    """Units that ship of an order."""
    decision = (await current(client, order_id))["decision"]
    return sum(line["quantity"] for parcel in decision["parcels"] for line in parcel["lines"])


async def until_units(client: httpx.AsyncClient, number: int, order_id: str = "O-1") -> None:
    """Wait until so many units of an order ship."""
    async with asyncio.timeout(60):
        while await units(client, order_id) != number:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)


async def held(client: httpx.AsyncClient, sku: str = "N") -> int:
    """Units held of a SKU anywhere."""
    answer = await client.get(f"/v1/stock/{sku}")
    return sum(cell["held"] for cell in answer.json()["nodes"])


@pytest.fixture(autouse=True)
async def _audited(app):
    """After every test the log replayed gives the live state, what waits included."""
    yield
    for partition in await app.engine.ledger.partitions():
        report = await reconcile(app.engine.ledger, partition)
        assert report.clean, report.differences


async def test_what_is_there_ships_and_the_rest_waits(client):
    """Case 14: 1 at one node, none at the other, 3 wanted: exactly 1 allocated and 2 backordered."""
    await receive(client, "N", 1)
    decision = await post(client, waiting())
    assert decision["status"] == "partially_allocated"
    assert [line["quantity"] for parcel in decision["parcels"] for line in parcel["lines"]] == [1]
    assert decision["unallocated"] == []
    assert decision["backordered"] == [{"line_id": "1", "sku": "N", "quantity": 2, "expected_at": None}]
    assert decision["cost"]["unfilled"] == "50.00"
    assert await held(client) == 1


async def test_arriving_stock_is_added_within_a_second(client, app):
    """Protects filling: the missing units join the parcels there are, by the store's clock within a second."""
    await receive(client, "N", 1)
    first = await post(client, waiting())
    await receive(client, "N", 2, "LAX")
    await receive(client, "N", 2, "LAX")  # two are kept back for safety there
    view = await until(client, "allocated")
    decision = view["decision"]
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["NYC", "LAX"]
    assert [parcel["parcel_id"] for parcel in decision["parcels"]] == ["O-1-1", "O-1-2"]
    assert decision["parcels"][0] == first["parcels"][0]
    assert decision["backordered"] == []
    assert decision["cost"] == {
        "shipping": "12.00", "handling": "0", "split": "0", "late": "0", "unfilled": "0", "total": "12.00",
    }  # fmt: skip
    log = [entry async for entry in app.engine.ledger.entries("default")]
    [arrival] = [entry for entry in log if entry.kind == "stock"][-1:]
    [(event, entry)] = [
        (event, entry) for entry in log for event in entry.events if event.type == "order.backorder_filled"
    ]
    assert entry.at_ms - arrival.at_ms <= FILLED_WITHIN_MS
    assert b'"backordered":[]' in event.data
    assert [change["event"] for change in view["history"]] == [
        "order.partially_allocated", "order.backorder_filled", "order.allocated",
    ]  # fmt: skip
    again = await client.post("/v1/orders", json=waiting())
    assert (again.status_code, again.json()) == (200, first)


async def test_orders_that_wait_go_before_new_ones(client, app):
    """Protects precedence: with stock that arrives, an order that waits comes before one posted afterwards."""
    await post(client, waiting(quantity=2))
    await app.engine.backorders.stop()  # the new order's own window has to see to it
    await receive(client, "N", 3)
    new = await post(client, order("O-2", "N", 3))
    assert new["status"] == "partially_allocated"
    assert await units(client) == 2
    assert (await current(client))["state"] == "allocated"


async def test_the_higher_priority_is_filled_first_then_the_older(client):
    """Protects the order of filling: priority before age, age before the order of arrival."""
    await post(client, waiting("O-1", quantity=2, placed_at="2026-11-20T10:00:00Z"))
    await post(client, waiting("O-2", quantity=2, placed_at="2026-11-19T10:00:00Z"))
    await post(client, waiting("O-3", quantity=2, priority=5))
    await receive(client, "N", 2)
    await until(client, "allocated", "O-3")
    await receive(client, "N", 3)
    await until(client, "allocated", "O-2")
    view = await until(client, "partially_allocated", "O-1")
    assert view["decision"]["backordered"][0]["quantity"] == 1


async def test_cancelling_gives_back_only_what_was_taken(client):
    """Case 25: an order of which part waits gives back what it has, and waits no more."""
    await receive(client, "N", 1)
    await post(client, waiting())
    assert (await client.post("/v1/orders/O-1/cancel")).json()["state"] == "cancelled"
    assert await held(client) == 0
    await receive(client, "N", 5)
    await asyncio.sleep(0.3)
    assert (await current(client))["state"] == "cancelled"
    assert await held(client) == 0


async def test_what_is_given_back_fills_what_waits(client):
    """Protects every source of stock: a cancelled order's units, a count, a node's return serve those that wait."""
    await receive(client, "N", 2)
    await post(client, order("O-9", "N", 2))
    await post(client, waiting(quantity=2))
    assert (await current(client))["state"] == "backordered"
    await client.post("/v1/orders/O-9/cancel")
    await until(client, "allocated")
    await post(client, waiting("O-2", quantity=1))
    row = {"movement_id": "C", "node_id": "NYC", "sku": "N", "kind": "count", "quantity": 3}
    await client.post("/v1/stock/movements", json=row)
    await until(client, "allocated", "O-2")
    await client.patch("/v1/nodes/LAX", json={"active": False})
    await receive(client, "N", 5, "LAX")
    await post(client, waiting("O-3", quantity=1))
    await asyncio.sleep(0.3)
    assert (await current(client, "O-3"))["state"] == "backordered"
    await client.patch("/v1/nodes/LAX", json={"active": True})
    await until(client, "allocated", "O-3")


async def test_an_order_with_its_nodes_is_still_filled(client):
    """Protects `ready`: what is with the nodes stays there, the rest comes in parcels of its own."""
    await receive(client, "N", 1)
    first = await post(client, waiting())
    assert (await client.post("/v1/orders/O-1/ready")).json()["state"] == "ready"
    await receive(client, "N", 2)
    await until_units(client, 3)
    view = await current(client)
    assert view["state"] == "ready"
    assert view["decision"]["parcels"][0] == first["parcels"][0]
    assert len(view["decision"]["parcels"]) == 2


async def test_an_order_that_ships_complete_waits_whole(client):
    """Protects `ship_complete`: nothing is taken until all of it can ship."""
    lines = [{"line_id": "1", "sku": "A", "quantity": 1}, {"line_id": "2", "sku": "N", "quantity": 2}]
    decision = await post(client, {**waiting(limits={"ship_complete": True}), "lines": lines})
    assert (decision["status"], decision["parcels"], decision["unallocated"]) == ("backordered", [], [])
    assert [entry["sku"] for entry in decision["backordered"]] == ["A", "N"]
    await receive(client, "N", 1)
    await asyncio.sleep(0.3)
    assert (await current(client))["state"] == "backordered"
    assert await held(client, "A") == 0
    await receive(client, "N", 1)
    await until(client, "allocated")
    assert (await held(client, "A"), await held(client)) == (1, 2)


async def test_what_nothing_can_serve_does_not_wait(client):
    """Protects callers: where no node or lane serves a line it is unallocated with its reason, whatever it may."""
    await client.put("/v1/skus", json={"sku": "H", "requires": ["hazmat"]})
    lines = [{"line_id": "1", "sku": "H", "quantity": 1}, {"line_id": "2", "sku": "N", "quantity": 1}]
    decision = await post(client, {**waiting(), "lines": lines})
    assert [(entry["sku"], entry["reason"]) for entry in decision["unallocated"]] == [("H", "no_eligible_node")]
    assert [entry["sku"] for entry in decision["backordered"]] == ["N"]
    refused = await post(client, {**waiting("O-2"), "lines": lines[:1]})
    assert refused["status"] == "refused"


async def test_incoming_stock_dates_what_waits(client):
    """Protects promises and costs: units that incoming stock covers have a date and are not charged as unfilled."""
    rows = [
        {"incoming_id": "I-1", "node_id": "NYC", "sku": "N", "quantity": 2, "expected_at": "2027-01-05T10:00:00Z"},
        {"incoming_id": "I-2", "node_id": "LAX", "sku": "N", "quantity": 2, "expected_at": "2027-01-03T09:00:00+01:00"},
    ]
    answer = await client.put("/v1/stock/incoming", json=rows)
    assert (answer.status_code, answer.json()["applied"]) == (200, 2)
    nodes = {cell["node_id"]: cell["incoming"] for cell in (await client.get("/v1/stock/N")).json()["nodes"]}
    assert nodes == {"NYC": 2, "LAX": 2}
    decision = await post(client, waiting())
    assert decision["backordered"] == [
        {"line_id": "1", "sku": "N", "quantity": 3, "expected_at": "2027-01-05T10:00:00Z"}
    ]
    assert decision["cost"]["total"] == "0"
    later = await post(client, waiting("O-2"))
    assert [(entry["quantity"], entry["expected_at"]) for entry in later["backordered"]] == [
        (1, "2027-01-05T10:00:00Z"), (2, None),
    ]  # fmt: skip
    assert later["cost"]["unfilled"] == "50.00"


async def test_a_receipt_brings_incoming_units(client):
    """Protects incoming stock: what arrives is on its way no longer, what is cancelled neither, faults have lines."""
    rows = [
        {"incoming_id": "I-1", "node_id": "NYC", "sku": "N", "quantity": 5, "expected_at": "2027-01-05T10:00:00Z"},
        {"incoming_id": "I-2", "node_id": "NOWHERE", "sku": "N", "quantity": 5, "expected_at": "2027-01-05T10:00:00Z"},
        {"incoming_id": "I-3", "node_id": "NYC", "sku": "N", "quantity": 1, "expected_at": "2027-01-06T10:00:00Z"},
    ]
    written = (await client.put("/v1/stock/incoming", json=rows)).json()
    assert (written["applied"], [fault["line"] for fault in written["errors"]]) == (2, [2])
    await receive(client, "N", 2, incoming_id="I-1")
    [cell] = (await client.get("/v1/stock/N")).json()["nodes"]
    assert (cell["on_hand"], cell["incoming"]) == (2, 4)
    row = {"movement_id": "M", "node_id": "LAX", "sku": "N", "kind": "receive", "quantity": 1, "incoming_id": "I-1"}
    problem(await client.post("/v1/stock/movements", json=row), 422, "invalid-input")
    await receive(client, "N", 4, incoming_id="I-1")
    await client.put("/v1/stock/incoming", json={**rows[2], "quantity": 0})
    [cell] = (await client.get("/v1/stock/N")).json()["nodes"]
    assert (cell["on_hand"], cell["incoming"]) == (6, 0)


async def test_kits_wait_for_their_parts(client):
    """Protects kits: an order for a kit is filled once the last component is there."""
    parts = [{"sku": "P", "quantity": 2}, {"sku": "Q", "quantity": 1}]
    rows = [{"sku": "P"}, {"sku": "Q"}, {"sku": "K", "components": parts}]
    assert (await client.put("/v1/skus", json=rows)).status_code == 200
    await receive(client, "P", 2)
    assert (await post(client, waiting(sku="K", quantity=1)))["status"] == "backordered"
    await receive(client, "Q", 1)
    await until(client, "allocated")
    assert (await held(client, "P"), await held(client, "Q")) == (2, 1)


async def test_substitutes_fill_what_waits(client):
    """Protects substitutes: where the order allows them, what may ship instead fills it when it arrives."""
    await client.put("/v1/skus", json=[{"sku": "S"}, {"sku": "N", "substitutes": [{"sku": "S", "ratio": 2}]}])
    await post(client, waiting(quantity=1, limits={"allow_substitutes": True}))
    await receive(client, "S", 2)
    view = await until(client, "allocated")
    [line] = view["decision"]["parcels"][0]["lines"]
    assert (line["sku"], line["quantity"], line["substituted_for"]) == ("S", 2, "N")


async def test_parcels_of_the_rest_count_to_the_limit(client):
    """Protects `max_parcels`: what ships later has the parcels that are left, and none left means not waiting."""
    await receive(client, "N", 1)
    decision = await post(client, waiting(limits={"max_parcels": 1}))
    assert (decision["status"], decision["backordered"]) == ("partially_allocated", [])
    assert decision["unallocated"][0]["quantity"] == 2
    await receive(client, "B2", 1)
    await post(client, waiting("O-2", "B2", 4, limits={"max_parcels": 2}))
    await receive(client, "B2", 1)
    await until(client, "partially_allocated", "O-2")
    await until_units(client, 2, "O-2")
    view = await current(client, "O-2")
    assert (len(view["decision"]["parcels"]), view["decision"]["backordered"]) == (2, [])
    assert view["decision"]["unallocated"][0]["quantity"] == 2


async def test_room_at_a_node_is_waited_for(empty):
    """Protects capacity: an order that a full day stops waits, and is filled when a parcel there is given up."""
    network = {**NETWORK, "nodes": [{**NETWORK["nodes"][0], "capacity": {"parcels_per_day": 1}}]}
    network["lanes"] = NETWORK["lanes"][:1]
    await empty.put("/v1/network", json=network)
    await receive(empty, "N", 5)
    await post(empty, order("O-9", "N", 1))
    assert (await post(empty, waiting(quantity=1)))["status"] == "backordered"
    await empty.post("/v1/orders/O-9/cancel")
    await until(empty, "allocated")


async def test_a_soft_hold_waits_once_it_is_confirmed(client):
    """Protects soft holds: while a hold may lapse its rest does not wait; confirmed, it does."""
    await receive(client, "N", 1)
    await post(client, waiting(hold_seconds=60))
    await receive(client, "N", 2)
    await asyncio.sleep(0.3)
    assert await units(client) == 1
    await client.post("/v1/orders/O-1/confirm")
    view = await until(client, "allocated")
    assert datetime.fromisoformat(view["history"][-1]["at"])
    assert await held(client) == 3


async def test_replaced_and_rerouted_orders_wait_as_decided_last(client):
    """Protects commands: an order decided again waits for what the new decision misses, and for nothing else."""
    await post(client, waiting())
    answer = await client.put("/v1/orders/O-1", json=waiting(quantity=1))
    assert answer.json()["backordered"][0]["quantity"] == 1
    await receive(client, "N", 3)
    await until(client, "allocated")
    assert await held(client) == 1
    await post(client, waiting("O-2", quantity=3))
    assert await units(client, "O-2") == 2
    rerouted = await client.post("/v1/orders/O-2/reroute", json={"command_id": "C", "except_nodes": ["NYC"]})
    assert (rerouted.json()["status"], rerouted.json()["backordered"][0]["quantity"]) == ("backordered", 3)
    await receive(client, "N", 9, "NYC")
    await receive(client, "N", 5, "LAX")
    view = await until(client, "allocated", "O-2")
    assert {parcel["node_id"] for parcel in view["decision"]["parcels"]} == {"LAX"}


async def test_many_that_wait_are_filled_in_turns(client):
    """Protects bounded turns: hundreds of orders that wait for one SKU are all filled, none twice."""
    for at in range(0, 250, 50):
        orders = [
            waiting(f"O-{k}", quantity=1, placed_at=f"2026-11-20T10:00:{k % 60:02d}Z") for k in range(at, at + 50)
        ]
        await asyncio.gather(*(post(client, body) for body in orders))
    await receive(client, "N", 260)
    async with asyncio.timeout(60):
        while await held(client) < 250:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.05)
    assert await held(client) == 250
    assert (await post(client, order("O-999", "N", 10)))["status"] == "allocated"


async def test_what_waited_is_held_softly_if_it_was_asked_so(client):
    """Protects soft holds: an order that got nothing at first is held for its time once it gets something."""
    await post(client, waiting(hold_seconds=60, quantity=1))
    assert (await current(client))["state"] == "backordered"
    await receive(client, "N", 1)
    view = await until(client, "held")
    assert view["hold_until"] is not None
    await client.post("/v1/orders/O-1/release")
    assert await held(client) == 0


async def test_a_quote_knows_what_would_wait(client):
    """Protects quotes: units that incoming stock dates are not charged there either, and nothing waits for a quote."""
    row = {"incoming_id": "I", "node_id": "NYC", "sku": "N", "quantity": 3, "expected_at": "2027-01-05T10:00:00Z"}
    await client.put("/v1/stock/incoming", json=row)
    quote = (await client.post("/v1/quotes", json=waiting())).json()
    decision = await post(client, waiting())
    assert (quote["status"], quote["chosen"]["cost"]) == (decision["status"], decision["cost"])
    assert decision["cost"]["total"] == "0"
