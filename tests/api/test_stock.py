"""Stock over HTTP: good rows apply, faulty ones come back with their line, and what there is can be read."""

from __future__ import annotations

import json

import pytest

from api import rows
from tests.api.conftest import NETWORK, ndjson, order, problem


def row(node_id="NYC", sku="S", on_hand=1, **more):
    return {"node_id": node_id, "sku": sku, "on_hand": on_hand, **more}


def movement(movement_id, kind="receive", quantity=5, node_id="NYC", sku="S"):
    return {"movement_id": movement_id, "node_id": node_id, "sku": sku, "kind": kind, "quantity": quantity}


async def cell(client, sku="S", node_id="NYC"):
    nodes = (await client.get(f"/v1/stock/{sku}")).json()["nodes"]
    return next(each for each in nodes if each["node_id"] == node_id)


@pytest.mark.parametrize("form", ["one", "array", "lines"])
async def test_rows_come_in_three_forms(client, form):
    """A single row, an array, or a row a line."""
    body = {"one": json.dumps(row()).encode(), "array": json.dumps([row(), row("LAX")]).encode()}
    answer = await client.put("/v1/stock", content=body.get(form, ndjson(row(), row("LAX"))))
    assert answer.json() == {"rows": 1 if form == "one" else 2, "applied": 1 if form == "one" else 2,
                             "repeated": 0, "faulty": 0, "errors": []}  # fmt: skip
    assert (await cell(client))["on_hand"] == 1


async def test_good_rows_apply_beside_faulty_ones(client):
    """Each fault has its line, its field and its reason."""
    body = ndjson(row(), row("NOWHERE"), row(on_hand=-1), row("LAX"), {**row(), "x": 1}) + b"\n\nnonsense\n"
    answer = (await client.put("/v1/stock", content=body)).json()
    assert (answer["rows"], answer["applied"], answer["faulty"]) == (6, 2, 4)
    assert [(fault["line"], fault["path"]) for fault in answer["errors"]] == [
        (2, "node_id"), (3, "$.on_hand"), (5, "$.x"), (7, "$"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (json.dumps(row("NOWHERE")).encode(), 422, "invalid-input"),
        (json.dumps(row(on_hand=1.5)).encode(), 422, "invalid-input"),
        (json.dumps(row(on_hand=2**31)).encode(), 422, "invalid-input"),
        (b'{"node_id": "NYC", "sku": "\xff", "on_hand": 1}', 400, "malformed-body"),
        (b'{"node_id": "NYC"', 400, "malformed-body"),
        (b'[{"node_id": "NYC"', 400, "malformed-body"),
        (b"[" * 60_000, 400, "malformed-body"),
        (b"", 400, "malformed-body"),
        (b"[1, 2]", 422, "invalid-input"),
    ],
)
async def test_an_upload_of_faults_alone_is_a_problem(client, body, status, slug):
    """If nothing could be applied, the status says so."""
    answer = problem(await client.put("/v1/stock", content=body), status, slug)
    assert answer["errors"]


async def test_an_empty_array_is_nothing_to_do(client):
    """No rows, no faults."""
    assert (await client.put("/v1/stock", content=b"[]")).json()["rows"] == 0


async def test_stock_needs_a_network(empty):
    """Nodes are known before their stock."""
    problem(await empty.put("/v1/stock", json=[row()]), 409, "no-network")


async def test_movements_keep_the_identity(client):
    """on_hand is the sum of what came and went, blocked units apart, and a repeat changes nothing."""
    moves = [
        movement("m1", "receive", 10),
        movement("m2", "adjust", -2),
        movement("m3", "damage", 3),
        movement("m4", "write_off", 1),
        movement("m1", "receive", 10),
    ]
    answer = (await client.post("/v1/stock/movements", json=moves)).json()
    assert (answer["applied"], answer["repeated"], answer["faulty"]) == (4, 1, 0)
    stock = await cell(client)
    assert (stock["on_hand"], stock["blocked"], stock["available"]) == (7, 2, 5)
    await client.post("/v1/stock/movements", json=movement("m5", "count", 4))
    assert (await cell(client))["on_hand"] == 4


async def test_a_movement_id_says_one_thing(client):
    """The same id with other content is a conflict, in a row or alone."""
    await client.post("/v1/stock/movements", json=movement("m1"))
    problem(await client.post("/v1/stock/movements", json=movement("m1", quantity=6)), 409, "conflict")
    answer = (await client.post("/v1/stock/movements", json=[movement("m1", quantity=6), movement("m2")])).json()
    assert (answer["applied"], answer["errors"][0]["line"], answer["errors"][0]["path"]) == (1, 1, "movement_id")


