"""The event stream: complete, resumable, and it ends when the process does."""

from __future__ import annotations

import asyncio

import pytest

from api import events
from tests.api.asgi import Exchange
from tests.api.conftest import order, problem


def ids(body: bytes) -> list[str]:
    return [line[4:] for line in body.decode().splitlines() if line.startswith("id: ")]


def kinds(body: bytes) -> list[str]:
    return [line[7:] for line in body.decode().splitlines() if line.startswith("event: ")]


async def test_events_arrive_and_resume_without_gap_or_repeat(app, client):
    """A client that comes back with any id it has seen gets exactly the rest."""
    live = Exchange(app, "GET", "/v1/events")
    await live.wait_for(lambda: b"retry" in live.body)
    await asyncio.gather(*(client.post("/v1/orders", json=order(f"O-{k}")) for k in range(4)))
    await client.post("/v1/orders/O-1/cancel")
    await live.wait_for(lambda: b"order.cancelled" in live.body)
    live.leave()
    await asyncio.wait_for(live.task, 30)
    assert kinds(live.body).count("order.allocated") == 4
    seen = ids(live.body)
    assert len(set(seen)) == len(seen)
    for k, last in enumerate(seen[:-1]):
        again = Exchange(app, "GET", "/v1/events", headers={"Last-Event-ID": last})
        await again.wait_for(lambda again=again: seen[-1] in ids(again.body))
        again.leave()
        await asyncio.wait_for(again.task, 30)
        assert ids(again.body) == seen[k + 1 :]


async def test_a_new_subscriber_hears_of_new_things(app, client):
    """Without Last-Event-ID the past is not told."""
    await client.post("/v1/orders", json=order("O-1"))
    await asyncio.sleep(0.005)
    live = Exchange(app, "GET", "/v1/events")
    await live.wait_for(lambda: b"retry" in live.body)
    await client.post("/v1/orders", json=order("O-2"))
    await live.wait_for(lambda: b"O-2" in live.body)
    assert b"O-1" not in live.body
    live.leave()
    await asyncio.wait_for(live.task, 30)


async def test_partitions_have_their_own_stream(app, client):
    """Nothing of one partition is heard in another."""
    live = Exchange(app, "GET", "/v1/events", headers={"Apportion-Partition": "other"})
    await live.wait_for(lambda: b"retry" in live.body)
    await client.post("/v1/orders", json=order())
    await asyncio.sleep(0.05)
    assert ids(live.body) == []
    live.leave()
    await asyncio.wait_for(live.task, 30)


async def test_a_quiet_stream_is_kept_alive(app, client, monkeypatch):  # noqa: ARG001
    """Proxies close connections that say nothing."""
    monkeypatch.setattr(events, "WAIT_MS", 10)
    live = Exchange(app, "GET", "/v1/events")
    await live.wait_for(lambda: live.body.count(b": ping") >= 2)
    live.leave()
    await asyncio.wait_for(live.task, 30)


async def test_streams_end_when_the_process_retires(app, client):
    """Open streams do not delay a stop, and new ones are told to go elsewhere."""
    live = Exchange(app, "GET", "/v1/events")
    await live.wait_for(lambda: b"retry" in live.body)
    app.retire()
    await asyncio.wait_for(live.task, 30)
    assert live.done
    problem(await client.get("/v1/events"), 503, "stopping")


@pytest.mark.parametrize("last", ["x", "1", "1-2:x", "-1-1", "1-1:1:1", "9" * 40 + "-1"])
async def test_a_strange_place_is_refused(client, last):
    """A Last-Event-ID that was never ours."""
    body = problem(await client.get("/v1/events", headers={"Last-Event-ID": last}), 422, "invalid-input")
    assert body["errors"][0]["path"] == "header Last-Event-ID"


async def test_subscribers_are_bounded_and_not_headed(client, monkeypatch):
    """One more than the bound is told when to come back; HEAD would never end."""
    assert (await client.head("/v1/events")).status_code == 405
    monkeypatch.setattr(events, "SUBSCRIBERS_MAX", 0)
    problem(await client.get("/v1/events"), 503, "overloaded")
