"""Shadow prices over HTTP: learned from orders, published, steering, told; and cheaper over the whole stream."""

from __future__ import annotations

import asyncio
import random
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from engine.pricing.pricer import Pricer, Told
from engine.pricing.sheet import Keep, RoomPrice, packed
from engine.promise import to_day
from engine.registry import Registry
from engine.settings import Settings
from tests.api.conftest import problem
from tests.api.scenes import Scene, order_of, shipped
from tests.engine.sheets import price_sheet

BOSTON, YORK = {"country": "US", "zone": "Boston"}, {"country": "US", "zone": "York"}
NODES: dict[str, dict[str, Any]] = {"near-boston": {}, "york": {}}
LANES = [
    {"node_id": node_id, "to": to, "service": "ground", "parcel": parcel, "transit_days": 2}
    for node_id, to, parcel in (
        ("near-boston", "Boston", "5.00"), ("near-boston", "York", "5.50"),
        ("york", "Boston", "15.00"), ("york", "York", "6.00"),
    )
]  # fmt: skip
STREAM, SEEN = 60, 20
SETTINGS = Settings(price_orders_min=10, price_horizon_days=1 / 24)
"""An hour ahead: as a burst counts as the orders of an hour, as many orders as were seen."""


def pricer_of(scene: Scene) -> Pricer:
    """The pricer as its process runs it, called from here, with a clock that stands: a programme every time."""
    return Pricer(scene.engine.ledger, scene.engine.registry, SETTINGS, lambda: 0.0, "test")


async def now_ms(scene: Scene) -> int:
    """The instant, by the store's clock."""
    return (await scene.engine.ledger.snapshot(scene.partition, (), (), ())).at_ms


async def stream(scene: Scene, name: str) -> tuple[Decimal, list[Told], list[dict[str, Any]]]:
    """Orders of one SKU, three of four to York, on stock that does not suffice near Boston: what they cost.

    Some were seen before, on plenty of stock.
    """
    rng, pricer = random.Random(7), pricer_of(scene)
    places = [rng.choice([YORK, YORK, YORK, BOSTON]) for _ in range(SEEN + STREAM)]
    await scene.stock({name: {"near-boston": 200, "york": 200}})
    for k, place in enumerate(places[:SEEN]):
        await scene.order(f"{name} {k}", (name, 1), ship_to=place)
    held = await scene.held(name)
    scarce = sum(place is BOSTON for place in places[SEEN:])
    await scene.stock({name: {"near-boston": scarce + held["near-boston"], "york": 100}})
    decisions, told = [], []
    for k, place in enumerate(places[SEEN:], SEEN):
        if k % 5 == 0:
            made = await pricer.price(scene.partition)
            told += [made] if made is not None else []
        decisions.append(await scene.order(f"{name} {k}", (name, 1), ship_to=place))
    return sum((Decimal(one["cost"]["total"]) for one in decisions), Decimal()), told, decisions


async def test_the_last_units_are_kept_for_whom_they_save_most(scene: Scene) -> None:
    """With prices York is served from York, Boston's stock lasts, the whole stream is cheaper, and it is said why."""
    await scene.open(NODES, {}, lanes=LANES, policy={"objective": {"stock_price": 0}})
    without, _, _ = await stream(scene, "plain")
    await scene.policy(objective={"stock_price": 1})
    with_prices, told, decisions = await stream(scene, "priced")
    print(f"without prices {without}, with them {with_prices}")
    assert with_prices < without
    assert {(one.source, one.error) for one in told} == {("lp", "")}
    steered = [one for one in decisions if one["window"]["price_version"] and shipped(one) == {("york", "priced"): 1}]
    assert steered
    answer = await scene.http.get(f"/v1/orders/{steered[0]['order_id']}/explanation")
    explained = answer.json()
    assert explained["reproduced"]
    [near] = [node for node in explained["nodes"] if node["node_id"] == "near-boston"]
    [kept] = near["kept"]
    assert kept["text"].startswith("kept for Boston, where it is expected to save ")
    assert near["plan"]["guidance"]["stock_price"] == kept["price"]
    assert near["plan"]["cost"]["total"] == "5.50"


