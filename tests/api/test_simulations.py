"""Simulations over HTTP: a job's life, what is refused and where, tenants, bounds."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pyarrow import parquet

from api.app import Application, create_app
from engine.assembly import build_memory
from engine.settings import Settings
from engine.simulation.answering import Answer
from engine.simulation.jobs.terms import Terms
from tests.api.asgi import Exchange
from tests.api.conftest import NETWORK, STOCK, ndjson, order, problem
from tests.engine.simulation.jobs.waiting import SECONDS, until

GENERATOR = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 40, "skus": {"A": 2, "B": 1}}
CLOSED = {"name": "no west", "patches": [{"close_node": {"node_id": "LAX"}}]}


def simulation(**fields: Any) -> dict[str, Any]:
    """A day of generated orders on NETWORK, with one node closed."""
    return {"demand": {"generator": GENERATOR}, "pricing": {"on": False}, "scenarios": [CLOSED], **fields}


@pytest.fixture
def terms() -> Terms:
    """Few of everything, so that tests can pass the bounds."""
    return Terms(workers=1, queue_max=3, queue_per_partition_max=2, uploads_max=2)


@pytest.fixture
async def app(settings: Settings, terms: Terms, tmp_path: Path) -> AsyncIterator[Application]:
    """The application with a network and stock, its jobs in a directory of the test."""
    engine = build_memory(settings, archive_url="sqlite://", simulations=tmp_path, terms=terms)
    application = create_app(engine)
    await engine.start()
    async with client_of(application) as client:
        for partition in ("default", "other"):
            headers = {"apportion-partition": partition}
            assert (await client.put("/v1/network", json=NETWORK, headers=headers)).status_code == 200
            assert (await client.put("/v1/stock", json=STOCK, headers=headers)).status_code == 200
    yield application
    application.retire()
    await engine.stop()


def client_of(app: Application, partition: str = "default") -> httpx.AsyncClient:
    """A client that acts in a partition."""
    headers = {"apportion-partition": partition}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the default partition."""
    async with client_of(app) as made:
        yield made


async def submitted(client: httpx.AsyncClient, **fields: Any) -> str:
    """The path of a simulation that was taken."""
    answer = await client.post("/v1/simulations", json=simulation(**fields))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/simulations/{answer.json()['simulation_id']}"
    return answer.headers["location"]


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The simulation once it has ended."""
    async with asyncio.timeout(SECONDS):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            if found["state"] not in ("queued", "running"):
                return found
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_a_simulation_is_taken_performed_answered_and_forgotten(app: Application, client: httpx.AsyncClient):
    """The whole life of a job as an analyst sees it, with the answer's figures in every place where they stand."""
    path = await submitted(client, name="west", seeds=[1, 2])
    following = Exchange(app, "GET", f"{path}/events")
    found = await ended(client, path)
    assert (found["state"], found["problem"], found["eta_seconds"]) == ("done", None, None)
    assert [(run["scenario"], run["seed"], run["state"]) for run in found["runs"]] == [
        (name, seed, "done") for seed in (1, 2) for name in ("baseline", "no west")
    ]
    answer = msgspec.convert(found["answer"], Answer, strict=False)
    assert [report.scenario for report in answer.reports] == ["baseline", "no west"]
    orders = answer.reports[0].figures.orders
    assert orders == sum(run["orders"] for run in found["runs"] if run["scenario"] == "baseline")
    assert answer.reports[1].differences["cost"].low is not None
    table = await client.get(f"{path}/decisions/no%20west/2")
    assert table.headers["content-type"] == "application/vnd.apache.parquet"
    rows = parquet.read_table(io.BytesIO(table.content))
    assert len(rows) == found["runs"][3]["orders"] > 0
    problem(await client.get(f"{path}/decisions/nowhere/2"), 404, "not-found")
    page = await client.get(f"{path}/report")
    assert page.headers["content-type"].startswith("text/html")
    assert "no west" in page.text
    [entry] = (await client.get("/v1/simulations")).json()["items"]
    assert (entry["name"], entry["state"], entry["runs_done"], entry["runs_total"]) == ("west", "done", 4, 4)
    await following.wait_for(lambda: following.done)
    events = following.body.decode().split("\n\n")
    assert [event for event in events if "event: ended" in event] == [events[-2]]
    assert '"state":"done"' in events[-2]
    assert (await client.delete(path)).json()["state"] == "done"
    problem(await client.get(path), 404, "not-found")
    assert (await client.get("/v1/simulations")).json() == {"items": [], "next_cursor": None}


