"""The archive over both databases: what goes in comes out, once, whatever happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from sqlalchemy import select

from engine.archive import reading, stock_history, tables, writing
from engine.archive.database import Archive
from engine.archive.history import Witness
from engine.archive.projection import project
from engine.archive.recall import Recall
from engine.archive.sweep import Sweep
from engine.clock import SystemClock
from engine.ledger.journal import summary
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger, StockKind, StockOutcome, StockWrite, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.retention import START, ForeignArchiveError, LogTrimmedError
from engine.settings import Settings
from tests.engine.archive.conftest import follow
from tests.engine.ledger.shop import Shop, content, load


async def _history(shop: Shop) -> Shop:
    """A shop with one order that holds, one cancelled, one refused, and stock that moved."""
    await shop.open(stock={("A", 0): 9, ("A", 1): 9, ("B", 0): 9})
    await shop.order("O", {("A", 0): 2, ("B", 0): 1}, loads=(load(0, 1, 3),))
    await shop.order("P", {("A", 1): 2}, loads=(load(1, 1, 2),), idempotency_key="K")
    await shop.order("R", {}, state="refused", decision=b'{"order_id":"R","status":"refused"}')
    await shop.ledger.cancel(shop.partition, "P")
    await shop.write("A", 0, StockKind.COUNT, 7, movement_id="M")
    await shop.write("B", 0, StockKind.SNAPSHOT, 8, safety=2)
    return shop


async def _sweep(ledger: Ledger, archive: Archive, partition: str) -> int:
    settings = Settings(order_retention_days=0, ended_orders_max=0)
    return await Sweep(ledger, archive, SystemClock(), settings).partition(partition)


async def test_the_log_is_kept_verbatim_and_read_as_orders_and_stock(ledger: Ledger, archive: Archive, partition: str):
    """Protects the archive's worth: entries come back as they were, and the tables say what the ledger says."""
    shop = await _history(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    stored = await ledger.journal(partition, START, 100)
    kept = await archive.read(reading.journal, partition, START, 100)
    assert [msgspec.msgpack.encode(list(each)) for each in kept] == [
        msgspec.msgpack.encode([each.entry_id, each.kind, each.body, list(each.raw), summary(each.record)])
        for each in stored
    ]
    for order_id in "OPR":
        live = await ledger.order(partition, order_id)
        past = await archive.read(reading.order, partition, order_id)
        assert live is not None
        assert past is not None
        assert (past.decision, past.order, past.state, past.history) == (
            live.decision, live.order, live.state, live.history
        )  # fmt: skip
    rows = await archive.read(reading.order_page, partition, None, (0, -1, ""), 2)
    last = rows[-1].decided_ms, rows[-1].number, rows[-1].order_id
    rows += await archive.read(reading.order_page, partition, None, last, 2)
    assert [(row.order_id, row.state) for row in rows] == [("O", "allocated"), ("P", "cancelled"), ("R", "refused")]
    [refused] = await archive.read(reading.order_page, partition, "refused", (0, -1, ""), 9)
    assert refused.order_id == "R"
    changes = await archive.read(stock_history.stock_ledger, partition, "A", (0, -1, -1), 99)
    told = [(each.node_id, each.kind, each.on_hand_delta, each.held_delta, each.on_hand) for each in changes]
    assert told == [
        ("N0", "receive", 9, 0, 9), ("N1", "receive", 9, 0, 9), ("N0", "commit", 0, 2, 9),
        ("N1", "commit", 0, 2, 9), ("N1", "cancel", 0, -2, 9), ("N0", "count", -2, 0, 7),
    ]  # fmt: skip
    assert (await reconcile(ledger, partition)).clean
    assert shop.partition == partition


async def test_ledgers_of_stock_add_up_page_by_page(archive: Archive, partition: str):
    """Protects paging: entries that change several cells, cut anywhere, give every change once and in order."""
    ledger = MemoryLedger(SystemClock())
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9, ("A", 1): 9, ("B", 0): 9})
    seen = await shop.look("A", "B")
    orders = (shop.proposal(seen, f"O{k}", {("A", 0): 1, ("B", 0): 1, ("A", 1): 1}) for k in range(3))
    await shop.commit(seen, *orders)
    await follow(ledger, archive, partition)
    whole = await archive.read(stock_history.stock_changes, partition, (0, -1, -1), 999)
    assert sum(each.held_delta for each in whole) == 9
    for limit in (1, 2, 4):
        for sku in (None, "A", "B"):
            found: list[stock_history.StockChange] = []
            at = (0, -1, -1)
            while page := (
                await archive.read(stock_history.stock_changes, partition, at, limit)
                if sku is None
                else await archive.read(stock_history.stock_ledger, partition, sku, at, limit)
            ):
                assert len(page) <= limit
                found += page
                at = page[-1].ms, page[-1].number, page[-1].k
            assert found == [each for each in whole if sku in (None, each.sku)]


