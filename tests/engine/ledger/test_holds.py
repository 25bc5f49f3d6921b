"""Soft holds: they lapse by the store's clock, at once for everyone, and resolve once."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from engine.clock import ManualClock
from engine.ledger import cuts as cutting
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Again, Answer, Ledger, Proposal, Snapshot, Verdict
from engine.ledger.reconcile import reconcile
from tests.chaos.trust import count
from tests.engine.ledger.shop import DAY, Shop, content, load

C, L = Verdict.COMMITTED, Verdict.LOST
LONG_MS, GONE_MS = 3_600_000, -5_000


async def test_a_hold_is_soft_until_confirmed(shop: Shop):
    """Protects confirm: it moves no units, and what it made firm does not lapse any more."""
    await shop.open(stock={("A", 0): 5})
    await shop.order("O", {("A", 0): 2}, loads=(load(0, 1, 2),), hold_ms=LONG_MS)
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert kept.state == "held"
    assert 0 < kept.deadline_ms - kept.at_ms <= LONG_MS + 10
    assert await shop.ledger.command(shop.partition, "O", "confirm") == (Answer.DONE, "allocated")
    assert await shop.cell("A", 0) == (5, 2, -1, 0)
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.state, kept.deadline_ms, kept.takes) == ("allocated", 0, (("A", 0, 2),))
    entry = (await shop.log())[-1]
    assert (entry.kind, entry.cells, entry.orders) == ("confirm", (), (("O", "allocated"),))
    assert [event.type for event in entry.events] == ["order.confirmed"]


@pytest.mark.parametrize("swept", [False, True])
async def test_a_lapsed_hold_is_invisible(shop: Shop, swept: bool):
    """Protects promises to others: units and room are free at the deadline, whether or not a sweeper has run."""
    await shop.open(stock={("A", 0): 5})
    full = load(0, 1, 4, most=1)
    assert await shop.order("O", {("A", 0): 4}, loads=(full,), hold_ms=GONE_MS) is C
    while swept and await shop.ledger.sweep(shop.partition):
        pass
    assert (await shop.cell("A", 0))[1] == 0
    assert (await shop.ledger.load(shop.partition, DAY)).nodes.tolist() == [(0, 0)]
    [(sku, row)] = (await shop.ledger.stock_page(shop.partition, "", 10))[1]
    assert (sku, row.slots["held"].tolist()) == ("A", [0])
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert kept.state == "lapsed"
    seen = await shop.look("A")
    assert seen.rows[0].slots["held"].tolist() == [0]
    assert await shop.commit(seen, shop.proposal(seen, "P", {("A", 0): 3}, loads=(full,))) == [C]
    assert await shop.cell("A", 0) == (5, 3, -1, 0)
    assert (await shop.ledger.command(shop.partition, "O", "confirm")) == (Answer.REFUSED, "lapsed")


async def test_the_sweeper_writes_it_down(shop: Shop):
    """Protects the log: every lapsed hold becomes an event and a state once, and then there is nothing left to do."""
    await shop.open(stock={("A", 0): 9})
    await shop.order("O", {("A", 0): 2}, hold_ms=GONE_MS)
    await shop.order("P", {("A", 0): 2}, hold_ms=GONE_MS)
    await shop.order("Q", {("A", 0): 2}, hold_ms=LONG_MS)
    while await shop.ledger.sweep(shop.partition):
        pass
    lapsed = [event.subject for entry in await shop.log() for event in entry.events if event.type == "order.lapsed"]
    assert sorted(lapsed) == ["O", "P"]
    states = [await shop.ledger.order(shop.partition, name) for name in "OPQ"]
    assert [(kept.stored_state, kept.takes) for kept in states if kept] == [
        ("lapsed", ()),
        ("lapsed", ()),
        ("held", (("A", 0, 2),)),
    ]


async def test_a_claim_falls_when_a_hold_lapses(ledger: Ledger, partition: str):
    """Protects R16: who was refused for a hold that has lapsed since is solved again; what was seen lapsed stands."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 5})
    before = await shop.look("A")
    await shop.order("O", {("A", 0): 5}, hold_ms=GONE_MS)
    refused = shop.proposal(before, "P", {}, short=["A"], state="refused")
    after = await shop.look("A")
    assert await shop.commit(before, refused) == [L]
    assert await shop.commit(after, refused) == [C]


def again(proposal: Proposal, seen: Snapshot, command: str = "replace", **more: object) -> Proposal:
    """The proposal as a new decision on the standing order."""
    assert seen.standing is not None
    made = Again(command, seen.standing.record.revision, "T", "digest")._replace(**more)
    return replace(proposal, again=made)


