"""Zone matrices, docks and the load of nodes over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import NETWORK, order, problem

CARD = {
    "carrier": "usps", "service": "chart", "transit_days": [1, 2, 3],
    "zones": {"kind": "matrix", "matrix": "usps/2026"},
    "rates": [{"up_to_g": 1000, "by_zone": ["3.00", "4.00", "5.00"]}],
}  # fmt: skip
ROWS = "origin,destination,zone\nNYC,US,1\nLAX,US,3\n"
PATH = "/v1/zone-matrices/usps%2F2026"


def with_card(**fields):
    """The network of the tests with one card by matrix instead of lanes."""
    return {"nodes": NETWORK["nodes"], "carriers": [{**CARD, **fields}]}


async def put(client, rows: str):
    """Upload the matrix."""
    return await client.put(PATH, content=rows.encode())


async def test_a_matrix_comes_back_and_is_listed(empty):
    """It may come before any network, and ids may hold a slash."""
    assert (await empty.get("/v1/zone-matrices")).json() == {"matrices": []}
    problem(await empty.get(PATH), 404, "not-found")
    assert (await put(empty, ROWS)).json() == {
        "matrix_id": "usps/2026", "matrix_version": 1, "network_version": 0, "rows": 2, "zones": 3,
    }  # fmt: skip
    shown = await empty.get(PATH)
    assert shown.text == ROWS
    assert shown.headers["content-type"].startswith("text/csv")
    assert (await empty.get("/v1/zone-matrices")).json() == {
        "matrices": [{"matrix_id": "usps/2026", "matrix_version": 1}]
    }
    other = {"apportion-partition": "other"}
    assert (await empty.get("/v1/zone-matrices", headers=other)).json() == {"matrices": []}


async def test_orders_are_priced_by_their_zone(client):
    """Zone 1 is the first price; replacing the matrix changes the next decision, and makes a new network version."""
    await put(client, ROWS)
    assert (await client.put("/v1/network", json=with_card())).json() == {"network_version": 2}
    first = (await client.post("/v1/orders", json=order("O-1"))).json()
    assert (first["parcels"][0]["node_id"], first["parcels"][0]["cost"]["shipping"]) == ("NYC", "3.00")
    assert (await put(client, "NYC,US,3\nLAX,US,2")).json()["network_version"] == 3
    second = (await client.post("/v1/orders", json=order("O-2"))).json()
    assert (second["parcels"][0]["node_id"], second["parcels"][0]["cost"]["shipping"]) == ("LAX", "4.00")
    assert second["window"]["network_version"] == 3


async def test_no_row_is_no_lane(client):
    """A pair that the matrix does not have is not served by it, and the reason says so."""
    await put(client, "NYC,CA,1")
    await client.put("/v1/network", json=with_card())
    answer = (await client.post("/v1/orders", json=order("O-1"))).json()
    assert (answer["status"], answer["unallocated"][0]["reason"]) == ("refused", "no_lane")


async def test_a_network_names_only_matrices_that_fit(client):
    """Neither a matrix that is not there nor one with more zones than prices; the fault has its path."""
    body = problem(await client.put("/v1/network", json=with_card()), 422, "invalid-input")
    assert [error["path"] for error in body["errors"]] == ["$.carriers[0].zones.matrix"]
    await put(client, "NYC,US,4")
    body = problem(await client.put("/v1/network", json=with_card()), 422, "invalid-input")
    assert "zone 4" in body["errors"][0]["reason"]
    assert (await client.get("/v1/network")).json()["network_version"] == 1


@pytest.mark.parametrize(
    "zones",
    [{"kind": "matrix"}, {"kind": "matrix", "matrix": "usps/2026", "upper": [1]}, {"kind": "zone_matrix"}],
)
async def test_bad_zones_are_refused(client, zones):
    """A matrix needs its id and no boundaries."""
    await put(client, ROWS)
    body = problem(await client.put("/v1/network", json=with_card(zones=zones)), 422, "invalid-input")
    assert body["errors"][0]["path"].startswith("$.carriers[0].zones")


async def test_a_used_matrix_keeps_to_the_zones_of_its_services(client):
    """The rows that the network has no price for are named, and nothing is changed."""
    await put(client, ROWS)
    await client.put("/v1/network", json=with_card())
    body = problem(await put(client, "NYC,US,1\nLAX,US,4\nLAX,CA,5"), 422, "invalid-input")
    assert [error["path"] for error in body["errors"]] == ["line 2: zone", "line 3: zone"]
    assert (await client.get(PATH)).text == ROWS
    assert (await client.get("/v1/network")).json()["network_version"] == 2


@pytest.mark.parametrize("rows", ["", "NYC,US", "NYC,US,0", "NYC,US,1\nNYC,US,2", "\xff,US,1,"])
async def test_a_bad_matrix_is_refused(client, rows):
    """Faults come as a problem with lines."""
    body = problem(await put(client, rows), 422, "invalid-input")
    assert body["errors"][0]["path"].startswith("line ")
    problem(await client.get(PATH), 404, "not-found")


async def test_a_large_matrix_does_not_hold_up_the_loop(client):
    """100,000 rows are read and compiled elsewhere: the loop turns meanwhile, and an order gets its zone."""
    nodes = [{**node, "postal_code": f"{code}"} for node, code in zip(NETWORK["nodes"], (10001, 90001), strict=True)]
    rows = "\n".join(f"US:{o:03},US:{d:03},{(o + d) % 3 + 1}" for o in range(100, 200) for d in range(1000))
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.002)
            turns += 1

    turning = asyncio.create_task(turn())
    assert (await put(client, rows)).json()["rows"] == 100_000
    await client.put("/v1/network", json={**with_card(), "nodes": nodes})
    ship_to = {"country": "US", "postal_code": "94107"}
    answer = (await client.post("/v1/orders", json={**order("O-1"), "ship_to": ship_to})).json()
    turning.cancel()
    assert turns >= 10
    assert answer["parcels"][0]["cost"]["shipping"] == "3.00"  # (100 + 941) % 3 + 1: zone 1


async def test_there_is_an_end_to_matrices(empty, monkeypatch):
    """A partition cannot be filled with charts; those that are there can still be replaced."""
    monkeypatch.setattr("engine.matrices.MATRICES_MAX", 1)
    await put(empty, ROWS)
    problem(await empty.put("/v1/zone-matrices/other", content=ROWS.encode()), 422, "invalid-input")
    assert (await put(empty, ROWS)).json()["matrix_version"] == 2


async def test_patching_a_node_keeps_the_matrix(client):
    """A new version of the network is compiled with the matrices it names."""
    await put(client, ROWS)
    await client.put("/v1/network", json=with_card())
    await client.patch("/v1/nodes/NYC", json={"active": False})
    answer = (await client.post("/v1/orders", json=order("O-1"))).json()
    assert answer["parcels"][0]["cost"]["shipping"] == "5.00"


async def test_matrix_and_network_written_at_once_fit_each_other(client):
    """Whoever comes second is checked against the first: no network ever names zones it has no price for."""
    await put(client, ROWS)
    for k in range(20):
        rows = ROWS if k % 2 else "NYC,US,2\nLAX,US,4\n"
        prices = 3 + k // 10
        by_zone = ["1.00"] * prices
        network = with_card(transit_days=[1] * prices, rates=[{"up_to_g": 1000, "by_zone": by_zone}])
        await asyncio.gather(put(client, rows), client.put("/v1/network", json=network))
        stored = (await client.get("/v1/network")).json()["network"]
        matrix = (await client.get(PATH)).text
        if stored["carriers"]:
            assert matrix.count(",4\n") == 0 or len(stored["carriers"][0]["transit_days"]) == 4


async def test_a_dock_is_stored_and_lies_in_one_country(client):
    """The field comes back; a dock in two countries is refused at the node that does not fit."""
    nodes = [{**node, "dock": "WEST"} for node in NETWORK["nodes"]]
    await client.put("/v1/network", json={**NETWORK, "nodes": nodes})
    stored = (await client.get("/v1/network")).json()["network"]["nodes"]
    assert [node["dock"] for node in stored] == ["WEST", "WEST"]
    nodes[1] = {**nodes[1], "country": "CA"}
    body = problem(await client.put("/v1/network", json={**NETWORK, "nodes": nodes}), 422, "invalid-input")
    assert [error["path"] for error in body["errors"]] == ["$.nodes[1].dock"]
    body = problem(await client.patch("/v1/nodes/LAX", json={"country": "CA"}), 422, "invalid-input")
    assert [error["path"] for error in body["errors"]] == ["$.dock"]
    problem(await client.patch("/v1/nodes/LAX", json={"dock": ""}), 422, "invalid-input")


async def test_a_parcel_takes_stock_from_all_along_the_dock(client):
    """Ten units of which the first node has six: one parcel where it leaves, the units where the stock lay."""
    nodes = [{**node, "dock": "WEST"} for node in NETWORK["nodes"]]
    await client.put("/v1/network", json={**NETWORK, "nodes": nodes})
    await client.put("/v1/stock", json={"node_id": "NYC", "sku": "A", "on_hand": 6})
    [parcel] = (await client.post("/v1/orders", json=order("O-1", quantity=10))).json()["parcels"]
    assert parcel["node_id"] == "NYC"
    loads = [(await client.get(f"/v1/nodes/{n}/load?date={parcel['ship_by'][:10]}")).json() for n in ("NYC", "LAX")]
    lent = sum(line["quantity"] for line in parcel["lines"] if line.get("node_id", "NYC") == "LAX")
    assert lent >= 4
    assert [(load["parcels"], load["units"]) for load in loads] == [(1, 10 - lent), (0, lent)]


async def test_the_load_of_a_node_is_shown_by_day(client):
    """Parcels and units of the ship date beside what the node can do; null where it has no limit."""
    await client.patch("/v1/nodes/NYC", json={"capacity": {"parcels_per_day": 2}, "timezone": "America/New_York"})
    shipped = (await client.post("/v1/orders", json=order("O-1", quantity=3))).json()
    day = shipped["parcels"][0]["ship_by"][:10]
    assert (await client.get(f"/v1/nodes/NYC/load?date={day}")).json() == {
        "node_id": "NYC", "date": day, "parcels": 1, "units": 3,
        "capacity": {"parcels_per_day": 2, "units_per_day": None}, "room": {"parcels": 1, "units": None},
    }  # fmt: skip
    assert (await client.get("/v1/nodes/NYC/load")).json()["date"] == day
    empty = (await client.get("/v1/nodes/LAX/load?date=2031-01-01")).json()
    assert (empty["parcels"], empty["units"], empty["room"]) == (0, 0, {"parcels": None, "units": None})


@pytest.mark.parametrize(
    "query", ["date=today", "date=2026-02-30", "date=20261123", "date=1066-10-14", "day=2026-11-23"]
)
async def test_a_bad_date_is_refused(client, query):
    """Only a date of the calendar, in its documented form."""
    problem(await client.get(f"/v1/nodes/NYC/load?{query}"), 422, "invalid-input")


async def test_only_nodes_of_the_network_have_a_load(client, empty):
    """Unknown nodes and partitions without a network are not found."""
    problem(await client.get("/v1/nodes/NOWHERE/load"), 404, "not-found")
    problem(await empty.get("/v1/nodes/NYC/load", headers={"apportion-partition": "none"}), 404, "not-found")
