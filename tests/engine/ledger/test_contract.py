"""The ledger's contract, over every implementation."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from engine.ledger.port import (
    Again,
    Cancelled,
    Ledger,
    StockKind,
    Verdict,
    Versions,
)
from tests.engine.ledger.shop import DAY, RECORD, Shop, content, load

C, R, L = Verdict.COMMITTED, Verdict.REPEAT, Verdict.LOST


async def test_an_empty_partition(ledger: Ledger, partition: str):
    """Protects first use: what was never written reads as empty, not as an error."""
    seen = await ledger.snapshot(partition, ["A"], [DAY], ["O"])
    assert (seen.versions, seen.rows[0].gain, len(seen.rows[0].slots)) == (Versions(0, 1, 0), 0, 0)
    assert len(seen.days[DAY].nodes) == 0
    assert seen.decided == {}
    assert await ledger.network(partition) is None
    assert await ledger.policies(partition) == (1, {})
    assert await ledger.order(partition, "O") is None
    assert await ledger.orders(partition, ["O", "P"]) == [None, None]
    assert await ledger.cancel(partition, "O") is Cancelled.UNKNOWN
    assert await ledger.sku(partition, "A") is None
    assert await ledger.skus_since(partition, 0) == (0, {})
    assert await ledger.stock_page(partition, "", 10) == ("", [])
    assert [entry async for entry in ledger.entries(partition)] == []
    assert await ledger.tail(partition, "0", 0) == []
    assert await ledger.commit(partition, Shop(ledger, partition).batch(seen)) == []
    assert await ledger.write_stock(partition, []) == []
    await ledger.ping()


async def test_an_order_is_held_whole(shop: Shop):
    """Protects R9: all cells and all capacity of an order are taken together, and its documents are kept as given."""
    await shop.open(stock={("A", 0): 5, ("B", 1): 5})
    loads = (load(0, 1, 2), load(1, 1, 3))
    assert await shop.order("O", {("A", 0): 2, ("B", 1): 3}, loads=loads, idempotency_key="K") is C
    assert await shop.cell("A", 0) == (5, 2, -1, 0)
    assert await shop.cell("B", 1) == (5, 3, -1, 0)
    assert (await shop.ledger.load(shop.partition, DAY)).nodes.tolist() == [(1, 2), (1, 3)]
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.content, kept.order, kept.state) == (content(), b'{"order_id":"O"}', "allocated")
    assert kept.takes == (("A", 0, 2), ("B", 1, 3))
    assert kept.loads == ((DAY, 0, 1, 2), (DAY, 1, 1, 3))
    assert [change.event for change in kept.history] == ["order.allocated"]


@pytest.mark.parametrize("short_of", ["stock", "parcels", "units", "node", "slot"])
async def test_an_order_that_lacks_anything_takes_nothing(shop: Shop, short_of: str):
    """Protects R9: the last thing missing undoes all that was taken for the order before it."""
    await shop.open(stock={("A", 0): 5, ("B", 1): 5})
    seen = await shop.look("A", "B")
    order = shop.proposal(seen, "O", {("A", 0): 2, ("B", 1): 6 if short_of == "stock" else 2}, loads=(load(0),))
    if short_of in ("parcels", "units"):
        most = {"parcels": (1, -1), "units": (-1, 3)}[short_of]
        tight = load(1, 2, 4)._replace(parcels_max=most[0], units_max=most[1])
        order = replace(order, loads=(load(0), tight))
    if short_of in ("node", "slot"):
        wrong = order.takes[1]._replace(**{short_of: 2})
        order = replace(order, takes=(order.takes[0], wrong))
    after = shop.proposal(seen, "O2", {("A", 0): 5})
    assert await shop.commit(seen, order, after) == [L, C]
    assert await shop.cell("B", 1) == (5, 0, -1, 0)
    assert len((await shop.ledger.load(shop.partition, DAY)).nodes) == 0
    assert await shop.ledger.order(shop.partition, "O") is None


async def test_available_leaves_safety_and_blocked(shop: Shop):
    """Protects the definition of available: on_hand - held - safety - blocked, the node's default where none is set."""
    await shop.open(stock={("A", 0): 10})
    await shop.write("A", 0, StockKind.DAMAGE, 3)
    seen = await shop.look("A")
    eight = shop.proposal(seen, "O", {("A", 0): 6})
    with_default = replace(eight, takes=(eight.takes[0]._replace(safety=2),))
    assert await shop.commit(seen, with_default) == [L]
    await shop.write("A", 0, StockKind.SNAPSHOT, 10, safety=1)
    assert await shop.commit(seen, with_default) == [C]
    assert await shop.order("O2", {("A", 0): 1}) is L
    assert await shop.cell("A", 0) == (10, 6, 1, 3)


