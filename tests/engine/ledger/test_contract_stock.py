"""The ledger's contract over every implementation: stock writes, the network, policy and catalogue."""

from __future__ import annotations

import random

import msgspec
import pytest

from engine.ledger.port import (
    Document,
    LedgerRefusedError,
    NodeInUseError,
    StockKind,
    StockOutcome,
    StockWrite,
    SupersededError,
    Verdict,
)
from engine.ledger.reconcile import reconcile
from tests.engine.ledger.shop import Shop, load

C, L = Verdict.COMMITTED, Verdict.LOST


async def test_stock_writes_each_on_its_own_merits(shop: Shop):
    """Protects stock: every kind changes what it says, a bad write stops no other, repeats apply once."""
    big = 2**31 - 1
    table = [
        (StockWrite("A", 0, StockKind.RECEIVE, 10), StockOutcome.APPLIED, (10, 0, -1, 0)),
        (StockWrite("A", 0, StockKind.ADJUST, -11), StockOutcome.BELOW_ZERO, (10, 0, -1, 0)),
        (StockWrite("A", 0, StockKind.DAMAGE, 4), StockOutcome.APPLIED, (10, 0, -1, 4)),
        (StockWrite("A", 0, StockKind.WRITE_OFF, 6), StockOutcome.APPLIED, (4, 0, -1, 0)),
        (StockWrite("A", 0, StockKind.WRITE_OFF, 5), StockOutcome.BELOW_ZERO, (4, 0, -1, 0)),
        (StockWrite("A", 0, StockKind.RECEIVE, big), StockOutcome.TOO_LARGE, (4, 0, -1, 0)),
        (StockWrite("A", 0, StockKind.DAMAGE, big), StockOutcome.APPLIED, (4, 0, -1, big)),
        (StockWrite("A", 0, StockKind.DAMAGE, 1), StockOutcome.TOO_LARGE, (4, 0, -1, big)),
        (StockWrite("A", 7, StockKind.RECEIVE, 1), StockOutcome.NODE_REMOVED, (4, 0, -1, big)),
        (StockWrite("A", 0, StockKind.COUNT, big, movement_id="M"), StockOutcome.APPLIED, (big, 0, -1, big)),
        (StockWrite("A", 0, StockKind.COUNT, 3), StockOutcome.APPLIED, (3, 0, -1, big)),
        (StockWrite("A", 0, StockKind.COUNT, big, movement_id="M"), StockOutcome.REPEATED, (3, 0, -1, big)),
        (StockWrite("A", 0, StockKind.COUNT, 2, movement_id="M"), StockOutcome.CONFLICT, (3, 0, -1, big)),
        (StockWrite("A", 0, StockKind.SNAPSHOT, 8, safety=2), StockOutcome.APPLIED, (8, 0, 2, big)),
        (StockWrite("A", 0, StockKind.SNAPSHOT, 9), StockOutcome.APPLIED, (9, 0, 2, big)),
    ]
    for write, outcome, cell in table:
        assert await shop.ledger.write_stock(shop.partition, [write]) == [outcome], write
        assert await shop.cell("A", 0) == cell, write
    writes = [StockWrite("Z" + write.sku, *_tail(write)) for write, _, _ in table]
    assert await shop.ledger.write_stock(shop.partition, writes) == [outcome for _, outcome, _ in table]
    assert await shop.cell("ZA", 0) == table[-1][2]


@pytest.mark.parametrize(
    "write",
    [
        StockWrite("A", 0, StockKind.RECEIVE, -1),
        StockWrite("A", 0, StockKind.COUNT, 2**31),
        StockWrite("A", 0, StockKind.RECEIVE, 1, safety=1),
        StockWrite("A", 0, StockKind.SNAPSHOT, 1, safety=-1),
        StockWrite("A", 65_536, StockKind.SNAPSHOT, 1),
    ],
)
async def test_impossible_writes_are_errors(shop: Shop, write: StockWrite):
    """Protects cells from values that do not fit: callers check first, and a slip is loud and changes nothing."""
    with pytest.raises(ValueError, match=r"A|number"):
        await shop.ledger.write_stock(shop.partition, [StockWrite("A", 0, StockKind.RECEIVE, 1), write])
    assert len((await shop.ledger.stock(shop.partition, "A")).slots) == 0