KITS = [
    {"sku": "K", "components": [{"sku": "L", "quantity": 1}]},
    {"sku": "L", "components": [{"sku": "K", "quantity": 1}]},
]
DAY = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (
            {"scenarios": [{"name": "s", "patches": [{"close_node": {"node_id": "X"}}]}]},
            "$.scenarios[0].patches[0].close_node.node_id",
        ),
        (
            {"scenarios": [{"name": "s", "patches": [{"prices": {"on": False}}, {"prices": {"on": True}}]}]},
            "$.scenarios[0].patches[1].prices",
        ),
        ({"demand": {"history": DAY}}, "$.demand.history"),
        ({"demand": {"upload": {"file": "none"}}}, "$.demand.upload.file"),
        ({"skus": KITS}, "$.skus[0].components[0].sku"),
        ({"demand": {"generator": GENERATOR | {"orders_per_day": 1e9}}}, "$.demand.generator"),
        ({"seeds": ["one"]}, "$.seeds[0]"),
    ],
    ids=["unknown node", "contradiction", "empty period", "no upload", "cyclic kit", "10^9 orders", "form"],
)
async def test_what_cannot_be_simulated_is_refused_at_once(client, tmp_path, fields, path):
    """Nobody waits an hour for a fault that could be seen: it is told with its place, and nothing is kept."""
    refused = problem(await client.post("/v1/simulations", json=simulation(**fields)), 422, "invalid-input")
    assert path in [fault["path"] for fault in refused["errors"]], refused["errors"]
    assert (await client.get("/v1/simulations")).json()["items"] == []
    assert list((tmp_path / "jobs" / "partitions").glob("*/*")) == []


@pytest.mark.timeout(180)
async def test_a_partition_sees_its_own_simulations_only(app: Application, client: httpx.AsyncClient):
    """Protects S2: another tenant's simulation is not there, whatever is asked of it, and is not harmed by asking."""
    path = await submitted(client)
    async with client_of(app, "other") as other:
        for method, at in (
            ("GET", path),
            ("GET", f"{path}/events"),
            ("GET", f"{path}/report"),
            ("GET", f"{path}/decisions/baseline/1"),
            ("DELETE", path),
        ):
            problem(await other.request(method, at), 404, "not-found")
        assert (await other.get("/v1/simulations")).json()["items"] == []
        assert (await client.put("/v1/simulation-uploads/mine", content=ndjson(order()))).status_code == 200
        demand = {"upload": {"file": "mine"}}
        problem(await other.post("/v1/simulations", json=simulation(demand=demand)), 422, "invalid-input")
        problem(await other.delete("/v1/simulation-uploads/mine"), 404, "not-found")
    assert (await ended(client, path))["state"] == "done"


