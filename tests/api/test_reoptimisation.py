"""Late re-optimisation over HTTP: orders move to where they are cheaper, until they are with their nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from engine.ledger.moving import Place
from engine.reoptimising import task
from tests.api.asgi import Exchange
from tests.api.scenes import Scene

LANES = [
    {"node_id": "near", "to": "*", "service": "ground", "parcel": "5.00", "transit_days": 2},
    {"node_id": "far", "to": "*", "service": "ground", "parcel": "7.00", "transit_days": 3},
]


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at more often than in production."""
    monkeypatch.setattr(task, "TICK_SECONDS", 0.05)


async def opened(scene: Scene, mode: str = "on", **terms: Any) -> None:
    """Near has nothing, far has enough."""
    reoptimise = {"mode": mode, "every_seconds": 60, **terms}
    stock = {"A": {"far": 9, "near": 0}, "B": {"far": 9, "near": 9}}
    await scene.open(["near", "far"], stock, policy={"reoptimise": reoptimise}, lanes=LANES)


async def receive(scene: Scene, sku: str, quantity: int) -> None:
    """Stock arrives near."""
    row = {"movement_id": f"M-{sku}", "node_id": "near", "sku": sku, "kind": "receive", "quantity": quantity}
    assert (await scene.http.post("/v1/stock/movements", json=row)).status_code == 200


async def nodes(scene: Scene, order_id: str) -> list[str]:
    """Where an order ships from now."""
    decision = (await scene.http.get(f"/v1/orders/{order_id}")).json()["decision"]
    return [parcel["node_id"] for parcel in decision["parcels"]]


async def report(scene: Scene, **wanted: Any) -> dict[str, Any]:
    """The default policy's report once it says this, which takes a few periods at most."""
    async with asyncio.timeout(60):
        while True:
            answer = await scene.http.get("/v1/reoptimisation")
            for found in answer.json()["policies"]:
                if wanted.items() <= found.items():
                    return found
            await asyncio.sleep(0.02)


async def test_an_order_moves_to_stock_that_came(scene):
    """Protects the saving: A takes the far node for want of stock, stock comes near, and within a period A moves."""
    await opened(scene)
    first = await scene.order("A", ("A", 2))
    assert [parcel["node_id"] for parcel in first["parcels"]] == ["far"]
    await receive(scene, "A", 2)
    told = await report(scene, moved=1)
    assert told["moves"] == [{"order_id": "A", "saving": "2.00", "from": ["far"], "to": ["near"]}]
    assert (told["mode"], told["saving"], told["dropped"], told["looked_at"]) == ("on", "2.00", 0, 1)
    view = (await scene.http.get("/v1/orders/A")).json()
    decision = scene.checked(view["decision"], view["order"])
    assert [parcel["node_id"] for parcel in decision["parcels"]] == ["near"]
    assert view["state"] == "allocated"
    assert [change["event"] for change in view["history"]][1:] == ["order.reoptimised", "order.allocated"]
    assert (await scene.held("A"), await scene.held("B")) == ({"near": 2}, {})
    await scene.explained("A", decision)
    metrics = (await scene.http.get("/metrics")).text
    assert 'apportion_reoptimised_orders_total{mode="on",outcome="moved"} 1.0' in metrics


async def test_what_ships_in_part_moves_as_it_is(scene):
    """Protects quantities: of an order that ships in part the very same units move, and the rest stays refused."""
    await opened(scene)
    first = await scene.order("A", ("A", 2), ("Z", 1))
    assert first["status"] == "partially_allocated"
    await receive(scene, "A", 5)
    await report(scene, moved=1)
    view = (await scene.http.get("/v1/orders/A")).json()
    decision = scene.checked(view["decision"], view["order"])
    assert (view["state"], decision["status"]) == ("partially_allocated", "partially_allocated")
    assert decision["unallocated"] == first["unallocated"]
    assert [(parcel["node_id"], parcel["lines"]) for parcel in decision["parcels"]] == [
        ("near", [{"line_id": "1", "sku": "A", "quantity": 2}])
    ]
    assert await scene.held("A") == {"near": 2}
    told = (await scene.http.get("/v1/orders/A/explanation")).json()
    assert (told["reproduced"], told["chosen"]["parcels"]) == (True, decision["parcels"])


async def test_a_repeat_gets_the_first_decision(scene):
    """Protects idempotency: the same post answers byte for byte what it was answered first, wherever the order is."""
    await opened(scene)
    body = {"order_id": "A", "ship_to": {"country": "US"}, "lines": [{"line_id": "1", "sku": "A", "quantity": 2}]}
    first = await scene.http.post("/v1/orders", json=body)
    await receive(scene, "A", 2)
    await report(scene, moved=1)
    again = await scene.http.post("/v1/orders", json=body)
    assert (first.status_code, again.status_code, again.content) == (201, 200, first.content)
    assert await nodes(scene, "A") == ["near"]


