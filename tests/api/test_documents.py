"""Network and catalogue over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.api.conftest import NETWORK, ndjson, problem


async def test_the_network_is_stored_with_its_defaults(client):
    """GET shows what was stored, its version, and the centroid table in use."""
    view = (await client.get("/v1/network")).json()
    assert view["network_version"] == 1
    assert view["centroid_version"]
    assert view["network"]["nodes"][0]["kind"] == "dc"
    assert (await client.put("/v1/network", json=NETWORK)).json() == {"network_version": 2}
    assert (await client.put("/v1/network", json=view["network"])).json() == {"network_version": 3}


async def test_there_is_none_at_first(empty):
    """404 until it is put."""
    problem(await empty.get("/v1/network"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"nodes": [NaN]}', 400),
        (b'{"currency": "\xff"}', 400),
        (b"[" * 60_000, 400),
        (b"[]", 422),
        (b'{"nodes": []}', 422),
        (json.dumps({**NETWORK, "color": 1}).encode(), 422),
        (b'{"nodes": [{"node_id": "A", "node_id": "B", "country": "US", "lat": 1, "lon": 1}]}', 422),
        (json.dumps({**NETWORK, "lanes": [{"node_id": "X", "to": "*", "service": "s"}]}).encode(), 422),
    ],
)
async def test_a_bad_network_changes_nothing(client, body, status):
    """Syntax faults are 400 with the byte, all others 422 with their paths."""
    answer = problem(
        await client.put("/v1/network", content=body), status, "malformed-body" if status == 400 else "invalid-input"
    )
    assert answer["errors"]
    assert ("byte" in answer) == (status == 400)
    assert (await client.get("/v1/network")).json()["network_version"] == 1


async def test_all_faults_of_a_document_are_named(client):
    """A person fixes a document once, not fault by fault."""
    nodes = [{"node_id": "A", "country": "us", "lat": 99, "lon": 0}, {"node_id": "B", "country": "US", "colour": 1}]
    body = problem(await client.put("/v1/network", json={"nodes": nodes}), 422, "invalid-input")
    assert len(body["errors"]) >= 3


async def test_a_node_can_be_patched(client):
    """A merge patch changes what it names; null brings the default back."""
    assert (await client.patch("/v1/nodes/LAX", json={"active": False})).json() == {"network_version": 2}
    assert (await client.get("/v1/network")).json()["network"]["nodes"][1]["active"] is False
    await client.patch("/v1/nodes/LAX", json={"active": None})
    assert (await client.get("/v1/network")).json()["network"]["nodes"][1]["active"] is True
    problem(await client.patch("/v1/nodes/NOWHERE", json={"active": False}), 404, "not-found")
    problem(await client.patch("/v1/nodes/LAX", json={"active": 3}), 422, "invalid-input")
    problem(await client.patch("/v1/nodes/LAX", json=[1]), 422, "invalid-input")


async def test_a_node_with_stock_stays(client):
    """Removing it is 409, and names it."""
    body = problem(await client.put("/v1/network", json={"nodes": NETWORK["nodes"][1:]}), 409, "node-in-use")
    assert "NYC" in body["detail"]


@pytest.mark.parametrize("form", ["one", "array", "lines"])
async def test_skus_come_in_three_forms(client, form):
    """A single entry, an array, or an entry a line."""
    one, two = {"sku": "S/1", "weight_g": 5}, {"sku": "S2", "value": "1.50"}
    content = {"one": json.dumps(one), "array": json.dumps([one, two]), "lines": ndjson(one, two).decode()}[form]
    answer = (await client.put("/v1/skus", content=content)).json()
    assert answer == {"catalog_version": 1, "accepted": 1 if form == "one" else 2, "faulty": 0, "errors": []}
    assert (await client.get("/v1/skus/S%2F1")).json()["weight_g"] == 5


async def test_faulty_entries_come_back(client):
    """Good entries apply; an upload of faults alone is a problem."""
    answer = (await client.put("/v1/skus", json=[{"sku": "S"}, {"sku": "T", "weight_g": -1}])).json()
    assert (answer["accepted"], answer["errors"][0]["line"], answer["errors"][0]["path"]) == (1, 2, "$.weight_g")
    problem(await client.put("/v1/skus", json={"sku": "T", "weight": 1}), 422, "invalid-input")
    problem(await client.get("/v1/skus/T"), 404, "not-found")
    assert (await client.put("/v1/skus", content=b"[]")).json()["catalog_version"] == 1


KIT = {"sku": "KIT", "components": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}], "ships_alone": True}


async def test_kits_and_substitutes_are_kept(client):
    """The contract's fields come back as they were sent."""
    entry = {**KIT, "substitutes": [{"sku": "OTHER", "ratio": 3}]}
    assert (await client.put("/v1/skus", json=entry)).json()["accepted"] == 1
    assert (await client.get("/v1/skus/KIT")).json().items() >= entry.items()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"components": [{"sku": "A", "quantity": 0}]}, "$.components[0].quantity"),
        ({"components": [{"sku": "A", "quantity": 10_001}]}, "$.components[0].quantity"),
        ({"components": [{"sku": "A"}]}, "$.components[0].quantity"),
        ({"components": [{"sku": f"A{k}", "quantity": 1} for k in range(101)]}, "$.components"),
        ({"components": [{"sku": "KIT", "quantity": 1}]}, "$.components[0].sku"),
        ({"components": [{"sku": "A", "quantity": 1}] * 2}, "$.components[1].sku"),
        ({"substitutes": [{"sku": "KIT", "ratio": 1}]}, "$.substitutes[0].sku"),
        ({"substitutes": [{"sku": "B", "ratio": 0}]}, "$.substitutes[0].ratio"),
        ({"substitutes": [{"sku": "B", "ratio": 1}] * 2}, "$.substitutes[1].sku"),
        ({"ships_alone": 1}, "$.ships_alone"),
    ],
)
async def test_a_bad_kit_is_refused_with_its_path(client, fields, path):
    """Each field of a kit, a substitute and `ships_alone` has its bounds."""
    body = problem(await client.put("/v1/skus", json={"sku": "KIT", **fields}), 422, "invalid-input")
    assert body["errors"][0]["path"] == f"line 1: {path}"
    problem(await client.get("/v1/skus/KIT"), 404, "not-found")


async def test_cyclic_kits_are_refused_with_every_fault_named(client):
    """Both rows of a cycle come back with each reason; a kit that is sound applies, whatever stands around it."""
    cycle = [{"sku": a, "components": [{"sku": b, "quantity": 1}]} for a, b in (("X", "Y"), ("Y", "X"))]
    answer = (await client.put("/v1/skus", json=[*cycle, KIT])).json()
    assert (answer["accepted"], answer["faulty"]) == (1, 2)
    assert [error["line"] for error in answer["errors"]] == [1, 1, 2, 2]
    assert "'Y' is itself a kit (line 2)" in answer["errors"][1]["reason"]
    body = problem(await client.put("/v1/skus", json=cycle), 422, "invalid-input")
    assert len(body["errors"]) == 4


async def test_a_part_of_a_stored_kit_stays_plain(client):
    """Turning it into a kit is refused and names the kits that use it."""
    await client.put("/v1/skus", json=KIT)
    part = {"sku": "A", "components": [{"sku": "C", "quantity": 1}]}
    body = problem(await client.put("/v1/skus", json=part), 422, "invalid-input")
    assert "'KIT'" in body["errors"][0]["reason"]
    assert (await client.put("/v1/skus", json=[{"sku": "KIT"}, part])).json()["accepted"] == 2
