"""Simulations over the real store: every key stays as it was, and orders beside them are answered (R15)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redis.asyncio

from api.app import Application, create_app
from engine.archive.database import Archive, sqlite_url
from engine.archive.history import Witness
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.reconcile import reconcile
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


async def write_refused(url: str) -> None:
    """A write within a script, as `url`'s user: it must be refused."""
    reader = redis.asyncio.Redis.from_url(url)
    with pytest.raises(redis.exceptions.ResponseError, match="no permissions to run"):
        await reader.eval("return redis.call('SET', KEYS[1], 'x')", 1, "nobody:nothing")
    await reader.aclose()


def ordered(order_id: str) -> dict[str, Any]:
    """An order of the load: always the same by its id."""
    return order(order_id, quantity=1 + int(order_id[-1]) % 2)


CLIENTS = 8


async def load(
    client: httpx.AsyncClient, order_ids: Iterable[str], heard: Callable[[str, httpx.Response], None]
) -> None:
    """Post these orders by clients that each post one after the other; `heard` gets the answers as they come."""
    waiting = iter(order_ids)

    async def one() -> None:
        for order_id in waiting:
            heard(order_id, await client.post("/v1/orders", json=ordered(order_id)))

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(one())


@pytest.mark.timeout(200)
async def test_orders_beside_a_simulation_are_decided_and_it_writes_nothing(
    client: httpx.AsyncClient,
    server: Server,  # noqa: F811
    reading_url: str,
    partition: str,  # noqa: F811
    tmp_path: Path,
):
    """Protects R15 under load: while a simulation is taken and runs, each order of eight clients is decided and stands,
    books are clean, nobody who may only read tried to write, and the simulation is done."""
    plenty = [{"node_id": node, "sku": "A", "on_hand": 10_000} for node in ("NYC", "LAX")]
    assert (await client.put("/v1/stock", json=plenty)).status_code == 200
    refused = writes_refused(server)
    generator = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 700, "skus": {"A": 1}}
    decided: dict[str, bytes] = {}
    running: list[str] = []

    def first(order_id: str, answer: httpx.Response) -> None:
        assert (answer.status_code, answer.json()["status"]) == (201, "allocated"), answer.text
        decided[order_id] = answer.content
        running.extend([order_id] if ending is not None and not ending.done() else [])

    def again(order_id: str, answer: httpx.Response) -> None:
        assert (answer.status_code, answer.content) == (200, decided[order_id])

    ending: asyncio.Task[dict[str, Any]] | None = None
    taking = asyncio.create_task(submitted(client, demand={"generator": generator}))  # the store is read beside a load
    await load(client, (f"taken-{number}" for number in range(100)), first)
    path = await taking
    await shows(client, path, "orders")
    ending = asyncio.create_task(ended(client, path))
    await load(client, (f"run-{number}" for number in range(400)), first)
    assert len(running) >= 100, "runs went on beside the load"
    assert (await ending)["state"] == "done"
    await load(client, list(decided), again)
    assert writes_refused(server) == refused, "nobody even tried"
    await write_refused(reading_url)
    assert writes_refused(server) == refused + 1, "who tries is counted"
    nodes = (await client.get("/v1/stock/A")).json()["nodes"]
    assert sum(node["held"] for node in nodes) == 2 + units(decided.values())
    assert sum(node["on_hand"] for node in nodes) == 20_000
    ledger, archive = RedisLedger(server.url), Archive(sqlite_url(tmp_path))
    report = await reconcile(ledger, partition, past=Witness(archive))
    await archive.close()
    await ledger.close()
    assert report.clean, report.differences


def units(decisions: Iterable[bytes]) -> int:
    """What these orders hold."""
    return sum(
        line["quantity"] for body in decisions for parcel in json.loads(body)["parcels"] for line in parcel["lines"]
    )
