"""Windows cut into several script calls decide as one call would."""

from __future__ import annotations

import random

import pytest

from engine.ledger import cuts as cutting
from engine.ledger.cuts import cuts
from engine.ledger.port import Batch, Ledger, Proposal, StockKind, StockWrite, Take, Verdict, Versions
from engine.ledger.reconcile import reconcile
from tests.engine.ledger.shop import Shop, content, load

C, L = Verdict.COMMITTED, Verdict.LOST


def _proposal(order_id: str, takes: tuple[int, ...] = (), short: tuple[int, ...] = ()) -> Proposal:
    made = tuple(Take(sku, 0, 0, 1, 0) for sku in takes)
    return Proposal(order_id, content(), b"{}", b"{}", "allocated", made, short_skus=short)


def _batch(*proposals: Proposal) -> Batch:
    return Batch("w", Versions(1, 1, 0), tuple("ABCDEFGH"), (0,) * 8, {}, proposals)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts of at most three orders."""
    monkeypatch.setattr(cutting, "CUT_ORDERS", 3)


def test_a_small_window_is_one_call_in_its_order():
    """Protects the two round trips per window: what fits is not cut, and nothing is moved."""
    batch = _batch(_proposal("1", short=(0,)), _proposal("2", (0,)), _proposal("3"))
    assert cuts(batch) == [[0, 1, 2]]
    assert cuts(_batch()) == []


@pytest.mark.usefixtures("small")
def test_takers_come_before_claims():
    """Protects R16 over cuts: a claim is judged when all takes that it may rest on are judged, or with them."""
    batch = _batch(
        _proposal("0", (), (0,)),
        _proposal("1", (1,), (0,)),
        _proposal("2", (0,)),
        _proposal("3", (2,), (1,)),
        _proposal("4", (3,)),
        _proposal("5", (4,), (5,)),
        _proposal("6", (0,)),
    )
    assert cuts(batch) == [[2, 4, 6], [1, 3, 5], [0]]


@pytest.mark.usefixtures("small")
def test_a_chain_of_claims_stays_together():
    """Protects R16 over cuts: orders whose claims rest on each other are one call, even if it is a large one."""
    chain = [_proposal(str(k), (k,), (k + 1,)) for k in range(6)]
    assert cuts(_batch(*chain)) == [[0, 1, 2, 3, 4, 5]]
    apart = [_proposal(f"a{k}", (0,), (7,)) for k in range(2)]
    assert [len(cut) for cut in cuts(_batch(*chain, *apart, _proposal("x", (0,))))] == [1, 6, 2]


@pytest.mark.parametrize("limit", ["CUT_CELLS", "CUT_BYTES", "CUT_ORDERS"])
def test_each_limit_cuts(monkeypatch: pytest.MonkeyPatch, limit: str):
    """Protects the store from long scripts: orders, cells and bytes all bound a call."""
    monkeypatch.setattr(cutting, limit, 2 if limit != "CUT_BYTES" else 8)
    batch = _batch(*(_proposal(str(k), (k,)) for k in range(6)))
    assert [len(cut) for cut in cuts(batch)] == [2, 2, 2]


@pytest.mark.usefixtures("small")
async def test_what_was_given_up_is_carried_over(ledger: Ledger, partition: str):
    """Protects R16 over cuts: a refusal in a later call falls if its rival fell in an earlier one; one record."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 5, ("B", 0): 5})
    seen = await shop.look("A", "B")
    orders = [
        shop.proposal(seen, "0", {}, short=["A"], state="refused"),
        shop.proposal(seen, "1", {}, short=["B"], state="refused"),
        shop.proposal(seen, "2", {("A", 0): 9}),
        *(shop.proposal(seen, str(k), {("B", 0): 1}) for k in range(3, 8)),
    ]
    assert await shop.commit(seen, *orders) == [L, C, L, C, C, C, C, C]
    assert await shop.cell("B", 0) == (5, 5, -1, 0)
    assert [bool(entry.record) for entry in await shop.log()].count(True) == 1


async def test_a_large_window_commits_whole(ledger: Ledger, partition: str):
    """Protects large windows: 700 orders and one of 1,200 lines commit in order, and come out right."""
    skus = [f"S{k}" for k in range(1_200)]
    rng = random.Random(5)
    shop = await Shop(ledger, partition).open(stock=None)
    await ledger.write_stock(partition, [StockWrite(sku, 0, StockKind.SNAPSHOT, 100) for sku in skus])
    seen = await shop.look(*skus)
    wide = shop.proposal(seen, "wide", {(sku, 0): 1 for sku in skus}, loads=(load(0, 1, 1_200),))
    orders = [
        shop.proposal(seen, f"O{k}", {(sku, 0): 1 for sku in rng.sample(skus, 3)}, decision=b"d" * 900)
        for k in range(700)
    ]
    assert set(await shop.commit(seen, wide, *orders)) == {C}
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences
    assert report.orders == 701
    assert sum(order[1] == "allocated" for entry in await shop.log() for order in entry.orders) == 701
