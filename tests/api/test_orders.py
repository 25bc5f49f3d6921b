"""Single orders over HTTP: decided once, repeated byte for byte, refused with the place of the fault."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from engine.domain import LINES_MAX
from tests.api.conftest import order, problem
from tests.chaos.trust import within


async def test_an_order_is_decided(client):
    """201 with the decision; the cheaper node ships and its stock is held."""
    answer = await client.post("/v1/orders", json=order(quantity=3))
    assert answer.status_code == 201, answer.text
    decision = answer.json()
    assert decision["status"] == "allocated"
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["NYC"]
    cells = {cell["node_id"]: cell for cell in (await client.get("/v1/stock/A")).json()["nodes"]}
    assert (cells["NYC"]["held"], cells["NYC"]["available"]) == (3, 7)


async def test_a_repeat_answers_the_very_same_bytes(client):
    """A client may retry without fear, whatever the spelling of the same order."""
    first = await client.post("/v1/orders", json=order())
    for body in (order(), order(priority=0, channel="web"), {**order(), "limits": {}}):
        again = await client.post("/v1/orders", json=body)
        assert (again.status_code, again.content) == (200, first.content)
    assert (await client.get("/v1/stock/A")).json()["nodes"][1]["held"] == 1


async def test_refusals_are_repeated_too(client):
    """A decision that nothing ships is a decision."""
    first = await client.post("/v1/orders", json=order(sku="NEVER-STOCKED"))
    assert first.status_code == 201
    assert first.json()["status"] == "refused"
    again = await client.post("/v1/orders", json=order(sku="NEVER-STOCKED"))
    assert (again.status_code, again.content) == (200, first.content)


async def test_fifty_at_once_are_one(client):
    """R5: racing repeats take stock once and see one body."""
    answers = await asyncio.gather(*(client.post("/v1/orders", json=order()) for _ in range(50)))
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]


async def test_other_content_is_a_conflict(client):
    """An order id says one thing for ever."""
    await client.post("/v1/orders", json=order(quantity=1))
    problem(await client.post("/v1/orders", json=order(quantity=2)), 409, "order-conflict")


async def test_idempotency_keys(client):
    """A key belongs to one order; a strange key is refused."""
    key = {"Idempotency-Key": "k-1"}
    assert (await client.post("/v1/orders", json=order("O-1"), headers=key)).status_code == 201
    assert (await client.post("/v1/orders", json=order("O-1"), headers=key)).status_code == 200
    problem(await client.post("/v1/orders", json=order("O-2"), headers=key), 409, "idempotency-key-conflict")
    for bad in ("", "a b", "x" * 129, "{k}"):
        answer = await client.post("/v1/orders", json=order("O-3"), headers={"Idempotency-Key": bad})
        assert problem(answer, 422, "invalid-input")["errors"][0]["path"] == "header Idempotency-Key"


async def test_partitions_do_not_see_each_other(client):
    """Orders, stock and network are per partition."""
    await client.post("/v1/orders", json=order())
    other = {"Apportion-Partition": "eu"}
    problem(await client.get("/v1/orders/O-1", headers=other), 404, "not-found")
    problem(await client.post("/v1/orders", json=order(), headers=other), 409, "no-network")


@pytest.mark.parametrize("name", ["", "EU", "a_b", "-a", "a" * 64, "a\n", "ü"])
async def test_partition_names_are_checked(client, name):
    """A partition is part of every key of the store."""
    answer = await client.get("/v1/network", headers={b"Apportion-Partition": name.encode()})
    assert problem(answer, 422, "invalid-input")["errors"][0]["path"] == "header Apportion-Partition"


async def test_a_header_given_twice_is_refused(client):
    """Two partitions in one request is nobody's intent."""
    twice = [("Apportion-Partition", "a"), ("Apportion-Partition", "b")]
    problem(await client.get("/v1/network", headers=twice), 400, "bad-request")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"lines": []}, "$.lines"),
        ({"colour": "red"}, "$.colour"),
        ({"ship_to": {}}, "$.ship_to.country"),
        ({"ship_to": {"country": "US", "street": "x"}}, "$.ship_to.street"),
        ({"ship_to": {"country": "us"}}, "$.ship_to.country"),
        ({"ship_to": {"country": "US", "lat": 91}}, "$.ship_to.lat"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": -1}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 0}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 1.5}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 2**31}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 10**30}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": "1"}]}, "$.lines[0].quantity"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 1, "unit_price": "-1"}]}, "$.lines[0].unit_price"),
        ({"lines": [{"line_id": "1", "sku": "A", "quantity": 1}] * 2}, "$.lines[1].line_id"),
        ({"placed_at": "2026-11-23T10:00:00"}, "$.placed_at"),
        ({"placed_at": "0001-01-01T00:00:00+23:00"}, "$.placed_at"),
        ({"order_id": "a{b}"}, "$.order_id"),
        ({"limits": {"nodes": [[[[[]]]]]}}, "$.limits.nodes[0]"),
    ],
)
async def test_faults_name_their_place(client, change, path):
    """S5 and the contract: 422 with the JSON path of the first fault, and nothing is taken."""
    body = problem(await client.post("/v1/orders", json={**order(), **change}), 422, "invalid-input")
    assert body["errors"][0]["path"] == path
    problem(await client.get("/v1/orders/O-1"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "byte"),
    [
        (b"", 0),
        (b"  ", 0),
        (b'{"order_id": ', 13),
        (b'{"order_id": NaN}', 13),
        (json.dumps(order()).encode() + b" x", len(json.dumps(order())) + 1),
        (b'{"order_id": "\xff"}', 14),
        (b'{"order_id": "\\ud800"}', None),
        (b"\xef\xbb\xbf{}", 0),
        (b'{"order_id": "a\x00b"}', None),
    ],
)
async def test_syntax_and_utf8_faults_give_the_byte(client, body, byte):
    """What cannot be read is 400, and says where reading ended."""
    answer = problem(await client.post("/v1/orders", content=body), 400, "malformed-body")
    assert byte is None or answer["byte"] == byte
    assert answer["byte"] >= 0


