"""A store of an earlier version goes on: `earlier_store` is one, with orders in four states and no archive yet."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis

from engine.assembly import Engine, build
from engine.domain import Order
from engine.ledger.port import Answer, StockKind, StockWrite, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.retention import START
from engine.settings import Settings
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import Shop, load

STORED = Path(__file__).parent / "earlier_store"
FAR_MS = 4_000_000_000_000


def _prolong(client: redis.Redis) -> None:
    """Let the hold of that store, whose deadline is in November 2026, last until the year 2096."""
    key = "{default}:order:O5"
    kept = msgspec.msgpack.decode(client.hget(key, "m"))
    kept[4] = FAR_MS
    client.hset(key, "m", msgspec.msgpack.encode(kept))
    client.zadd("{default}:holds", {"O5": FAR_MS})
    for field, _ in client.zrange("{default}:due", 0, -1, withscores=True):
        key = "{default}:soft:" + field.decode()
        [packed] = client.zrange(key, 0, -1)
        client.delete(key)
        client.zadd(key, {msgspec.msgpack.encode([FAR_MS, *msgspec.msgpack.decode(packed)[1:]]): FAR_MS})
        client.zadd("{default}:due", {field: FAR_MS})


@pytest.fixture(params=["held"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """This version's engine on a copy of that store."""
    with tempfile.TemporaryDirectory(prefix="earlier") as folder:
        shutil.copytree(STORED, Path(folder) / "appendonlydir")
        server = Server(Path(folder))
        server.start()
        if request.param == "held":
            _prolong(server.client())
        made = build(Settings(data_dir=Path(folder)), server.url)
        await made.start()
        yield made
        await made.stop()
        server.stop()


async def test_an_earlier_store_opens_answers_and_goes_on(engine):
    """Its orders keep their state and first decision, its holds can be confirmed, new orders and policies are taken."""
    past = {f"O{n}": await engine.past.order("default", f"O{n}") for n in range(6)}
    assert [record.state for record in past.values()] == [
        "cancelled", "allocated", "allocated", "allocated", "released", "held",
    ]  # fmt: skip
    for record in past.values():
        again = await engine.gate.submit("default", msgspec.json.decode(record.order, type=Order))
        assert again == (True, record.decision)
    await engine.past.command("default", "O5", "confirm")
    assert (await engine.past.order("default", "O5")).state == "allocated"
    rules = {"rules": [{"name": "not from A", "then": {"except_nodes": ["A"]}}]}
    assert await engine.registry.put_policy("default", "default", msgspec.json.encode(rules)) == 2
    new = {"order_id": "N", "ship_to": {"country": "US"}, "lines": [{"line_id": "1", "sku": "X", "quantity": 3}]}
    answer = await engine.gate.submit("default", msgspec.convert(new, Order))
    assert [parcel["node_id"] for parcel in msgspec.json.decode(answer.decision)["parcels"]] == ["B"]
    report = await reconcile(engine.ledger, "default")
    assert report.clean, report.differences


@pytest.mark.parametrize("engine", ["lapsed"], indirect=True)
async def test_a_hold_of_an_earlier_store_lapses(engine):
    """Its units are free at its deadline and freed once, as are those of holds taken now."""
    async with asyncio.timeout(30):
        while await engine.ledger.overdue(["default"]):
            pass
    assert (await engine.ledger.order("default", "O5")).stored_state == "lapsed"
    assert [change.event for change in (await engine.past.order("default", "O5")).history].count("order.lapsed") == 1
    report = await reconcile(engine.ledger, "default")
    assert report.clean, report.differences


def _whole_members(client: redis.Redis, partition: str) -> None:
    """Keep soft units as earlier versions did: one member for all places of a deadline."""
    for field in client.zrange("{" + partition + "}:due", 0, -1):
        key = "{" + partition + "}:soft:" + field.decode()
        whole: dict[float, list[int]] = {}
        for packed, deadline in client.zrange(key, 0, -1, withscores=True):
            member = msgspec.msgpack.decode(packed[3:])
            whole.setdefault(deadline, [member[0]]).extend(member[1:])
        client.delete(key)
        client.zadd(key, {msgspec.msgpack.encode(member): deadline for deadline, member in whole.items()})


