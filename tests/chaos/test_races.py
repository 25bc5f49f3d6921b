"""Several clients, and several service processes on one store, after the same last units (R1, R5 and R16)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from engine.ledger.redis import RedisLedger
from engine.ledger.server.supervisor import EmbeddedServer
from tests.chaos.checks import check_all, check_ledger, check_refusals, post
from tests.chaos.load import NODE_IDS, Load, furnish, order
from tests.chaos.service import Connection, Reply, Service, running
from tests.chaos.trust import SEED, count

RACES = count(4, 200)
REPEATS = count(4, 50)
SCARCE_ROUNDS = count(2, 50)
ORDERS_EACH = count(25, 100)
PROCESSES = count(3, 4)
CLIENTS = 12


class Cluster(NamedTuple):
    """Service processes on one store, and the store's URL."""

    services: list[Service]
    store_url: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A store, and services that share it by its URL."""
    data_dir = tmp_path_factory.mktemp("races") / "data"
    with EmbeddedServer(data_dir) as store:
        services = [Service(data_dir, store.url, f"service{number}") for number in range(PROCESSES)]
        with running(*services):
            furnish(services[0], {})
            yield Cluster(services, store.url)
            check_ledger(data_dir)


@pytest.mark.parametrize("processes", [1, 3])
def test_exactly_as_many_win_as_there_are_units(cluster, processes):
    """R1: 10 clients for 1 unit and 20 for 10, all at once: exactly 1 and 10 winners, each with one unit."""
    services = cluster.services[:processes]
    for number in range(RACES):
        for clients, units in ((10, 1), (20, 10)):
            sku = f"hot-{processes}-{number}-{units}"
            spread = Counter(NODE_IDS[unit % len(NODE_IDS)] for unit in range(units))
            rows = [{"node_id": node, "sku": sku, "on_hand": on_hand} for node, on_hand in spread.items()]
            assert services[0].ask("PUT", "/v1/stock", rows).json()["applied"] == len(rows)
            statuses = Counter(_race(services, sku, clients))
            assert statuses == {"allocated": units, "refused": clients - units}
            cells = services[0].ask("GET", f"/v1/stock/{sku}").json()["nodes"]
            assert {cell["node_id"]: cell["held"] for cell in cells} == spread


@pytest.mark.parametrize("processes", [1, 3])
def test_one_order_posted_everywhere_at_once_is_decided_once(cluster, processes):
    """R5: the same order 50 times at once gets one decision, byte for byte; other content is a conflict."""
    services = cluster.services[:processes]
    for number in range(REPEATS):
        sku = f"same-{processes}-{number}"
        rows = [{"node_id": node, "sku": sku, "on_hand": 100} for node in NODE_IDS]
        assert services[0].ask("PUT", "/v1/stock", rows).json()["applied"] == len(rows)
        document = order(f"{sku}-order", {sku: 7})
        replies = _at_once(services, [json.dumps(document).encode()] * 50)
        assert Counter(reply.status for reply in replies) == {201: 1, 200: 49}
        assert len({reply.body for reply in replies}) == 1
        cells = services[0].ask("GET", f"/v1/stock/{sku}").json()["nodes"]
        assert sum(cell["held"] for cell in cells) == 7
        other = order(f"{sku}-order", {sku: 8})
        assert services[-1].ask("POST", "/v1/orders", other).status == 409


def _race(services: list[Service], sku: str, clients: int) -> list[str]:
    """So many clients, spread over the services, each after one unit; the statuses of their decisions."""
    bodies = [json.dumps(order(f"{sku}-{number}", {sku: 1})).encode() for number in range(clients)]
    return [reply.json()["status"] for reply in _at_once(services, bodies)]


def _at_once(services: list[Service], bodies: list[bytes]) -> list[Reply]:
    """Post all orders at the same instant, spread over the services."""
    line = threading.Barrier(len(bodies))

    def client(number: int) -> Reply:
        connection = Connection(services[number % len(services)].port)
        line.wait(60)
        reply = post(connection, bodies[number])
        connection.close()
        return reply

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(client, range(len(bodies))))


def test_contention_alone_refuses_no_order(cluster):
    """R16: processes race over scarce stock, with cancels; at the instant of each refusal there was nothing left."""
    skus = [f"scarce-{number}" for number in range(5)]
    ports = [service.port for service in cluster.services]
    refusals = 0
    for number in range(SCARCE_ROUNDS):
        these = [f"{sku}-{number}" for sku in skus]
        stock = {(sku, node): 12 for sku in these for node in NODE_IDS}
        furnish(cluster.services[0], stock)
        with Load(
            ports,
            f"r{number}-",
            SEED,
            clients=CLIENTS,
            orders_each=ORDERS_EACH,
            skus=these,
            cancel_share=0.2,
            repeat_share=0.3,
        ) as load:
            load.join()
        assert load.cancelled
        decisions = check_all(cluster.services[number % PROCESSES], stock, load)
        refusals += asyncio.run(_check_log(cluster.store_url, decisions))
    assert refusals > 10 * SCARCE_ROUNDS, "the stock was not scarce"


async def _check_log(url: str, decisions: dict[str, bytes]) -> int:
    """Replay the log: once an order is committed, nothing it did not get may be left. The number of refusals."""
    ledger = RedisLedger(url)
    available: Counter[tuple[str, int]] = Counter()
    seen: set[str] = set()
    refusals = 0
    async for entry in ledger.entries("default"):
        for cell in entry.cells:
            available[cell.sku, cell.node] += cell.on_hand - cell.held - cell.blocked
        fresh = {order_id for order_id, _ in entry.orders if order_id in decisions} - seen
        seen |= fresh
        for order_id in fresh:
            for line in json.loads(decisions[order_id])["unallocated"]:
                refusals += 1
                left = {cell: units for cell, units in available.items() if cell[0] == line["sku"] and units > 0}
                assert not left, f"{order_id} was refused {line} while {left} were there ({entry.entry_id})"
    await ledger.close()
    assert seen == set(decisions)
    return refusals


def test_what_was_refused_was_sold_out(cluster):
    """R16 without cancels: nothing ever comes back, so whatever was refused must be gone at the end."""
    skus = [f"gone-{number}" for number in range(4)]
    stock = {(sku, node): 15 for sku in skus for node in NODE_IDS}
    furnish(cluster.services[0], stock)
    ports = [service.port for service in cluster.services]
    with Load(ports, "gone", SEED, clients=CLIENTS, orders_each=ORDERS_EACH, skus=skus, repeat_share=0.3) as load:
        load.join()
    check_refusals(stock, check_all(cluster.services[0], stock, load))