async def test_a_replacement_counts_its_own_hold_as_free(shop: Shop):
    """Case 11: hold 5 of 10, put the same order with 8: held 8, not 13; never blocked by its own hold."""
    await shop.open(stock={("A", 0): 10, ("B", 0): 5})
    full = load(0, 1, 5, most=1)
    await shop.order("O", {("A", 0): 5, ("B", 0): 2}, loads=(full,), hold_ms=LONG_MS)
    shop.skus = ["A"]
    seen = await shop.ledger.snapshot(shop.partition, ["A"], [DAY], [], ("O", ""))
    assert seen.rows[0].slots["held"].tolist() == [0]
    assert seen.days[DAY].nodes.tolist() == [(0, 0)]
    new = shop.proposal(seen, "O", {("A", 0): 8}, content=content("second"), loads=(full,), hold_ms=LONG_MS)
    assert await shop.commit(seen, again(new, seen)) == [C]
    assert await shop.cell("A", 0) == (10, 8, -1, 0)
    assert await shop.cell("B", 0) == (5, 0, -1, 0)
    assert await shop.commit(seen, again(new, seen)) == [Verdict.REPEAT]
    assert await shop.commit(seen, again(new, seen, token="U")) == [L]
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.content, kept.state, kept.revision) == (content("second"), "held", 2)
    assert [change.event for change in kept.history] == ["order.held", "order.replaced", "order.held"]
    assert await shop.commit(seen, replace(new, decision=b"x")) == [Verdict.REPEAT]
    assert await shop.commit(seen, replace(new, content=content())) == [Verdict.CONFLICT]
    shop.skus = []


async def test_a_commit_frees_only_what_it_uses(shop: Shop):
    """Protects the twin and short scripts: lapsed units that a window merely looked at, or counted, wait for others."""
    await shop.open(stock={("A", 0): 10, ("A", 1): 10, ("B", 0): 10})
    await shop.order("O", {("A", 0): 5, ("A", 1): 5, ("B", 0): 5}, hold_ms=-5_000)
    seen = await shop.look("A", "B")
    assert await shop.commit(seen, shop.proposal(seen, "P", {("A", 0): 6})) == [C]
    freed, _ = (await shop.log())[-2:]
    assert [(change.sku, change.node, change.held) for change in freed.cells] == [("A", 0, -5)]
    assert await shop.commit(seen, shop.proposal(seen, "Q", {("A", 0): 1}, short=["A", "B"])) == [C]
    assert [entry.kind for entry in await shop.log()][-2:] == ["commit", "commit"]
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.state, sorted(kept.takes)) == ("lapsed", [("A", 1, 5), ("B", 0, 5)])
    assert (await shop.ledger.command(shop.partition, "O", "cancel")).answer is Answer.DONE
    assert [await shop.cell("A", node) for node in (0, 1)] == [(10, 7, -1, 0), (10, 0, -1, 0)]


async def test_holds_at_nodes_far_apart(shop: Shop):
    """Protects wide networks: soft units lie in chunks of places, and each is freed once, wherever it is."""
    nodes = (0, 31, 32, 4_000, 8_200)
    await shop.open(8_201, {("A", node): 5 for node in nodes})
    await shop.order("O", {("A", node): 3 for node in nodes}, loads=tuple(map(load, nodes)), hold_ms=LONG_MS)
    await shop.order("P", {("A", node): 2 for node in nodes}, loads=tuple(map(load, nodes)), hold_ms=GONE_MS)
    assert await shop.order("Q", {("A", 4_000): 2}, loads=(load(8_200),)) is C
    kept = await shop.ledger.order(shop.partition, "P")
    assert kept is not None
    assert [node for _, node, _ in kept.takes] == [0, 31, 32, 8_200]
    assert [node for _, node, *_ in kept.loads] == [0, 31, 32, 4_000]
    assert (await shop.ledger.command(shop.partition, "O", "release")).answer is Answer.DONE
    while await shop.ledger.sweep(shop.partition):
        pass
    assert [(await shop.cell("A", node))[1] for node in nodes] == [0, 0, 0, 2, 0]
    loads = (await shop.ledger.load(shop.partition, DAY)).nodes["parcels"]
    assert [int(loads[node]) for node in nodes] == [0, 0, 0, 0, 1]


async def test_a_replacement_that_loses_keeps_the_old_hold(shop: Shop):
    """Protects R9: old hold and new one change places in one step, or nothing changes."""
    await shop.open(stock={("A", 0): 10})
    await shop.order("O", {("A", 0): 5}, hold_ms=LONG_MS)
    shop.skus = ["A"]
    seen = await shop.ledger.snapshot(shop.partition, ["A"], [], [], ("O", ""))
    assert await shop.order("P", {("A", 0): 4}) is C
    assert await shop.commit(seen, again(shop.proposal(seen, "O", {("A", 0): 8}), seen)) == [L]
    assert await shop.cell("A", 0) == (10, 9, -1, 0)
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.state, kept.takes) == ("held", (("A", 0, 5),))