async def test_stock_events(shop: Shop):
    """Protects subscribers: each changed cell is an event, and a fall below what is held says so."""
    await shop.open(stock={("A", 1): 5})
    await shop.order("O", {("A", 1): 4})
    await shop.write("A", 1, StockKind.COUNT, 3, movement_id="M")
    await shop.write("A", 1, StockKind.COUNT, 3)
    events = [event for entry in await shop.log() for event in entry.events if event.subject == "A"]
    assert [event.type for event in events] == ["stock.changed", "stock.changed", "stock.short"]
    assert msgspec.json.decode(events[-1].data) == {
        "sku": "A", "node": 1, "kind": "count", "movement_id": "M", "on_hand": 3, "held": 4, "safety": -1, "blocked": 0,
    }  # fmt: skip
    assert await shop.order("P", {("A", 1): 1}) is L


async def test_many_writes_at_once(shop: Shop):
    """Protects bulk loads: several chunks, rows that grow in the middle of one, every cell as written last."""
    await shop.open(nodes=20)
    writes = [StockWrite(f"S{k % 50}", k % 20, StockKind.SNAPSHOT, k) for k in range(1_000)]
    assert set(await shop.ledger.write_stock(shop.partition, writes)) == {StockOutcome.APPLIED}
    expected = {(write.sku, write.node): write.quantity for write in writes}
    cursor, found = "", {}
    for _ in range(10):
        cursor, page = await shop.ledger.stock_page(shop.partition, cursor, 7)
        found |= {(sku, slot[0]): slot[1] for sku, row in page for slot in row.slots.tolist()}
        if not cursor:
            break
    assert found == expected


@pytest.mark.parametrize("sequence", ["ascending", "descending", "any"])
async def test_pages_of_stock_go_by_sku(shop: Shop, sequence: str):
    """Protects listings: in whatever order SKUs came, pages of any size give each of them once, in order."""
    skus = sorted({f"S{k * k % 10_007:05}" for k in range(900)} | {"S", "Z" * 100, "\u00e4", "\U0001f4a1"})
    coming = list(reversed(skus)) if sequence == "descending" else list(skus)
    if sequence == "any":
        random.Random(3).shuffle(coming)
    for start in range(0, len(coming), 90):
        writes = [StockWrite(sku, 0, StockKind.SNAPSHOT, 1) for sku in coming[start : start + 90]]
        assert set(await shop.ledger.write_stock(shop.partition, writes)) == {StockOutcome.APPLIED}
    for limit in (1_000, 100, 7):
        found, cursor = await _listed(shop, "", limit)
        while cursor:
            page, cursor = await _listed(shop, cursor, limit)
            found += page
        assert found == skus
    for cursor in (skus[0], skus[500], "S00500x", skus[-1]):
        page, _ = await _listed(shop, cursor, 3)
        assert page == [sku for sku in skus if sku > cursor][:3]


async def _listed(shop: Shop, cursor: str, limit: int) -> tuple[list[str], str]:
    """The SKUs of one page, and where the next begins."""
    following, page = await shop.ledger.stock_page(shop.partition, cursor, limit, as_logged=True)
    assert len(page) == limit or not following
    return [sku for sku, _ in page], following


async def test_the_catalogue_is_replaced_only_at_the_version_it_was_checked_at(shop: Shop):
    """Protects kits: an entry that was checked against another catalogue is not written."""
    first = await shop.ledger.put_skus(shop.partition, {"A": b"1"}, replaces=0)
    with pytest.raises(SupersededError):
        await shop.ledger.put_skus(shop.partition, {"B": b"2"}, replaces=first - 1)
    assert await shop.ledger.sku(shop.partition, "B") is None
    many = {f"S{k:04}": b"x" for k in range(900)}
    last = await shop.ledger.put_skus(shop.partition, many, replaces=first)
    assert (await shop.ledger.versions(shop.partition)).catalog == last > first
    assert (await shop.ledger.skus_since(shop.partition, first))[1] == many


async def test_network_numbers_nodes_for_ever(shop: Shop):
    """Protects node numbers: new nodes get new ones, those that return their old one, none is used twice."""
    assert await shop.ledger.put_network(shop.partition, b'{"a":1}', ["X", "N0"]) == 2
    assert await shop.ledger.put_network(shop.partition, b'{"b":1}', ["Y", "N1"]) == 3
    document, numbers = await shop.ledger.network(shop.partition)
    assert document == Document(3, b'{"b":1}')
    assert numbers == {"N0": 0, "N1": 1, "N2": 2, "X": 3, "Y": 4}
    assert await shop.write("A", 0, StockKind.RECEIVE, 1) is StockOutcome.NODE_REMOVED
    assert await shop.write("A", 1, StockKind.RECEIVE, 1) is StockOutcome.APPLIED