@pytest.mark.timeout(180)
async def test_a_simulation_is_cancelled_while_it_runs_and_while_it_waits(app: Application, client: httpx.AsyncClient):
    """Whoever asked too much takes it back: its processes end, and the next one is performed."""
    large = {"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}}
    running = await submitted(client, demand=large)
    waiting = await submitted(client)
    [worker] = app.engine.simulations.workers
    await until(lambda: worker.pid is not None)
    assert (await client.delete(running)).json()["state"] == "cancelled"
    assert (await client.delete(waiting)).json()["state"] == "cancelled"
    await until(lambda: worker.pid is None)
    after = await submitted(client)
    assert (await ended(client, after))["state"] == "done"
    for path in (running, waiting):
        found = (await client.get(path)).json()
        assert (found["state"], found["answer"]) == ("cancelled", None)
        problem(await client.get(f"{path}/report"), 404, "not-found")
        assert (await client.delete(path)).status_code == 200
        problem(await client.get(path), 404, "not-found")


async def test_simulations_are_shed_first_and_bounded(app: Application, client: httpx.AsyncClient):
    """Protects R19 and memory: while many orders wait none is taken, and so many of a partition and of all are kept."""
    large = {"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}}
    for _ in range(2):
        await submitted(client, demand=large)
    answer = await client.post("/v1/simulations", json=simulation())
    problem(answer, 429, "too-many")
    assert int(answer.headers["retry-after"]) > 0
    async with client_of(app, "other") as other:
        await submitted(other, demand=large)
        problem(await other.post("/v1/simulations", json=simulation()), 503, "overloaded")
    for partition in ("default", "other"):
        async with client_of(app, partition) as each:
            for item in (await each.get("/v1/simulations")).json()["items"]:
                await each.delete(f"/v1/simulations/{item['simulation_id']}")
    app.engine.simulations.pressure = lambda: 0.5
    problem(await client.post("/v1/simulations", json=simulation()), 503, "overloaded")
    problem(await client.put("/v1/simulation-uploads/a", content=b"{}"), 503, "overloaded")
    assert (await client.get("/v1/simulations")).status_code == 200


async def test_uploads_are_listed_with_what_they_hold_and_when_they_go(app: Application, client):
    """Who has uploaded sees what is there, and what counts against the limit; half a file is not there."""
    assert (await client.get("/v1/simulation-uploads")).json() == {"items": [], "next_cursor": None}
    orders = ndjson(order("O-1"), order("O-2"))
    stock = ndjson({"node_id": "NYC", "sku": "A", "on_hand": 7})
    assert (await client.put("/v1/simulation-uploads/my orders", content=orders)).status_code == 200
    assert (await client.put("/v1/simulation-uploads/stock", content=stock)).status_code == 200
    uploads = app.engine.simulations.uploads("default")
    uploads.coming("third").write_bytes(b"{")
    first = (await client.get("/v1/simulation-uploads?limit=1")).json()
    rest = (await client.get(f"/v1/simulation-uploads?limit=1&cursor={first['next_cursor']}")).json()
    assert rest["next_cursor"] is None
    found = {each["file"]: each for each in (*first["items"], *rest["items"])}
    assert {name: (each["format"], each["bytes"], each["orders"]) for name, each in found.items()} == {
        "my orders": ("ndjson", len(orders), 2),
        "stock": ("ndjson", len(stock), None),
    }
    came, goes = (datetime.fromisoformat(found["stock"][name]) for name in ("created_at", "expires_at"))
    assert abs((datetime.now(UTC) - came).total_seconds()) < 60
    assert goes - came == timedelta(days=30)
    assert uploads.count() == 2
    async with client_of(app, "other") as other:
        assert (await other.get("/v1/simulation-uploads")).json()["items"] == []
    assert (await client.delete("/v1/simulation-uploads/stock")).status_code == 200
    assert [each["file"] for each in (await client.get("/v1/simulation-uploads")).json()["items"]] == ["my orders"]
    assert list(uploads.directory.glob("*.json")) == [uploads.file("my orders").with_suffix(".json")]


@pytest.mark.timeout(180)
async def test_metrics_tell_how_many_simulations_wait_and_run(client: httpx.AsyncClient):
    """An operator sees a queue that grows without asking every partition."""

    async def told() -> dict[str, float]:
        lines = [line for line in (await client.get("/metrics")).text.splitlines() if "apportion_simulations{" in line]
        return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}

    async def become(queued: int, running: int) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                if await told() == {"queued": queued, "running": running}:
                    return
                await asyncio.sleep(0.05)

    await become(0, 0)
    large = {"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}}
    first, second = [await submitted(client, demand=large) for _ in range(2)]
    await become(1, 1)
    await client.delete(second)
    await become(0, 1)
    await client.delete(first)
    await become(0, 0)


async def test_the_list_is_read_page_by_page(client: httpx.AsyncClient):
    """Every simulation stands on one page, the latest first."""
    made = [await submitted(client, name=name) for name in ("first", "second")]
    first = (await client.get("/v1/simulations?limit=1")).json()
    rest = (await client.get(f"/v1/simulations?limit=5&cursor={first['next_cursor']}")).json()
    assert [item["name"] for item in (*first["items"], *rest["items"])] == ["second", "first"]
    assert rest["next_cursor"] is None
    for path in made:
        await client.delete(path)


@pytest.mark.timeout(180)
async def test_uploaded_orders_and_stock_are_simulated(client: httpx.AsyncClient):
    """A merchant's own file: the orders of its lines on the stock of its lines, and each bad line is told."""
    orders = [order(f"U-{k}", placed_at=f"2026-11-23T10:00:{k:02}Z") for k in range(20)]
    assert (await client.put("/v1/simulation-uploads/orders", content=ndjson(*orders))).json()["file"] == "orders"
    stock = [{"node_id": "NYC", "sku": "A", "on_hand": 7}]
    assert (await client.put("/v1/simulation-uploads/stock", content=ndjson(*stock))).status_code == 200
    problem(await client.put("/v1/simulation-uploads/third", content=b"{}"), 429, "too-many")
    named = {"demand": {"upload": {"file": "orders"}}, "stock": {"upload": {"file": "stock"}}}
    found = await ended(client, await submitted(client, **named))
    base = msgspec.convert(found["answer"], Answer, strict=False).reports[0].figures
    assert (base.orders, base.units, base.units_shipped) == (20, 20, 7)
    bad = ndjson(orders[0], {"order_id": "no lines"}, orders[0] | {"lines": []})
    assert (await client.put("/v1/simulation-uploads/orders", content=bad)).status_code == 200
    refused = problem(await client.post("/v1/simulations", json=simulation(**named)), 422, "invalid-input")
    assert [fault["path"] for fault in refused["errors"]] == ["orders, line 2", "orders, line 3"]
    named["demand"]["upload"]["mapping"] = {"columns": {"sku": "StockCode"}}
    refused = problem(await client.post("/v1/simulations", json=simulation(**named)), 422, "invalid-input")
    assert [fault["path"] for fault in refused["errors"]] == ["$.demand.upload.mapping"]
