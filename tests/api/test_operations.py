"""What operators and browsers rely on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from api import door
from api.openapi import _kinds_of
from api.operations import ASSETS
from tests.api.conftest import order, problem


async def test_alive_and_ready(app, empty, monkeypatch):
    """Alive while the process runs; ready only while it takes orders, else with the reason."""
    assert (await empty.get("/healthz")).json() == {"status": "alive"}
    assert (await empty.get("/readyz")).json() == {"status": "ready"}
    monkeypatch.setattr(app.engine, "unready", lambda: ["the store does not answer"])
    assert "the store" in problem(await empty.get("/readyz"), 503, "unavailable")["detail"]
    assert (await empty.get("/healthz")).status_code == 200


async def test_a_retiring_process_is_not_ready_but_answers(app, client):
    """R23: not ready first; orders that still arrive are answered."""
    app.retire()
    assert "stopping" in problem(await client.get("/readyz"), 503, "unavailable")["detail"]
    assert (await client.post("/v1/orders", json=order())).status_code == 201


async def test_metrics_name_routes_not_paths(client):
    """Figures of engine and HTTP in one place, and no id among the labels."""
    await client.get("/v1/orders/SECRET-1")
    text = (await client.get("/metrics")).text
    assert 'apportion_http_requests_total{method="GET",route="/v1/orders/{order_id}",status="404"} 1.0' in text
    assert "apportion_orders_waiting" in text
    assert "SECRET" not in text


async def test_the_access_log_names_no_person(client, monkeypatch):
    """S8: a line has method, route, status, duration and request id; no path, query, header or body."""
    lines = []

    class Sink:
        def info(self, event, **fields):
            lines.append({"event": event, **fields})

    monkeypatch.setattr(door, "access", Sink())
    await client.get("/v1/orders/CANARY?name=CANARY", headers={"Idempotency-Key": "CANARY"})
    await client.post("/v1/orders", json={"order_id": "CANARY", "email": "CANARY"})
    assert [(line["route"], line["status"]) for line in lines] == [("/v1/orders/{order_id}", 404), ("/v1/orders", 422)]
    assert set(lines[0]) == {"event", "method", "route", "status", "ms", "request_id"}
    assert "CANARY" not in str(lines)


async def test_the_docs_need_no_other_host(empty):
    """R: `/docs` works without internet: every file it names is served here."""
    page = (await empty.get("/docs")).text
    assert "http:" not in page
    assert "https:" not in page
    files = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(files) == 4
    for path in files:
        assert path.startswith("/docs/")
        answer = await empty.get(path)
        assert answer.status_code == 200
        assert answer.content
    start = (await empty.get("/docs/start.js")).text
    assert "/openapi.json" in start
    assert "http" not in start.replace("/openapi.json", "")
    for name in ASSETS:
        text = (await empty.get(f"/docs/{name}")).text
        assert not re.search(r"(?:@import|url\()\s*['\"]?https?:", text)
    problem(await empty.get("/docs/..%2f..%2fsecret"), 404, "not-found")


async def test_every_route_is_described(app, empty):
    """The document lists exactly the routes that are served, and each of their problems."""
    document = (await empty.get("/openapi.json")).json()
    assert document["openapi"] == "3.0.3"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in app.endpoints}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert any(status.startswith("2") for status in operation["responses"])
            problems = [answer for status, answer in operation["responses"].items() if status >= "400"]
            assert problems
            assert all("application/problem+json" in answer["content"] for answer in problems)


async def test_references_of_the_document_resolve(empty):
    """No schema is missing, and none uses a dialect that the bundled pages cannot read."""
    answer = await empty.get("/openapi.json")
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert names <= set(answer.json()["components"]["schemas"])
    assert '"type":"null"' not in answer.text
    assert {"Order", "Decision", "Problem", "NetworkDocument", "StockRow", "Movement", "Sku"} <= names


def _parts(info: Any, seen: set[Any]) -> Iterator[Any]:
    """A type of `msgspec.inspect` and all types inside it."""
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
    if isinstance(info, inspect.Type | inspect.Field):
        yield info
        inner = (getattr(info, name) for name in info.__struct_fields__ if name not in ("default", "cls"))
    else:
        inner = iter(info if isinstance(info, tuple) else ())
    for part in inner:
        yield from _parts(part, seen)


async def test_no_type_crashes_the_decoder(app):
    """A string with a pattern in one union with a list or object makes msgspec 0.22 free foreign memory."""
    infos = inspect.multi_type_info(list(dict.fromkeys(_kinds_of(app.endpoints))))
    unions = [part for info in infos for part in _parts(info, set()) if isinstance(part, inspect.UnionType)]
    assert unions
    for union in unions:
        patterned = any(isinstance(one, inspect.StrType) and one.pattern for one in union.types)
        many = any(isinstance(one, inspect.ListType | inspect.DictType) for one in union.types)
        assert not (patterned and many), union
