"""An orderly stop under load (promise R23)."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time

import pytest

from engine.ledger.redis import RedisLedger
from engine.ledger.server.files import running_url
from tests.chaos.checks import check_all
from tests.chaos.load import Load, furnish, plenty
from tests.chaos.service import Service, alive, eventually, running
from tests.chaos.trust import SEED, count, within

STOPS = count(2, 50)
LINGER_MS = 600
"""Windows stay open this long, so that orders are under way at any instant."""
SURELY_ARRIVED_S = 0.2
"""A request sent this long before the signal is inside the service when it comes."""
EXIT_S = within(10)


class Watch:
    """Asks for readiness all the time. `seen`: (asked, answered, status or None if nobody answered)."""

    def __init__(self, service: Service) -> None:
        self.seen: list[tuple[float, float, int | None]] = []
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            asked = time.monotonic()
            status = self._service.status("/readyz")
            self.seen.append((asked, time.monotonic(), status))


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_answers_what_is_under_way_and_exits_with_nought(tmp_path, workers):
    """R23: not ready first, orders under way decided and answered, exit 0 in time, nothing lost, no process left."""
    rng = random.Random(SEED)
    stock = plenty(10 * STOPS)
    service = Service(tmp_path / "data", workers=workers, window_linger_ms=LINGER_MS)
    everything, decisions = Load([0], "all", SEED), {}
    with running(service):
        furnish(service, stock)
        asyncio.run(_linger(service))
        for number in range(max(1, STOPS // workers)):
            family = service.family()
            with Load([service.port], f"stop{number}-", SEED) as load, Watch(service) as watch:
                time.sleep(rng.uniform(0.5, 1.0))
                eventually(lambda running=load: _waits(running), EXIT_S)
                signalled = time.monotonic()
                service.ask_to_stop()
                assert service.wait(EXIT_S) == 0
            inside = [
                attempt
                for attempt in load.attempts
                if attempt.sent_s < signalled - SURELY_ARRIVED_S and attempt.answered_s > signalled
            ]
            assert inside, "nothing was under way"
            assert [attempt for attempt in inside if attempt.status not in (200, 201)] == []
            _not_ready_first(watch.seen, signalled, workers)
            eventually(lambda pids=family: not any(alive(pid) for pid in pids), EXIT_S)
            service.start()
            decisions = check_all(service, stock, load, decisions)
            everything.add(load, decisions)
        check_all(service, stock, everything)


def _waits(load: Load) -> bool:
    """Whether an order has surely arrived that is not decided yet."""
    asked = set(load.sent.copy()) - set(load.acknowledged.copy())
    time.sleep(2 * SURELY_ARRIVED_S)
    return bool(asked - set(load.acknowledged.copy()))


async def _linger(service: Service) -> None:
    """A policy that lets windows stay open for `LINGER_MS`."""
    ledger = RedisLedger(running_url(service.data_dir))
    await ledger.put_policy("default", "default", json.dumps({"window": {"max_wait_ms": LINGER_MS}}).encode())
    await ledger.close()


def _not_ready_first(seen: list[tuple[float, float, int | None]], signalled: float, workers: int) -> None:
    """Ready until the signal; then 503, so that a balancer can turn away; only then nobody, and never ready again.

    Of several workers one may hear of it a moment before another: in between it depends on who is asked.
    """
    assert {status for _, answered, status in seen if answered < signalled} == {200}
    after = [status for asked, _, status in seen if asked > signalled]
    turned = next((place for place, status in enumerate(after) if status != 200), len(after))
    if workers > 1:
        turned = max((place for place, status in enumerate(after) if status == 200), default=-1) + 1
    assert 200 not in after[turned:]
    assert after[turned : turned + 1] == [503], "the port closed before the service said that it is not ready"
