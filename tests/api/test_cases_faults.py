"""Bad input in every field of the allocation domain: refused with its path and reason, and nothing is changed."""

from __future__ import annotations

import pytest

from tests.api.conftest import problem
from tests.api.scenes import order_of

pytestmark = pytest.mark.parametrize("scene", ["memory"], indirect=True)
"""Nothing of this reaches a store."""

GIVEN = ("AB", {"X": {"A": 5}}, [{"sku": "X"}, {"sku": "K", "components": [{"sku": "X", "quantity": 2}]}])


async def picture(scene):
    """Stock, catalogue, network and policy as they can be read."""
    paths = ("stock/X", "skus/X", "skus/K", "network", "policies/default", "zone-matrices")
    return [(await scene.http.get(f"/v1/{path}")).text for path in paths]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"limits": {"max_parcels": 0}}, "$.limits.max_parcels"),
        ({"limits": {"max_parcels": 1.5}}, "$.limits.max_parcels"),
        ({"limits": {"ship_complete": "yes"}}, "$.limits.ship_complete"),
        ({"limits": {"split_lines": None}}, "$.limits.split_lines"),
        ({"limits": {"nodes": "A"}}, "$.limits.nodes"),
        ({"limits": {"nodes": ["A", ""]}}, "$.limits.nodes[1]"),
        ({"limits": {"except_nodes": [{}]}}, "$.limits.except_nodes[0]"),
        ({"limits": {"nodes": ["A"], "except_nodes": ["A"]}}, "$.limits.except_nodes"),
        ({"limits": {"min_split_value": 20}}, "$.limits.min_split_value"),
        ({"limits": {"min_split_value": "-1"}}, "$.limits.min_split_value"),
        ({"limits": {"allow_late": 1}}, "$.limits.allow_late"),
        ({"limits": {"allow_substitutes": "true"}}, "$.limits.allow_substitutes"),
        ({"limits": {"max_boxes": 1}}, "$.limits"),
        ({"pickup_node": ""}, "$.pickup_node"),
        ({"pickup_node": "A", "limits": {"nodes": ["B"]}}, "$.pickup_node"),
        ({"pickup_node": "A", "limits": {"except_nodes": ["A"]}}, "$.pickup_node"),
        ({"backorder": "no"}, "$.backorder"),
        ({"hold_seconds": 0}, "$.hold_seconds"),
        ({"deliver_by": "2030-01-07"}, "$.deliver_by"),
        ({"lines": [{"line_id": "1", "sku": "X", "quantity": 1, "group": ""}]}, "$.lines[0].group"),
        ({"lines": [{"line_id": "1", "sku": "X", "quantity": 1, "unit_price": "1.2345"}]}, "$.lines[0].unit_price"),
    ],
)
async def test_orders(scene, fields, path):
    """Orders, replacements and quotes alike: the first fault with its path; no order, no hold."""
    await scene.open(*GIVEN)
    before, body = await picture(scene), {**order_of("O", ("X", 1)), **fields}
    for answer in (
        await scene.http.post("/v1/orders", json=body),
        await scene.http.put("/v1/orders/O", json=body),
        await scene.http.post("/v1/quotes", json=body),
    ):
        (error,) = problem(answer, 422, "invalid-input")["errors"]
        # An unknown field is told by the object that has it.
        assert (error["path"].startswith(path), bool(error["reason"])) == (True, True)
    assert (await scene.http.get("/v1/orders/O")).status_code == 404
    assert await picture(scene) == before


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"sku": "N", "components": [{"sku": "N", "quantity": 1}]}, "$.components[0].sku"),
        ({"sku": "N", "components": [{"sku": "K", "quantity": 1}]}, "$.components[0].sku"),
        ({"sku": "N", "components": [{"sku": "X", "quantity": 0}]}, "$.components[0].quantity"),
        ({"sku": "N", "components": [{"sku": "X", "quantity": 1}] * 2}, "$.components[1].sku"),
        ({"sku": "X", "components": [{"sku": "Y", "quantity": 1}]}, "$.components"),
        ({"sku": "N", "substitutes": [{"sku": "N", "ratio": 1}]}, "$.substitutes[0].sku"),
        ({"sku": "N", "substitutes": [{"sku": "X", "ratio": 0}]}, "$.substitutes[0].ratio"),
        ({"sku": "N", "ships_alone": 1}, "$.ships_alone"),
    ],
)
async def test_kits_and_substitutes(scene, entry, path):
    """Kits that nest, contain themselves or name a part twice; ratios and quantities that are none."""
    await scene.open(*GIVEN)
    before = await picture(scene)
    body = problem(await scene.http.put("/v1/skus", json=entry), 422, "invalid-input")
    assert [error["path"].split(": ")[-1] for error in body["errors"]] == [path]
    assert await picture(scene) == before
    assert entry["sku"] == "X" or (await scene.http.get(f"/v1/skus/{entry['sku']}")).status_code == 404


