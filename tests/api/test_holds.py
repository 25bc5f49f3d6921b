"""Holds over HTTP: soft and firm, confirmed, released, replaced, re-routed, handed over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tests.api.conftest import order, problem
from tests.chaos.trust import within


async def held(client, sku: str = "A") -> dict[str, int]:
    """Units held by node."""
    return {cell["node_id"]: cell["held"] for cell in (await client.get(f"/v1/stock/{sku}")).json()["nodes"]}


async def post(client, path: str, **body) -> object:
    """A command on order O-1."""
    return await client.post(f"/v1/orders/O-1/{path}", json=body or None)


async def test_a_soft_hold_is_shown_and_confirmed(client):
    """Case 23: confirming twice takes stock once; the deadline stands in the order while the hold is soft."""
    assert (await client.post("/v1/orders", json=order(quantity=3, hold_seconds=60))).status_code == 201
    view = (await client.get("/v1/orders/O-1")).json()
    assert view["state"] == "held"
    assert datetime.fromisoformat(view["hold_until"]) > datetime.fromisoformat(view["history"][0]["at"])
    for _ in range(2):
        answer = await post(client, "confirm")
        assert answer.json() == {"order_id": "O-1", "state": "allocated"}
    assert (await held(client))["NYC"] == 3
    view = (await client.get("/v1/orders/O-1")).json()
    assert (view["state"], view["hold_until"]) == ("allocated", None)
    assert [entry["event"] for entry in view["history"]] == ["order.held", "order.confirmed"]


async def test_a_released_hold_is_free_for_others(client):
    """Case 5: a rival is refused and told what is held; after the release a new order gets it."""
    await client.post("/v1/orders", json=order(sku="B", quantity=4, hold_seconds=60))
    refused = (await client.post("/v1/orders", json=order("O-2", "B"))).json()
    [line] = refused["unallocated"]
    assert (refused["status"], line["reason"], line["held"]) == ("refused", "held", 4)
    assert (await post(client, "release", command_id="R")).json()["state"] == "released"
    assert (await client.post("/v1/orders", json=order("O-3", "B"))).json()["status"] == "allocated"
    problem(await post(client, "confirm"), 409, "state-conflict")
    problem(await post(client, "confirm", command_id="R"), 409, "command-id-conflict")


async def test_a_lapsed_hold_is_free_at_once(client, app):
    """Case 18 and R8: refused before the deadline, accepted after it, without a sweeper."""
    await app.engine.sweeper.stop()
    await client.post("/v1/orders", json=order(sku="B", quantity=4, hold_seconds=1))
    assert (await client.post("/v1/orders", json=order("O-2", "B", 3))).json()["status"] == "refused"
    await asyncio.sleep(1.02)
    assert (await client.post("/v1/orders", json=order("O-3", "B", 3))).json()["status"] == "allocated"
    assert (await held(client, "B"))["NYC"] == 3
    assert (await client.get("/v1/orders/O-1")).json()["state"] == "lapsed"
    body = problem(await post(client, "confirm"), 409, "state-conflict")
    assert "lapsed" in body["detail"]
    await app.engine.sweeper.sweep()
    events = [entry["event"] for entry in (await client.get("/v1/orders/O-1")).json()["history"]]
    assert events == ["order.held", "order.lapsed"]


async def test_the_sweeper_runs_by_itself(client):
    """R8: a second after the deadline at most the lapse is an event."""
    await client.post("/v1/orders", json=order(hold_seconds=1))
    async with asyncio.timeout(60):
        while len(history := (await client.get("/v1/orders/O-1")).json()["history"]) < 2:  # noqa: ASYNC110 -- HTTP
            await asyncio.sleep(0.05)
    assert [entry["event"] for entry in history] == ["order.held", "order.lapsed"]
    held_at, lapsed_at = (datetime.fromisoformat(entry["at"]) for entry in history)
    assert timedelta(seconds=1) <= lapsed_at - held_at < timedelta(seconds=1 + within(1))


async def test_a_replacement_is_not_blocked_by_its_own_hold(client):
    """Case 11: hold 5 of 10, put the same order with 8: held 8; repeats follow the latest content."""
    await client.post("/v1/orders", json=order(quantity=5, hold_seconds=60))
    new = order(quantity=8, hold_seconds=60)
    answer = await client.put("/v1/orders/O-1", json=new)
    assert answer.status_code == 200, answer.text
    assert [parcel["node_id"] for parcel in answer.json()["parcels"]] == ["NYC"]
    assert await held(client) == {"LAX": 0, "NYC": 8}
    assert (await client.post("/v1/orders", json=new)).content == answer.content
    problem(await client.post("/v1/orders", json=order(quantity=5, hold_seconds=60)), 409, "order-conflict")
    view = (await client.get("/v1/orders/O-1")).json()
    assert (view["order"]["lines"][0]["quantity"], view["state"]) == (8, "held")
    assert [entry["event"] for entry in view["history"]] == ["order.held", "order.replaced", "order.held"]
    assert (await client.put("/v1/orders/O-1", json=order(quantity=2))).status_code == 200
    problem(await client.put("/v1/orders/O-1", json=order(quantity=1)), 409, "state-conflict")
    problem(await client.put("/v1/orders/O-9", json=order("O-9")), 404, "not-found")
    answer = problem(await client.put("/v1/orders/O-9", json=order()), 422, "invalid-input")
    assert answer["errors"][0]["path"] == "$.order_id"


async def test_a_refused_order_may_be_put_again(client):
    """Protects a caller who asked for too much: the same id with less is decided anew."""
    assert (await client.post("/v1/orders", json=order(sku="NONE"))).json()["status"] == "refused"
    assert (await client.put("/v1/orders/O-1", json=order(quantity=2))).json()["status"] == "allocated"


async def test_a_reroute_leaves_a_node_out_for_ever(client):
    """Protects re-routes: decided again without the node, applied once, dry runs change nothing, repeats stay."""
    first = await client.post("/v1/orders", json=order(quantity=3))
    ask = {"except_nodes": ["NYC"], "reason": "no staff"}
    dry = await post(client, "reroute", command_id="C", dry_run=True, **ask)
    assert [parcel["node_id"] for parcel in dry.json()["parcels"]] == ["LAX"]
    assert await held(client) == {"LAX": 0, "NYC": 3}
    moved = await post(client, "reroute", command_id="C", **ask)
    assert [parcel["node_id"] for parcel in moved.json()["parcels"]] == ["LAX"]
    assert await held(client) == {"LAX": 3, "NYC": 0}
    assert (await post(client, "reroute", command_id="C", **ask)).content == moved.content
    problem(await post(client, "reroute", command_id="C", except_nodes=["LAX"]), 409, "command-id-conflict")
    assert (await client.post("/v1/orders", json=order(quantity=3))).content == first.content
    view = (await client.get("/v1/orders/O-1")).json()
    assert (view["decision"], view["except_nodes"]) == (moved.json(), ["NYC"])
    again = (await post(client, "reroute", command_id="D")).json()
    assert [parcel["node_id"] for parcel in again["parcels"]] == ["LAX"]
    nowhere = (await post(client, "reroute", command_id="E", except_nodes=["LAX"])).json()
    assert (nowhere["status"], nowhere["unallocated"][0]["reason"]) == ("refused", "no_eligible_node")
    assert await held(client) == {"LAX": 0, "NYC": 0}
    problem(await post(client, "reroute", command_id="F"), 409, "state-conflict")
    problem(await post(client, "reroute", except_nodes=["NYC"]), 422, "invalid-input")


async def test_an_order_with_its_nodes_is_not_decided_again(client):
    """Protects nodes at work: after `ready` there is no re-route and no replacement; a cancel still gives back."""
    await client.post("/v1/orders", json=order(hold_seconds=60))
    problem(await post(client, "ready"), 409, "state-conflict")
    await post(client, "confirm")
    assert (await post(client, "ready")).json()["state"] == "ready"
    problem(await post(client, "reroute", command_id="C"), 409, "state-conflict")
    problem(await client.put("/v1/orders/O-1", json=order()), 409, "state-conflict")
    assert (await post(client, "cancel")).json()["state"] == "cancelled"
    assert (await held(client))["NYC"] == 0


async def test_replacements_and_orders_share_windows_in_turn(client):
    """Protects the gate: orders, replacements and re-routes at once are each decided, and nothing is oversold."""
    for k in range(5):
        await client.post("/v1/orders", json=order(f"P-{k}", quantity=1, hold_seconds=60))
    calls = [client.put(f"/v1/orders/P-{k}", json=order(f"P-{k}", quantity=2, hold_seconds=60)) for k in range(5)]
    calls += [client.post("/v1/orders", json=order(f"Q-{k}", quantity=2)) for k in range(5)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert sum((await held(client)).values()) == 18