async def test_a_sheet_steers_is_shown_and_can_be_switched_off(scene: Scene) -> None:
    """A published sheet moves the next but one choice at the latest, never a cost; weight 0 leaves it aside."""
    await scene.open(NODES, {"S": {"near-boston": 9, "york": 9}}, lanes=LANES)
    assert (await scene.http.get("/v1/prices")).json()["version"] == 0
    problem(await scene.http.get("/v1/prices/S"), 404, "not-found")
    near = (await scene.engine.registry.books(scene.partition)).network.numbers["near-boston"]
    stock = {"S": [Keep(near, 3_100, "Boston")]}
    sheet = price_sheet(stock, at_ms=await now_ms(scene), futures=4, seen=50.5)
    assert await scene.engine.ledger.put_prices(scene.partition, packed(sheet)) == 1
    shown = (await scene.http.get("/v1/prices")).json()
    assert {name: shown[name] for name in ("version", "source", "skus", "cells", "futures", "orders_seen")} == {
        "version": 1, "source": "lp", "skus": 1, "cells": 1, "futures": 4, "orders_seen": 50.5,
    }  # fmt: skip
    node = {"node_id": "near-boston", "price": "3.10", "kept_for": "Boston"}
    assert (await scene.http.get("/v1/prices/S")).json() == {"sku": "S", "version": 1, "nodes": [node]}
    assert (await scene.http.get("/v1/prices/other")).json()["nodes"] == []
    await scene.order("first", ("S", 1), ship_to=YORK)  # it may still go by no sheet, for nothing waits for one
    while not (await scene.engine.registry.books(scene.partition)).prices:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    second = await scene.order("second", ("S", 1), ship_to=YORK)
    assert (shipped(second), second["cost"]["total"]) == ({("york", "S"): 1}, "6.00")
    assert (second["guidance"]["stock_price"], second["window"]["price_version"]) == ("0", 1)
    kept = await scene.order("kept", ("S", 1), ship_to=BOSTON)
    assert (shipped(kept), kept["guidance"]["stock_price"]) == ({("near-boston", "S"): 1}, "3.10")
    quote = (await scene.http.post("/v1/quotes", json=order_of("q", ("S", 1), ship_to=YORK))).json()
    assert quote["alternatives"][0]["plan"]["guidance"]["stock_price"] == "3.10"
    await scene.policy(objective={"stock_price": "0"})
    off = await scene.order("off", ("S", 1), ship_to=YORK)
    assert (shipped(off), off["window"]["price_version"]) == ({("near-boston", "S"): 1}, 0)
    explained = (await scene.http.get("/v1/orders/second/explanation")).json()
    assert explained["reproduced"], "its record has the prices that it went by"