async def test_cyclic_kits_are_refused_with_every_fault(scene):
    """A ring of three kits: each row that is part of it is named, the good row beside them is taken."""
    await scene.open(*GIVEN)
    ring = [{"sku": a, "components": [{"sku": b, "quantity": 1}]} for a, b in (("P", "Q"), ("Q", "R"), ("R", "P"))]
    answer = (await scene.http.put("/v1/skus", json=[*ring, {"sku": "G"}])).json()
    assert answer["accepted"] == 1
    assert {fault["line"] for fault in answer["errors"]} == {1, 2, 3}
    assert [(await scene.http.get(f"/v1/skus/{sku}")).status_code for sku in "PQRG"] == [404, 404, 404, 200]


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"node_id": "MOON"}, "node_id"),
        ({"quantity": -1}, "$.quantity"),
        ({"expected_at": "soon"}, "$.expected_at"),
        ({"expected_at": "2030-01-07T09:00:00"}, "$.expected_at"),
        ({"incoming_id": ""}, "$.incoming_id"),
        ({"colour": "red"}, "$"),
    ],
)
async def test_incoming_stock(scene, row, path):
    """Rows of what is to come in: node, quantity, instant and id are looked at, and a bad row is not written."""
    await scene.open(*GIVEN)
    before = await picture(scene)
    whole = {
        "incoming_id": "I",
        "node_id": "A",
        "sku": "X",
        "quantity": 2,
        "expected_at": "2030-01-07T09:00:00Z",
        **row,
    }
    body = problem(await scene.http.put("/v1/stock/incoming", json=whole), 422, "invalid-input")
    assert body["errors"][0]["path"].split(": ")[-1].startswith(path)
    assert await picture(scene) == before


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({}, "$"),
        ({"command_id": "C", "except_nodes": "A"}, "$.except_nodes"),
        ({"command_id": "C", "except_nodes": [1]}, "$.except_nodes[0]"),
        ({"command_id": "C", "dry_run": "yes"}, "$.dry_run"),
        ({"command_id": "C", "reason": 5}, "$.reason"),
        ({"command_id": "C", "nodes": ["A"]}, "$"),
        ({"command_id": ""}, "$.command_id"),
    ],
)
async def test_reroutes(scene, asked, path):
    """A re-route needs its command id and a list of nodes; the order stays as it was decided."""
    await scene.open(*GIVEN)
    decision = await scene.order("O", ("X", 2))
    body = problem(await scene.http.post("/v1/orders/O/reroute", json=asked), 422, "invalid-input")
    assert body["errors"][0]["path"].startswith(path)
    assert (await scene.http.get("/v1/orders/O")).json()["decision"] == decision
    assert await scene.held("X") == {"A": 2}


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"mode": "cheapest"}, "$.mode"),
        ({"objective": {"late_per_day": "-1"}}, "$.objective.late_per_day"),
        ({"limits": {"max_parcels": 0}}, "$.limits.max_parcels"),
        ({"limits": {"nodes": ["MOON"]}}, "$.limits.nodes[0]"),
        ({"capacity_horizon_days": 31}, "$.capacity_horizon_days"),
        ({"rules": [{"name": "r", "then": {"limits": {"max_parcels": 0}}}]}, "$.rules[0].then.limits.max_parcels"),
        ({"rules": [{"name": "r", "then": {"money": {"MOON": "1"}}}]}, "$.rules[0].then.money.MOON"),
        ({"rules": [{"name": "r", "when": {"priority": {"min": 2, "max": 1}}}]}, "$.rules[0].when.priority"),
        ({"rules": [{"name": "r", "then": {"mode": "random"}}]}, "$.rules[0].then.mode"),
        ({"rules": [{"name": "r", "then": {"nodes": ["A"]}}, {"name": "s", "then": {"except_nodes": ["A"]}}]},
         "$.rules[1].then"),
    ],
)  # fmt: skip
async def test_policies(scene, policy, path):
    """Modes, money, ranges, nodes that are not there, and rules that leave no node."""
    await scene.open(*GIVEN)
    before = await picture(scene)
    body = problem(await scene.http.put("/v1/policies/default", json=policy), 422, "invalid-input")
    assert path in [error["path"] for error in body["errors"]]
    assert await picture(scene) == before


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("A,US,1\nA,US,2\n", 2),
        ("origin,destination,zone\nA,US,0\n", 2),
        ("A,US,1001\n", 1),
        ("A,US\n", 1),
        ('A,"US,1\n', 1),
    ],
)
async def test_zone_matrices(scene, rows, line):
    """Each faulty row by its line; the matrix is not stored."""
    await scene.open(*GIVEN)
    before = await picture(scene)
    answer = await scene.http.put("/v1/zone-matrices/M", content=rows.encode())
    assert problem(answer, 422, "invalid-input")["errors"][0]["path"].startswith(f"line {line}")
    assert await picture(scene) == before


@pytest.mark.parametrize(("field", "value"), [("dock", ""), ("dock", 5), ("capacity", {"parcels_per_day": -1})])
async def test_nodes(scene, field, value):
    """Docks have a name and capacities are counts, in a network as in a patch."""
    await scene.open(*GIVEN)
    before, network = await picture(scene), scene.books.network
    nodes = [{**network["nodes"][0], field: value}, *network["nodes"][1:]]
    body = problem(await scene.http.put("/v1/network", json={**network, "nodes": nodes}), 422, "invalid-input")
    assert body["errors"][0]["path"].startswith(f"$.nodes[0].{field}")
    problem(await scene.http.patch("/v1/nodes/A", json={field: value}), 422, "invalid-input")
    assert await picture(scene) == before
