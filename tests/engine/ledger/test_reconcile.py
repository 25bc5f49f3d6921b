"""The audit finds what is wrong, and only that."""

from __future__ import annotations

import asyncio
import random
import struct

import pytest

from engine.ledger.port import Ledger, StockKind, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import DAY, Shop, load


async def _busy(shop: Shop) -> Shop:
    await shop.open(stock={("A", 0): 9, ("A", 1): 9, ("B", 0): 9})
    await shop.order("O", {("A", 0): 2, ("B", 0): 1}, loads=(load(0, 1, 3),))
    await shop.order("P", {("A", 1): 2}, loads=(load(1, 1, 2),))
    await shop.ledger.cancel(shop.partition, "P")
    await shop.write("A", 0, StockKind.COUNT, 1)
    return shop


async def test_a_sound_ledger_is_clean(ledger: Ledger, partition: str):
    """Protects R13: the log replayed gives the live state, also where a count fell below what is held."""
    await _busy(Shop(ledger, partition))
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences
    assert (report.entries, report.cells, report.loads, report.orders, report.moving) == (8, 3, 2, 2, 0)


@pytest.mark.parametrize(
    ("key", "at", "what"),
    [
        ("stock:A", 4 + 2, "stock A at node 0"),
        ("stock:A", 4 + 18 + 6, "stock A at node 1"),
        ("stock:B", 4 + 10, "stock B at node 0"),
        (f"load:{DAY}", 4, f"load of day {DAY} at node 0"),
    ],
)
async def test_planted_corruption_is_found(
    server: Server, store: RedisLedger, partition: str, key: str, at: int, what: str
):
    """Protects the audit itself: one wrong number in any row or day is named with its place."""
    await _busy(Shop(store, partition))
    server.client().setrange(f"{{{partition}}}:{key}", at, struct.pack("<i", 5))
    report = await reconcile(store, partition)
    assert what in {difference.place for difference in report.differences}


async def test_planted_losses_are_found(server: Server, store: RedisLedger, partition: str):
    """Protects the audit itself: a lost order, a lost row and a version too many are named."""
    await _busy(Shop(store, partition))
    tag, client = f"{{{partition}}}:", server.client()
    client.delete(f"{tag}order:O", f"{tag}stock:B")
    client.zrem(f"{tag}stocked:", "B")
    client.hset(f"{tag}meta", "policy", 7)
    client.hset(f"{tag}forecast", "version", 3)
    report = await reconcile(store, partition)
    places = {difference.place for difference in report.differences}
    assert {"order O", "stock B at node 0", "stock A at node 0", "versions", "forecast"} <= places
    assert (await reconcile(store, partition, differences_max=2)).wrong == report.wrong
    assert len((await reconcile(store, partition, differences_max=2)).differences) == 2


async def test_an_oversold_entry_is_found(server: Server, store: RedisLedger, partition: str):
    """Protects R1's witness: a commit in the log that held more than was there is reported, even if since cured."""
    shop = await Shop(store, partition).open(stock={("A", 0): 1})
    seen = await shop.look("A")
    server.client().setrange(f"{{{partition}}}:stock:A", 4 + 2, struct.pack("<i", 5))
    assert await shop.commit(seen, shop.proposal(seen, "O", {("A", 0): 3})) == [Verdict.COMMITTED]
    report = await reconcile(store, partition)
    assert any("oversold" in difference.found for difference in report.differences)


async def test_a_busy_ledger_is_clean(ledger: Ledger, partition: str):
    """Protects audits on a live store: what changes while it is looked at is no difference."""
    shop = await Shop(ledger, partition).open(stock={(f"S{k}", 0): 1_000 for k in range(20)})
    seen = await shop.look(*(f"S{k}" for k in range(20)))
    stop = False

    async def client(number: int) -> None:
        rng, k = random.Random(number), 0
        while not stop:
            k += 1
            cells = {(f"S{sku}", 0): 1 for sku in rng.sample(range(20), 2)}
            await shop.commit(seen, shop.proposal(seen, f"O{number}-{k}", cells, loads=(load(0),)))
            if rng.random() < 0.3:
                await shop.ledger.cancel(partition, f"O{number}-{rng.randint(1, k)}")
            await asyncio.sleep(0.01)

    clients = [asyncio.create_task(client(number)) for number in range(4)]
    await asyncio.sleep(0.2)
    reports = [await reconcile(ledger, partition) for _ in range(2)]
    stop = True
    await asyncio.gather(*clients)
    for report in reports:
        assert report.clean, report.differences
    assert (await reconcile(ledger, partition)).clean
