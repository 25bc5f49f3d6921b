"""Many clients at once, and a store that forgets its scripts or restarts under them."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ledger import scripts
from engine.ledger.port import Cancelled, Ledger, LedgerUnavailableError, StockKind, StockOutcome, StockWrite, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import DAY, Shop, content, load


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may stop."""
    with tempfile.TemporaryDirectory(prefix="ledger") as folder:
        running = Server(Path(folder))
        running.start()
        yield running
        running.stop()


@pytest.mark.parametrize(("racers", "units"), [(10, 1), (20, 10), (200, 7)])
async def test_exactly_as_many_winners_as_units(ledger: Ledger, partition: str, racers: int, units: int):
    """Protects R1: n clients racing for k units of one cell give exactly k winners."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): units})
    seen = await shop.look("A")
    races = (shop.commit(seen, shop.proposal(seen, f"O{k}", {("A", 0): 1})) for k in range(racers))
    verdicts = [verdict for [verdict] in await asyncio.gather(*races)]
    assert verdicts.count(Verdict.COMMITTED) == units
    assert verdicts.count(Verdict.LOST) == racers - units
    assert await shop.cell("A", 0) == (units, units, -1, 0)


async def test_200_clients_on_10_hot_skus(server: Server, partition: str):
    """Protects R1 and R9: orders over hot cells and capacity, cancels and counts from 200 clients never oversell."""
    store = RedisLedger(server.url, connections_max=50, timeout_s=30)
    stock = {(f"S{k}", node): 60 for k in range(10) for node in range(3)}
    shop = await Shop(store, partition).open(stock=stock)
    seen = await shop.look(*(sku for sku, _ in stock))
    won = 0

    async def client(number: int) -> None:
        nonlocal won
        rng = random.Random(number)
        for k in range(5):
            cells = {rng.choice(list(stock)): rng.randint(1, 3) for _ in range(2)}
            order_id = f"O{number}-{k}"
            order = shop.proposal(seen, order_id, cells, loads=(load(rng.randrange(3), most=400),))
            if await shop.commit(seen, order) == [Verdict.COMMITTED]:
                won += 1
                if rng.random() < 0.2:
                    assert await store.cancel(partition, order_id) is Cancelled.DONE
            if rng.random() < 0.1:
                sku, node = rng.choice(list(stock))
                await store.write_stock(partition, [StockWrite(sku, node, StockKind.ADJUST, 1)])

    await asyncio.gather(*(client(number) for number in range(200)))
    report = await reconcile(store, partition)
    await store.close()
    assert report.clean, report.differences
    assert report.orders == won > 300


async def test_the_same_order_50_times_at_once(ledger: Ledger, partition: str):
    """Protects R5: one entry in the log, one hold, and 50 equal answers; other content is a conflict."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 50})
    seen = await shop.look("A")
    orders = [shop.proposal(seen, "O", {("A", 0): 1}, decision=b'{"by":%d}' % k) for k in range(50)]
    outcomes = [outcome for [outcome] in await asyncio.gather(*(shop.outcomes(seen, order) for order in orders))]
    assert sum(outcome.verdict is Verdict.COMMITTED for outcome in outcomes) == 1
    assert len({outcome.decision for outcome in outcomes}) == 1
    assert sum(entry.kind == "commit" for entry in await shop.log()) == 1
    assert await shop.cell("A", 0) == (50, 1, -1, 0)
    assert await shop.order("O", {("A", 0): 1}, content=content("other")) is Verdict.CONFLICT


