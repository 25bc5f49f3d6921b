"""What a window can do that one order after another cannot, seen over HTTP."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from engine.settings import Settings
from tests.api.conftest import ndjson

# Three nodes, each lane with one price a parcel. The near node has the last two units of A.
NETWORK = {
    "nodes": [
        {"node_id": node, "country": "US", "lat": 40.0, "lon": -75.0, "priority": rank}
        for rank, node in enumerate(("near", "mid", "far"))
    ],
    "lanes": [
        {"node_id": node, "to": "*", "service": "ground", "parcel": price, "transit_days": 2}
        for node, price in (("near", "5.00"), ("mid", "8.00"), ("far", "12.00"))
    ],
}
STOCK = [
    {"node_id": "near", "sku": "A", "on_hand": 2},
    {"node_id": "mid", "sku": "A", "on_hand": 1},
    {"node_id": "far", "sku": "A", "on_hand": 9},
    {"node_id": "near", "sku": "B", "on_hand": 9},
    {"node_id": "mid", "sku": "C", "on_hand": 9},
]


@pytest.fixture
def settings() -> Settings:
    """A window waits its full time for company, however slow the machine."""
    return Settings(window_linger_ms=1_000)


def orders() -> list[dict]:
    """Three orders that all want the last near units of A."""
    wants = {"plain": ["A"], "with-b": ["A", "B"], "with-c": ["A", "C"]}
    return [
        {
            "order_id": name,
            "ship_to": {"country": "US"},
            "lines": [{"line_id": str(n), "sku": sku, "quantity": 1} for n, sku in enumerate(skus)],
        }
        for name, skus in wants.items()
    ]


async def test_three_orders_that_want_the_same_last_units_are_decided_to_the_joint_optimum(empty):
    """The window's optimum is found whatever the order of arrival, proven, and dearer one by one."""
    # Alone each order is cheapest with A from near, with-c excepted: mid ships A and C together (8).
    # Joint optimum: plain near 5, with-b near 5, with-c mid 8 = 18, and every unit is used once.
    for number, sequence in enumerate(permutations(orders())):
        partition = {"Apportion-Partition": f"joint-{number}"}
        assert (await empty.put("/v1/network", json=NETWORK, headers=partition)).status_code == 200
        assert (await empty.put("/v1/stock", json=STOCK, headers=partition)).status_code == 200
        answer = await empty.post("/v1/orders/bulk", content=ndjson(*sequence), headers=partition)
        decisions = [json.loads(line) for line in answer.text.splitlines()]
        assert [decision["window"]["orders"] for decision in decisions] == [3, 3, 3]
        assert sum(float(decision["cost"]["total"]) for decision in decisions) == 18.0
        assert {decision["status"] for decision in decisions} == {"allocated"}
        assert all(decision["window"]["gap"] == 0 for decision in decisions)


async def test_the_order_that_gains_most_by_the_last_unit_gets_it(empty):
    """First come, first served would cost a parcel more; the window sees it."""
    # One near unit. One by one: plain takes it (5), with-b ships B near and A far: 5 + 12; together 22.
    # Joint: with-b takes it (5), plain goes far (12); together 17.
    stock = [
        {"node_id": "near", "sku": "A", "on_hand": 1},
        {"node_id": "far", "sku": "A", "on_hand": 9},
        {"node_id": "near", "sku": "B", "on_hand": 9},
    ]
    assert (await empty.put("/v1/network", json=NETWORK)).status_code == 200
    assert (await empty.put("/v1/stock", json=stock)).status_code == 200
    answer = await empty.post("/v1/orders/bulk", content=ndjson(*orders()[:2]))
    plain, with_b = (json.loads(line) for line in answer.text.splitlines())
    assert plain["parcels"][0]["node_id"] == "far"
    assert [parcel["node_id"] for parcel in with_b["parcels"]] == ["near"]
    assert float(plain["cost"]["total"]) + float(with_b["cost"]["total"]) == 17.0