async def test_orders_of_a_batch_see_each_other(shop: Shop):
    """Protects R1 inside one call: 10 orders for 3 units of one cell give exactly 3 winners, the first ones."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    orders = [shop.proposal(seen, f"O{k}", {("A", 0): 1}, loads=(load(0, most=9),)) for k in range(10)]
    assert await shop.commit(seen, *orders) == [C] * 3 + [L] * 7
    assert (await shop.ledger.load(shop.partition, DAY)).nodes.tolist() == [(3, 3)]


async def test_one_order_may_take_a_cell_twice(shop: Shop):
    """Protects lines of the same SKU: their takes add up, and are judged together."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    order = shop.proposal(seen, "O", {("A", 0): 2})
    assert await shop.commit(seen, replace(order, takes=order.takes * 2)) == [L]
    single = replace(order, takes=(order.takes[0]._replace(units=1),) * 3)
    assert await shop.commit(seen, single) == [C]
    assert await shop.cell("A", 0) == (3, 3, -1, 0)
    assert await shop.ledger.cancel(shop.partition, "O") is Cancelled.DONE
    assert await shop.cell("A", 0) == (3, 0, -1, 0)


async def test_repeats_and_conflicts(shop: Shop):
    """Protects R5: the same order answers its first decision, other content is a conflict, whatever else changed."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    order = shop.proposal(seen, "O", {("A", 0): 1}, idempotency_key="K")
    again = replace(order, decision=b"another")
    other = replace(order, content=content("other"))
    assert await shop.commit(seen, order, again, other) == [C, R, Verdict.CONFLICT]
    await shop.ledger.put_policy(shop.partition, "default", b"{}")
    outcomes = await shop.outcomes(seen, again, other, replace(order, order_id="P"), replace(order, order_id="Q"))
    assert [o.verdict for o in outcomes] == [R, Verdict.CONFLICT, Verdict.KEY_CONFLICT, Verdict.KEY_CONFLICT]
    assert outcomes[0].decision == order.decision
    assert (await shop.ledger.snapshot(shop.partition, [], [], ["O", "P"])).decided == {
        "O": (content(), order.decision)
    }
    assert await shop.cell("A", 0) == (3, 1, -1, 0)


async def test_idempotency_keys_within_a_batch(shop: Shop):
    """Protects keys: the second user of a key in one call is refused, and one whose first user fell is not."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    first = shop.proposal(seen, "O", {("A", 0): 1}, idempotency_key="K")
    second = shop.proposal(seen, "P", {("A", 0): 1}, idempotency_key="K")
    assert await shop.commit(seen, replace(first, takes=(first.takes[0]._replace(units=9),)), second, first) == [
        L,
        C,
        Verdict.KEY_CONFLICT,
    ]


async def test_versions_are_checked(shop: Shop):
    """Protects decisions from outdated documents: network and policy must be those of the snapshot, SKUs need not."""
    await shop.open(stock={("A", 0): 3})
    seen = await shop.look("A")
    await shop.ledger.put_skus(shop.partition, {"A": b"{}"})
    assert await shop.commit(seen, shop.proposal(seen, "O", {("A", 0): 1})) == [C]
    await shop.ledger.put_network(shop.partition, b"{}", ["N0", "N1", "N2"])
    assert await shop.commit(seen, shop.proposal(seen, "P", {("A", 0): 1})) == [Verdict.STALE]
    seen = await shop.look("A")
    await shop.ledger.put_policy(shop.partition, "default", b"{}")
    assert await shop.commit(seen, shop.proposal(seen, "P", {("A", 0): 1})) == [Verdict.STALE]


@pytest.mark.parametrize(
    ("kind", "quantity", "gains"),
    [
        (StockKind.RECEIVE, 1, True),
        (StockKind.ADJUST, 1, True),
        (StockKind.ADJUST, -1, False),
        (StockKind.COUNT, 6, True),
        (StockKind.COUNT, 5, False),
        (StockKind.SNAPSHOT, 4, False),
        (StockKind.DAMAGE, 1, False),
        (StockKind.WRITE_OFF, 1, False),
    ],
)
async def test_what_counts_as_gain(shop: Shop, kind: StockKind, quantity: int, gains: bool):
    """Protects R16: a claim of shortage falls exactly when units may have come back since it was made."""
    await shop.open(stock={("A", 0): 5})
    seen = await shop.look("A")
    await shop.write("A", 0, kind, quantity)
    refused = shop.proposal(seen, "O", {}, short=["A"], state="refused")
    assert await shop.commit(seen, refused) == [L if gains else C]


