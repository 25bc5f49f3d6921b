"""Policies over HTTP, and what they do to orders."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.conftest import NETWORK, ndjson, order, problem


async def put(client: httpx.AsyncClient, policy: dict[str, Any], policy_id: str = "default") -> int:
    answer = await client.put(f"/v1/policies/{quote(policy_id, safe='')}", json=policy)
    assert answer.status_code == 200, answer.text
    assert answer.json()["policy_id"] == policy_id
    version: int = answer.json()["policy_version"]
    return version


async def decided(client: httpx.AsyncClient, *arguments: Any, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/orders", json=order(*arguments, **fields))
    assert answer.status_code == 201, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


async def test_the_default_exists_from_the_start(client, empty):
    """Nobody has to write a policy; the built-in one can be read, as version 1."""
    answer = (await empty.get("/v1/policies/default")).json()
    assert (answer["policy_id"], answer["policy_version"]) == ("default", 1)
    assert answer["policy"]["objective"]["late_per_day"] == "5.00"
    assert (await empty.get("/v1/policies")).json() == {"policies": [{"policy_id": "default", "policy_version": 1}]}
    assert (await decided(client))["window"]["policy_version"] == 1


async def test_versions_are_kept(client):
    """What a decision was made by can be read later: each policy counts its own versions."""
    assert [await put(client, {"mode": mode}) for mode in ("nearest", "sequence")] == [2, 3]
    assert [await put(client, {"mode": mode}, "b/c d") for mode in ("most_stock", "optimise")] == [1, 2]
    modes = {n: (await client.get(f"/v1/policies/default?version={n}")).json()["policy"]["mode"] for n in (1, 2, 3)}
    assert modes == {1: "optimise", 2: "nearest", 3: "sequence"}
    current = (await client.get("/v1/policies/b%2Fc%20d")).json()
    assert (current["policy_version"], current["policy"]["mode"]) == (2, "optimise")
    listed = (await client.get("/v1/policies")).json()["policies"]
    assert [(each["policy_id"], each["policy_version"]) for each in listed] == [("default", 3), ("b/c d", 2)]
    assert (await client.put("/v1/policies/default", json=current["policy"])).json()["policy_version"] == 4


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/v1/policies/other", 404, "not-found"),
        ("/v1/policies/default?version=2", 404, "not-found"),
        ("/v1/policies/other?version=1", 404, "not-found"),
        ("/v1/policies/default?version=0", 422, "invalid-input"),
        ("/v1/policies/default?version=x", 422, "invalid-input"),
        ("/v1/policies/default?since=1", 422, "invalid-input"),
        ("/v1/policies?version=1", 422, "invalid-input"),
        ("/v1/policies/a%7Bb", 422, "invalid-input"),
    ],
)
async def test_what_is_not_there(client, path, status, slug):
    """An unknown policy or version is 404, a bad question 422."""
    problem(await client.get(path), status, slug)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"mode": "\xff"}', 400),
        (b"[]", 422),
        (b'{"mode": "fastest"}', 422),
        (b'{"mode": "nearest", "mode": "nearest"}', 422),
        (json.dumps({"rules": [{"name": "r", "then": {"nodes": ["MOON"]}}]}).encode(), 422),
    ],
)
async def test_a_bad_policy_changes_nothing(client, body, status):
    """Syntax faults are 400 with the byte, all others 422 with their paths."""
    slug = "malformed-body" if status == 400 else "invalid-input"
    assert problem(await client.put("/v1/policies/default", content=body), status, slug)["errors"]
    assert (await client.get("/v1/policies/default")).json()["policy_version"] == 1


async def test_contradictions_are_refused_with_every_fault(client):
    """A contradictory policy is refused whole, and each fault is named by its path."""
    rules = [
        {"name": "a", "then": {"nodes": ["NYC"], "except_nodes": ["NYC"]}},
        {"name": "a", "when": {"value": {"min": "2", "max": "1"}}, "then": {"except_nodes": ["MOON"]}},
    ]
    body = problem(await client.put("/v1/policies/p", json={"rules": rules}), 422, "invalid-input")
    named = ["$.rules[1].name", "$.rules[1].when.value", "$.rules[1].then.except_nodes[0]", "$.rules[0].then"]
    assert [error["path"] for error in body["errors"]] == named


async def test_orders_name_their_policy(client):
    """Each order is decided by the policy it names, and its decision tells that policy's version."""
    await put(client, {"objective": {"fill": "economic", "unfilled_per_unit": "0.01"}}, "stingy")
    for _ in range(2):
        await put(client, {})
    stingy, default = await decided(client, "S", policy_id="stingy"), await decided(client, "D")
    assert (stingy["status"], stingy["window"]["policy_version"]) == ("refused", 1)
    assert (default["status"], default["window"]["policy_version"]) == ("allocated", 3)
    body = problem(await client.post("/v1/orders", json=order("X", policy_id="none")), 422, "invalid-input")
    assert body["errors"] == [{"path": "$.policy_id", "reason": "there is no policy 'none'"}]