async def test_deep_nesting_harms_nobody(client):
    """A body of brackets is refused, and the process lives."""
    for body in (b"[" * 60_000, b'{"limits":' * 6_000, b'{"order_id":' + b"[" * 60_000):
        answer = await client.post("/v1/orders", content=body)
        assert answer.status_code in (400, 422)
    assert (await client.post("/v1/orders", json=order())).status_code == 201


async def test_a_long_order_is_checked_like_a_short_one(client):
    """Orders decoded line by line are refused with the same paths, and decided the same."""
    lines = [{"line_id": str(k), "sku": f"LONG-{k % 7}", "quantity": 1} for k in range(1_200)]
    bad = [*lines[:1_000], {"line_id": "x", "sku": "A", "quantity": -1}, *lines[1_001:]]
    body = problem(await client.post("/v1/orders", json=order(lines=bad)), 422, "invalid-input")
    assert body["errors"][0]["path"] == "$.lines[1000].quantity"
    body = problem(await client.post("/v1/orders", json={**order(lines=lines), "channel": 7}), 422, "invalid-input")
    assert body["errors"][0]["path"] == "$.channel"
    torn = json.dumps(order(lines=lines)).encode().replace(b"LONG-3", b"LON\xff-3", 1)
    answer = problem(await client.post("/v1/orders", content=torn), 400, "malformed-body")
    assert answer["byte"] == torn.index(b"\xff")


async def test_too_many_lines_are_refused(client, app):
    """One order is bounded in lines, whatever the body may hold."""
    app.engine.settings.body_bytes_max = 10 * 2**20
    lines = [{"line_id": str(k), "sku": "A", "quantity": 1} for k in range(LINES_MAX + 1)]
    body = problem(await client.post("/v1/orders", json=order(lines=lines)), 422, "invalid-input")
    assert body["errors"][0]["path"] == "$.lines"


