"""Explanations over HTTP: of orders in the store, decided again, in the archive, and let go of."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.app import Application
from engine.settings import Settings
from tests.api.conftest import NETWORK, order, problem


@pytest.fixture
def settings() -> Settings:
    """Sweeps are quick."""
    return Settings(order_retention_days=0, sweep_seconds=0.01, log_tail_entries=1)


async def _explained(client: httpx.AsyncClient, order_id: str = "O-1") -> dict:
    answer = await client.get(f"/v1/orders/{order_id}/explanation")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def _gone(app: Application, order_id: str) -> None:
    """Wait until an order has left the store."""
    async with asyncio.timeout(60):
        while await app.engine.ledger.order("default", order_id) is not None:  # noqa: ASYNC110 -- another's deed
            await asyncio.sleep(0.02)


async def test_a_decision_is_explained_node_by_node(client: httpx.AsyncClient):
    """The plan that was chosen is the decision, and every node says what it would have cost and what would change."""
    decided = (await client.post("/v1/orders", json=order())).json()
    told = await _explained(client)
    assert told["reproduced"]
    assert told["chosen"]["parcels"] == decided["parcels"]
    assert told["window"] == decided["window"]
    nyc, lax = told["nodes"]
    assert (nyc["node_id"], nyc["chosen"], lax["chosen"]) == ("NYC", True, False)
    assert (lax["plan"]["difference"], lax["change"]) == ("2.00", "its plan would have to cost 2.00 less")


async def test_it_is_the_day_of_the_decision_that_is_explained(client: httpx.AsyncClient):
    """Stock, network and other orders of later do not matter: the window's record does."""
    await client.post("/v1/orders", json=order(quantity=10))
    first = await _explained(client)
    await client.put("/v1/stock", json=[{"node_id": "NYC", "sku": "A", "on_hand": 500}])
    await client.post("/v1/orders", json=order("O-2", quantity=3))
    assert await _explained(client) == first
    await client.patch("/v1/nodes/NYC", json={"active": False})
    async with asyncio.timeout(60):  # the network of the day comes from the archive, which follows
        while (answer := await client.get("/v1/orders/O-1/explanation")).status_code == 503:
            problem(answer, 503, "store-unavailable")
            await asyncio.sleep(0.05)
    assert answer.json() == first


async def test_a_re_route_is_explained_by_who_was_left_out(client: httpx.AsyncClient):
    """The current decision is explained; the node that the caller excluded says so."""
    await client.post("/v1/orders", json=order())
    again = {"command_id": "C", "except_nodes": ["NYC"], "reason": "flood"}
    assert (await client.post("/v1/orders/O-1/reroute", json=again)).status_code == 200
    nyc, lax = (await _explained(client))["nodes"]
    assert (nyc["eligible"], lax["chosen"]) == (False, True)
    assert nyc["obstacles"]


async def test_an_order_in_the_archive_is_explained_alike(app: Application, client: httpx.AsyncClient):
    """Age changes no answer while the record is kept."""
    await client.post("/v1/orders", json=order())
    first = await _explained(client)
    await client.post("/v1/orders/O-1/cancel")
    await client.post("/v1/orders", json=order("O-2"))
    await _gone(app, "O-1")
    assert await _explained(client) == first


async def test_a_refusal_is_explained(client: httpx.AsyncClient):
    """Who gets nothing wants to know why, most of all."""
    await client.put("/v1/network", json=NETWORK | {"lanes": NETWORK["lanes"][:1]})
    await client.post("/v1/orders", json=order(sku="B", quantity=9, limits={"ship_complete": True}))
    told = await _explained(client)
    assert told["chosen"]["units"] == 0
    assert told["reproduced"]


async def test_who_asks_for_nothing_gets_404(client: httpx.AsyncClient):
    """An order that never was is not one that is gone."""
    problem(await client.get("/v1/orders/O-9/explanation"), 404, "not-found")
    problem(await client.get("/v1/orders/%00/explanation"), 422, "invalid-input")


class TestPruned:
    """Where records are not kept at all."""

    @pytest.fixture
    def settings(self) -> Settings:
        """Records go as soon as their entries leave the log."""
        return Settings(record_days=0, sweep_seconds=0.01, log_tail_entries=1)

    async def test_a_record_that_was_let_go_of_is_410(self, client: httpx.AsyncClient):
        """The order is still there, and the answer says what is not."""
        await client.post("/v1/orders", json=order())
        for k in range(2, 5):
            await client.post("/v1/orders", json=order(f"O-{k}"))
        async with asyncio.timeout(60):
            while (answer := await client.get("/v1/orders/O-1/explanation")).status_code == 200:  # noqa: ASYNC110 -- HTTP
                await asyncio.sleep(0.05)
        assert "kept no longer" in problem(answer, 410, "gone")["detail"]
        assert (await client.get("/v1/orders/O-1")).status_code == 200
