"""`apportion simulate`: on this machine, interrupted and resumed, and by a service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.chaos.service import children_of
from tests.cli.conftest import NETWORK, ROOT, Running, apportion, command, environment
from tests.engine.simulation.jobs.waiting import SECONDS

EXAMPLE = (ROOT / "docs" / "simulations" / "close-a-node.yaml").read_text()


def example(tmp_path: Path, orders_per_day: int) -> Path:
    """The example of the documentation with two seeds and fewer orders."""
    text, found = re.subn(r"orders_per_day: \d+", f"orders_per_day: {orders_per_day}", EXAMPLE)
    text, seeds = re.subn(r"seeds: \[1, 2, 3\]", "seeds: [1, 2]", text)
    assert (found, seeds) == (1, 1), "the example is another one now"
    file = tmp_path / "close.yaml"
    file.write_text(text)
    return file


@pytest.mark.timeout(240)
def test_an_example_runs_in_one_command_and_leaves_a_report(tmp_path: Path):
    """What the documentation says: a table on the terminal, a page, the answer, and every decision of each run."""
    file, output = example(tmp_path, 10), tmp_path / "out"
    ran = apportion("simulate", str(file), "--output", str(output))
    assert ran.returncode == 0, ran.stderr
    assert "Indianapolis moved to Louisville" in ran.stdout
    assert re.search(r"cost per order +[\d.]+ +[\d.]+ +[+-]?[\d.]+ +[+-]?[\d.]+ to [+-]?[\d.]+", ran.stdout), ran.stdout
    answer = json.loads((output / "report.json").read_bytes())
    orders = answer["reports"][0]["figures"]["orders"]
    tables = sorted((output / "decisions").iterdir())
    assert [table.name for table in tables][:2] == [
        "000-baseline-seed-1.parquet",
        "001-Indianapolis-closed-seed-1.parquet",
    ]
    assert len(tables) == 6
    assert len(parquet.read_table(tables[0])) + len(parquet.read_table(tables[3])) == orders > 0
    assert b"Indianapolis closed" in (output / "report.html").read_bytes()
    again = apportion("simulate", str(file), "--output", str(output))
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    resumed = apportion("simulate", "--resume", str(output), "--json")
    assert resumed.returncode == 0
    assert json.loads(resumed.stdout)["answer"] == answer


@pytest.mark.timeout(300)
def test_ctrl_c_ends_it_with_its_processes_and_it_can_be_resumed(tmp_path: Path):
    """Nobody loses an hour: 130, no process left behind, and --resume makes only what is not there."""
    file, output = example(tmp_path, 60), tmp_path / "out"
    arguments = command("simulate", str(file), "--output", str(output), "--workers", "1")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    first, give_up = output / "job" / "runs" / "0000", time.monotonic() + SECONDS
    while not first.is_dir():
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    [worker] = children_of(process.pid)
    assert apportion("simulate", "--resume", str(output)).returncode == 3, "one process at a time"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume {output}" in said
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    before = first.stat().st_ino
    assert apportion("simulate", "--resume", str(output)).returncode == 0
    assert first.stat().st_ino == before
    assert (output / "report.html").is_file()


def test_a_document_that_cannot_be_is_refused_with_its_paths(tmp_path: Path):
    """Every fault on a line of its own, exit code 2, and nothing left on disk."""
    file, output = tmp_path / "bad.yaml", tmp_path / "out"
    file.write_text(EXAMPLE.replace("FC-IND", "FC-XXX"))
    refused = apportion("simulate", str(file), "--output", str(output))
    assert refused.returncode == 2
    assert "$.scenarios[0].patches[0].close_node.node_id: " in refused.stderr
    assert "$.scenarios[1].patches[0].close_node.node_id: " in refused.stderr
    assert not output.exists()
    file.write_text("demand: [")
    assert "line 1" in apportion("simulate", str(file)).stderr


ORDERS = """InvoiceNo,StockCode,Quantity,Country,InvoiceDate
1,A,2,US,2026-11-23T10:00:00
2,A,1,US,2026-11-23T09:00:00
2,B,1,US,2026-11-23T09:00:00
"""
MAPPING = {
    "columns": {
        "order_id": "InvoiceNo", "sku": "StockCode", "quantity": "Quantity",
        "country": "Country", "placed_at": "InvoiceDate",
    }
}  # fmt: skip


def put(service: Running, path: str, document: object) -> None:
    """Write a document to a service."""
    request = urllib.request.Request(service.url + path, json.dumps(document).encode(), method="PUT")
    urllib.request.urlopen(request).close()


def uploaded(tmp_path: Path) -> Path:
    """A document whose orders and stock lie beside it."""
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "stock.csv").write_text("node_id,sku,on_hand\nE,A,3\nW,B,1\n")
    (tmp_path / "network.json").write_text(json.dumps(NETWORK))
    document = {
        "name": "files",
        "demand": {"upload": {"file": "orders.csv", "mapping": MAPPING}},
        "stock": {"upload": {"file": "stock.csv"}},
        "scenarios": [{"name": "no west", "patches": [{"close_node": {"node_id": "W"}}]}],
    }
    file = tmp_path / "files.json"
    file.write_text(json.dumps(document))
    return file


@pytest.mark.timeout(300)
def test_files_in_foreign_columns_give_the_same_answer_here_and_by_a_service(tmp_path: Path, service: Running):
    """One document, two ways: the service gets the files in our own form, and keeps none of them."""
    file = uploaded(tmp_path)
    network = ["--network", str(tmp_path / "network.json")]
    here = apportion("simulate", str(file), "--output", str(tmp_path / "here"), *network, "--json")
    assert here.returncode == 0, here.stderr
    put(service, "/v1/network", NETWORK)
    there = apportion("simulate", str(file), "--url", service.url, "--output", str(tmp_path / "there"), "--json")
    assert there.returncode == 0, there.stderr
    answers = [json.loads(ran.stdout)["answer"] for ran in (here, there)]
    assert answers[0] == answers[1]
    assert answers[0]["reports"][0]["figures"]["units_shipped"] == 4
    for name in ("report.html", "report.json", "decisions/000-baseline-seed-1.parquet"):
        assert (tmp_path / "there" / name).stat().st_size > 0
    assert list((service.data_dir / "simulations" / "uploads").glob("*/*")) == []
    bad = file.read_text().replace('"W"', '"X"')
    file.write_text(bad)
    refused = apportion("simulate", str(file), "--url", service.url)
    assert (refused.returncode, "close_node.node_id: " in refused.stderr) == (2, True)


@pytest.mark.timeout(240)
def test_ctrl_c_cancels_it_at_the_service(tmp_path: Path, service: Running):
    """Whoever leaves does not leave a long simulation behind for others to wait for."""
    put(service, "/v1/network", NETWORK)
    generator = {"since": "2026-11-23T00:00:00Z", "days": 60, "orders_per_day": 20_000, "skus": {"A": 1}}
    patches = [{"close_node": {"node_id": "W"}}]
    document = {"demand": {"generator": generator}, "skus": [{"sku": "A"}], "stock": {"generator": {"cover_days": 9}}}
    file = tmp_path / "long.json"
    file.write_text(json.dumps(document | {"name": "long", "scenarios": [{"name": "no west", "patches": patches}]}))
    arguments = command("simulate", str(file), "--url", service.url)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    give_up = time.monotonic() + SECONDS
    while state_of(service, "long") != "running":
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "cancelled at the service" in said) == (130, True)
    assert state_of(service, "long") == "cancelled"


def state_of(service: Running, name: str) -> str:
    """The state of the service's simulation of this name; "" if there is none."""
    with urllib.request.urlopen(f"{service.url}/v1/simulations") as answer:
        items = json.loads(answer.read())["items"]
    return next((item["state"] for item in items if item["name"] == name), "")