async def test_the_price_of_room_is_shown_counts_and_is_explained(scene: Scene) -> None:
    """A day whose room is worth more than it saves is left to others; the cost stays what it is."""
    nodes = {"near-boston": {"capacity": {"parcels_per_day": 50}}, "york": {}}
    await scene.open(nodes, {"S": {"near-boston": 9, "york": 9}}, lanes=LANES)
    first = await scene.order("first", ("S", 1), ship_to=YORK)
    assert shipped(first) == {("near-boston", "S"): 1}
    today = date.fromisoformat(first["parcels"][0]["ship_by"][:10])
    near = (await scene.engine.registry.books(scene.partition)).network.numbers["near-boston"]
    room = tuple(RoomPrice(near, to_day(today) + ahead, 3_100) for ahead in range(2))
    await scene.engine.ledger.put_prices(scene.partition, packed(price_sheet({}, at_ms=await now_ms(scene), room=room)))
    shown = (await scene.http.get("/v1/prices")).json()["room"]
    assert shown[0] == {"node_id": "near-boston", "date": today.isoformat(), "price": "3.10"}
    await scene.engine.registry.books(scene.partition, await scene.engine.ledger.versions(scene.partition))
    while not (await scene.engine.registry.books(scene.partition)).prices:  # noqa: ASYNC110 (a task does it)
        await asyncio.sleep(0.001)
    assert shipped(await scene.order("second", ("S", 1), ship_to=YORK)) == {("york", "S"): 1}
    boston = await scene.order("third", ("S", 1), ship_to=BOSTON)
    assert (shipped(boston), boston["cost"]["total"]) == ({("near-boston", "S"): 1}, "5.00")
    assert boston["guidance"]["stock_price"] == "3.10"
    explained = (await scene.http.get("/v1/orders/second/explanation")).json()
    [near] = [node for node in explained["nodes"] if node["node_id"] == "near-boston"]
    assert explained["reproduced"]
    assert near["kept"][0]["sku"] is None
    assert (
        near["kept"][0]["text"] == f"kept on {shown[0]['date']} for orders to come, where it is expected to save 3.10"
    )
    assert near["plan"]["guidance"]["stock_price"] == "3.10"


async def test_few_orders_make_no_prices(scene: Scene) -> None:
    """Below the least number of orders nothing is published, and the next round finds them counted."""
    await scene.open(NODES, {"S": {"near-boston": 9, "york": 9}}, lanes=LANES)
    pricer = pricer_of(scene)
    for k in range(9):
        await scene.order(f"o{k}", ("S", 1), ship_to=YORK)
    assert await pricer.price(scene.partition) is None
    assert await scene.engine.ledger.prices(scene.partition) is None
    await scene.order("o9", ("S", 1), ship_to=YORK)
    told = await pricer.price(scene.partition)
    assert told is not None
    assert (told.source, told.error) == ("lp", "")
    assert await pricer.price(scene.partition) is None, "nothing came since"


async def test_a_sheet_of_another_program_shows_its_version_alone(scene: Scene) -> None:
    """Nobody is told an instant or a source that nobody knows."""
    await scene.open(NODES, {}, lanes=LANES)
    await scene.engine.ledger.put_prices(scene.partition, b"another form")
    shown = (await scene.http.get("/v1/prices")).json()
    assert (shown["version"], shown["as_of"], shown["source"]) == (1, None, None)


async def test_nodes_are_told_by_name_as_they_come_and_go(scene: Scene) -> None:
    """A sheet has numbers of nodes: one that another process just brought has its name, one that left is not told."""
    await scene.open(NODES, {"S": {"near-boston": 9, "york": 9}}, lanes=LANES)
    ledger, registry = scene.engine.ledger, Registry(scene.engine.ledger)
    before = (await scene.engine.registry.books(scene.partition)).network
    document, (gone, stays) = before.document, before.document.nodes
    added = msgspec.structs.replace(stays, node_id="new")
    changed = msgspec.structs.replace(document, nodes=[stays, added], lanes=[])
    await scene.stock({"S": {gone.node_id: 0}})
    await registry.put_network(scene.partition, msgspec.json.encode(changed))
    after = (await registry.books(scene.partition)).network
    numbers = sorted({*before.numbers.values(), *after.numbers.values()})
    assert len(numbers) == 3
    room = tuple(RoomPrice(number, 20_000, 70) for number in numbers)
    sheet = price_sheet({"S": [Keep(number, 50) for number in numbers]}, at_ms=await now_ms(scene), room=room)
    await ledger.put_prices(scene.partition, packed(sheet))
    told = {stays.node_id, "new"}
    assert {node["node_id"] for node in (await scene.http.get("/v1/prices/S")).json()["nodes"]} == told
    assert {price["node_id"] for price in (await scene.http.get("/v1/prices")).json()["room"]} == told
