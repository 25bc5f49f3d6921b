"""Quotes over HTTP: the decision an order would get, and nothing changed."""

from __future__ import annotations

from tests.api.conftest import order, problem


async def test_a_quote_is_the_decision_that_the_order_then_gets(client):
    """What was quoted is what is decided when nothing happened in between."""
    wanted = order(quantity=3)
    quoted = (await client.post("/v1/quotes", json=wanted)).json()
    decided = (await client.post("/v1/orders", json=wanted)).json()
    assert quoted["chosen"]["parcels"] == decided["parcels"]
    assert quoted["chosen"]["cost"] == decided["cost"]
    assert quoted["status"] == decided["status"] == "allocated"


async def test_a_quote_holds_nothing_and_names_no_order(client):
    """A quote may be asked any number of times: stock, orders and ids stay as they were."""
    before = (await client.get("/v1/stock/A")).json()
    for _ in range(3):
        assert (await client.post("/v1/quotes", json=order(quantity=10))).status_code == 200
    assert (await client.get("/v1/stock/A")).json() == before
    problem(await client.get("/v1/orders/O-1"), 404, "not-found")
    assert (await client.post("/v1/orders", json=order(quantity=10))).status_code == 201


async def test_alternatives_are_ranked_and_differ_from_the_plan(client):
    """The next best plans tell what the choice saves: here two dollars of lane price."""
    quoted = (await client.post("/v1/quotes", json=order())).json()
    assert [parcel["node_id"] for parcel in quoted["chosen"]["parcels"]] == ["NYC"]
    (other,) = quoted["alternatives"]
    assert [parcel["node_id"] for parcel in other["plan"]["parcels"]] == ["LAX"]
    assert other["without"] == "NYC"
    assert other["plan"]["difference"] == "2.00"


async def test_a_quote_says_what_would_be_missing_and_why(client):
    """A refusal is as good an answer to a question as to an order."""
    quoted = (await client.post("/v1/quotes", json=order(sku="B", quantity=5))).json()
    (missing,) = quoted["chosen"]["unallocated"]
    assert (missing["quantity"], missing["reason"], missing["safety"]) == (1, "out_of_stock", 1)


async def test_a_quote_of_a_bad_order_is_refused_like_the_order(client):
    """One form for both, faults with their path."""
    answer = await client.post("/v1/quotes", json=order() | {"lines": []})
    assert problem(answer, 422, "invalid-input")["errors"][0]["path"].startswith("$.lines")


async def test_a_quote_says_what_would_wait(client):
    """What would be backordered is told apart from what would never come."""
    quoted = (await client.post("/v1/quotes", json=order(sku="B", quantity=5, backorder=True))).json()
    assert [(each["sku"], each["quantity"]) for each in quoted["chosen"]["backordered"]] == [("B", 1)]
    assert quoted["chosen"]["unallocated"] == []
    assert quoted["chosen"]["units"] == 4


async def test_a_quote_under_an_unknown_policy_is_refused_like_the_order(client):
    """A policy that is not there is the caller's fault, with its path, and never an unexpected error."""
    for path in ("/v1/quotes", "/v1/orders"):
        answer = await client.post(path, json=order() | {"policy_id": "none"})
        assert problem(answer, 422, "invalid-input")["errors"][0]["path"] == "$.policy_id"
