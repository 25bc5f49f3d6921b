"""kill -9 of the service and of its store at random instants under load (promises R2 and R3)."""

from __future__ import annotations

import os
import random
import signal
import time

from engine.ledger.retention import START
from tests.chaos.checks import check_all, check_ledger, retention_of
from tests.chaos.load import Load, furnish, plenty
from tests.chaos.service import FORGETFUL, Service, alive, eventually, running
from tests.chaos.trust import SEED, count

KILLS_OF_THE_SERVICE = count(3, 100)
KILLS_OF_THE_STORE = count(6, 100)
KILLS_OF_THE_STORE_PER_ROUND = 3
UNITS_PER_KILL = 10
"""Stock at each node, so that some orders are refused whatever the number of kills."""
NOTHING = {"order_id": "nothing", "ship_to": {"country": "US"}, "lines": [{"line_id": "1", "sku": "X", "quantity": 1}]}
"""An order that is refused, so that one leaves the store whatever the load brings."""
GONE_S = 60.0
"""When waiting for the processes of a killed service to follow it is given up."""
BACK_S = 60.0
"""When waiting for a killed store to be there again is given up."""


def test_a_killed_service_loses_nothing_and_decides_nothing_twice(tmp_path):
    """R2: after kill -9 and a restart every acknowledged order has its one decision, in the store or no more."""
    rng = random.Random(SEED)
    stock = plenty(UNITS_PER_KILL * KILLS_OF_THE_SERVICE)
    service = Service(tmp_path / "data", **FORGETFUL)
    with running(service):
        furnish(service, stock)
        everything, decisions = Load([service.port], "all", SEED), {}
        for number in range(KILLS_OF_THE_SERVICE):
            with Load([service.port], f"kill{number}-", SEED) as load:
                time.sleep(rng.uniform(0.05, 0.7))
                followers = service.family()
                service.kill()
                service.start()
                time.sleep(0.1)
            assert any(attempt.status is None for attempt in load.attempts), "nothing was under way"
            eventually(lambda pids=followers: not any(alive(pid) for pid in pids), GONE_S)
            decisions = check_all(service, stock, load, decisions)
            everything.add(load, decisions)
        check_all(service, stock, everything)
        refused = service.ask("POST", "/v1/orders", NOTHING)
        eventually(lambda: retention_of(service).evicted > 0, GONE_S)
        assert service.ask("POST", "/v1/orders", NOTHING).body == refused.body
        assert service.stop() == 0
        check_ledger(service.data_dir)


def test_a_killed_store_loses_nothing_and_the_service_goes_on(tmp_path):
    """R3: after kill -9 of the store it comes back, clients see 503 at worst, and nothing acknowledged is gone."""
    rng = random.Random(SEED + 1)
    stock = plenty(UNITS_PER_KILL * KILLS_OF_THE_STORE)
    service = Service(tmp_path / "data", **FORGETFUL)
    with running(service):
        furnish(service, stock)
        everything, decisions = Load([service.port], "all", SEED), {}
        for number in range(KILLS_OF_THE_STORE // KILLS_OF_THE_STORE_PER_ROUND):
            with Load([service.port], f"store{number}-", SEED) as load:
                for _ in range(KILLS_OF_THE_STORE_PER_ROUND):
                    time.sleep(rng.uniform(0.05, 0.4))
                    _kill_store(service)
                    answered = len(load.acknowledged)
                    eventually(lambda: len(load.acknowledged) > answered, BACK_S)  # noqa: B023
            decisions = check_all(service, stock, load, decisions)
            everything.add(load, decisions)
        service.kill()
        service.start()
        check_all(service, stock, everything)
        eventually(lambda: retention_of(service).trimmed != START, BACK_S)  # its projector may have just begun
        check_ledger(service.data_dir)


def _kill_store(service: Service) -> None:
    """kill -9 of the store that this service started, and wait until its successor takes orders."""
    before = service.store_pid
    assert before in service.family()
    os.kill(before, signal.SIGKILL)
    eventually(lambda: service.store_pid not in (0, before) and service.status("/readyz") == 200, BACK_S)