@pytest.mark.parametrize(
    ("kind", "quantity"), [("receive", 0), ("damage", -1), ("write_off", 0), ("count", -1), ("steal", 1)]
)
async def test_movements_have_a_direction(client, kind, quantity):
    """A sign that contradicts the kind is refused."""
    problem(await client.post("/v1/stock/movements", json=movement("m1", kind, quantity)), 422, "invalid-input")


async def test_stock_never_falls_below_zero(client):
    """A movement that would is refused, and nothing of it applies."""
    body = problem(await client.post("/v1/stock/movements", json=movement("m1", "write_off", 1)), 422, "invalid-input")
    assert "below zero" in body["detail"]


async def test_a_fall_below_held_is_shown_as_short(client):
    """A count is a fact: accepted, and the missing units are shown."""
    await client.post("/v1/orders", json=order(quantity=6))
    await client.put("/v1/stock", json=row(sku="A", on_hand=4))
    stock = await cell(client, "A")
    assert (stock["on_hand"], stock["held"], stock["available"], stock["short"]) == (4, 6, -2, 2)


async def test_safety_is_the_cells_own_or_the_nodes(client):
    """A row's safety stays until another row names one; without any, the node's default applies."""
    assert (await cell(client, "A", "LAX"))["safety"] == 2
    await client.put("/v1/stock", json=row(sku="A", node_id="LAX", on_hand=9, safety=5))
    await client.put("/v1/stock", json=row(sku="A", node_id="LAX", on_hand=8))
    assert (await cell(client, "A", "LAX"))["safety"] == 5


async def test_views_follow_the_network(client):
    """A new default safety is seen at once: views read the network's version, not a stale copy."""
    nodes = [{**NETWORK["nodes"][0], "safety_units": 7}, NETWORK["nodes"][1]]
    await client.put("/v1/network", json={**NETWORK, "nodes": nodes})
    assert (await cell(client, "A"))["safety"] == 7


async def test_unknown_skus(client):
    """Neither stocked nor catalogued is 404; catalogued alone is an empty list."""
    problem(await client.get("/v1/stock/NEVER"), 404, "not-found")
    await client.put("/v1/skus", json={"sku": "NEVER"})
    assert (await client.get("/v1/stock/NEVER")).json() == {"sku": "NEVER", "nodes": []}


async def test_pages_show_every_sku_once(client):
    """Following the cursor to null sees all stock."""
    await client.put("/v1/stock", json=[row(sku=f"P/{k}", node_id="LAX" if k % 2 else "NYC") for k in range(25)])
    seen, cursor = [], ""
    while cursor is not None:
        page = (await client.get("/v1/stock", params={"limit": 4, "cursor": cursor})).json()
        seen += [item["sku"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(["A", "B", *(f"P/{k}" for k in range(25))])
    page = (await client.get("/v1/stock?node_id=LAX&cursor=")).json()
    assert {node["node_id"] for item in page["items"] for node in item["nodes"]} == {"LAX"}
    assert len(page["items"]) == 13


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=1001", "cursor=x", "cursor=AAAA", "cursor=%C3%A4", "nodes=A", "limit=1&limit=2"],
)
async def test_queries_are_checked(client, query):
    """A cursor that was not ours, or a parameter that nobody knows, is refused by name."""
    body = problem(await client.get(f"/v1/stock?{query}"), 422, "invalid-input")
    assert body["errors"][0]["path"].startswith("query ")
    problem(await client.get("/v1/stock?cursor=%ff"), 400, "bad-request")
    problem(await client.get("/v1/stock?node_id=NOWHERE"), 404, "not-found")


async def test_uploads_are_bounded_in_rows_and_listed_faults(client, monkeypatch):
    """A row too many ends the upload with 413; what came before stands."""
    monkeypatch.setattr(rows, "ROWS_MAX", 3)
    problem(await client.put("/v1/stock", json=[row(sku=f"R{k}") for k in range(4)]), 413, "too-large")
    assert (await cell(client, "R2"))["on_hand"] == 1
    monkeypatch.setattr(rows, "ROWS_MAX", 10_000)
    answer = (await client.put("/v1/stock", json=[row(), *[row("NOWHERE")] * 1_500])).json()
    assert (answer["faulty"], len(answer["errors"])) == (1_500, 1_000)