async def test_events_tell_the_saving(scene):
    """Protects subscribers: the event names the saving and the nodes before and after."""
    await opened(scene)
    await scene.order("A", ("A", 1))
    headers = {"apportion-partition": scene.partition}
    live = Exchange(scene.http._transport.app, "GET", "/v1/events", headers=headers)
    await live.wait_for(lambda: b"retry" in live.body)
    await receive(scene, "A", 1)
    await live.wait_for(lambda: b"window.decided" in live.body)
    live.leave()
    await live.task
    lines = live.body.decode().splitlines()
    told = [line for line in lines if line.startswith("event: order.")]
    assert told == ["event: order.reoptimised", "event: order.allocated"]
    at = lines.index("event: order.reoptimised")
    data = next(line for line in lines[at - 2 : at + 3] if line.startswith("data: "))
    told = {"order_id": "A", "saving": "2.00", "from": ["far"], "to": ["near"]}
    assert msgspec.json.decode(data.removeprefix("data: ")) == told


async def test_what_is_with_its_nodes_stays(scene):
    """Protects nodes: an order that was handed over is not looked at, whatever it would save."""
    await opened(scene)
    for order_id in ("ready", "moves"):
        await scene.order(order_id, ("A", 1))
    await scene.command("ready", "ready")
    await receive(scene, "A", 2)
    assert (await report(scene, moved=1))["looked_at"] == 1
    assert (await nodes(scene, "ready"), await nodes(scene, "moves")) == (["far"], ["near"])


async def test_a_dry_run_changes_nothing(scene):
    """Protects trust: in a dry run the report says what would move, and no order, hold or event changes."""
    await opened(scene, "dry_run")
    await scene.order("A", ("A", 1))
    await receive(scene, "A", 1)
    before = [entry.entry_id async for entry in scene.engine.ledger.entries(scene.partition)]
    told = await report(scene, moved=1)
    assert (told["mode"], told["saving"]) == ("dry_run", "2.00")
    assert told["moves"] == [{"order_id": "A", "saving": "2.00", "from": ["far"], "to": ["near"]}]
    assert await nodes(scene, "A") == ["far"]
    assert [entry.entry_id async for entry in scene.engine.ledger.entries(scene.partition)] == before


async def test_what_saves_too_little_stays(scene):
    """Protects calm: below the threshold nothing moves."""
    await opened(scene, min_saving="2.01", every_seconds=1)
    await scene.order("A", ("A", 1))
    await receive(scene, "A", 1)
    assert (await report(scene, why="period", looked_at=1))["moved"] == 0
    assert await nodes(scene, "A") == ["far"]


async def test_off_looks_at_nothing(scene):
    """Protects the default: without being asked for, orders stay and there is nothing to report."""
    await opened(scene, "off")
    await scene.order("A", ("A", 1))
    await receive(scene, "A", 1)
    await scene.engine.reoptimiser.look(scene.partition)
    assert (await scene.http.get("/v1/reoptimisation")).json() == {"policies": []}
    assert await scene.engine.ledger.movable(scene.partition, Place(0), 9) == []


async def test_excluded_nodes_stay_excluded(scene):
    """Protects re-routes: a node that an order was routed away from does not get it back, however cheap it is."""
    await opened(scene, every_seconds=1)
    await scene.order("A", ("B", 1))
    await scene.order("O", ("A", 1))
    await scene.reroute("A", "C-1", except_nodes=["near"])
    await receive(scene, "A", 1)
    async with asyncio.timeout(60):  # whether for the stock that came or because the period is over
        while await nodes(scene, "O") != ["near"]:  # noqa: ASYNC110 -- HTTP
            await asyncio.sleep(0.02)
    await report(scene, why="period", moved=0, looked_at=2)
    assert (await nodes(scene, "A"), await nodes(scene, "O")) == (["far"], ["near"])


async def test_nothing_arrives_later_than_promised(scene):
    """Protects promises: a cheaper way that takes longer than was promised is no way, with or without a date asked."""
    lanes = [{**LANES[0], "transit_days": 4}, LANES[1]]
    stock = {"A": {"far": 9, "near": 0}, "B": {"far": 0, "near": 9}}
    reoptimise = {"mode": "on", "every_seconds": 1}
    await scene.open(["near", "far"], stock, policy={"reoptimise": reoptimise}, lanes=lanes)
    await scene.order("A", ("A", 1))
    await scene.order("D", ("A", 1), deliver_by="2100-01-01T00:00:00Z")
    await receive(scene, "A", 9)
    assert (await report(scene, why="period", looked_at=2))["moved"] == 0
    assert await nodes(scene, "D") == ["far"]