async def test_a_lapsed_order_is_replaced_whether_swept_or_not(shop: Shop):
    """Protects carts that come back late: their units are counted once, and the lapse stands in their history."""
    await shop.open(stock={("A", 0): 10})
    await shop.order("O", {("A", 0): 5}, hold_ms=GONE_MS)
    shop.skus = ["A"]
    seen = await shop.ledger.snapshot(shop.partition, ["A"], [], [], ("O", ""))
    assert await shop.commit(seen, again(shop.proposal(seen, "O", {("A", 0): 10}, hold_ms=LONG_MS), seen)) == [C]
    assert await shop.cell("A", 0) == (10, 10, -1, 0)
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    events = ["order.held", "order.lapsed", "order.replaced", "order.held"]
    assert [change.event for change in kept.history] == events


async def test_a_reroute_keeps_deadline_and_first_decision(shop: Shop):
    """Protects re-routes: a soft hold stays as soft as it was, repeats get the first decision, excluded nodes stay."""
    await shop.open(stock={("A", 0): 10, ("A", 1): 10})
    await shop.order("O", {("A", 0): 5}, hold_ms=LONG_MS)
    first = await shop.ledger.order(shop.partition, "O")
    shop.skus = ["A"]
    seen = await shop.ledger.snapshot(shop.partition, ["A"], [], [], ("O", "T"))
    moved = again(shop.proposal(seen, "O", {("A", 1): 5}, decision=b'{"second":1}'), seen, "reroute", excluded=("N0",))
    assert await shop.commit(seen, moved) == [C]
    kept = await shop.ledger.order(shop.partition, "O")
    assert first is not None
    assert kept is not None
    assert (kept.decision, kept.current) == (first.decision, b'{"second":1}')
    assert (kept.deadline_ms, kept.excluded, kept.takes) == (first.deadline_ms, ("N0",), (("A", 1, 5),))
    assert (await shop.cell("A", 0))[1] == 0
    assert (await shop.log())[-1].excluded == (("O", ("N0",)),)


async def test_no_number_of_lapsed_holds_hides_stock(ledger: Ledger, partition: str, monkeypatch: pytest.MonkeyPatch):
    """Protects whoever comes first: more deadlines than one reading tells lapsed on a SKU, and all of it is free."""
    for limit in ("CUT_ORDERS", "CUT_CELLS", "CUT_BYTES"):
        monkeypatch.setattr(cutting, limit, 10**9)
    shop = await Shop(ledger, partition).open(stock={("A", 0): 2_200})
    seen = await shop.look("A")
    orders = [shop.proposal(seen, f"O{k}", {("A", 0): 1}, hold_ms=10 * GONE_MS + 20 * k) for k in range(2_200)]
    for some in (orders[:1_100], orders[1_100:]):
        assert set(await shop.commit(seen, *some)) == {C}
    assert (await shop.look("A")).rows[0].slots["held"].tolist() == [0]
    while await ledger.sweep(partition):
        pass
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences


async def test_a_hold_resolves_once(ledger: Ledger, partition: str):
    """R7: confirm, release and expiry raced around the deadline leave one outcome, and units that agree with it."""
    races = count(60, 10_000)
    shop = await Shop(ledger, partition).open(stock={("A", 0): races})
    resolved: dict[str, int] = {}

    async def race(number: int) -> None:
        order_id = f"O{number}"
        seen = await shop.look("A")
        order = shop.proposal(seen, order_id, {("A", 0): 1}, hold_ms=40, loads=(load(0),))
        assert await shop.commit(seen, order) == [C]
        kept = await ledger.order(partition, order_id)
        assert kept is not None
        await asyncio.sleep(max(0, kept.deadline_ms - kept.at_ms - 5 + number % 11) / 1000)
        calls = [ledger.command(partition, order_id, "confirm"), ledger.command(partition, order_id, "release")]
        answers = await asyncio.gather(*(calls if number % 2 else reversed(calls)), ledger.sweep(partition))
        done = [answer.state for answer in answers[:2] if answer.answer is Answer.DONE]
        after = await ledger.order(partition, order_id)
        assert after is not None
        if done:
            # A firm hold may be released: then both were applied, one after the other.
            assert after.state in done, (done, after)
        else:
            assert after.state == "lapsed"
        resolved[after.state] = resolved.get(after.state, 0) + 1

    for start in range(0, races, 20):
        await asyncio.gather(*(race(number) for number in range(start, min(start + 20, races))))
    while await ledger.sweep(partition):
        pass
    assert sum(resolved.values()) == races
    assert await shop.cell("A", 0) == (races, resolved.get("allocated", 0), -1, 0)
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences


async def test_deadlines_are_exact_by_the_clock(partition: str):
    """Case 18: a millisecond before the deadline the units are held, at the deadline they are free, unswept."""
    clock = ManualClock(1_000_000)
    shop = await Shop(MemoryLedger(clock), partition).open(stock={("A", 0): 5})
    await shop.order("O", {("A", 0): 4}, hold_ms=1_000)
    clock.advance(999)
    assert await shop.order("P", {("A", 0): 3}) is L
    clock.advance(1)
    assert await shop.order("P", {("A", 0): 3}) is C
