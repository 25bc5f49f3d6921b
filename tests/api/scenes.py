"""A shop over HTTP in a partition of its own, every decision of which is checked by `reckoning`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from engine.assembly import Engine
from engine.domain import Order
from engine.ledger.reconcile import reconcile
from tests.api.reckoning import Books, reckon

PLACE = {"country": "US", "lat": 40.0, "lon": -75.0}
NEAR = {"country": "US", "lat": 41.0, "lon": -75.0}

Document = dict[str, Any]


class Scene:
    """The client, the engine behind it, and the documents as they were put."""

    def __init__(self, http: httpx.AsyncClient, engine: Engine, partition: str) -> None:
        self.http = http
        self.engine = engine
        self.partition = partition
        self.books = Books()

    async def open(
        self,
        nodes: Iterable[str] | Mapping[str, Document],
        stock: Mapping[str, Mapping[str, int | tuple[int, int]]],
        skus: Iterable[Document] = (),
        policy: Document | None = None,
        **network: Any,
    ) -> None:
        """Nodes by id, first in priority first; stock as {sku: {node: on_hand or (on_hand, safety)}}.

        Without `lanes` or `carriers` every node has the same lane to everywhere, 5.00 a parcel, two days.
        """
        fields = nodes if isinstance(nodes, Mapping) else {node_id: {} for node_id in nodes}
        listed = [{"node_id": n, "priority": rank, **PLACE, **more} for rank, (n, more) in enumerate(fields.items(), 1)]
        if not {"lanes", "carriers"} & network.keys():
            lane = {"to": "*", "service": "ground", "parcel": "5.00", "transit_days": 2}
            network["lanes"] = [{"node_id": node_id, **lane} for node_id in fields]
        await self.network({"nodes": listed, **network})
        if entries := list(skus):
            await self.catalogue(*entries)
        await self.policy(**(policy or {}))
        await self.stock(stock)

    async def network(self, document: Document) -> None:
        """Put the network."""
        await self._put("/v1/network", document)
        self.books.network = (await self.http.get("/v1/network")).json()["network"]

    async def catalogue(self, *entries: Document) -> None:
        """Put SKUs."""
        await self._put("/v1/skus", list(entries))
        self.books.skus |= {entry["sku"]: entry for entry in entries}

    async def policy(self, policy_id: str = "default", **document: Any) -> None:
        """Put a policy; unless it says otherwise its windows wait for nobody."""
        document.setdefault("window", {"max_wait_ms": 1})
        # No decision of a test may depend on how busy the machine is: work ends the search, never the safety cut.
        document["solver"] = {"budget_ms": 600_000, **document.get("solver", {})}
        await self._put(f"/v1/policies/{policy_id}", document)
        self.books.policies[policy_id] = (await self.http.get(f"/v1/policies/{policy_id}")).json()["policy"]

    async def stock(self, stock: Mapping[str, Mapping[str, int | tuple[int, int]]]) -> None:
        """Put counted levels: {sku: {node: on_hand or (on_hand, safety)}}."""
        rows = []
        for sku, cells in stock.items():
            for node_id, level in cells.items():
                on_hand, safety = level if isinstance(level, tuple) else (level, None)
                rows.append({"node_id": node_id, "sku": sku, "on_hand": on_hand, "safety": safety})
        await self._put("/v1/stock", rows)

    async def _put(self, path: str, body: Any) -> None:
        answer = await self.http.put(path, json=body)
        assert answer.status_code == 200, answer.text

    async def order(self, order_id: str, *lines: tuple[Any, ...] | Document, **fields: Any) -> Document:
        """Place an order and return its decision, arithmetic checked."""
        body = order_of(order_id, *lines, **fields)
        answer = await self.http.post("/v1/orders", json=body)
        assert answer.status_code == 201, answer.text
        return self.checked(answer.json(), body)

    async def replace(self, order_id: str, *lines: tuple[Any, ...] | Document, **fields: Any) -> Document:
        """Replace an order and return its new decision, arithmetic checked."""
        body = order_of(order_id, *lines, **fields)
        answer = await self.http.put(f"/v1/orders/{order_id}", json=body)
        assert answer.status_code == 200, answer.text
        return self.checked(answer.json(), body)

    async def reroute(self, order_id: str, command_id: str, **fields: Any) -> Document:
        """Decide an order again and return its new decision, arithmetic checked."""
        answer = await self.http.post(f"/v1/orders/{order_id}/reroute", json={"command_id": command_id, **fields})
        assert answer.status_code == 200, answer.text
        stored = (await self.http.get(f"/v1/orders/{order_id}")).json()["order"]
        return self.checked(answer.json(), stored)

    async def command(self, order_id: str, name: str) -> str:
        """Give a command and return the state after it."""
        answer = await self.http.post(f"/v1/orders/{order_id}/{name}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["state"])

    async def together(self, *bodies: Document) -> list[Document]:
        """Decide orders in one window of the default policy; decisions in the order of the bodies."""
        policy = self.books.policies["default"]
        await self.policy(**{**policy, "window": {"max_wait_ms": 1_000, "max_orders": len(bodies)}})
        await self.http.post("/v1/quotes", json=bodies[0])  # only now this process knows how long windows wait
        answer = await self.http.post("/v1/orders/bulk", content="\n".join(map(json.dumps, bodies)).encode())
        decisions = [json.loads(line) for line in answer.text.splitlines()]
        assert [decision["window"]["orders"] for decision in decisions] == [len(bodies)] * len(bodies)
        await self.policy(**{**policy, "window": {"max_wait_ms": 1}})
        return [self.checked(decision, body) for decision, body in zip(decisions, bodies, strict=True)]

    async def explained(self, order_id: str, decision: Document) -> dict[str, set[str]]:
        """{node: the stages that stop it} by the explanation of a decision, which must be of this very decision."""
        answer = await self.http.get(f"/v1/orders/{order_id}/explanation")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["reproduced"]
        for name in ("parcels", "unallocated", "backordered", "cost"):
            assert told["chosen"][name] == decision[name]
        return {node["node_id"]: {each["stage"] for each in node["obstacles"]} for node in told["nodes"]}

    def checked(self, decision: Document, order: Document) -> Document:
        """The decision, its costs, weights and dates recomputed from the documents by the contract's formula."""
        reckon(self.books, order, decision)
        return decision

    async def cells(self, sku: str) -> dict[str, Document]:
        """The stock of a SKU by node."""
        cells = (await self.http.get(f"/v1/stock/{sku}")).json()["nodes"]
        return {cell["node_id"]: cell for cell in cells}

    async def held(self, sku: str) -> dict[str, int]:
        """Units held by node, where any are."""
        return {node_id: cell["held"] for node_id, cell in (await self.cells(sku)).items() if cell["held"]}

    async def load(self, node_id: str, day: str) -> tuple[int, int]:
        """(parcels, units) of a node on a day."""
        body = (await self.http.get(f"/v1/nodes/{node_id}/load?date={day}")).json()
        return body["parcels"], body["units"]

    async def close(self) -> None:
        """Everything that was kept must add up: stock, holds, load, log."""
        report = await reconcile(self.engine.ledger, self.partition)
        assert report.clean, report.differences


def order_of(order_id: str, *lines: tuple[Any, ...] | Document, **fields: Any) -> Document:
    """An order near the nodes; lines as (sku, quantity) or (sku, quantity, unit_price), numbered, or as documents."""
    listed = []
    for number, line in enumerate(lines, 1):
        if isinstance(line, tuple):
            names = dict(zip(("sku", "quantity", "unit_price"), line, strict=False))
            listed.append({"line_id": str(number), **names})
        else:
            listed.append({"line_id": str(number), **line})
    body = {"order_id": order_id, "ship_to": NEAR, "lines": listed, **fields}
    assert body.keys() <= set(Order.__struct_fields__)
    return body


def shipped(decision: Document) -> dict[tuple[str, str], int]:
    """{(node that has the goods, SKU shown): units} over all parcels."""
    found = Counter[tuple[str, str]]()
    for parcel in decision["parcels"]:
        for line in parcel["lines"]:
            found[line.get("node_id", parcel["node_id"]), line["sku"]] += line["quantity"]
    return dict(found)


def left(decision: Document) -> list[tuple[str, int, str]]:
    """(SKU, units, reason) of what stays."""
    return [(line["sku"], line["quantity"], line["reason"]) for line in decision["unallocated"]]
