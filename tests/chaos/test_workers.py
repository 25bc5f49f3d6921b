"""Several service processes behind one port: what is promised of one holds of all of them together."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from api.cli.workers import DEATHS_MAX
from tests.chaos.checks import check_all, check_refusals, post
from tests.chaos.load import NODE_IDS, Load, Stock, furnish, order, plenty
from tests.chaos.service import Connection, Reply, Service, alive, children_of, eventually, running
from tests.chaos.trust import SEED, count

WORKERS = 2
REPEATS = count(2, 50)
KILLS_OF_A_WORKER = count(2, 100)
SCARCE_ROUNDS = count(1, 50)
BACK_S = 60.0
"""When waiting for something to happen at all is given up."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("workers") / "data", workers=WORKERS)
    with running(service):
        furnish(service, {})
        yield service
        assert service.stop() == 0


def stocked(service: Service, sku: str, units: int) -> None:
    """So many units of a SKU at every node."""
    rows = [{"node_id": node, "sku": sku, "on_hand": units} for node in NODE_IDS]
    assert service.ask("PUT", "/v1/stock", rows).json()["applied"] == len(rows)


def decider(decision: Reply) -> str:
    """The part of a decision's window id that names the process."""
    return str(decision.json()["window"]["window_id"]).partition("-")[0]


def each_worker(service: Service, stack: ExitStack) -> list[Connection]:
    """One keep-alive connection to each worker, once all are there: who answers says so in its request ids."""
    found: dict[str, Connection] = {}

    def complete() -> bool:
        connection = Connection(service.port)
        worker = str(connection.request("GET", "/healthz").request_id).partition("-")[0]
        if worker in found:
            connection.close()
        else:
            found[worker] = stack.enter_context(closing(connection))
        return len(found) == WORKERS

    eventually(complete, BACK_S)
    return list(found.values())


def pricers(service: Service) -> list[int]:
    """Process ids of all that make prices for it."""
    return [pid for worker in service.workers() for pid in children_of(worker, "engine.pricing")]


def counted(service: Service, metric: str) -> int:
    """The sum of a counter's samples."""
    lines = service.ask("GET", "/metrics").body.decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric)))


def test_connections_spread_evenly_and_all_workers_decide(service: Service) -> None:
    """A worker without connections is no worker; and any of them shows the figures of all, whoever is asked."""
    stocked(service, "spread", 1_000)
    before = counted(service, 'apportion_orders_total{state="allocated",verdict="committed"}')
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Connection(service.port))) for _ in range(16)]
        replies = [
            post(client, json.dumps(order(f"spread-{number}-{client_number}", {"spread": 1})).encode())
            for number in range(2)
            for client_number, client in enumerate(clients)
        ]
        answered = Counter(str(reply.request_id).partition("-")[0] for reply in replies)
        assert sorted(Counter(map(decider, replies)).values()) == sorted(answered.values())
        # Not always half and half: of the connections before these one may not be told closed yet.
        assert len(answered) == WORKERS
        assert min(answered.values()) >= len(replies) // 3
        for client in each_worker(service, stack):
            assert b'verdict="committed"} ' in client.request("GET", "/metrics").body
    after = counted(service, 'apportion_orders_total{state="allocated",verdict="committed"}')
    assert after == before + len(replies)


def test_one_order_posted_at_once_to_all_workers_is_decided_once(service: Service) -> None:
    """R5 behind one port: the same order 40 times at once gets one decision, byte for byte."""
    for number in range(REPEATS):
        sku = f"same-{number}"
        stocked(service, sku, 100)
        body = json.dumps(order(f"{sku}-order", {sku: 7})).encode()
        line = threading.Barrier(40)

        def client(_: int, body: bytes = body, line: threading.Barrier = line) -> Reply:
            with closing(Connection(service.port)) as connection:
                assert connection.request("GET", "/healthz").status == 200
                line.wait(BACK_S)
                return post(connection, body)

        with ThreadPoolExecutor(40) as pool:
            replies = list(pool.map(client, range(40)))
        assert len({str(reply.request_id).partition("-")[0] for reply in replies}) == WORKERS
        assert Counter(reply.status for reply in replies) == {201: 1, 200: 39}
        assert len({reply.body for reply in replies}) == 1
        cells = service.ask("GET", f"/v1/stock/{sku}").json()["nodes"]
        assert sum(cell["held"] for cell in cells) == 7


def test_a_node_paused_by_one_worker_ships_nothing_by_another(service: Service) -> None:
    """A write is in force once it is answered, whichever process is asked next; and so is its undoing."""
    stocked(service, "pause", 1_000)
    with ExitStack() as stack:
        one, other = each_worker(service, stack)
        for number in range(4):
            for active in (False, True):
                changed = one.request("PATCH", "/v1/nodes/N1", json.dumps({"active": active}).encode())
                assert changed.status == 200, changed.body
                decision = post(other, json.dumps(order(f"pause-{number}-{active}", {"pause": 1})).encode()).json()
                assert [parcel["node_id"] for parcel in decision["parcels"]] == ["N1" if active else "N2"]
                one, other = other, one


