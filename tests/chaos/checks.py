"""What must hold after every fault: nothing acknowledged is lost, nothing is decided twice, no unit is sold twice."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections import Counter
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.archive.database import Archive, sqlite_url
from engine.archive.history import Witness
from engine.ledger.reconcile import Report, reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.retention import Retention
from engine.ledger.server.files import running_url
from tests.chaos.load import CLIENTS, PAUSE_S, Load, Stock
from tests.chaos.service import Connection, Reply, Service, command

SETTLE_S = 30.0
EMPTY: Mapping[str, bytes] = {}


def post(connection: Connection, body: bytes) -> Reply:
    """Post an order until it is decided, for a bounded time."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            reply = connection.request("POST", "/v1/orders", body)
        except (OSError, http.client.HTTPException):
            reply = None
        if reply is not None and reply.status not in (429, 503):
            assert reply.status in (200, 201), reply.body
            return reply
        assert time.monotonic() < deadline, "the order was not decided in time"
        time.sleep(PAUSE_S)


def settle(service: Service, load: Load) -> dict[str, bytes]:
    """Post every order of a load again, twice, and return all decisions.

    An acknowledged order must be answered 200 with the very same bytes; one without an answer is decided now, once.
    """
    ids = list(load.sent)

    def client(share: list[str]) -> dict[str, bytes]:
        decisions = {}
        connection = Connection(service.port)
        for order_id in share:
            first = post(connection, load.sent[order_id])
            if order_id in load.acknowledged:
                assert first.status == 200, f"{order_id} was acknowledged, and lost"
                assert first.body == load.acknowledged[order_id], f"{order_id} was decided twice"
            again = post(connection, load.sent[order_id])
            assert (again.status, again.body) == (200, first.body), order_id
            decisions[order_id] = first.body
        connection.close()
        return decisions

    with ThreadPoolExecutor(CLIENTS) as clients:
        shares = clients.map(client, [ids[start::CLIENTS] for start in range(CLIENTS)])
        return {order_id: body for share in shares for order_id, body in share.items()}


def held_by(decisions: Mapping[str, bytes]) -> Counter[tuple[str, str]]:
    """Units per (sku, node) that these decisions ship."""
    units: Counter[tuple[str, str]] = Counter()
    for body in decisions.values():
        for parcel in json.loads(body)["parcels"]:
            for line in parcel["lines"]:
                units[line["sku"], line.get("node_id") or parcel["node_id"]] += line["quantity"]
    return units


def check_stock(service: Service, stock: Stock, decisions: Mapping[str, bytes], cancelled: Set[str]) -> None:
    """The store holds exactly what the decisions say that were not cancelled, and never more than there is."""
    held = held_by({order_id: body for order_id, body in decisions.items() if order_id not in cancelled})
    assert not [cell for cell in held if held[cell] > stock.get(cell, 0)], "oversold"
    live = {}
    for sku in {sku for sku, _ in stock}:
        for cell in service.ask("GET", f"/v1/stock/{sku}").json()["nodes"]:
            live[sku, cell["node_id"]] = (cell["on_hand"], cell["held"])
    assert live == {cell: (units, held[cell]) for cell, units in stock.items()}


def check_refusals(stock: Stock, decisions: Mapping[str, bytes]) -> None:
    """Where nothing came back, whatever an order did not get must be sold out at the end."""
    held = held_by(decisions)
    left: Counter[str] = Counter()
    for (sku, node), units in stock.items():
        left[sku] += units - held[sku, node]
    refused = {
        (order_id, line["sku"])
        for order_id, body in decisions.items()
        for line in json.loads(body)["unallocated"]
        if left[line["sku"]] > 0
    }
    assert not refused, "contention refused orders that could have been filled"


def check_solver(service: Service) -> None:
    """No window crashed or passed the safety cut: orders are retried, their windows must not be broken by it."""
    figures = service.ask("GET", "/metrics").body.decode()
    abandoned = [line for line in figures.splitlines() if line.startswith("apportion_solves_abandoned_total")]
    assert [float(line.split()[1]) for line in abandoned] == [0.0], service.log()


def check_books(service: Service) -> None:
    """The log replayed from its beginning gives the live store, and no entry of it ever oversold."""

    async def audit() -> Report:
        url = running_url(service.data_dir)
        assert url is not None
        ledger, archive = RedisLedger(url), Archive(sqlite_url(service.data_dir))
        try:
            return await reconcile(ledger, "default", past=Witness(archive))
        finally:
            await archive.close()
            await ledger.close()

    report = asyncio.run(audit())
    assert report.clean, report.differences
    assert report.moving == 0


def retention_of(service: Service) -> Retention:
    """What left the store for the archive."""

    async def ask() -> Retention:
        url = running_url(service.data_dir)
        assert url is not None
        ledger = RedisLedger(url)
        try:
            return await ledger.retention("default")
        finally:
            await ledger.close()

    return asyncio.run(ask())


def check_ledger(data_dir: Path) -> None:
    """`apportion reconcile --check`, which does the same on the command line, agrees and exits with nought."""
    outcome = command("reconcile", "--check", "--data-dir", data_dir)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def check_all(service: Service, stock: Stock, load: Load, earlier: Mapping[str, bytes] = EMPTY) -> dict[str, bytes]:
    """All of it; returns the decisions of this load and those of `earlier` ones, which hold stock too."""
    assert load.faults == []
    check_solver(service)
    decisions = {**earlier, **settle(service, load)}
    assert set(load.acknowledged) <= set(decisions)
    check_stock(service, stock, decisions, load.cancelled)
    check_books(service)
    return decisions