async def test_lower_safety_a_new_cell_and_a_cancel_are_gains(shop: Shop):
    """Protects R16: units come back by lower safety, at another node and by cancelled orders too; load by the last."""
    await shop.open(stock={("A", 0): 5})
    assert await shop.order("O", {("A", 0): 1}, loads=(load(0),)) is C

    async def falls(order_id: str, change: object) -> bool:
        seen = await shop.look("A")
        await change
        by_stock = shop.proposal(seen, order_id, {}, short=["A"], state="refused")
        return await shop.commit(seen, by_stock) == [L]

    assert await falls("1", shop.write("A", 0, StockKind.SNAPSHOT, 5, safety=3))  # the default may have been more
    assert not await falls("2", shop.write("A", 0, StockKind.SNAPSHOT, 5, safety=4))
    assert await falls("3", shop.write("A", 0, StockKind.SNAPSHOT, 5, safety=2))
    assert await falls("4", shop.write("A", 1, StockKind.SNAPSHOT, 0))
    seen = await shop.look("A")
    by_day = shop.proposal(seen, "5", {}, short_days=(DAY,), state="refused")
    assert await falls("6", shop.ledger.cancel(shop.partition, "O"))
    assert await shop.commit(seen, by_day) == [L]
    assert await shop.commit(await shop.look("A"), replace(by_day, short_days=())) == [C]


async def test_claims_fall_with_the_takes_they_rest_on(shop: Shop):
    """Protects R16: who was refused for the sake of an order that then fails is solved again, down the whole chain."""
    await shop.open(stock={("A", 0): 1, ("B", 0): 1, ("C", 0): 1, ("D", 0): 1})
    seen = await shop.look("A", "B", "C", "D")
    fails = shop.proposal(seen, "1", {("A", 0): 1, ("B", 0): 9})
    rests = shop.proposal(seen, "2", {("C", 0): 1}, short=["A"])
    rests_on_that = shop.proposal(seen, "3", {("D", 0): 1}, short=["C"])
    same_again = shop.proposal(seen, "2", {}, short=["B"])
    unharmed = shop.proposal(seen, "4", {}, short=["D"], state="refused")
    assert await shop.commit(seen, unharmed, rests_on_that, rests, fails, same_again) == [L, L, L, L, L]
    assert await shop.cell("C", 0) == (1, 0, -1, 0)
    assert await shop.cell("D", 0) == (1, 0, -1, 0)


async def test_claims_stand_while_their_takes_do(shop: Shop):
    """Protects progress: a refusal in favour of an order that commits stands, also when the call is made again."""
    await shop.open(stock={("A", 0): 1})
    seen = await shop.look("A")
    taker = shop.proposal(seen, "1", {("A", 0): 1})
    refused = shop.proposal(seen, "2", {}, short=["A"], state="refused")
    assert await shop.commit(seen, refused, taker) == [C, C]
    later = shop.proposal(seen, "3", {}, short=["A"], state="refused")
    assert await shop.commit(seen, later, taker) == [C, R]
    other = replace(taker, decision=b"other")
    assert await shop.commit(seen, shop.proposal(seen, "4", {}, short=["A"]), other) == [L, R]


async def test_claims_of_full_days(shop: Shop):
    """Protects R16 for capacity: a day called full for the sake of an order that fails is not full."""
    await shop.open(stock={("A", 0): 1})
    seen = await shop.look("A")
    fails = shop.proposal(seen, "1", {("A", 0): 9}, loads=(load(0),))
    waits = shop.proposal(seen, "2", {}, short_days=(DAY,), state="refused")
    assert await shop.commit(seen, waits, fails) == [L, L]
    assert await shop.commit(seen, waits) == [C]


async def test_cancel_gives_back_once(shop: Shop):
    """Protects holds: a cancel frees what the order held, once, and its first decision stays its answer."""
    await shop.open(stock={("A", 0): 5, ("B", 0): 5})
    await shop.order("O", {("A", 0): 2, ("B", 0): 1}, loads=(load(0, 1, 3),))
    assert await shop.ledger.cancel(shop.partition, "O") is Cancelled.DONE
    assert await shop.ledger.cancel(shop.partition, "O") is Cancelled.ALREADY
    assert await shop.cell("A", 0) == (5, 0, -1, 0)
    assert (await shop.ledger.load(shop.partition, DAY)).nodes.tolist() == [(0, 0)]
    kept = await shop.ledger.order(shop.partition, "O")
    assert kept is not None
    assert (kept.state, kept.takes, kept.loads) == ("cancelled", (), ())
    assert [change.event for change in kept.history] == ["order.allocated", "order.cancelled"]
    assert await shop.order("O", {("A", 0): 2}) is R


