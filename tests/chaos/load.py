"""A small world, and clients that post orders to it from threads and write down every answer they get."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.chaos.service import Connection, Service

CLIENTS = 8
PAUSE_S = 0.05
"""What a client waits before it repeats an order that was not decided."""

NETWORK = {
    "currency": "USD",
    "nodes": [
        {"node_id": f"N{number}", "country": "US", "lat": 34.0 + number, "lon": -118.0 + 15 * number}
        for number in range(1, 4)
    ],
    "carriers": [],
    "lanes": [
        {"node_id": f"N{number}", "to": "*", "service": "ground", "parcel": f"{4 + number}.50", "transit_days": number}
        for number in range(1, 4)
    ],
}
NODE_IDS = [node["node_id"] for node in NETWORK["nodes"]]
SKUS = [f"S{number:02}" for number in range(20)]

Stock = dict[tuple[str, str], int]


def plenty(units: int) -> Stock:
    """`units` of every SKU at every node."""
    return {(sku, node): units for sku in SKUS for node in NODE_IDS}


def furnish(service: Service, stock: Stock) -> None:
    """Network and stock."""
    reply = service.ask("PUT", "/v1/network", NETWORK)
    assert reply.status in (200, 201), reply.body
    if not stock:
        return
    rows = [{"node_id": node, "sku": sku, "on_hand": units} for (sku, node), units in stock.items()]
    reply = service.ask("PUT", "/v1/stock", rows)
    assert reply.status == 200, reply.body
    assert reply.json()["applied"] == len(rows), reply.body


def orders(prefix: str, rng: random.Random, skus: list[str] = SKUS) -> Iterator[dict[str, object]]:
    """Endless orders of one to three lines with one to three units each."""
    number = 0
    while True:
        chosen = rng.sample(skus, min(len(skus), rng.randint(1, 3)))
        yield order(f"{prefix}-{number:05}", {sku: rng.randint(1, 3) for sku in chosen})
        number += 1


def order(order_id: str, units: dict[str, int]) -> dict[str, object]:
    """An order for these units."""
    return {
        "order_id": order_id,
        "placed_at": "2026-11-23T10:00:00Z",
        "ship_to": {"country": "US", "region": "NY", "postal_code": "10001", "lat": 40.75, "lon": -73.99},
        "lines": [
            {"line_id": str(line), "sku": sku, "quantity": quantity}
            for line, (sku, quantity) in enumerate(units.items(), start=1)
        ],
    }


class Attempt(NamedTuple):
    """One request and its answer; status None: the connection broke. Instants of `time.monotonic`."""

    order_id: str
    sent_s: float
    answered_s: float
    status: int | None


class Load:
    """Clients that each post their own orders one after the other, and repeat each until it is decided.

    `ports`: client number n uses the port number n modulo their count. `cancel_share` of the orders is cancelled as
    soon as it is decided; after `repeat_share` of them an earlier one is posted again, so that it meets new ones in a
    window. `sent`: every order that left a client, as bytes; `acknowledged`: the first decision of each. `faults`: what
    no client may ever see.
    """

    def __init__(
        self,
        ports: list[int],
        prefix: str,
        seed: int,
        *,
        clients: int = CLIENTS,
        orders_each: int = 1_000_000,
        skus: list[str] = SKUS,
        cancel_share: float = 0.0,
        repeat_share: float = 0.0,
    ) -> None:
        self.sent: dict[str, bytes] = {}
        self.acknowledged: dict[str, bytes] = {}
        self.cancelled: set[str] = set()
        self.attempts: list[Attempt] = []
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._orders_each = orders_each
        self._cancel_share = cancel_share
        self._repeat_share = repeat_share
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(
                    ports[client % len(ports)],
                    f"{prefix}{client}",
                    random.Random(f"{seed}-{prefix}-{client}"),
                    skus,
                ),
            )
            for client in range(clients)
        ]

    def __enter__(self) -> Load:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them; an order under way is given up undecided."""
        self._stop.set()
        self.join()

    def add(self, other: Load, decisions: Mapping[str, bytes]) -> None:
        """Count what another load sent as sent by this one, all of it decided."""
        self.sent |= other.sent
        self.acknowledged |= {order_id: decisions[order_id] for order_id in other.sent}
        self.faults += other.faults

    def join(self) -> None:
        """Wait until all clients are done."""
        for thread in self._threads:
            thread.join()

    def _run(self, port: int, prefix: str, rng: random.Random, skus: list[str]) -> None:
        connection = Connection(port)
        for number, document in enumerate(orders(prefix, rng, skus)):
            if self._stop.is_set() or number >= self._orders_each:
                break
            order_id, body = str(document["order_id"]), json.dumps(document).encode()
            self.sent[order_id] = body
            while not self._post(connection, order_id, body) and not self._stop.wait(PAUSE_S):
                pass
            if order_id in self.acknowledged and rng.random() < self._cancel_share:
                self._cancel(connection, order_id)
            if rng.random() < self._repeat_share:
                self._repeat(connection, f"{prefix}-{rng.randint(0, number):05}")
        connection.close()

    def _repeat(self, connection: Connection, order_id: str) -> None:
        reply = connection.request("POST", "/v1/orders", self.sent[order_id])
        if reply.status not in (429, 503) and (reply.status, reply.body) != (200, self.acknowledged.get(order_id)):
            self.faults.append(f"{order_id}: posted again, answered {reply.status} {reply.body[:300]!r}")

    def _cancel(self, connection: Connection, order_id: str) -> None:
        reply = connection.request("POST", f"/v1/orders/{order_id}/cancel", b"{}")
        if reply.status == 200:
            self.cancelled.add(order_id)
        elif json.loads(self.acknowledged[order_id])["parcels"]:
            self.faults.append(f"{order_id}: cancel answered {reply.status} {reply.body[:300]!r}")

    def _post(self, connection: Connection, order_id: str, body: bytes) -> bool:
        """Post once. True if there is nothing left to do for this order."""
        sent_s = time.monotonic()
        try:
            reply = connection.request("POST", "/v1/orders", body)
        except (OSError, http.client.HTTPException):
            self.attempts.append(Attempt(order_id, sent_s, time.monotonic(), None))
            return False
        self.attempts.append(Attempt(order_id, sent_s, time.monotonic(), reply.status))
        if reply.status in (429, 503):
            if reply.retry_after is None:
                self.faults.append(f"{order_id}: {reply.status} without Retry-After")
            return False
        if reply.status not in (200, 201):
            self.faults.append(f"{order_id}: {reply.status} {reply.body[:300]!r}")
            return True
        self.acknowledged[order_id] = reply.body
        return True
