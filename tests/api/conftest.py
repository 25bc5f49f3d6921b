"""A whole engine on the memory twin behind the real application, called in process."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import Application, create_app
from engine.assembly import Engine, build_memory
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.settings import Settings
from tests.api.scenes import Scene
from tests.engine.ledger.conftest import server

__all__ = ["server"]

NETWORK: dict[str, Any] = {
    "nodes": [
        {"node_id": "NYC", "country": "US", "lat": 40.7, "lon": -74.0, "priority": 1},
        {"node_id": "LAX", "country": "US", "lat": 34.0, "lon": -118.2, "priority": 2, "safety_units": 2},
    ],
    "lanes": [
        {"node_id": "NYC", "to": "*", "service": "ground", "parcel": "5.00", "transit_days": 2},
        {"node_id": "LAX", "to": "*", "service": "ground", "parcel": "7.00", "transit_days": 4},
    ],
}
STOCK = [
    {"node_id": "NYC", "sku": "A", "on_hand": 10},
    {"node_id": "LAX", "sku": "A", "on_hand": 10},
    {"node_id": "NYC", "sku": "B", "on_hand": 5, "safety": 1},
]


def order(order_id: str = "O-1", sku: str = "A", quantity: int = 1, **more: Any) -> dict[str, Any]:
    """An order of one line."""
    lines = [{"line_id": "1", "sku": sku, "quantity": quantity}]
    return {"order_id": order_id, "ship_to": {"country": "US"}, "lines": lines, **more}


def ndjson(*records: Any) -> bytes:
    """One record a line."""
    return b"\n".join(json.dumps(record).encode() for record in records)


@pytest.fixture(scope="session", autouse=True)
def _one_document() -> Iterator[None]:
    """The OpenAPI document follows from the code alone: it is made once, not for each of hundreds of applications."""
    made = create_app(build_memory(Settings(), archive_url="sqlite://")).openapi()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.app.document", lambda *_: made)
        yield


@pytest.fixture
def settings() -> Settings:
    """Small limits, so that tests can pass them."""
    return Settings(body_bytes_max=64 * 1024, bulk_bytes_max=8 * 2**20, order_timeout_ms=5_000)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Application]:
    """The application, its engine started."""
    application = create_app(build_memory(settings, archive_url="sqlite://"))
    await application.engine.start()
    yield application
    application.retire()
    await application.engine.stop()


@pytest.fixture
async def empty(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an engine that knows nothing yet."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http


@pytest.fixture
async def client(empty: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of an engine with two nodes and some stock."""
    assert (await empty.put("/v1/network", json=NETWORK)).status_code == 200
    assert (await empty.put("/v1/stock", json=STOCK)).status_code == 200
    return empty


@pytest.fixture
def scene_settings() -> Settings:
    """A window may wait for company as long as its policy says."""
    return Settings(window_linger_ms=1_000)


@pytest.fixture(params=["memory", "store"])
async def scene(request: pytest.FixtureRequest, scene_settings: Settings) -> AsyncIterator[Scene]:
    """A shop yet to be opened, on the memory twin and on the store; all of it must add up when the test is over."""
    if request.param == "memory":
        engine = build_memory(scene_settings)
    else:
        ledger = RedisLedger(request.getfixturevalue("server").url)
        engine = Engine(scene_settings, ledger, InlineCrew(time.monotonic), SystemClock(), Metrics())
    application = create_app(engine)
    await engine.start()
    partition = f"scene-{uuid4().hex[:8]}"
    headers = {"apportion-partition": partition}
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http:
        made = Scene(http, engine, partition)
        yield made
        await made.close()
    application.retire()
    await engine.stop()


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document of an answer, its promises checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"title", "detail", "errors"} <= body.keys()
    assert status < 500 or (status == 503 and int(answer.headers["retry-after"]) >= 0)
    return body