async def test_many_orders_of_several_policies(client):
    """A bulk upload may mix policies: each order gets its own, an unknown one stops no other."""
    await put(client, {"objective": {"fill": "economic", "unfilled_per_unit": "0.01"}}, "stingy")
    names = ["default", "stingy", "none"] * 3
    body = ndjson(*(order(f"B{k}", policy_id=name) for k, name in enumerate(names)))
    lines = [json.loads(line) for line in (await client.post("/v1/orders/bulk", content=body)).text.splitlines()]
    assert [line["status"] for line in lines] == ["allocated", "refused", 422] * 3


async def test_a_node_that_rules_name_may_leave(client):
    """A network without a node that a policy names is taken; the policy goes on without it."""
    await put(client, {"rules": [{"name": "r", "then": {"except_nodes": ["LAX"]}}]})
    await client.put("/v1/stock", json=[{"node_id": "LAX", "sku": "A", "on_hand": 0}])
    network = {"nodes": NETWORK["nodes"][:1], "lanes": NETWORK["lanes"][:1]}
    assert (await client.put("/v1/network", json=network)).status_code == 200
    assert (await decided(client))["status"] == "allocated"


@pytest.mark.parametrize(
    ("then", "node_id"),
    [
        ({"nodes": ["LAX"]}, "LAX"),
        ({"except_nodes": ["NYC"]}, "LAX"),
        ({"kinds": ["store"]}, "LAX"),
        ({"except_kinds": ["store"]}, "NYC"),
        ({"limits": {"except_nodes": ["NYC"]}}, "LAX"),
        ({"money": {"NYC": "1.99"}}, "NYC"),
        ({"money": {"NYC": "2.01"}}, "LAX"),
        ({"mode": "most_stock"}, "LAX"),
    ],
)
async def test_rules_move_the_orders_they_match_and_no_others(client, then, node_id):
    """Each thing a rule can do reaches the decision, with the cost of shipping alone in its total."""
    nodes = [NETWORK["nodes"][0], {**NETWORK["nodes"][1], "kind": "store"}]
    await client.put("/v1/network", json={**NETWORK, "nodes": nodes})
    await client.put("/v1/stock", json=[{"node_id": "LAX", "sku": "A", "on_hand": 20}])
    await put(client, {"rules": [{"name": "r", "when": {"channel": "app"}, "then": then}]})
    matched, other = await decided(client, "M", channel="app"), await decided(client, "N", channel="web")
    assert [parcel["node_id"] for parcel in matched["parcels"]] == [node_id]
    assert matched["cost"]["total"] == {"NYC": "5.00", "LAX": "7.00"}[node_id]
    assert [parcel["node_id"] for parcel in other["parcels"]] == ["NYC"]


async def test_limits_of_policy_and_rules_hold(client):
    """A policy's limits hold for all its orders, a rule's for those it matches, beside their own."""
    await put(client, {"limits": {"max_parcels": 1}, "rules": [
        {"name": "whole", "when": {"value": {"min": "100.00"}}, "then": {"limits": {"ship_complete": True}}},
    ]})  # fmt: skip
    cheap, dear = await decided(client, "C", "A", 12), await decided(client, "D", "B", 9)
    assert (cheap["status"], len(cheap["parcels"])) == ("partially_allocated", 1)
    assert dear["status"] == "partially_allocated"
    lines = [{"line_id": "1", "sku": "B", "quantity": 9, "unit_price": "20.00"}]
    assert (await decided(client, "E", lines=lines))["status"] == "refused"


async def test_weights_steer_and_are_not_paid(client):
    """Shipping that counts for nothing lets cheaper handling win; the decision's cost is what it really costs."""
    costs = {"NYC": {"per_parcel": "1.00"}, "LAX": {"per_parcel": "0.10"}}
    nodes = [{**node, "costs": costs[node["node_id"]]} for node in NETWORK["nodes"]]
    await client.put("/v1/network", json={**NETWORK, "nodes": nodes})
    assert (await decided(client, "O-0"))["parcels"][0]["node_id"] == "NYC"
    await put(client, {"objective": {"shipping": 0, "late_per_day": "0"}})
    steered = await decided(client, "O-1")
    assert (steered["parcels"][0]["node_id"], steered["cost"]["total"]) == ("LAX", "7.10")


async def test_a_rule_that_excludes_nothing_changes_no_decision(client):
    """Adding an idle rule moves nothing: same nodes, same costs, same guidance."""
    before = await decided(client, "O-1", "A", 3)
    await put(client, {"rules": [{"name": "idle", "then": {"except_nodes": [], "money": {"NYC": "0"}}}]})
    after = await decided(client, "O-2", "A", 3)
    for name in ("status", "cost", "guidance", "unallocated"):
        assert after[name] == before[name]
    assert [parcel["node_id"] for parcel in after["parcels"]] == [parcel["node_id"] for parcel in before["parcels"]]
