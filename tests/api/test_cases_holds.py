"""Cases that other order systems pin down: holds, races and capacity. Numbers are those of the case list.

Restated against our contract, through the public API, on the memory twin and on the store.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from engine.crew import CrewError, InlineCrew
from tests.api.scenes import left, order_of, shipped

MONDAY = "2030-01-07T09:00:00Z"


async def test_case_5_a_release_frees_what_was_held(scene):
    """Magento: 85 held, 1 more refused naming the 85; the order that comes after the release is accepted."""
    await scene.open("AB", {"SKU-1": {"A": 55, "B": 30}})
    await scene.order("H", ("SKU-1", 85), hold_seconds=600)
    refused = await scene.order("O1", ("SKU-1", 1))
    assert (refused["status"], left(refused)) == ("refused", [("SKU-1", 1, "held")])
    assert (refused["unallocated"][0]["held"], refused["unallocated"][0]["transient"]) == (85, True)
    assert await scene.command("H", "release") == "released"
    assert (await scene.order("O2", ("SKU-1", 1)))["status"] == "allocated"
    assert (await scene.http.get("/v1/orders/O1")).json()["state"] == "refused"


async def test_case_6_a_failure_on_the_way_leaves_no_trace(scene, monkeypatch):
    """Magento: what breaks between the picture of stock and the answer holds nothing; the retry decides afresh."""
    await scene.open("A", {"X": {"A": 5}})
    body = order_of("O", ("X", 3))

    async def broken(_crew, _question):
        raise CrewError("the worker ended")

    with monkeypatch.context() as patched:
        patched.setattr(InlineCrew, "decide", broken)
        answer = await scene.http.post("/v1/orders", json=body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 0
    assert await scene.held("X") == {}
    await scene.stock({"X": {"A": 2}})
    assert shipped(await scene.order("O", ("X", 3))) == {("A", "X"): 2}


async def test_case_6_a_lost_answer_is_repeated(scene, monkeypatch):
    """Magento: what breaks after the hold is durable is no second hold: the retry gets the decision that stands."""
    await scene.open("A", {"X": {"A": 5}})
    ledger = scene.engine.ledger
    commit = ledger.commit

    async def lost(*arguments):
        await commit(*arguments)
        raise RuntimeError("the answer is lost")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "commit", lost)
        assert (await scene.http.post("/v1/orders", json=order_of("O", ("X", 3)))).status_code == 503
    again = await scene.http.post("/v1/orders", json=order_of("O", ("X", 3)))
    assert (again.status_code, again.json()["status"]) == (200, "allocated")
    assert await scene.held("X") == {"A": 3}


async def test_case_8_held_by_another(scene):
    """Saleor: 4 + 3 all held by another order: refused, and no part of it is written."""
    await scene.open("AB", {"X": {"A": 4, "B": 3}})
    await scene.order("H", ("X", 7))
    decision = await scene.order("O", ("X", 5))
    assert (decision["status"], left(decision)) == ("refused", [("X", 5, "held")])
    assert await scene.held("X") == {"A": 4, "B": 3}


async def test_case_11_a_replacement_does_not_meet_its_own_hold(scene):
    """Saleor, WooCommerce #67354: hold 5 of 10, then 8, then all 10, then 2: held 8, 10, 2, never 13."""
    await scene.open("A", {"X": {"A": 10}})
    await scene.order("O", ("X", 5), hold_seconds=600)
    for units in (8, 10, 2):
        decision = await scene.replace("O", ("X", units), hold_seconds=600)
        assert (decision["status"], await scene.held("X")) == ("allocated", {"A": units})


async def test_case_18_a_lapsed_hold_is_nobodys(scene):
    """Spree: 4 of 5 held until T: 3 are refused before, and a new order or the same put again accepted after."""
    await scene.open("A", {"X": {"A": 5}})
    await scene.engine.sweeper.stop()
    await scene.order("H", ("X", 4), hold_seconds=1)
    early = await scene.order("O1", ("X", 3), limits={"ship_complete": True})
    assert (early["status"], left(early)) == ("refused", [("X", 3, "held")])
    await asyncio.sleep(1.02)
    assert (await scene.replace("O1", ("X", 3)))["status"] == "allocated"
    assert (await scene.order("O2", ("X", 2)))["status"] == "allocated"
    assert (await scene.http.get("/v1/orders/H")).json()["state"] == "lapsed"
    assert await scene.held("X") == {"A": 5}


