"""The forecast over HTTP: taken whole or not at all, replaced, and read back."""

from __future__ import annotations

import pytest

from tests.api.conftest import ndjson, problem

BOSTON = {"sku": "A", "country": "US", "zone": "Boston", "units_per_day": 12.5}
NEW_YORK = {"sku": "A", "country": "US", "region": "NY", "postal_code": "10001", "units_per_day": 3}
SHOWN = {"region": None, "postal_code": None, "zone": None}


async def test_a_forecast_replaces_the_one_before(client):
    """As an array or a row a line; it has a version, and is read back with its defaults."""
    none = {"forecast_version": 0, "rows": []}
    assert (await client.get("/v1/forecast")).json() == none
    written = await client.put("/v1/forecast", json=[BOSTON, NEW_YORK])
    assert (written.status_code, written.json()) == (200, {"forecast_version": 1, "rows": 2})
    shown = (await client.get("/v1/forecast")).json()
    assert shown == {"forecast_version": 1, "rows": [{**SHOWN, **BOSTON}, {**SHOWN, **NEW_YORK}]}
    answer = await client.put("/v1/forecast", content=ndjson(NEW_YORK))
    assert answer.json() == {"forecast_version": 2, "rows": 1}
    assert (await client.get("/v1/forecast")).json()["rows"] == [{**SHOWN, **NEW_YORK}]
    assert (await client.put("/v1/forecast", json=[])).json() == {"forecast_version": 3, "rows": 0}
    assert (await client.get("/v1/forecast")).json() == {"forecast_version": 3, "rows": []}


async def test_every_fault_of_a_forecast_has_its_line_and_nothing_changes(client):
    """A file is put right once, not line by line; one bad row keeps the others out, for a forecast is a whole."""
    await client.put("/v1/forecast", json=[BOSTON])
    rows = [
        BOSTON,
        {**BOSTON, "units_per_day": 0},
        {**NEW_YORK, "country": "us"},
        {**BOSTON, "units_per_day": 1},
        {**NEW_YORK, "units": 1},
        {"sku": "A", "country": "US"},
    ]
    for content in (ndjson(*rows), b"[" + b",".join(ndjson(row) for row in rows) + b"]"):
        body = problem(await client.put("/v1/forecast", content=content), 422, "invalid-input")
        assert [error["path"] for error in body["errors"]] == [
            "line 2: $.units_per_day", "line 3: $.country", "line 4: $.sku", "line 5: $.units",
            "line 6: $.units_per_day",
        ]  # fmt: skip
        assert body["errors"][2]["reason"] == "line 1 has the same SKU and destination"
    assert (await client.get("/v1/forecast")).json()["forecast_version"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b'[{"sku": "A"', b"nonsense", b'[{"sku": "\xff"}]'])
async def test_what_is_no_forecast_changes_nothing(client, body):
    """Syntax faults are 400 with their byte."""
    assert "byte" in problem(await client.put("/v1/forecast", content=body), 400, "malformed-body")
    assert (await client.get("/v1/forecast")).json()["forecast_version"] == 0


async def test_a_forecast_too_long_is_refused_whole(client, monkeypatch):
    """Beyond what prices can remember nothing is half taken."""
    monkeypatch.setattr("api.forecast.ROWS_MAX", 2)
    rows = [{**BOSTON, "sku": f"S{k}"} for k in range(3)]
    problem(await client.put("/v1/forecast", json=rows), 413, "too-large")
    assert (await client.put("/v1/forecast", json=rows[:2])).status_code == 200
