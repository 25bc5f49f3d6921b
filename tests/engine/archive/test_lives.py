"""Orders with a past: held, lapsed, released, re-routed, replaced; in the store and after they left it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from engine.archive import reading, writing
from engine.archive.database import Archive
from engine.archive.history import Witness
from engine.archive.recall import Recall
from engine.archive.sweep import Sweep
from engine.clock import SystemClock
from engine.ledger.backlog import Wait
from engine.ledger.journal import entry, order_events
from engine.ledger.port import Again, Answer, Ledger, OrderRecord, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.retention import START, Leaving
from engine.settings import Settings
from tests.engine.archive.conftest import follow
from tests.engine.ledger.shop import Shop, content, load

LONG_MS, GONE_MS = 3_600_000, -5_000
ENDED, STANDING = ("lapsed", "released", "rerouted", "replaced", "moved"), ("held", "ready", "filled", "waits")
ANOTHER = b'{"status":"another"}'


async def _again(shop: Shop, order_id: str, command: str, cells: dict[tuple[str, int], int], **more: object) -> None:
    """Decide an order again."""
    record = await shop.ledger.order(shop.partition, order_id)
    assert record is not None
    seen = await shop.look("A")
    again = Again(command, record.revision, f"T{record.revision}", "digest", "reason", ("N1",))
    proposal = msgspec.structs.replace(shop.proposal(seen, order_id, cells), again=again, decision=ANOTHER, **more)
    assert await shop.commit(seen, proposal) == [Verdict.COMMITTED]


async def _lives(shop: Shop) -> Shop:
    """One order of each kind of life, named after it."""
    give, partition = shop.ledger.command, shop.partition
    await shop.open(stock={("A", 0): 9, ("A", 1): 9})
    await shop.order("held", {("A", 0): 1}, loads=(load(0, 1, 1),), hold_ms=LONG_MS)
    await shop.order("lapsed", {("A", 0): 1}, hold_ms=GONE_MS)
    while await shop.ledger.sweep(partition):
        pass
    await shop.order("released", {("A", 0): 1}, hold_ms=LONG_MS, idempotency_key="K")
    await give(partition, "released", "confirm")
    await give(partition, "released", "release", "R")
    await shop.order("rerouted", {("A", 0): 2}, loads=(load(0, 1, 2),))
    await _again(shop, "rerouted", "reroute", {("A", 1): 2}, loads=(load(1, 1, 2),))
    await give(partition, "rerouted", "cancel", "X")
    await shop.order("moved", {("A", 0): 1}, closes_ms=9)
    seen = await shop.ledger.snapshot(partition, ["A"], (), (), moving=["moved"])
    other = msgspec.structs.replace(
        shop.proposal(seen, "moved", {("A", 1): 1}, decision=ANOTHER), again=Again("reoptimise", 1, "")
    )
    assert await shop.ledger.swap(partition, shop.batch(seen, other), [[0]]) == [True]
    await give(partition, "moved", "cancel")
    await shop.order("replaced", {}, state="refused")
    await _again(shop, "replaced", "replace", {}, state="refused", content=content("second"), order=b'{"second":1}')
    await shop.order("waits", {}, state="backordered", waits=(Wait("A", 2),), rank=1)
    await shop.order("filled", {}, state="backordered", waits=(Wait("A", 2),), rank=2)
    await _again(shop, "filled", "fill", {("A", 1): 2}, state="allocated")
    await shop.order("ready", {("A", 1): 1})
    await give(partition, "ready", "ready")
    return shop


async def _records(ledger: Ledger, partition: str) -> dict[str, OrderRecord]:
    """All orders as the store has them, without what they hold, what they wait for and when they were asked for."""
    records = {order_id: await ledger.order(partition, order_id) for order_id in (*ENDED, *STANDING)}
    bare = {"takes": (), "loads": (), "waits": (), "rank": 0, "at_ms": 0}
    return {name: replace(each, **bare) for name, each in records.items() if each is not None}


async def _sweep(ledger: Ledger, archive: Archive, partition: str) -> int:
    settings = Settings(order_retention_days=0, ended_orders_max=0)
    return await Sweep(ledger, archive, SystemClock(), settings).partition(partition)


async def test_the_archive_knows_an_order_as_the_store_does(ledger: Ledger, archive: Archive, partition: str):
    """Protects the projection: first and current decision, history, deadline, exclusions; also when made again."""
    await _lives(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    live = await _records(ledger, partition)
    assert {name: await archive.read(reading.order, partition, name) for name in live} == live
    assert (live["rerouted"].decision, live["rerouted"].current) != (ANOTHER, ANOTHER)
    assert live["rerouted"].current == live["replaced"].decision == live["moved"].current == ANOTHER
    assert live["moved"].decision != ANOTHER
    await archive.write(writing.rebuild, partition)
    assert {name: await archive.read(reading.order, partition, name) for name in live} == live
    listed = await archive.read(reading.order_page, partition, None, (0, -1, ""), 9)
    assert {row.order_id: row.state for row in listed} == {name: live[name].stored_state for name in live}
    report = await reconcile(ledger, partition, past=Witness(archive))
    assert report.clean, report.differences


async def test_what_ended_leaves_and_what_holds_stays(ledger: Ledger, archive: Archive, partition: str):
    """Protects holds: only orders that ended leave, the same from the archive; who holds or waits never goes."""
    await _lives(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    live = await _records(ledger, partition)
    forced = [Leaving(name, live[name].stored_state, live[name].revision, None) for name in STANDING]
    assert await ledger.evict(partition, await archive.archive_id(), forced, ()) == [False] * len(STANDING)
    assert await _sweep(ledger, archive, partition) == len(ENDED)
    assert set(await _records(ledger, partition)) == set(STANDING)
    past = Recall(ledger, archive)
    assert {name: await past.order(partition, name) for name in ENDED} == {name: live[name] for name in ENDED}
    seen = await past.snapshot(partition, (), (), {**dict.fromkeys(ENDED), "new": "K"})
    assert {name: (each.content, each.decision) for name, each in seen.decided.items()} == {
        name: (live[name].content, live[name].decision) for name in ENDED
    }
    assert seen.key_conflicts == ("new",)
    report = await reconcile(ledger, partition, past=Witness(archive))
    assert report.clean, report.differences


async def test_commands_on_an_order_that_left(ledger: Ledger, archive: Archive, partition: str):
    """Protects callers who come late: a command given before is answered as then, any other is refused and says why."""
    await _lives(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    assert await _sweep(ledger, archive, partition) == len(ENDED)
    past = Recall(ledger, archive)

    async def give(order_id: str, command: str, command_id: str = "") -> tuple[Answer, str]:
        return await past.command(partition, order_id, command, command_id)

    assert await give("released", "release", "R") == (Answer.ALREADY, "released")
    assert await give("released", "release") == (Answer.ALREADY, "released")
    assert await give("released", "confirm", "R") == (Answer.OTHER, "")
    assert await give("released", "confirm") == (Answer.REFUSED, "released")
    assert await give("released", "cancel") == (Answer.LEFT, "released")
    assert await give("rerouted", "cancel", "X") == (Answer.ALREADY, "cancelled")
    assert await give("rerouted", "cancel", "T1") == (Answer.OTHER, "")
    assert await give("lapsed", "confirm") == (Answer.REFUSED, "lapsed")
    assert await give("held", "confirm") == (Answer.DONE, "allocated")
    assert await give("never", "cancel") == (Answer.UNKNOWN, "new")
    seen = await past.snapshot(partition, (), (), {"rerouted": None}, ("rerouted", "T1"))
    assert seen.standing is not None
    assert (seen.standing.applied, seen.standing.left) == (("digest", ANOTHER), True)
    fresh = await past.snapshot(partition, (), (), {"never": None}, ("never", "T"))
    assert fresh.standing is None


async def test_an_order_that_changed_meanwhile_stays(ledger: Ledger, archive: Archive, partition: str):
    """Protects late changes: an order that is no longer what the archive knows does not leave before it is."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    await shop.order("O", {}, state="refused")
    await follow(ledger, archive, partition)
    await _again(shop, "O", "replace", {}, state="refused", content=content("second"))
    assert await _sweep(ledger, archive, partition) == 0
    await follow(ledger, archive, partition)
    await _again(shop, "O", "replace", {("A", 0): 1})
    assert await _sweep(ledger, archive, partition) == 0
    await follow(ledger, archive, partition)
    assert await _sweep(ledger, archive, partition) == 0
    assert await ledger.order(partition, "O") is not None


async def test_events_of_orders_are_those_that_subscribers_see(ledger: Ledger, partition: str):
    """Protects histories: what the archive writes down of orders has the names and places of the events told."""
    await _lives(Shop(ledger, partition))
    for logged in await ledger.journal(partition, START, 100):
        told = [(k, each.type, each.subject) for k, each in enumerate(entry(logged).events)]
        assert list(order_events(logged)) == [each for each in told if each[1].startswith("order.")]