async def test_a_network_replaces_only_the_version_it_was_made_from(shop: Shop):
    """Protects concurrent edits: of two writes made from one version the second is refused, so none is lost."""
    assert await shop.ledger.put_network(shop.partition, b'{"a":1}', ["N0"], replaces=1) == 2
    with pytest.raises(SupersededError):
        await shop.ledger.put_network(shop.partition, b'{"b":1}', ["N0"], replaces=1)
    document, _ = await shop.ledger.network(shop.partition)
    assert document == Document(2, b'{"a":1}')


async def test_zone_matrices_and_the_network_hold_each_other(shop: Shop):
    """Protects rate charts: a matrix is checked against the network that is current, and a network against matrices."""
    ledger, partition = shop.ledger, shop.partition
    assert await ledger.matrices(partition) == (0, {})
    assert await ledger.matrix(partition, "chart") is None
    assert await ledger.put_matrix(partition, "chart", b"1", 1, used=False) == (1, 1)
    with pytest.raises(SupersededError):
        await ledger.put_network(partition, b'{"a":1}', ["N0"], matrices=0)
    assert await ledger.put_network(partition, b'{"a":1}', ["N0"], matrices=1) == 2
    with pytest.raises(SupersededError):
        await ledger.put_matrix(partition, "chart", b"2", 1, used=False)
    assert await ledger.put_matrix(partition, "chart", b"2", 2, used=True) == (2, 3)
    assert await ledger.put_matrix(partition, "other", b"3", 3, used=False) == (3, 3)
    assert await ledger.matrices(partition) == (3, {"chart": 2, "other": 3})
    assert await ledger.matrix(partition, "chart") == Document(2, b"2")
    document, numbers = await ledger.network(partition)
    assert (document, numbers["N2"]) == (Document(3, b'{"a":1}'), 2)
    events = [(event.type, event.subject) for entry in (await shop.log())[-3:] for event in entry.events]
    assert events == [
        ("network.changed", ""), ("network.changed", ""), ("matrix.changed", "chart"), ("matrix.changed", "other"),
    ]  # fmt: skip
    assert (await reconcile(ledger, partition)).clean


async def test_a_matrix_may_come_before_any_network(shop: Shop):
    """Protects the first upload: a network that names a matrix needs it to be there already."""
    fresh = shop.partition + "-fresh"
    assert await shop.ledger.put_matrix(fresh, "chart", b"1", 0, used=False) == (1, 0)
    assert await shop.ledger.network(fresh) is None
    assert await shop.ledger.put_network(fresh, b"{}", ["N0"], matrices=1) == 1


async def test_nodes_in_use_stay(shop: Shop):
    """Protects stock and holds: a node that has on_hand, held, blocked or load cannot be removed, all are named."""
    await shop.open(stock={("A", 0): 1, ("A", 1): 1})
    assert await shop.order("O", {("A", 1): 1}, loads=(load(2),)) is C
    await shop.write("A", 1, StockKind.COUNT, 0)
    with pytest.raises(NodeInUseError) as raised:
        await shop.ledger.put_network(shop.partition, b"{}", [])
    assert raised.value.node_ids == ("N0", "N1", "N2")
    assert (await shop.ledger.versions(shop.partition)).network == 2
    await shop.ledger.cancel(shop.partition, "O")
    await shop.write("A", 0, StockKind.WRITE_OFF, 1)
    assert await shop.ledger.put_network(shop.partition, b"{}", []) == 3
    assert await shop.ledger.put_network(shop.partition, b"{}", ["N1"]) == 4
    assert await shop.write("A", 1, StockKind.RECEIVE, 2) is StockOutcome.APPLIED
    assert await shop.order("P", {("A", 1): 2}) is C


async def test_node_numbers_run_out(shop: Shop):
    """Protects packed rows: numbers are 16 bits, and a network that would need more is refused whole."""
    with pytest.raises(LedgerRefusedError, match="65536 nodes"):
        await shop.ledger.put_network(shop.partition, b"{}", [f"N{k}" for k in range(65_537)])
    assert (await shop.ledger.versions(shop.partition)).network == 1


