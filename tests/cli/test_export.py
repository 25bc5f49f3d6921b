"""`apportion export` and `reconcile` over an archive, on the command line."""

from __future__ import annotations

import csv
import time
import urllib.request
from pathlib import Path

import msgspec

from api.cli.codes import ExitCode
from tests.cli.conftest import Running, apportion
from tests.cli.test_service import ORDERS, prepare


def test_export_from_a_running_service(service: Running, tmp_path: Path) -> None:
    """What was decided can be taken away: orders and decisions whole, stock changes as a table."""
    orders = prepare(service, tmp_path, "export")
    at = ("--url", service.url, "--partition", "export", "--json")
    apportion("import", "stock.csv", "--kind", "stock", *at, cwd=tmp_path)
    apportion("replay", str(orders), *at, cwd=tmp_path)
    request = urllib.request.Request(f"{service.url}/v1/orders", headers={"Apportion-Partition": "export"})
    deadline = time.monotonic() + 60
    while msgspec.json.decode(urllib.request.urlopen(request, timeout=60).read())["archive"]["entries"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    where = ("--data-dir", str(service.data_dir), "--partition", "export")
    out = tmp_path / "orders.ndjson"
    told = apportion("export", *where, "--output", str(out), "--json")
    assert told.returncode == ExitCode.OK, told.stdout + told.stderr
    assert msgspec.json.decode(told.stdout)["rows"] == ORDERS
    first = msgspec.json.decode(out.read_bytes().splitlines()[0])
    assert first["state"] == "allocated"
    assert first["order"]["ship_to"]["country"] == "US"
    decisions = apportion("export", *where, "--what", "decisions")
    assert len([msgspec.json.decode(line) for line in decisions.stdout.splitlines()]) == ORDERS
    table = apportion("export", *where, "--what", "stock", "--format", "csv")
    rows = list(csv.DictReader(table.stdout.splitlines()))
    assert sum(int(row["held_delta"]) for row in rows) == 2 * ORDERS
    assert apportion("export", *where, "--since", "2999-01-01T00:00:00Z").stdout == ""
    assert apportion("export", *where, "--since", "soon").returncode == ExitCode.USAGE
    assert apportion("export", "--data-dir", str(tmp_path / "none")).returncode == ExitCode.USAGE
