"""Orders that wait and stock that is to come in, on every implementation of the ledger."""

from __future__ import annotations

from msgspec.structs import replace

from engine.ledger.backlog import ROOM, Expected, Incoming, QueueAsked, Wait, rank
from engine.ledger.port import Again, Ledger, StockKind, StockOutcome, Verdict
from engine.ledger.reconcile import reconcile
from tests.engine.ledger.shop import DAY, Shop, load

WAITS = (Wait("A", 3), Wait("B", 0))


async def _wait(shop: Shop, order_id: str, place: int = 0, **more: object) -> None:
    """An order that waits for A, or for B instead."""
    fields = {"state": "backordered", "waits": WAITS, "rank": place, **more}
    assert await shop.order(order_id, {}, **fields) is Verdict.COMMITTED


async def _fill(shop: Shop, order_id: str, units: int, waits: tuple[Wait, ...] = (), revision: int = 1) -> Verdict:
    """Add units of A to an order that waits."""
    seen = await shop.look("A")
    state = "partially_allocated" if waits else "allocated"
    made = shop.proposal(seen, order_id, {("A", 0): units}, state=state, waits=waits, loads=(load(0, 1, units),))
    [verdict] = await shop.commit(seen, replace(made, again=Again("fill", revision, ""), decision=b'{"filled":1}'))
    return verdict


def test_rank():
    """Protects the order of filling: priority first, then the instant, exact in the 53 bits of a store's score."""
    latest = 7_258_118_399_999
    ranks = [rank(1_000, 0), rank(1_000, latest), rank(999, 0), rank(0, 5), rank(0, 6), rank(-1_000, latest)]
    assert ranks == sorted(ranks)
    assert all(int(float(each)) == each for each in ranks)


async def test_queues(ledger: Ledger, partition: str):
    """Protects the index: orders stand under all their names by rank, and leave them when they are over."""
    shop = await Shop(ledger, partition).open()
    for order_id, place in (("O2", 2), ("O1", -rank(7, 0)), ("O0", rank(7, 0))):
        await _wait(shop, order_id, place)
    assert await ledger.waited(partition) == {"A": 9, "B": 0}
    queues = await ledger.queues(partition, [QueueAsked("A", None, 2), QueueAsked("B", 2, 9), QueueAsked("C", None, 9)])
    assert [[order_id for order_id, _ in queue.orders] for queue in queues] == [["O0", "O2"], ["O2", "O1"], []]
    assert partition in await ledger.partitions_waiting()
    await ledger.cancel(partition, "O1")
    await ledger.command(partition, "O0", "release")
    assert await ledger.waited(partition) == {"A": 3, "B": 0}
    await ledger.cancel(partition, "O2")
    assert await ledger.waited(partition) == {}
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences


async def test_what_makes_a_name_ripe(ledger: Ledger, partition: str):
    """Protects filling: whatever frees something ripens its name, and trying on all of it lasts until more comes."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 4})
    await shop.order("T", {("A", 0): 2}, loads=(load(0),))
    await _wait(shop, "O", waits=(*WAITS, Wait(ROOM, 0)))
    assert await ledger.ripe(partition, 9) == []

    async def tried() -> list[str]:
        ripe = await ledger.ripe(partition, 9)
        queues = await ledger.queues(partition, [QueueAsked(name, None, 1) for name in ripe])
        await ledger.tried(partition, {name: queue.stamp for name, queue in zip(ripe, queues, strict=True)})
        assert await ledger.ripe(partition, 9) == []
        return sorted(ripe)

    await shop.write("C", 0, StockKind.RECEIVE, 1)
    await shop.write("A", 0, StockKind.DAMAGE, 1)
    assert await tried() == []
    await shop.write("A", 0, StockKind.RECEIVE, 1)
    assert await tried() == ["A"]
    [queue] = await ledger.queues(partition, [QueueAsked("A", None, 1)])
    await shop.write("A", 1, StockKind.SNAPSHOT, 1)
    await ledger.tried(partition, {"A": queue.stamp})
    assert (await shop.look("A", "C")).ripe == ("A",)
    assert await tried() == ["A"]
    await ledger.cancel(partition, "T")
    assert await tried() == ["", "A"]
    await ledger.put_skus(partition, {"B": b"{}", "C": b"{}"})
    assert await tried() == ["B"]
    await ledger.put_policy(partition, "default", b"{}")
    assert await tried() == ["", "A", "B"]


async def test_filling_adds_to_the_hold(ledger: Ledger, partition: str):
    """Protects filling: the hold grows, the first decision stays, and of two who fill on one record one wins."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    first = {"state": "partially_allocated", "waits": (Wait("A", 3),), "rank": 7, "loads": (load(0, 1, 2),)}
    await shop.order("O", {("A", 0): 2}, **first)
    assert await _fill(shop, "O", 1, (Wait("A", 2),)) is Verdict.COMMITTED
    assert await _fill(shop, "O", 1, (Wait("A", 2),)) is Verdict.LOST
    assert (await shop.cell("A", 0))[1] == 3
    record = await ledger.order(partition, "O")
    assert record is not None
    assert (record.waits, record.rank, record.revision) == ((Wait("A", 2),), 0, 2)
    assert record.decision != record.current == b'{"filled":1}'
    assert sorted(record.takes) == [("A", 0, 1), ("A", 0, 2)]
    await ledger.command(partition, "O", "ready")
    assert await _fill(shop, "O", 2, revision=3) is Verdict.COMMITTED
    record = await ledger.order(partition, "O")
    assert record is not None
    assert (record.state, record.waits) == ("ready", ())
    assert await ledger.waited(partition) == {}
    await ledger.cancel(partition, "O")
    assert (await shop.cell("A", 0))[1] == 0
    assert (await ledger.load(partition, DAY)).nodes[0].tolist() == (0, 0)
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences


async def test_incoming(ledger: Ledger, partition: str):
    """Protects incoming stock: an id has one row, a receipt lessens it, and a snapshot tells it beside who waits."""
    shop = await Shop(ledger, partition).open()
    rows = [Incoming("I", "A", 0, 5, 900), Incoming("J", "A", 1, 5, 800), Incoming("K", "A", 9, 5, 800)]
    applied, removed = StockOutcome.APPLIED, StockOutcome.NODE_REMOVED
    assert await ledger.write_incoming(partition, rows) == [applied, applied, removed]
    assert await ledger.incoming(partition, ["A", "B"]) == [(rows[1], rows[0]), ()]
    await _wait(shop, "O")
    seen = await ledger.snapshot(partition, ["A"], (), (), expected=["A", "B"])
    assert seen.expected == {"A": Expected(3, (rows[1], rows[0])), "B": Expected(0, ())}
    receipt = {"movement_id": "M", "incoming_id": "I"}
    assert await shop.write("A", 1, StockKind.RECEIVE, 2, **receipt) is StockOutcome.OTHER_INCOMING
    assert await shop.write("A", 0, StockKind.RECEIVE, 2, **receipt) is applied
    assert await shop.write("A", 0, StockKind.RECEIVE, 2, **receipt) is StockOutcome.REPEATED
    assert await ledger.incoming(partition, ["A"]) == [(rows[1], rows[0]._replace(quantity=3))]
    assert await shop.write("A", 0, StockKind.RECEIVE, 9, movement_id="N", incoming_id="I") is applied
    await ledger.write_incoming(partition, [rows[1]._replace(sku="B"), rows[1]._replace(quantity=0)])
    assert await ledger.incoming(partition, ["A", "B"]) == [(), ()]
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences
