"""Several clients, and several service processes on one store, after the same last units (promises R1 and R16)."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.ledger.redis import RedisLedger
from engine.ledger.supervisor import EmbeddedServer
from tests.chaos.checks import check_all, check_ledger, check_refusals, post
from tests.chaos.load import NODE_IDS, SKUS, Load, Stock, furnish, order
from tests.chaos.service import Connection, Service, running
from tests.chaos.trust import SEED, count

RACES = count(4, 200)
SCARCE_ROUNDS = count(2, 50)
ORDERS_EACH = count(25, 100)
PROCESSES = count(3, 4)


class Cluster(NamedTuple):
    """Service processes on one store."""

    services: list[Service]
    store_url: str


@contextlib.contextmanager
def cluster(directory: Path, processes: int) -> Iterator[Cluster]:
    """A store, and so many services that share it; all end with the block."""
    data_dir = directory / "data"
    with EmbeddedServer(data_dir) as store:
        services = [Service(data_dir, store.url, f"service{number}") for number in range(processes)]
        with running(*services):
            yield Cluster(services, store.url)


@pytest.mark.parametrize("processes", [1, 3])
def test_exactly_as_many_win_as_there_are_units(tmp_path, processes):
    """R1: 10 clients for 1 unit and 20 for 10, all at once: exactly 1 and 10 winners, each with one unit."""
    with cluster(tmp_path, processes) as (services, _):
        furnish(services[0], {})
        for number in range(RACES):
            for clients, units in ((10, 1), (20, 10)):
                sku = f"hot-{number}-{units}"
                spread = Counter(NODE_IDS[unit % len(NODE_IDS)] for unit in range(units))
                rows = [{"node_id": node, "sku": sku, "on_hand": on_hand} for node, on_hand in spread.items()]
                assert services[0].ask("PUT", "/v1/stock", rows).json()["applied"] == len(rows)
                statuses = Counter(_race(services, sku, clients))
                assert statuses == {"allocated": units, "refused": clients - units}
                cells = services[0].ask("GET", f"/v1/stock/{sku}").json()["nodes"]
                assert [cell["held"] - cell["on_hand"] for cell in cells] == [0] * len(cells)
        check_ledger(services[0].data_dir)


def _race(services: list[Service], sku: str, clients: int) -> list[str]:
    """So many clients, spread over the services, each after one unit; the statuses of their decisions."""
    line = threading.Barrier(clients)

    def client(number: int) -> str:
        connection = Connection(services[number % len(services)].port)
        body = json.dumps(order(f"{sku}-{number}", {sku: 1})).encode()
        line.wait(10)
        reply = post(connection, body)
        connection.close()
        return str(reply.json()["status"])

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(client, range(clients)))


async def test_contention_alone_refuses_no_order(tmp_path):
    """R16: processes race over scarce stock, with cancels; at the instant of each refusal there was nothing left."""
    with cluster(tmp_path, PROCESSES) as (services, url):
        stock: Stock = {}
        everything = Load([0], "all", SEED)
        for number in range(SCARCE_ROUNDS):
            skus = [f"{sku}-{number}" for sku in SKUS[:5]]
            fresh = {(sku, node): 12 for sku in skus for node in NODE_IDS}
            furnish(services[0], fresh)
            stock |= fresh
            ports = [service.port for service in services]
            with Load(
                ports, f"r{number}-", SEED, clients=12, orders_each=ORDERS_EACH, skus=skus, cancel_share=0.2
            ) as load:
                load.join()
            everything.sent |= load.sent
            everything.acknowledged |= load.acknowledged
            everything.cancelled |= load.cancelled
            everything.faults += load.faults
        decisions = check_all(services[0], stock, everything)
        refusals = await _check_log(url, decisions)
        assert refusals > 10, "the stock was not scarce"
        assert everything.cancelled


async def _check_log(url: str, decisions: dict[str, bytes]) -> int:
    """Replay the log: once an order is committed, nothing it did not get may be left. The number of refusals."""
    ledger = RedisLedger(url)
    available: Counter[tuple[str, int]] = Counter()
    seen: set[str] = set()
    refusals = 0
    async for entry in ledger.entries("default"):
        for cell in entry.cells:
            available[cell.sku, cell.node] += cell.on_hand - cell.held - cell.blocked
        for order_id, _ in entry.orders:
            if order_id in seen:
                continue
            seen.add(order_id)
            for line in json.loads(decisions[order_id])["unallocated"]:
                refusals += 1
                left = {cell: units for cell, units in available.items() if cell[0] == line["sku"] and units > 0}
                assert not left, f"{order_id} was refused {line} while {left} were there ({entry.entry_id})"
    await ledger.close()
    assert seen == set(decisions)
    return refusals


def test_what_one_process_refused_was_sold_out(tmp_path):
    """R16 without cancels: nothing ever comes back, so whatever was refused must be gone at the end."""
    with cluster(tmp_path, PROCESSES) as (services, _):
        stock = {(sku, node): 8 for sku in SKUS[:4] for node in NODE_IDS}
        furnish(services[0], stock)
        ports = [service.port for service in services]
        with Load(ports, "scarce", SEED, clients=12, orders_each=ORDERS_EACH, skus=SKUS[:4]) as load:
            load.join()
        check_refusals(stock, check_all(services[0], stock, load))
