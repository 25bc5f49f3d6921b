"""Simulations beside real service processes that are killed, started again, and several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.load import furnish
from tests.chaos.service import Service, alive, children_of, eventually, running

GENERATOR = {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 300, "skus": {"S": 1}}
BACK_S = 120.0


def submit(service: Service, **fields: Any) -> str:
    """The path of a simulation of four runs."""
    document = {
        "demand": {"generator": GENERATOR},
        "skus": [{"sku": "S"}],
        "stock": {"generator": {"cover_days": 3}},
        "seeds": [1, 2],
        "pricing": {"on": False},
        "scenarios": [{"name": "more", "patches": [{"demand_factor": 1.2}]}],
        **fields,
    }
    taken = service.ask("POST", "/v1/simulations", document)
    assert taken.status == 202, taken.body
    return f"/v1/simulations/{taken.json()['simulation_id']}"


def show(service: Service, path: str) -> Any:
    """The simulation as it is now."""
    return service.ask("GET", path).json()


@pytest.mark.timeout(400)
def test_a_simulation_outlives_the_service_and_makes_no_run_twice(tmp_path: Path):
    """kill -9 in the middle: its workers go too, and after a restart the runs that are there stay as they are."""
    service = Service(tmp_path / "data", price_seconds=0, simulation_workers=1)
    with running(service):
        furnish(service, {})
        path = submit(service)
        eventually(lambda: show(service, path)["runs_done"] >= 1, BACK_S)
        [runs] = (tmp_path / "data" / "simulations" / "jobs" / "partitions").glob("*/*/runs")
        children = children_of(service.process.pid)
        service.kill()
        eventually(lambda: not any(map(alive, children)), BACK_S)
        before = {run.name: run.stat().st_ino for run in runs.iterdir() if run.suffix == ""}
        assert before
        service.start()
        eventually(lambda: show(service, path)["state"] == "done", BACK_S)
        after = {run.name: run.stat().st_ino for run in runs.iterdir()}
        assert before.items() <= after.items()
        assert sorted(after) == ["0000", "0001", "0002", "0003"]
        assert [report["scenario"] for report in show(service, path)["answer"]["reports"]] == ["baseline", "more"]
        assert service.stop() == 0


@pytest.mark.timeout(400)
def test_several_service_processes_have_one_queue_and_perform_each_job_once(tmp_path: Path):
    """Whoever takes a job, any process tells of it, one performs it, and any cancels it."""
    service = Service(tmp_path / "data", workers=2, price_seconds=0, simulation_workers=1)
    with running(service):
        furnish(service, {})
        paths = [submit(service) for _ in range(3)]
        long = submit(service, demand={"generator": GENERATOR | {"days": 60, "orders_per_day": 20_000}})
        for path in paths:
            eventually(lambda path=path: show(service, path)["state"] == "done", BACK_S)
            assert [run["state"] for run in show(service, path)["runs"]] == ["done"] * 4
        eventually(lambda: show(service, long)["state"] == "running", BACK_S)
        figures = service.ask("GET", "/metrics").body.decode().splitlines()
        assert any(line.startswith("apportion_http_requests_total") for line in figures), "they are shared"
        assert not [line for line in figures if line.startswith("apportion_orders_total")], "no live order was decided"
        assert service.ask("DELETE", long).json()["state"] == "cancelled"
        eventually(lambda: show(service, long)["ended_at"] is not None, BACK_S)
        assert service.stop() == 0