async def test_policies(shop: Shop):
    """Protects the set of policies: each has versions of its own, which stay, and every change is one of the set."""
    ledger, partition = shop.ledger, shop.partition
    assert await ledger.policies(partition) == (1, {})
    assert [await ledger.put_policy(partition, *each) for each in (("default", b"1"), ("x y/z", b"2"))] == [2, 1]
    assert await ledger.put_policy(partition, "x y/z", b"3") == 2
    assert await ledger.policies(partition) == (4, {"default": Document(2, b"1"), "x y/z": Document(2, b"3")})
    assert (await ledger.versions(partition)).policy == 4
    assert [await ledger.policy(partition, "x y/z", version) for version in (0, 1, 2, 3)] == [None, b"2", b"3", None]
    assert await ledger.policy(partition, "unknown", 1) is None
    [event] = (await ledger.tail(partition, "0", 0))[-1].events
    assert (event.type, event.subject) == ("policy.changed", "x y/z")
    assert msgspec.json.decode(event.data) == {"version": 4, "policy_id": "x y/z", "policy_version": 2}


async def test_the_price_sheet(shop: Shop):
    """Protects prices: a sheet has a version, which snapshots tell, is read back as it was, and is not in the log."""
    ledger, partition = shop.ledger, shop.partition
    assert await ledger.prices(partition) is None
    before = (await ledger.retention(partition)).newest
    assert [await ledger.put_prices(partition, body) for body in (b"one", b"\xff\x00two")] == [1, 2]
    assert await ledger.prices(partition) == Document(2, b"\xff\x00two")
    assert (await ledger.versions(partition)).prices == 2
    assert (await ledger.snapshot(partition, (), (), ())).versions.prices == 2
    assert (await ledger.retention(partition)).newest == before


async def test_the_forecast(shop: Shop):
    """Protects what a caller told: a forecast has a version, is read back as it was, is in the log and reconciles."""
    ledger, partition = shop.ledger, shop.partition
    assert await ledger.forecast(partition) is None
    assert [await ledger.put_forecast(partition, body) for body in (b"one", b"\xff\x00two")] == [1, 2]
    assert await ledger.forecast(partition) == Document(2, b"\xff\x00two")
    entry = (await ledger.tail(partition, "0", 0))[-1]
    assert (entry.kind, entry.forecast, entry.events[0].type) == ("forecast", 2, "forecast.changed")
    assert tuple((await ledger.journal(partition, "0-0", 9))[-1].raw) == (b"forecast", b"\xff\x00two")
    assert (await reconcile(ledger, partition)).clean


async def test_a_commit_never_refuses_for_a_newer_price_sheet(shop: Shop):
    """Protects the hot path: prices are advice, so a window decided on an earlier sheet commits all the same."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    await shop.ledger.put_prices(shop.partition, b"newer")
    assert await shop.commit(seen, shop.proposal(seen, "O", {("A", 0): 1})) == [C]


async def test_each_duty_has_a_lease_of_its_own(shop: Shop):
    """Protects the pricer beside the projector: who has one duty does not keep others from the other."""
    assert await shop.ledger.lease("a duty", "one", 60_000)
    assert not await shop.ledger.lease("a duty", "two", 60_000)
    assert await shop.ledger.lease("another duty", "two", 60_000)


async def test_old_policies_go_after_a_hundred(shop: Shop):
    """Protects memory: of each policy the last hundred versions are kept, of the others all of theirs."""
    await shop.ledger.put_policy(shop.partition, "calm", b"calm")
    for k in range(1, 103):
        assert await shop.ledger.put_policy(shop.partition, "busy", b"%d" % k) == k
    kept = [await shop.ledger.policy(shop.partition, "busy", version) for version in (2, 3, 102)]
    assert kept == [None, b"3", b"102"]
    assert await shop.ledger.policy(shop.partition, "calm", 1) == b"calm"


async def test_the_catalogue(shop: Shop):
    """Protects documents: versions rise by one, changes are handed out by version, in whole versions."""
    many = {f"S{k:04}": b'{"k":%d}' % k for k in range(2_500)}
    first = await shop.ledger.put_skus(shop.partition, many)
    second = await shop.ledger.put_skus(shop.partition, {"S0001": b"new", "T": b"t"})
    assert second == first + 1
    assert await shop.ledger.skus_since(shop.partition, first) == (second, {"S0001": b"new", "T": b"t"})
    version, found = 0, {}
    for _ in range(10):
        version, some = await shop.ledger.skus_since(shop.partition, version)
        found |= some
    assert version == second
    assert found == many | {"S0001": b"new", "T": b"t"}
    assert await shop.ledger.sku(shop.partition, "S0002") == b'{"k":2}'
    assert await shop.ledger.skus_since(shop.partition, version) == (second, {})
    assert await shop.ledger.put_skus(shop.partition, {}) == second


def _tail(write: StockWrite) -> tuple[object, ...]:
    movement = None if write.movement_id is None else "Z" + write.movement_id
    return write.node, write.kind, write.quantity, write.safety, movement
