"""Simulations over the real store: every key stays as it was, and orders beside them are answered (R15)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import Application, create_app
from engine.archive.database import Archive, sqlite_url
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.redis import RedisLedger
from engine.metrics import Metrics
from engine.settings import Settings
from engine.simulation.jobs.checking import ProcessIntake, Source
from engine.simulation.jobs.desk import Simulations
from engine.simulation.jobs.terms import Terms
from tests.api.conftest import NETWORK, STOCK, order, problem
from tests.api.test_questions_change_nothing import dumped
from tests.api.test_simulations import DAY, ended, simulation, submitted
from tests.engine.ledger.conftest import Server, partition, server  # noqa: F401 -- fixtures
from tests.engine.simulation.jobs.waiting import SECONDS

READER = "reader"
"""A user of the store who may run scripts, and nothing but read in them."""


@pytest.fixture
def reading_url(server: Server) -> Iterator[str]:  # noqa: F811
    """The store as one who may only read sees it: a write of his is an error."""
    client = server.client()
    client.acl_setuser(
        READER, enabled=True, reset=True, passwords=["+word"], keys=["*"],
        commands=["+time"], categories=["+@read", "+@connection", "+@scripting"], channels=["*"],
    )  # fmt: skip
    yield server.url.replace("unix://", f"unix://{READER}:word@")
    client.acl_deluser(READER)


@pytest.fixture
async def app(server: Server, reading_url: str, tmp_path: Path) -> AsyncIterator[Application]:  # noqa: F811
    """A service on the store, with an archive in a file; simulations read as the user who may only read."""
    url, settings, clock = sqlite_url(tmp_path), Settings(), SystemClock()
    terms = Terms(workers=1)
    source = Source(url=reading_url, archive=url, uploads=str(tmp_path / "uploads"), strict_skus=False)
    simulations = Simulations(tmp_path / "simulations", ProcessIntake(source, 100.0), terms, clock)
    engine = Engine(
        settings, RedisLedger(server.url), InlineCrew(time.monotonic), clock, Metrics(),
        archive=Archive(url), simulations=simulations,
    )  # fmt: skip
    application = create_app(engine)
    await engine.start()
    yield application
    application.retire()
    await engine.stop()


@pytest.fixture
async def client(app: Application, partition: str) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    """A client of a partition with a network, stock and an order."""
    headers = {"apportion-partition": partition}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as made:
        assert (await made.put("/v1/network", json=NETWORK)).status_code == 200
        assert (await made.put("/v1/stock", json=STOCK)).status_code == 200
        placed = order("O-1", quantity=2, placed_at="2026-11-23T10:00:00Z")
        assert (await made.post("/v1/orders", json=placed)).status_code == 201
        yield made


async def shows(client: httpx.AsyncClient, path: str, field: str) -> None:
    """Wait until a field of an answer is not empty."""
    async with asyncio.timeout(SECONDS):
        while True:
            if (await client.get(path)).json()[field]:
                return
            await asyncio.sleep(0.1)


def writes_refused(server: Server) -> int:  # noqa: F811
    """How often somebody tried what he may not."""
    return int(server.client().info("stats")["acl_access_denied_cmd"])


@pytest.mark.timeout(200)
async def test_simulations_change_no_key(client: httpx.AsyncClient, server: Server, partition: str):  # noqa: F811
    """Protects R15, quiet: generated demand, history and refusals leave every key as it was, byte for byte."""
    now = {"since": "2026-11-23T00:00:00Z", "until": "2099-01-01T00:00:00Z"}
    await shows(client, "/v1/orders", "items")
    before, refused = dumped(server.client(), partition), writes_refused(server)
    paths = [await submitted(client), await submitted(client, demand={"history": now})]
    problem(await client.post("/v1/simulations", json=simulation(demand={"history": DAY})), 422, "invalid-input")
    found = [await ended(client, path) for path in paths]
    assert [each["state"] for each in found] == ["done", "done"]
    assert found[1]["answer"]["reports"][0]["figures"]["orders"] == 1
    for path in paths:
        assert (await client.delete(path)).status_code == 200
    assert dumped(server.client(), partition) == before
    assert writes_refused(server) == refused, "nobody even tried"


@pytest.mark.timeout(200)
async def test_orders_beside_a_simulation_are_answered_and_only_they_change_stock(client: httpx.AsyncClient):
    """Protects R15 under load: each order is decided while runs go on, and stock is what orders alone left."""
    large: dict[str, Any] = {"since": "2026-11-23T00:00:00Z", "days": 60, "orders_per_day": 20_000, "skus": {"A": 1}}
    path = await submitted(client, demand={"generator": large})
    await shows(client, path, "orders")
    for number in range(12):
        answer = await client.post("/v1/orders", json=order(f"L-{number}"))
        assert (answer.status_code, answer.json()["status"]) == (201, "allocated")
    assert (await client.get(path)).json()["state"] == "running"
    nodes = (await client.get("/v1/stock/A")).json()["nodes"]
    assert sum(node["held"] for node in nodes) == 2 + 12
    assert sum(node["on_hand"] for node in nodes) == 20
    assert (await client.delete(path)).json()["state"] == "cancelled"