@pytest.fixture
async def before(store: RedisLedger, server: Server, partition: str) -> AsyncIterator[Shop]:
    """A shop of an earlier version in which three orders hold units at forty nodes, two of them until long ago."""
    shop = await Shop(store, partition).open(40, {("A", node): 9 for node in range(40)})
    gone_ms, long_ms = -5_000, 3_600_000
    for name, hold_ms, nodes in (("O", gone_ms, (0, 20)), ("P", gone_ms, (20, 40)), ("Q", long_ms, (0, 40))):
        cells = {("A", node): 2 for node in range(*nodes)}
        assert await shop.order(name, cells, loads=(load(nodes[0]), load(nodes[1] - 1)), hold_ms=hold_ms)
    client = server.client()
    _whole_members(client, partition)
    yield shop
    report = await reconcile(store, partition)
    assert report.clean, report.differences
    assert client.zcard("{" + partition + "}:due") == 0


async def _units(shop: Shop) -> list[int]:
    return (await shop.ledger.stock(shop.partition, "A")).slots["held"].tolist()


async def test_units_kept_as_before_are_read_taken_and_swept(before: Shop):
    """Whatever is done first to a deadline kept as one member, no unit is lost or counted twice."""
    assert await _units(before) == [2] * 40
    assert await before.order("R", {("A", 3): 7, ("A", 21): 7}) is Verdict.COMMITTED
    expected = [9 if node in (3, 21) else 2 for node in range(40)]
    assert await _units(before) == expected
    assert await before.ledger.command(before.partition, "Q", "confirm") == (Answer.DONE, "allocated")
    assert await before.ledger.command(before.partition, "O", "cancel") == (Answer.DONE, "cancelled")
    while await before.ledger.sweep(before.partition):
        pass
    assert await _units(before) == expected


async def test_a_change_of_an_earlier_version_is_finished(before: Shop, server: Server):
    """An entry that an earlier version left half-made, on whole members, is made by the first script of this one."""
    kept = await before.ledger.order(before.partition, "Q")
    places = [value for node in range(40) for value in (node, 2, 0)]
    body = {"soft": ["sA", kept.deadline_ms, places], "state": "allocated", "revision": 2}
    entry = {"k": "free", "b": msgspec.msgpack.encode(body), "r": ""}
    client = server.client()
    key = "{" + before.partition + "}:soft:sA"
    assert client.zremrangebyscore(key, kept.deadline_ms, kept.deadline_ms) == 1
    client.xadd("{" + before.partition + "}:log", entry)
    await before.ledger.versions(before.partition)
    [packed] = client.zrangebyscore(key, kept.deadline_ms, kept.deadline_ms)
    assert msgspec.msgpack.decode(packed) == [kept.deadline_ms, *places]
    assert await before.ledger.command(before.partition, "Q", "release") == (Answer.DONE, "released")
    while await before.ledger.sweep(before.partition):
        pass


async def test_a_list_of_skus_of_an_earlier_version_goes_on(store: RedisLedger, server: Server, partition: str):
    """Where all stocked SKUs lie on one list, pages give them with those that came since, each once and in order."""
    shop = await Shop(store, partition).open(1)
    skus = [f"S{k:03}" for k in range(400)]

    async def stock(some: list[str]) -> None:
        await store.write_stock(partition, [StockWrite(sku, 0, StockKind.SNAPSHOT, 1) for sku in some])

    await stock(skus[100:200])
    client, key = server.client(), "{" + partition + "}:stocked"
    client.delete(key + ":", key)
    client.zadd(key, dict.fromkeys(skus[100:200], 0))
    await stock(skus)
    cursor, found = "", list[str]()
    while not found or cursor:
        cursor, page = await store.stock_page(partition, cursor, 150)
        found += [sku for sku, _ in page]
    assert found == skus
    assert (await reconcile(store, shop.partition)).clean


async def test_the_history_of_an_earlier_store_reaches_the_archive(engine):
    """What was logged before there was an archive is archived from its first entry."""
    async with asyncio.timeout(60):
        while True:
            retention = await engine.ledger.retention("default")
            if retention.archived == retention.newest != START:
                break
            await asyncio.sleep(0.02)
    listed = await engine.history.orders("default", None, (0, 0, ""), 10)
    assert [item.order_id for item in listed] == [f"O{n}" for n in range(6)]