async def test_a_page_goes_in_once(archive: Archive, partition: str):
    """Protects exactly-once: a page written by two projectors is there once, and the second one is told."""
    shop = await _history(Shop(MemoryLedger(SystemClock()), partition))
    page = await shop.ledger.journal(partition, START, 100)
    assert await archive.write(writing.begin, partition) == (START, 0)
    await archive.write(writing.append, partition, START, project(partition, page[:4]))
    with pytest.raises(writing.MovedOnError):
        await archive.write(writing.append, partition, START, project(partition, page[:4]))
    await archive.write(writing.append, partition, page[3].entry_id, project(partition, page[4:]))
    assert await archive.write(writing.begin, partition) == (page[-1].entry_id, len(page))


async def test_everything_but_the_log_can_be_made_again(ledger: Ledger, archive: Archive, partition: str):
    """Protects rebuilding: the tables made from the archived log are those that were projected."""
    await _history(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    await _sweep(ledger, archive, partition)

    async def picture() -> list[object]:
        return [
            await archive.read(reading.checkpoint, partition),
            await archive.read(stock_history.stock_changes, partition, (0, -1, -1), 999),
            [tuple(row) for row in await archive.read(reading.documents, partition, (0, -1, ""), 999)],
        ]

    before = await picture()
    assert await archive.write(writing.rebuild, partition) == len(await ledger.journal(partition, START, 999))
    after = await picture()
    assert sorted(before[0].cells) == sorted(after[0].cells)
    assert before[1:] == after[1:]


async def test_the_log_is_trimmed_only_behind_the_archive(ledger: Ledger, archive: Archive, partition: str):
    """Protects history: nothing beyond the archived entry may go, and a reader of what went is told."""
    shop = await _history(Shop(ledger, partition))
    archive_id = await archive.archive_id()
    log = await ledger.journal(partition, START, 100)
    with pytest.raises(ValueError, match="archived"):
        await ledger.archived(partition, archive_id, START, log[3].entry_id)
    assert len(await ledger.journal(partition, START, 100)) == len(log)
    for number in range(260):
        await shop.order(f"S{number}", {}, state="refused")
    assert (await ledger.retention(partition)).entries == len(log) + 260
    await follow(ledger, archive, partition, log_tail_entries=20)
    retention = await ledger.retention(partition)
    assert retention.archived == retention.newest
    assert retention.entries == len(log) + 260
    with pytest.raises(LogTrimmedError):
        await ledger.journal(partition, START, 1)
    left = [entry async for entry in ledger.entries(partition)]
    assert 20 <= len(left) < 220
    with pytest.raises(LogTrimmedError):
        await reconcile(ledger, partition)
    report = await reconcile(ledger, partition, past=Witness(archive))
    assert report.clean, report.differences
    assert (report.entries, report.orders) == (len(log) + 260, 263)
    resumed = await Recall(ledger, archive).tail(partition, START, 0)
    assert resumed[0].entry_id == log[0].entry_id


async def test_reconcile_with_a_checkpoint_finds_what_is_wrong(archive: Archive, partition: str):
    """Protects the audit: a cell that is not checkpoint plus tail is named, and so is a lost order."""
    ledger = MemoryLedger(SystemClock())
    shop = await _history(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    await shop.write("A", 1, StockKind.RECEIVE, 1)
    assert (await reconcile(ledger, partition, past=Witness(archive))).clean
    kept = ledger._partitions[partition]
    kept.rows["A"].put(0, (0, 70, 2, -1, 0))
    del kept.orders["O"]
    places = {each.place for each in (await reconcile(ledger, partition, past=Witness(archive))).differences}
    assert {"stock A at node 0", "order O"} <= places


async def test_orders_that_left_are_answered_byte_for_byte(ledger: Ledger, archive: Archive, partition: str):
    """Protects R5 past retention: an evicted order is known, in a snapshot, to a commit and by its key."""
    shop = await _history(Shop(ledger, partition))
    seen = await shop.look("A")
    await follow(ledger, archive, partition)
    first = {order_id: await ledger.order(partition, order_id) for order_id in "OPR"}
    assert await _sweep(ledger, archive, partition) == 2
    assert [await ledger.order(partition, order_id) is None for order_id in "OPR"] == [False, True, True]
    past = Recall(ledger, archive)
    fresh = await past.snapshot(partition, (), (), {"O": None, "P": None, "R": None, "new": None, "other": "K"})
    assert {order_id: each.decision for order_id, each in fresh.decided.items()} == {
        order_id: each.decision for order_id, each in first.items() if each is not None
    }
    assert fresh.key_conflicts == ("other",)
    assert first["P"] is not None
    assert await past.order(partition, "P") == replace(first["P"], at_ms=0)
    assert await past.order(partition, "never") is None
    # A window that looked before the order left: its commit must not decide the order again.
    stale = [shop.proposal(seen, "P", {("A", 1): 1}), shop.proposal(seen, "T", {}, idempotency_key="K")]
    assert await shop.commit(seen, *stale, shop.proposal(seen, "U", {("A", 1): 1})) == [
        Verdict.STALE, Verdict.STALE, Verdict.COMMITTED,
    ]  # fmt: skip
    await follow(ledger, archive, partition)
    report = await reconcile(ledger, partition, past=Witness(archive))
    assert report.clean, report.differences


async def test_movements_that_left_apply_once(ledger: Ledger, archive: Archive, partition: str):
    """Protects stock past retention: an old movement is a repeat, an altered one a conflict, and order is kept."""
    shop = await _history(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    await _sweep(ledger, archive, partition)
    writes = [
        StockWrite("A", 0, StockKind.RECEIVE, 1, movement_id="first"),
        StockWrite("A", 0, StockKind.COUNT, 7, movement_id="M"),
        StockWrite("A", 0, StockKind.COUNT, 6, movement_id="M"),
        StockWrite("A", 0, StockKind.COUNT, 5, movement_id="last"),
        StockWrite("A", 0, StockKind.RECEIVE, 3),
    ]
    told = await Recall(ledger, archive).write_stock(partition, writes)
    applied, repeated, conflict = StockOutcome.APPLIED, StockOutcome.REPEATED, StockOutcome.CONFLICT
    assert told == [applied, repeated, conflict, applied, applied]
    assert await shop.cell("A", 0) == (8, 2, -1, 0)
    assert content() == content("first")


async def test_another_archive_is_refused(ledger: Ledger, archive: Archive, partition: str):
    """Protects history: once something left for one archive, no other may take its place or answer for it."""
    shop = await _history(Shop(ledger, partition))
    await follow(ledger, archive, partition)
    await _sweep(ledger, archive, partition)
    other = Archive("sqlite://")
    with pytest.raises(ForeignArchiveError):
        await follow(ledger, other, partition)
    with pytest.raises(ForeignArchiveError):
        await ledger.evict(partition, await other.archive_id(), (), ())
    await other.close()
    assert shop.partition == partition


async def test_a_database_is_founded_once(url: str):
    """Protects the archive's identity: those that open an empty database at once all succeed, and share one id."""
    archives = [Archive(url) for _ in range(8)]
    found = await asyncio.gather(*(each.archive_id() for each in archives))
    assert len(set(found)) == 1
    assert await archives[0].read(lambda connection: connection.execute(select(tables.archive)).all()) == [(found[0],)]
    for each in archives:
        await each.close()