async def test_the_log_tells_all(shop: Shop):
    """Protects R13 and subscribers: one entry per change, ascending, with events, deltas and the record once."""
    await shop.open(stock={("A", 0): 5})
    await shop.order("O", {("A", 0): 2}, loads=(load(0, 1, 2),))
    await shop.ledger.cancel(shop.partition, "O")
    entries = await shop.log()
    assert [entry.kind for entry in entries] == ["network", "network", "stock", "commit", "cancel"]
    commit = entries[3]
    assert [(event.type, event.subject) for event in commit.events] == [
        ("order.allocated", "O"),
        ("window.decided", "window"),
    ]
    assert commit.record == await shop.ledger.record(shop.partition, commit.entry_id) == RECORD
    assert commit.events[1].data == b'{"window_id":"window"}'
    assert commit.events[0].data == b'{"order_id":"O","status":"allocated"}'
    assert [event.event_id for event in commit.events] == [f"{commit.entry_id}:0", f"{commit.entry_id}:1"]
    assert commit.cells == (("A", 0, 0, 2, 0, None),)
    assert commit.loads == ((DAY, 0, 1, 2),)
    assert (commit.orders, entries[4].orders) == ((("O", "allocated"),), (("O", "cancelled"),))
    places = [tuple(map(int, entry.entry_id.split("-"))) for entry in entries]
    assert places == sorted(set(places))
    rest = [entry async for entry in shop.ledger.entries(shop.partition, entries[2].entry_id)]
    assert rest == entries[3:]
    assert await shop.ledger.tail(shop.partition, entries[2].entry_id, 0) == entries[3:]


async def test_tail_waits_for_what_comes(shop: Shop):
    """Protects live subscribers: a waiting reader gets the next entry as soon as it is there, and nothing in time."""
    assert await shop.ledger.tail(shop.partition, "$", 20) == []
    waiting = asyncio.create_task(shop.ledger.tail(shop.partition, "$", 60_000))
    await asyncio.sleep(0.1)
    await shop.ledger.put_policy(shop.partition, "default", b"{}")
    [entry] = await asyncio.wait_for(waiting, 30)
    assert entry.kind == "policy"
    assert await shop.ledger.tail(shop.partition, entry.entry_id, 20) == []


async def test_partitions_are_apart(ledger: Ledger, partition: str):
    """Protects tenants: the same ids in another partition are other things."""
    one = await Shop(ledger, partition).open(stock={("A", 0): 1})
    two = await Shop(ledger, partition + "2").open(stock={("A", 0): 1})
    assert await one.order("O", {("A", 0): 1}) is C
    assert await two.order("O", {("A", 0): 1}, content=content("other")) is C
    assert await two.ledger.cancel(two.partition, "O") is Cancelled.DONE
    assert await one.cell("A", 0) == (1, 1, -1, 0)


async def test_odd_names_and_opaque_documents(shop: Shop):
    """Protects ids as callers write them, and documents byte for byte, whatever bytes they are."""
    sku, order_id = "/grün:ü 1", "k"
    await shop.open(stock={(sku, 0): 2})
    odd = bytes(range(256))
    assert await shop.order(order_id, {(sku, 0): 1}, order=odd, decision=odd[::-1], content=odd[-16:]) is C
    kept = await shop.ledger.order(shop.partition, order_id)
    assert kept is not None
    assert (kept.order, kept.decision, kept.content) == (odd, odd[::-1], odd[-16:])
    assert kept.takes == ((sku, 0, 1),)
    assert (await shop.log())[-1].events[0].data == odd[::-1]


async def test_an_order_names_the_entry_with_the_record_of_its_decision(shop: Shop):
    """Protects explanations: each order finds its window's record, and after a re-route that of the last window."""
    await shop.open(stock={("A", 0): 5})
    await shop.order("O", {("A", 0): 2})
    first = await shop.ledger.order(shop.partition, "O")
    assert first is not None
    assert first.recorded == (await shop.log())[-1].entry_id
    again = Again("reroute", first.revision, "C", "digest")
    seen = await shop.look("A")
    await shop.commit(seen, replace(shop.proposal(seen, "O", {("A", 0): 1}), again=again))
    current = await shop.ledger.order(shop.partition, "O")
    assert current is not None
    assert current.recorded == (await shop.log())[-1].entry_id != first.recorded
    await shop.ledger.cancel(shop.partition, "O")
    after = await shop.ledger.order(shop.partition, "O")
    assert after is not None
    assert after.recorded == current.recorded
    assert await shop.ledger.record(shop.partition, "1-0") is None
    assert await shop.ledger.record(shop.partition, (await shop.log())[-1].entry_id) == b""
