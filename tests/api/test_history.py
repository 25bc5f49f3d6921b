"""The past over HTTP: lists and ledgers from the archive, and old orders answered from it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.app import Application
from engine.settings import Settings
from tests.api.conftest import order, problem


@pytest.fixture
def settings() -> Settings:
    """Ended orders leave at once."""
    return Settings(order_retention_days=0, sweep_seconds=0.01, log_tail_entries=1)


async def _level(client: httpx.AsyncClient) -> None:
    """Wait until the archive has everything."""
    async with asyncio.timeout(60):
        while (await client.get("/v1/orders")).json()["archive"]["entries"]:  # noqa: ASYNC110 -- over HTTP
            await asyncio.sleep(0.02)


async def _gone(app: Application, order_id: str) -> None:
    """Wait until an order has left the store."""
    async with asyncio.timeout(60):
        while await app.engine.ledger.order("default", order_id) is not None:  # noqa: ASYNC110 -- another's deed
            await asyncio.sleep(0.02)


async def test_orders_are_listed_by_state_and_page(client: httpx.AsyncClient):
    """Protects the contract: every order once, in order of decision, page by page; the lag is said."""
    for k in range(5):
        await client.post("/v1/orders", json=order(f"O-{k}", placed_at=f"2026-11-23T10:0{k}:00Z"))
    await client.post("/v1/orders/O-3/cancel")
    await _level(client)
    found, cursor = [], None
    while True:
        page = (await client.get("/v1/orders", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [item["order_id"] for item in found] == [f"O-{k}" for k in range(5)]
    assert found[4]["placed_at"] == "2026-11-23T10:04:00Z"
    assert page["archive"]["entries"] == 0
    [cancelled] = (await client.get("/v1/orders?state=cancelled")).json()["items"]
    assert (cancelled["order_id"], cancelled["state"]) == ("O-3", "cancelled")
    problem(await client.get("/v1/orders?cursor=xyz"), 422, "invalid-input")
    problem(await client.get("/v1/orders?state=No"), 422, "invalid-input")
    problem(await client.get("/v1/orders?limit=501"), 422, "invalid-input")


async def test_a_skus_ledger_adds_up(client: httpx.AsyncClient):
    """Protects the identity: the deltas of a SKU's ledger add up to its stock."""
    await client.post("/v1/orders", json=order("O-1", quantity=12))
    await client.post("/v1/orders/O-1/cancel")
    await client.post(
        "/v1/stock/movements",
        json={"movement_id": "m1", "node_id": "NYC", "sku": "A", "kind": "damage", "quantity": 2},
    )
    await _level(client)
    items, cursor = [], None
    while not items or cursor:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/stock/A/ledger", params=query)).json()
        items += page["items"]
        cursor = page["next_cursor"]
    cells = {cell["node_id"]: cell for cell in (await client.get("/v1/stock/A")).json()["nodes"]}
    for node_id, cell in cells.items():
        for name in ("on_hand", "held", "blocked"):
            assert sum(item[f"{name}_delta"] for item in items if item["node_id"] == node_id) == cell[name]
    assert [item["movement_id"] for item in items if item["kind"] == "damage"] == ["m1"]
    assert (await client.get("/v1/stock/nothing/ledger")).json()["items"] == []