def test_workers_racing_over_scarce_stock_oversell_nothing_and_refuse_nothing_in_vain(service: Service) -> None:
    """R1 and R16: whatever two processes refuse is sold out at the end, and not a unit is sold twice."""
    for number in range(SCARCE_ROUNDS):
        stock: Stock = {(f"scarce-{number}-{sku}", node): 15 for sku in range(4) for node in NODE_IDS}
        furnish(service, stock)
        skus = sorted({sku for sku, _ in stock})
        with Load([service.port], f"scarce{number}-", SEED, clients=12, orders_each=25, skus=skus) as load:
            load.join()
        decisions = check_all(service, stock, load)
        deciders = {json.loads(body)["window"]["window_id"].partition("-")[0] for body in decisions.values()}
        assert len(deciders) == WORKERS
        check_refusals(stock, decisions)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux sets limits of other processes")
def test_connections_wait_while_no_worker_has_a_descriptor_free(service: Service) -> None:
    """Too many connections are a queue, not an accident: each is answered once others have gone."""
    limits = {}
    for worker in service.workers():
        used = max(int(name) for name in os.listdir(f"/proc/{worker}/fd"))
        limits[worker] = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 6, limits[worker][1]))
    waiting = [socket.create_connection(("127.0.0.1", service.port), BACK_S) for _ in range(60)]
    try:
        for client in waiting:
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n")
        while waiting:
            answered, _, _ = select.select(waiting, [], [], BACK_S)
            assert answered, f"{len(waiting)} connections were never answered"
            for client in answered:
                assert client.recv(4_096).startswith(b"HTTP/1.1 200")
                client.close()
                waiting.remove(client)
    finally:
        for client in waiting:
            client.close()
        for worker, limit in limits.items():
            resource.prlimit(worker, resource.RLIMIT_NOFILE, limit)


def test_a_worker_that_is_told_to_end_answers_what_it_has_and_is_replaced(service: Service) -> None:
    """One process can be exchanged alone: clients lose nothing, and its successor decides like it."""
    stocked(service, "leaver", 1_000)
    before = service.workers()
    os.kill(before[0], signal.SIGTERM)
    number = 0
    while before[0] in service.workers():
        with closing(Connection(service.port)) as client:
            decided = post(client, json.dumps(order(f"leaver-{number}", {"leaver": 1})).encode())
        assert (decided.status, decided.json()["status"]) == (201, "allocated")
        number += 1
    with ExitStack() as stack:
        each_worker(service, stack)
    assert len(set(service.workers()) - set(before)) == 1
    assert f"(pid {before[0]}) ended with code 0" in service.log()


def test_a_killed_worker_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    """R2 for one of several: the others go on, another takes its place and its duties, counters do not fall."""
    rng = random.Random(SEED)
    stock = plenty(10 * KILLS_OF_A_WORKER)
    service = Service(tmp_path / "data", workers=WORKERS)
    with running(service):
        furnish(service, stock)
        with Load([service.port], "kill", SEED, clients=4) as load:
            for number in range(KILLS_OF_A_WORKER):
                time.sleep(rng.uniform(0.05, 0.4))
                windows = counted(service, "apportion_window_orders_count")
                before = service.workers()
                os.kill(before[number % WORKERS], signal.SIGKILL)
                answered = len(load.acknowledged)
                eventually(lambda: len(load.acknowledged) > answered, BACK_S)  # noqa: B023
                eventually(lambda: len(set(service.workers()) - set(before)) == 1, BACK_S)  # noqa: B023
                assert counted(service, "apportion_window_orders_count") >= windows
                with ExitStack() as stack:
                    each_worker(service, stack)
        check_all(service, stock, load)
        assert any(attempt.status is None for attempt in load.attempts), "nothing was under way"
        eventually(lambda: service.ask("GET", "/v1/orders").json()["archive"]["entries"] == 0, BACK_S)
        eventually(lambda: len(pricers(service)) == 1, BACK_S)


def test_workers_that_die_as_they_start_end_the_service(tmp_path: Path) -> None:
    """Starting what cannot live for ever would look like a service and be none: it ends, with a reason and code 3."""
    service = Service(tmp_path / "data", workers=WORKERS)
    with running(service):
        others = set(service.workers()[1:])
        assert len(pricers(service)) <= 1
        for _ in range(DEATHS_MAX + 1):
            eventually(lambda: set(service.workers()) - others or service.process.poll() is not None, BACK_S)
            for pid in set(service.workers()) - others:
                os.kill(pid, signal.SIGKILL)
                eventually(lambda pid=pid: not alive(pid), BACK_S)
        assert service.wait(BACK_S) == 3
        assert f"died {DEATHS_MAX} times" in service.log()
        eventually(lambda: not any(map(alive, others)), BACK_S)


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    """kill -9 of the command line leaves neither workers nor their solvers nor the store behind."""
    service = Service(tmp_path / "data", workers=WORKERS)
    with running(service):
        family = service.family()
        assert set(service.workers()) < set(family)
        service.kill()
        eventually(lambda: not any(map(alive, family)), BACK_S)