async def test_case_23_settled_twice(scene):
    """Vendure: a payment that is settled twice takes the stock once."""
    await scene.open("A", {"X": {"A": 5}})
    await scene.order("O", ("X", 2), hold_seconds=600)
    for _ in range(2):
        assert await scene.command("O", "confirm") == "allocated"
        assert await scene.held("X") == {"A": 2}


@pytest.mark.parametrize(("orders", "stock"), [(10, 1), (20, 10)])
async def test_cases_28_and_29_the_last_units_at_once(scene, orders, stock):
    """Magento #3072, Odoo PR #32857: 10 at once for 1 unit, 20 for 10: exactly so many succeed, never fewer or more."""
    await scene.open("A", {"X": {"A": stock}})
    decisions = await asyncio.gather(*(scene.order(f"O{n}", ("X", 1)) for n in range(orders)))
    assert Counter(decision["status"] for decision in decisions) == {"allocated": stock, "refused": orders - stock}
    assert {reason for each in decisions for *_, reason in left(each)} == {"held"}
    assert (await scene.cells("X"))["A"]["available"] == 0


async def test_case_30_pools_share_what_they_share(scene):
    """Magento #2727: pools X = {A 10, B 5} and Y = {B 5}: after 15 on X nothing is left to Y."""
    await scene.open("AB", {"S": {"A": 10, "B": 5}})
    pool_x, pool_y = {"nodes": ["A", "B"]}, {"nodes": ["B"]}
    assert (await scene.order("O1", ("S", 15), limits=pool_x))["status"] == "allocated"
    decision = await scene.order("O2", ("S", 1), limits=pool_y)
    assert (left(decision), decision["unallocated"][0]["held"]) == ([("S", 1, "held")], 5)
    assert [cell["available"] for cell in (await scene.cells("S")).values()] == [0, 0]


async def test_case_32_what_is_left_is_said(scene):
    """ERPNext #52770: 40 of 100, then 65: complete it is refused saying that 60 are free, otherwise it gets the 60."""
    await scene.open("A", {"X": {"A": 100}})
    await scene.order("O1", ("X", 40))
    whole = await scene.order("O2", ("X", 65), limits={"ship_complete": True})
    assert (whole["status"], whole["unallocated"][0]["free"]) == ("refused", 60)
    partly = await scene.order("O3", ("X", 65))
    assert (shipped(partly), left(partly)) == ({("A", "X"): 60}, [("X", 5, "held")])
    assert partly["unallocated"][0]["free"] == 60


@pytest.mark.parametrize("at_once", [True, False])
async def test_case_35_a_day_for_one_parcel(scene, at_once):
    """HotWax: a node that ships one parcel a day gets exactly one of two orders; cancelling it makes room again."""
    await scene.open({"A": {"capacity": {"parcels_per_day": 1}}}, {"X": {"A": 5}})
    bodies = [order_of(name, ("X", 1), placed_at=MONDAY) for name in ("O1", "O2")]
    if at_once:
        decisions = await scene.together(*bodies)
    else:
        decisions = [await scene.order(each.pop("order_id"), *each.pop("lines"), **each) for each in bodies]
    assert sorted(decision["status"] for decision in decisions) == ["allocated", "refused"]
    kept, refused = sorted(decisions, key=lambda decision: decision["status"])
    assert (left(refused), refused["unallocated"][0]["free"]) == ([("X", 1, "capacity")], 4)
    assert await scene.load("A", "2030-01-07") == (1, 1)
    assert await scene.command(kept["order_id"], "cancel") == "cancelled"
    assert await scene.load("A", "2030-01-07") == (0, 0)
    assert (await scene.order("O3", ("X", 1), placed_at=MONDAY))["status"] == "allocated"


async def test_case_40_priority_is_served_first(scene):
    """Oracle: 10 units, orders for 6 of priority 0 and 6 of priority 5 in one window: the higher one is filled."""
    await scene.open("A", {"X": {"A": 10}})
    low, high = await scene.together(order_of("L", ("X", 6)), order_of("H", ("X", 6), priority=5))
    assert (high["status"], shipped(high)) == ("allocated", {("A", "X"): 6})
    assert (shipped(low), left(low)) == ({("A", "X"): 4}, [("X", 2, "held")])