async def test_an_order_that_left_the_store_is_still_the_same(app: Application, client: httpx.AsyncClient):
    """Protects R5 for ever: the repeat is byte-equal, other content and a used key are conflicts, GET has it all."""
    key = {"Idempotency-Key": "k-1"}
    first = await client.post("/v1/orders", json=order("O-1", quantity=2), headers=key)
    await client.post("/v1/orders/O-1/cancel")
    refused = await client.post("/v1/orders", json=order("O-2", sku="nothing"))
    before = (await client.get("/v1/orders/O-1")).json()
    await _gone(app, "O-1")
    await _gone(app, "O-2")
    again = await client.post("/v1/orders", json=order("O-1", quantity=2), headers=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert (await client.post("/v1/orders", json=order("O-2", sku="nothing"))).content == refused.content
    problem(await client.post("/v1/orders", json=order("O-1", quantity=3)), 409, "order-conflict")
    problem(await client.post("/v1/orders", json=order("O-9"), headers=key), 409, "idempotency-key-conflict")
    assert (await client.get("/v1/orders/O-1")).json() == before
    assert (await client.post("/v1/orders/O-1/cancel")).json() == {"order_id": "O-1", "state": "cancelled"}
    assert "archive" in problem(await client.post("/v1/orders/O-2/cancel"), 409, "state-conflict")["detail"]
    assert (await client.post("/v1/orders", json=order("O-10"))).status_code == 201
    assert (await client.get("/v1/stock/A")).json()["nodes"][1]["held"] == 1


async def test_an_order_with_a_past_is_the_same_when_it_left(app: Application, client: httpx.AsyncClient):
    """Protects R5 with holds: re-routed, released, lapsed, replaced: `GET` and repeats answer the same bytes."""
    projector = app.engine.projector
    assert projector is not None
    await projector.stop()
    bodies, first = await _lives(client)
    ask = {"command_id": "C", "except_nodes": ["NYC"], "reason": "no staff"}
    moved = await client.post("/v1/orders/rerouted/reroute", json=ask)
    await client.post("/v1/orders/rerouted/cancel", json={"command_id": "X"})
    released = await client.post("/v1/orders/released/release", json={"command_id": "R"})
    async with asyncio.timeout(60):
        while (await client.get("/v1/orders/lapsed")).json()["history"][-1]["event"] != "order.lapsed":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    views = {order_id: (await client.get(f"/v1/orders/{order_id}")).content for order_id in bodies}
    projector.start()
    for order_id, body in bodies.items():
        await _gone(app, order_id)
        assert (await client.get(f"/v1/orders/{order_id}")).content == views[order_id]
        assert (await client.post("/v1/orders", json=body)).content == first[order_id]
    assert (await client.post("/v1/orders/rerouted/reroute", json=ask)).content == moved.content
    assert (await client.post("/v1/orders/released/release", json={"command_id": "R"})).content == released.content
    problem(await client.post("/v1/orders/released/confirm", json={"command_id": "R"}), 409, "command-id-conflict")
    problem(await client.post("/v1/orders/rerouted/reroute", json={"command_id": "X"}), 409, "command-id-conflict")
    problem(await client.post("/v1/orders/rerouted/reroute", json={"command_id": "D"}), 409, "state-conflict")
    problem(await client.post("/v1/orders/lapsed/confirm"), 409, "state-conflict")
    for order_id in ("lapsed", "replaced"):
        told = problem(await client.put(f"/v1/orders/{order_id}", json=order(order_id)), 409, "state-conflict")
        assert "archive" in told["detail"]
    problem(await client.put("/v1/orders/never", json=order("never")), 404, "not-found")
    problem(await client.post("/v1/orders/never/reroute", json=ask), 404, "not-found")
    assert await app.engine.ledger.order("default", "held") is not None


async def _lives(client: httpx.AsyncClient) -> tuple[dict[str, dict[str, object]], dict[str, bytes]]:
    """Orders named after what becomes of them, and the first decision of each; beside them one that is held."""
    bodies = {
        "rerouted": order("rerouted", quantity=3),
        "released": order("released", hold_seconds=60),
        "lapsed": order("lapsed", hold_seconds=1),
        "replaced": order("replaced", sku="nothing", quantity=2),
    }
    await client.post("/v1/orders", json=order("held", hold_seconds=60))
    await client.post("/v1/orders", json=order("replaced", sku="nothing"))
    replaced = await client.put("/v1/orders/replaced", json=bodies["replaced"])
    first = {order_id: (await client.post("/v1/orders", json=body)).content for order_id, body in bodies.items()}
    assert first["replaced"] == replaced.content
    return bodies, first


async def test_while_the_archive_is_away_new_orders_go_on(
    app: Application, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    """Protects intake: without its archive a service decides new orders, and answers 503 only for the long past."""
    await client.post("/v1/orders", json=order("O-1", sku="nothing"))
    await _gone(app, "O-1")
    monkeypatch.setattr(app.engine.past, "_archive", None)
    assert (await client.post("/v1/orders", json=order("O-2"))).status_code == 201
    problem(await client.post("/v1/orders", json=order("O-1", sku="nothing")), 503, "store-unavailable")
    problem(await client.get("/v1/orders/O-1"), 503, "store-unavailable")
    problem(await client.get("/v1/orders/never"), 404, "not-found")
