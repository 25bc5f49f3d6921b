"""The projector in its own process, beside a whole service on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.chaos.load import furnish
from tests.chaos.service import FORGETFUL, Service, alive, children_of, eventually, running

NOTHING = {"ship_to": {"country": "US"}, "lines": [{"line_id": "1", "sku": "nothing", "quantity": 1}]}
BACK_S = 60.0


def figure(service: Service, name: str) -> float:
    """One figure of `/metrics`."""
    lines = service.ask("GET", "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith(f"apportion_{name} ")]
    return float(line.split()[1])


def projectors(service: Service) -> list[int]:
    """Process ids of its projectors that run."""
    found = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=1) for line in found.splitlines()]
    running_ones = {int(pid) for pid, arguments in rows if "engine.archive.process" in arguments}
    return [pid for pid in children_of(service.process.pid) if pid in running_ones]


def place(service: Service, *order_ids: str) -> None:
    """Place orders that are refused, and thereby ended."""
    for order_id in order_ids:
        assert service.ask("POST", "/v1/orders", {"order_id": order_id, **NOTHING}).status == 201


def archived(service: Service) -> set[str]:
    """Ids that the archive lists."""
    return {item["order_id"] for item in service.ask("GET", "/v1/orders").json()["items"]}


@pytest.mark.timeout(240)
def test_it_archives_what_the_service_commits_and_is_replaced_and_leaves_with_it(tmp_path: Path):
    """Protects history and /metrics across processes: archived, evicted and shown; killed, it is counted and replaced;
    and it is gone with a service that was killed."""
    service = Service(tmp_path / "data", price_seconds=0, **FORGETFUL)
    with running(service):
        furnish(service, {})
        place(service, "O-1", "O-2")
        eventually(lambda: archived(service) == {"O-1", "O-2"}, BACK_S)
        eventually(lambda: figure(service, "evicted_orders_total") == 2, BACK_S)
        assert figure(service, "archived_entries_total") >= 1
        eventually(lambda: figure(service, "archive_lag_entries") == 0, BACK_S)
        assert figure(service, "archive_errors_total") == 0
        [first] = projectors(service)
        assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(os.PRIO_PROCESS, service.process.pid)
        os.kill(first, signal.SIGKILL)
        place(service, "O-3")
        eventually(lambda: archived(service) == {"O-1", "O-2", "O-3"}, BACK_S)
        assert figure(service, "archive_errors_total") == 1
        [second] = projectors(service)
        assert second != first
        service.kill()
        eventually(lambda: not alive(second), BACK_S)
        service.start()
        assert archived(service) == {"O-1", "O-2", "O-3"}
        [last] = projectors(service)
        assert service.stop() == 0
        assert not alive(last)
