"""Standing orders that may be decided again, and the exchange of their holds, on every implementation of the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from engine.ledger.layout import PARTITIONS_ASKED
from engine.ledger.moving import Place
from engine.ledger.port import Again, Answer, Batch, Snapshot, StockKind, Verdict
from tests.engine.ledger.shop import DAY, Cells, Shop, load

CLOSES = 9_000_000


async def _stand(shop: Shop, order_id: str, cells: Cells, closes_ms: int = CLOSES, **more: object) -> None:
    assert await shop.order(order_id, cells, closes_ms=closes_ms, **more) is Verdict.COMMITTED


async def _look(shop: Shop, *order_ids: str) -> Snapshot:
    return await shop.ledger.snapshot(shop.partition, shop.skus, [DAY], [], moving=order_ids)


def _batch(shop: Shop, seen: Snapshot, moves: dict[str, Cells], **more: object) -> Batch:
    """Each of these orders is to hold these cells instead."""
    nodes = msgspec.json.encode({"parcels": [{"node_id": "N1"}, {"node_id": "N1"}]})
    made = [
        msgspec.structs.replace(
            shop.proposal(seen, order_id, cells, decision=nodes, closes_ms=CLOSES + 1, **more),
            again=Again("reoptimise", seen.moving.get(order_id, 1), "", saving=1250, before=("N0",)),
        )
        for order_id, cells in moves.items()
    ]
    return shop.batch(seen, *made)


async def _swap(shop: Shop, batch: Batch, *parts: list[int]) -> list[bool]:
    return await shop.ledger.swap(shop.partition, batch, parts or [list(range(len(batch.proposals)))])


@pytest.fixture
async def two(shop: Shop) -> Shop:
    """Two orders that hold the only unit of A and of B at one node each."""
    await shop.write("A", 0, StockKind.RECEIVE, 1)
    await shop.write("A", 1, StockKind.RECEIVE, 1)
    await _stand(shop, "O", {("A", 0): 1}, loads=(load(0, most=1),))
    await _stand(shop, "P", {("A", 1): 1}, CLOSES - 1, loads=(load(1, most=1),))
    return shop


async def test_orders_change_places(two):
    """Protects the swap: what a set of orders holds, stock and room, is free for all of it, in one entry."""
    seen = await _look(two, "O", "P", "none")
    assert seen.moving == {"O": 1, "P": 1}
    assert seen.rows[0].slots["held"].tolist() == [0, 0]
    assert seen.days[DAY].nodes[:2].tolist() == [(0, 0), (0, 0)]
    batch = _batch(two, seen, {"O": {("A", 1): 1}, "P": {("A", 0): 1}})
    loads = ((load(1, most=1),), (load(0, most=1),))
    proposals = tuple(
        msgspec.structs.replace(each, loads=taken) for each, taken in zip(batch.proposals, loads, strict=True)
    )
    entries = len(await two.log())
    assert await _swap(two, replace(batch, proposals=proposals)) == [True]
    assert len(await two.log()) == entries + 1
    for order_id, node in (("O", 1), ("P", 0)):
        record = await two.ledger.order(two.partition, order_id)
        assert (record.takes, record.loads) == ((("A", node, 1),), ((DAY, node, 1, 1),))
        assert (record.state, record.revision) == ("allocated", 2)
        assert [change.event for change in record.history] == [
            "order.allocated",
            "order.reoptimised",
            "order.allocated",
        ]
        assert (record.current, record.closes_ms) == (proposals[0].decision, CLOSES + 1)
        assert record.decision == b'{"order_id":"%s","status":"allocated"}' % order_id.encode()
    assert await two.cell("A", 0) == (1, 1, -1, 0)


async def test_a_repeat_gets_the_first_decision(two):
    """Protects idempotency: whatever moved since, the same order answers what it was answered first."""
    await _swap(two, _batch(two, await _look(two, "O", "P"), {"O": {("A", 1): 1}, "P": {("A", 0): 1}}))
    seen = await two.look("A")
    [outcome] = await two.outcomes(seen, two.proposal(seen, "O", {("A", 0): 1}))
    assert (outcome.verdict, outcome.decision) == (Verdict.REPEAT, b'{"order_id":"O","status":"allocated"}')


async def test_all_or_nothing(two):
    """Protects the swap: one order that changed, or one cell that is short, and no hold of the part moves."""
    await two.write("A", 2, StockKind.RECEIVE, 1)
    seen = await _look(two, "O", "P")
    batch = _batch(two, seen, {"O": {("A", 2): 1}, "P": {("A", 0): 1}})
    await _stand(two, "Q", {("A", 2): 1})
    before = [await two.ledger.order(two.partition, each) for each in "OP"]
    entries = len(await two.log())
    assert await _swap(two, batch) == [False]
    after = [await two.ledger.order(two.partition, each) for each in "OP"]
    assert [replace(each, at_ms=0) for each in after] == [replace(each, at_ms=0) for each in before]
    assert len(await two.log()) == entries
    await two.ledger.cancel(two.partition, "Q")
    assert await _swap(two, batch) == [True]
    assert await _swap(two, batch) == [False], "these records are old now"


async def test_parts_stand_alone(two):
    """Protects the rest: a part that is dropped keeps no other part from being written, and all share one record."""
    await two.write("A", 2, StockKind.RECEIVE, 9)
    for order_id in ("Q", "R"):
        await _stand(two, order_id, {("A", 2): 1})
    seen = await _look(two, "O", "P", "Q", "R")
    moves = {"O": {("A", 2): 1}, "P": {("A", 2): 99}, "Q": {("A", 2): 2}, "R": {("A", 2): 2}}
    assert await _swap(two, _batch(two, seen, moves), [1, 2], [0], [3]) == [False, True, True]
    o, r = [await two.ledger.order(two.partition, each) for each in "OR"]
    assert o.recorded == r.recorded
    assert await two.ledger.record(two.partition, o.recorded)


@pytest.mark.parametrize("order_id", ["O", "P"])
async def test_ready_before_a_swap(two, order_id):
    """Protects nodes: an order that was handed over between look and swap stays where it is, and so do the others."""
    batch = _batch(two, await _look(two, "O", "P"), {"O": {("A", 1): 1}, "P": {("A", 0): 1}})
    await two.ledger.command(two.partition, order_id, "ready")
    assert await _swap(two, batch) == [False]
    record = await two.ledger.order(two.partition, order_id)
    assert (record.state, record.takes) == ("ready", (("A", "OP".index(order_id), 1),))
    assert (await _look(two, "O", "P")).moving.keys() == {"O", "P"} - {order_id}


async def test_ready_and_swaps_at_once(shop):
    """Protects nodes: however both come, an order handed over holds what its decision says, and moves no more."""
    for node in (0, 1):
        await shop.write("A", node, StockKind.RECEIVE, 20)
    for k in range(20):
        await _stand(shop, f"O{k}", {("A", 0): 1})
        batch = _batch(shop, await _look(shop, f"O{k}"), {f"O{k}": {("A", 1): 1}})
        calls = [_swap(shop, batch), shop.ledger.command(shop.partition, f"O{k}", "ready")]
        answers = await asyncio.gather(*(calls if k % 2 else reversed(calls)))
        [swapped], commanded = answers if k % 2 else reversed(answers)
        record = await shop.ledger.order(shop.partition, f"O{k}")
        assert (record.state, commanded.answer) == ("ready", Answer.DONE)
        assert record.takes == (("A", 1 if swapped else 0, 1),)
        assert (record.current == batch.proposals[0].decision) == swapped


async def test_walks(shop):
    """Protects the index: those first that close first, a bounded page at a time, and only those that may move."""
    await shop.write("A", 0, StockKind.RECEIVE, 99)
    for k in range(5):
        await _stand(shop, f"O{k}", {("A", 0): 1}, 5_000 + k // 3)
    await _stand(shop, "never", {("A", 0): 1}, 0)
    await _stand(shop, "soft", {("A", 0): 1}, 5_000, hold_ms=3_600_000)
    await _stand(shop, "ready", {("A", 0): 1}, 5_000)
    await shop.ledger.command(shop.partition, "ready", "ready")
    met, at = [], Place(5_000)
    while page := await shop.ledger.movable(shop.partition, at, 2):
        met += [record.order_id for record in page]
        at = at.past(page)
    assert met == ["O0", "O1", "O2", "O3", "O4"]
    assert await shop.ledger.movable(shop.partition, Place(5_002), 9) == []
    await shop.ledger.command(shop.partition, "soft", "confirm")
    found = await shop.ledger.movable(shop.partition, Place(0), 9)
    assert [record.order_id for record in found][3] == "soft"
    await shop.ledger.cancel(shop.partition, "O0")
    assert "O0" not in {record.order_id for record in await shop.ledger.movable(shop.partition, Place(0), 9)}


async def test_one_question_tells_where_orders_may_move(ledger, partition):
    """Protects memory: what is asked of many partitions at once, so that the documents of the others stay unread."""
    some, never, none = (f"{partition}-{name}" for name in ("some", "never", "none"))
    for name, closes_ms in ((some, CLOSES), (never, 0)):
        shop = Shop(ledger, name)
        await shop.open(stock={("A", 0): 5})
        await _stand(shop, "O", {("A", 0): 1}, closes_ms)
    await Shop(ledger, none).open(stock={("A", 0): 5})
    many = [f"{partition}-{k}" for k in range(PARTITIONS_ASKED)]
    assert await ledger.with_movable([never, none, *many, some]) == [some]
    assert await ledger.with_movable([]) == []
    await ledger.command(some, "O", "ready")
    assert await ledger.with_movable([some]) == []


async def test_events(two):
    """Protects subscribers: a moved order's event says what it saves, from where and to where, before its decision."""
    await _swap(two, _batch(two, await _look(two, "O", "P"), {"O": {("A", 1): 1}, "P": {("A", 0): 1}}))
    events = (await two.log())[-1].events
    assert [event.type for event in events[:2]] == ["order.reoptimised", "order.allocated"]
    told = {"order_id": "O", "saving": "1.25", "from": ["N0"], "to": ["N1"]}
    assert msgspec.json.decode(events[0].data) == told


async def test_what_was_received(shop):
    """Protects the trigger: only stock that came is noted, and what was last found is kept by name."""
    assert await shop.ledger.received(shop.partition) == ""
    await shop.write("A", 0, StockKind.RECEIVE, 2)
    first = await shop.ledger.received(shop.partition)
    assert first
    await shop.write("A", 0, StockKind.WRITE_OFF, 1)
    await shop.order("O", {("A", 0): 1})
    assert await shop.ledger.received(shop.partition) == first
    await shop.ledger.put_report(shop.partition, "default", b"{}")
    assert await shop.ledger.reports(shop.partition) == {"default": b"{}"}
