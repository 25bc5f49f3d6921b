"""Commands against a running service: load, replay, resume, reconcile, stop."""

from __future__ import annotations

import signal
import urllib.request
from pathlib import Path

import msgspec
import redis

from api.cli.codes import ExitCode
from engine.ledger.server.files import running_url
from tests.cli.conftest import NETWORK, Running, apportion, end, serve

ORDERS = 40


def prepare(service: Running, directory: Path, partition: str) -> Path:
    """A network, two SKUs and stock in a partition of their own, and an order file."""
    request = urllib.request.Request(
        f"{service.url}/v1/network",
        msgspec.json.encode(NETWORK),
        {"Content-Type": "application/json", "Apportion-Partition": partition},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status in (200, 201)
    (directory / "skus.csv").write_text("sku,weight_g\nA,60\nB,90\n")
    (directory / "stock.csv").write_text("node_id,sku,on_hand\nE,A,1000\nW,B,1000\nX,B,5\n")
    rows = [f"O-{n},{sku},1,US,2026-11-23T10:00:{n % 60:02d}Z" for n in range(ORDERS) for sku in "AB"]
    path = directory / "orders.csv"
    path.write_text("order_id,sku,quantity,country,placed_at\n" + "\n".join(rows) + "\n")
    return path


def test_load_replay_and_resume(service: Running, tmp_path: Path) -> None:
    """The whole way of a newcomer's own data; a second replay answers with first decisions and changes nothing."""
    orders = prepare(service, tmp_path, "newcomer")
    at = ("--url", service.url, "--partition", "newcomer", "--json")
    skus = apportion("import", "skus.csv", "--kind", "skus", *at, cwd=tmp_path)
    assert skus.returncode == ExitCode.OK, skus.stdout + skus.stderr
    stock = apportion("import", "stock.csv", "--kind", "stock", *at, cwd=tmp_path)
    assert stock.returncode == ExitCode.PROBLEMS
    assert msgspec.json.decode(stock.stdout)["loaded"] == 2
    first = apportion("replay", str(orders), *at, cwd=tmp_path)
    assert first.returncode == ExitCode.OK, first.stdout + first.stderr
    figures = msgspec.json.decode(first.stdout)
    assert (figures["orders"], figures["repeats"]) == (ORDERS, 0)
    assert figures["statuses"] == {"allocated": ORDERS}
    assert figures["cost_per_order"] == 10.0
    again = msgspec.json.decode(apportion("replay", str(orders), *at, cwd=tmp_path).stdout)
    assert (again["orders"], again["repeats"], again["cost"]) == (ORDERS, ORDERS, figures["cost"])
    audit = apportion("reconcile", "--check", "--data-dir", str(service.data_dir), "--partition", "newcomer", "--json")
    assert audit.returncode == ExitCode.OK, audit.stdout + audit.stderr
    assert msgspec.json.decode(audit.stdout)["orders"] == ORDERS


def test_reconcile_checks_every_partition(service: Running, tmp_path: Path) -> None:
    """Protects from false peace: unless one is named all partitions are audited, and a fault in any is found."""
    for name in ("sound", "spoilt"):
        prepare(service, tmp_path, name)
        at = ("--url", service.url, "--partition", name)
        apportion("import", "stock.csv", "--kind", "stock", *at, cwd=tmp_path)
    at = ("reconcile", "--check", "--data-dir", str(service.data_dir), "--json")
    audit = apportion(*at)
    assert audit.returncode == ExitCode.OK, audit.stdout + audit.stderr
    report = msgspec.json.decode(audit.stdout)
    audited = {each["partition"]: each for each in report["partitions"]}
    assert {"sound", "spoilt"} <= audited.keys()
    assert all(each["cells"] and each["clean"] for each in audited.values())
    assert report["cells"] == sum(each["cells"] for each in audited.values())
    url = running_url(service.data_dir)
    assert url is not None
    with redis.Redis.from_url(url) as client:
        client.setrange("{spoilt}:stock:A", 6, b"\x07\x00")
    audit = apportion(*at)
    assert audit.returncode == ExitCode.PROBLEMS, audit.stdout + audit.stderr
    report = msgspec.json.decode(audit.stdout)
    assert [each["partition"] for each in report["partitions"] if not each["clean"]] == ["spoilt"]
    assert report["wrong"] == 1
    assert apportion(*at, "--partition", "sound").returncode == ExitCode.OK
    assert apportion(*at, "--partition", "spoilt").returncode == ExitCode.PROBLEMS


def test_import_orders_in_bulk(service: Running, tmp_path: Path) -> None:
    """Orders can also be loaded at once; one that the service refuses is named with its line."""
    orders = prepare(service, tmp_path, "bulk")
    at = ("--url", service.url, "--partition", "bulk", "--json")
    apportion("import", "stock.csv", "--kind", "stock", *at, cwd=tmp_path)
    with orders.open("a") as file:
        file.write("O-late,A,1,US,1900-01-01T00:00:00Z\n")
    result = apportion("import", str(orders), *at, cwd=tmp_path)
    assert result.returncode == ExitCode.PROBLEMS, result.stdout + result.stderr
    document = msgspec.json.decode(result.stdout)
    assert (document["records"], document["loaded"], document["refused_by_service"]) == (ORDERS + 1, ORDERS, 1)


def test_stop_and_restart_keep_everything(tmp_path: Path) -> None:
    """SIGTERM ends with 0; the store can be audited with no service; the next service has the same decisions."""
    data = tmp_path / "data"
    service = serve(data)
    orders = prepare(service, tmp_path, "default")
    apportion("import", "stock.csv", "--kind", "stock", "--url", service.url, cwd=tmp_path)
    apportion("replay", str(orders), "--url", service.url, cwd=tmp_path)
    assert end(service) == 0
    audit = apportion("reconcile", "--check", "--data-dir", str(data))
    assert audit.returncode == ExitCode.OK, audit.stdout + audit.stderr
    assert "clean" in audit.stdout
    service = serve(data)
    try:
        again = apportion("replay", str(orders), "--url", service.url, "--json", cwd=tmp_path)
        assert msgspec.json.decode(again.stdout)["repeats"] == ORDERS
    finally:
        assert end(service) == 0


def test_ctrl_c_ends_a_service_without_a_traceback(tmp_path: Path) -> None:
    """The way most people stop it must look as if it was meant."""
    service = serve(tmp_path / "data")
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(60) == 0
