"""Backorders with several processes and with kill -9: filled once, in time, and none forgotten."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from engine.ledger.redis import RedisLedger
from engine.ledger.server.supervisor import EmbeddedServer
from tests.chaos.checks import check_ledger
from tests.chaos.load import NODE_IDS, furnish
from tests.chaos.service import FORGETFUL, Service, eventually, running
from tests.chaos.trust import count, within

PROCESSES = 2
ORDERS = count(60, 600)
FILLED_WITHIN_MS = within(1_000)
FILLED_S = 60.0
"""When waiting for it is given up."""


def _order(number: int, sku: str) -> dict[str, Any]:
    lines = [{"line_id": "1", "sku": sku, "quantity": 1}]
    to = {"country": "US", "region": "NY", "postal_code": "10001", "lat": 40.7, "lon": -74.0}
    return {"order_id": f"{sku}-{number}", "ship_to": to, "lines": lines, "backorder": True}


def _held(service: Service, sku: str) -> int:
    return sum(cell["held"] for cell in service.ask("GET", f"/v1/stock/{sku}").json()["nodes"])


def test_two_processes_fill_each_order_once(tmp_path):
    """R6: whichever process took an order, it is filled within a second of the stock, once, before new orders."""
    data_dir = tmp_path / "data"
    with EmbeddedServer(data_dir) as store:
        services = [Service(data_dir, store.url, f"service{number}") for number in range(PROCESSES)]
        with running(*services):
            furnish(services[0], {})
            for number in range(ORDERS):
                answer = services[number % PROCESSES].ask("POST", "/v1/orders", _order(number, "late"))
                assert answer.json()["status"] == "backordered", answer.body
            row = {"node_id": NODE_IDS[0], "sku": "late", "on_hand": ORDERS + 1}
            services[1].ask("PUT", "/v1/stock", [row])
            new = services[0].ask("POST", "/v1/orders", _order(ORDERS, "late"))
            assert new.json()["status"] == "allocated"
            eventually(lambda: _held(services[0], "late") == ORDERS + 1, FILLED_S)
            delays = asyncio.run(_delays(store.url))
            assert len(delays) == ORDERS
            assert max(delays) <= FILLED_WITHIN_MS, max(delays)
        check_ledger(data_dir)


async def _delays(url: str) -> list[int]:
    """Milliseconds from the arrival of the stock to each filling, by the store's clock."""
    ledger = RedisLedger(url)
    log = [entry async for entry in ledger.entries("default")]
    await ledger.close()
    arrived = max(entry.at_ms for entry in log if entry.kind == "stock")
    filled = [entry.at_ms for entry in log for event in entry.events if event.type == "order.backorder_filled"]
    return [at - arrived for at in filled]


def test_what_waits_survives_a_kill(tmp_path):
    """R2 and R3: after kill -9, and with the log trimmed, what waited is filled when stock arrives."""
    service = Service(tmp_path / "data", **FORGETFUL)
    with running(service):
        furnish(service, {})
        for number in range(3):
            service.ask("POST", "/v1/orders", _order(number, "later"))
        service.kill()
        service.start()
        service.ask("PUT", "/v1/stock", [{"node_id": NODE_IDS[0], "sku": "later", "on_hand": 2}])
        eventually(lambda: _held(service, "later") == 2, FILLED_S)
        service.kill()
        service.start()
        time.sleep(0.5)
        states = [service.ask("GET", f"/v1/orders/later-{number}").json()["state"] for number in range(3)]
        assert sorted(states) == ["allocated", "allocated", "backordered"]
        assert service.stop() == 0
        check_ledger(service.data_dir)