async def test_large_bodies_are_refused_while_they_arrive(client):
    """413 by Content-Length at once, and by counting when there is none; the rest is never read."""
    problem(await client.post("/v1/orders", content=b" " * 70_000), 413, "too-large")
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 10_000

    problem(await client.post("/v1/orders", content=endless()), 413, "too-large")
    assert sent < 20


async def test_content_type_is_tolerated_but_encodings_and_other_sites_are_not(client):
    """JSON is JSON whatever it is called; compressed bodies are 415, and a foreign web page may not write."""
    body = json.dumps(order()).encode()
    assert (await client.post("/v1/orders", content=body, headers={"Content-Type": "text/plain"})).status_code == 201
    answer = await client.post("/v1/orders", content=body, headers={"Content-Encoding": "gzip"})
    problem(answer, 415, "unsupported-encoding")
    answer = await client.post("/v1/orders", content=body, headers={"Sec-Fetch-Site": "cross-site"})
    problem(answer, 403, "cross-site")


async def test_while_the_store_is_away_orders_are_refused_at_once(client, app, monkeypatch):
    """R22: a client is told within 100 ms, not after its deadline of seconds."""
    monkeypatch.setattr(app.engine, "unready", lambda: ["the store does not answer"])
    started = time.perf_counter()
    problem(await client.post("/v1/orders", json=order()), 503, "store-unavailable")
    assert time.perf_counter() - started < within(0.1)


async def test_an_order_can_be_looked_at(client):
    """GET shows the order as sent, its current decision, its state and what happened."""
    first = await client.post("/v1/orders", json=order("O/ä 1"))
    answer = await client.get("/v1/orders/O%2F%C3%A4%201")
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert (view["order_id"], view["order"]["order_id"], view["decision"]) == ("O/ä 1", "O/ä 1", first.json())
    assert view["history"]
    assert view["history"][0]["at"].endswith("Z")


async def test_cancel_gives_back_and_is_idempotent(client):
    """A cancelled order holds nothing; cancelling again changes and says the same."""
    await client.post("/v1/orders", json=order(quantity=4))
    first = await client.post("/v1/orders/O-1/cancel")
    again = await client.post("/v1/orders/O-1/cancel", json={"command_id": "c-1"})
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert [cell["held"] for cell in (await client.get("/v1/stock/A")).json()["nodes"]] == [0, 0]
    assert (await client.get("/v1/orders/O-1")).json()["state"] == "cancelled"
    problem(await client.post("/v1/orders/NONE/cancel"), 404, "not-found")
    problem(await client.post("/v1/orders/O-1/cancel", json={"reason": "x"}), 422, "invalid-input")


@pytest.mark.parametrize(
    ("name", "status"), [("%ff", 400), ("%00", 422), ("a%7Bb", 422), ("x" * 200, 422), ("%20", 422)]
)
async def test_ids_in_the_path_are_checked(client, name, status):
    """A strange id is the caller's fault, named as such."""
    for method, path in (
        ("GET", f"/v1/orders/{name}"),
        ("POST", f"/v1/orders/{name}/cancel"),
        ("GET", f"/v1/skus/{name}"),
    ):
        answer = await client.request(method, path)
        assert problem(answer, status, "bad-request" if status == 400 else "invalid-input")["errors"]


async def test_a_client_may_say_how_long_it_waits(client, app, monkeypatch):
    """`Prefer: wait` becomes the deadline, bounded by the service's own; nonsense is ignored."""
    seen = []
    submit = app.engine.gate.submit

    async def spy(partition, order, key=None, patient=False, deadline_ms=None):
        seen.append(deadline_ms)
        return await submit(partition, order, key, patient, deadline_ms)

    monkeypatch.setattr(app.engine.gate, "submit", spy)
    for k, prefer in enumerate(["wait=2", "wait=900", "respond-async, wait=1", "wait=soon"]):
        assert (await client.post("/v1/orders", json=order(f"W-{k}"), headers={"Prefer": prefer})).status_code == 201
    assert seen == [2000, 5000, 1000, None]