async def test_a_lost_reply_is_answered_by_the_retry(
    store: RedisLedger, partition: str, monkeypatch: pytest.MonkeyPatch
):
    """Protects R6: windows are committed but their reply is lost; the same call again returns the first decisions."""
    shop = await Shop(store, partition).open(stock={("A", 0): 300})
    seen = await shop.look("A")
    orders = [shop.proposal(seen, f"O{k}", {("A", 0): 1}) for k in range(300)]
    send, calls = scripts.send, 0

    async def lossy(*command: object) -> object:
        nonlocal calls
        calls += 1
        answer = await send(*command)
        if calls == 2:
            raise LedgerUnavailableError("the reply was lost")
        return answer

    monkeypatch.setattr(scripts, "send", lossy)
    with pytest.raises(LedgerUnavailableError):
        await shop.commit(seen, *orders)
    outcomes = await shop.outcomes(seen, *orders)
    assert [outcome.decision for outcome in outcomes] == [order.decision for order in orders]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.REPEAT, Verdict.COMMITTED}
    assert await shop.cell("A", 0) == (300, 300, -1, 0)


async def test_forgotten_scripts_are_invisible(server: Server, store: RedisLedger, partition: str):
    """Protects R12: SCRIPT FLUSH between and during calls changes no answer."""
    shop = await Shop(store, partition).open(stock={("A", 0): 100})
    seen = await shop.look("A")
    client = server.client()

    async def flush() -> None:
        for _ in range(50):
            await asyncio.to_thread(client.script_flush)

    orders = (shop.commit(seen, shop.proposal(seen, f"O{k}", {("A", 0): 1})) for k in range(150))
    _, *verdicts = await asyncio.gather(flush(), *orders)
    assert verdicts.count([Verdict.COMMITTED]) == 100
    client.script_flush()
    assert await store.cancel(partition, (await shop.log())[-1].orders[0][0]) is Cancelled.DONE
    client.script_flush()
    assert await shop.write("A", 0, StockKind.ADJUST, -1) is StockOutcome.APPLIED
    client.script_flush()
    assert await shop.cell("A", 0) == (99, 99, -1, 0)


async def test_a_restart_is_invisible_but_for_a_while(own_server: Server, partition: str):
    """Protects R3, R5 and R12: after a restart the same ledger goes on, acknowledged orders stand, repeats repeat."""
    store = RedisLedger(own_server.url, timeout_s=2)
    shop = await Shop(store, partition).open(stock={("A", 0): 10})
    assert await shop.order("O", {("A", 0): 1}, loads=(load(0),)) is Verdict.COMMITTED
    own_server.stop()
    with pytest.raises(LedgerUnavailableError):
        await store.versions(partition)
    with pytest.raises(LedgerUnavailableError):
        await store.ping()
    with pytest.raises(LedgerUnavailableError):
        await store.tail(partition, "$", 100)
    own_server.start()
    assert await shop.order("O", {("A", 0): 1}) is Verdict.REPEAT
    assert await shop.order("P", {("A", 0): 9}) is Verdict.COMMITTED
    assert (await store.load(partition, DAY)).nodes.tolist() == [(1, 1)]
    assert (await reconcile(store, partition)).clean
    await store.close()


async def test_a_store_killed_under_load_loses_nothing_acknowledged(own_server: Server, partition: str):
    """Protects R3 and R6: after kill -9 every acknowledged order is there, and each client's retry is a repeat."""
    store = RedisLedger(own_server.url, timeout_s=2)
    shop = await Shop(store, partition).open(stock={("A", 0): 5_000})
    seen = await shop.look("A")
    acknowledged: set[str] = set()
    under_load = asyncio.Event()

    async def client(number: int) -> None:
        for k in range(40):
            order_id = f"O{number}-{k}"
            try:
                await shop.commit(seen, shop.proposal(seen, order_id, {("A", 0): 1}))
            except LedgerUnavailableError:
                return
            acknowledged.add(order_id)
            if len(acknowledged) == 100:
                under_load.set()

    clients = [asyncio.create_task(client(number)) for number in range(10)]
    await under_load.wait()
    own_server.kill()
    await asyncio.gather(*clients)
    own_server.start()
    for order_id in acknowledged:
        assert await shop.order(order_id, {("A", 0): 1}) is Verdict.REPEAT
    report = await reconcile(store, partition)
    await store.close()
    assert report.clean, report.differences
    assert len(acknowledged) <= report.orders <= len(acknowledged) + 10
