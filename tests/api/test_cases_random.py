"""Random shops with everything at once, driven through the public API: no limit broken, no cost wrong, nothing lost.

Kits, substitutes, docks, limits, groups, pick-up, capacity, rules, backorders, holds and commands of all kinds, on the
memory twin and on the store. What a caller reads is judged; the log must add up when the test is over.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.api.reckoning import keeps_its_limits
from tests.api.scenes import Scene, order_of, shipped

NODES = "ABCDE"
SINGLES = "WXYZ"
MONDAY = "2030-01-07T09:00:00Z"
STEPS = 30


def random_nodes(rng: random.Random) -> dict[str, dict[str, Any]]:
    """Nodes that may have a dock, a capacity, prices, workdays."""
    found = {}
    for node_id in NODES:
        costs = {"per_parcel": "0.50", "per_line": f"0.{rng.randrange(1, 40):02}", "per_unit": "0.05"}
        node: dict[str, Any] = {"lon": -75.0 - rng.randrange(12), "costs": costs, "safety_units": rng.randrange(2)}
        if rng.random() < 0.5:
            node["dock"] = rng.choice("de")
        if rng.random() < 0.4:
            node["capacity"] = {rng.choice(["parcels_per_day", "units_per_day"]): rng.randrange(3, 15)}
        if rng.random() < 0.3:
            node["capabilities"] = ["hazmat"]
        if rng.random() < 0.4:
            node |= {"workdays": ["mon", "tue", "wed", "thu", "fri"], "timezone": "America/Chicago", "cutoff": "12:00"}
        found[node_id] = node
    return found


def random_network(rng: random.Random) -> dict[str, Any]:
    """A card by distance for all, and lanes from some nodes that beat it or stand beside it."""
    zones = {"kind": rng.choice(["distance_km", "distance_miles"]), "upper": [100, 500]}
    rates = [{"up_to_g": g, "by_zone": [f"{3 + g // 500 + z}.{rng.randrange(100):02}" for z in range(3)]}
             for g in (500, 1500, 4000)]  # fmt: skip
    card = {"carrier": "post", "service": "ground", "zones": zones, "rates": rates, "transit_days": [1, 2, 4],
            "max_weight_g": rng.choice([1500, 4000]), "dim_divisor": rng.choice([None, 5000]),
            "surcharge_percent": rng.choice(["0", "7.5"])}  # fmt: skip
    lanes = [
        {"node_id": node_id, "to": to, "service": rng.choice(["ground", "agreed"]),
         "parcel": f"{rng.randrange(3, 9)}.10", "line": "0.20", "unit": "0.07", "per_kg": "0.333",
         "transit_days": rng.randrange(1, 5)}
        for node_id in NODES for to in ("*", "US") if rng.random() < 0.25
    ]  # fmt: skip
    distinct = {(lane["node_id"], lane["to"], lane["service"]): lane for lane in lanes}
    return {"carriers": [card], "lanes": list(distinct.values())}


def random_catalogue(rng: random.Random) -> list[dict[str, Any]]:
    """Four single SKUs, two kits of them, and what may stand in for what."""
    entries: list[dict[str, Any]] = [
        {"sku": sku, "weight_g": rng.randrange(0, 1400), "length_mm": 100, "width_mm": 100,
         "height_mm": rng.randrange(300), "ships_alone": rng.random() < 0.15, "value": f"{rng.randrange(30)}.00",
         "requires": ["hazmat"] if rng.random() < 0.15 else []}
        for sku in SINGLES
    ]  # fmt: skip
    for name in "KL":
        parts = rng.sample(SINGLES, rng.randrange(1, 3))
        entries.append({"sku": name, "components": [{"sku": part, "quantity": rng.randrange(1, 3)} for part in parts]})
    for entry in entries:
        others = [sku for sku in "WXYZKL" if sku != entry["sku"]]
        if rng.random() < 0.4:
            entry["substitutes"] = [{"sku": rng.choice(others), "ratio": rng.randrange(1, 3)}]
    return entries


def random_policy(rng: random.Random) -> dict[str, Any]:
    """Modes, prices, horizon, and a rule for some orders."""
    objective = {"fill": rng.choice(["always", "always", "economic"]), "split_parcel": rng.choice(["0", "1.00"]),
                 "late_per_day": "2.00", "balance": rng.choice(["0", "3.00"]), "shipping": rng.choice([1, 0.5]),
                 "unfilled_per_unit": rng.choice(["25.00", "6.00"])}  # fmt: skip
    rule: dict[str, Any] = {
        "name": "r",
        "when": {"priority": {"min": 1}},
        "then": {"money": {rng.choice(NODES): "1.50"}},
    }
    if rng.random() < 0.5:
        rule["then"]["mode"] = rng.choice(["sequence", "nearest", "most_stock"])
    if rng.random() < 0.5:
        rule["then"]["limits"] = {"max_parcels": 2}
    mode = rng.choice(["optimise", "optimise", "sequence", "nearest", "most_stock"])
    return {"mode": mode, "objective": objective, "capacity_horizon_days": rng.choice([0, 0, 2]), "rules": [rule]}


def random_order(rng: random.Random, order_id: str, waits: bool) -> dict[str, Any]:
    """One to three lines, and now and then any of the limits; if `waits`, some orders wait for what is missing."""
    rolled = (
        ("max_parcels", 0.2, rng.randrange(1, 4)), ("ship_complete", 0.15, True), ("split_lines", 0.2, False),
        ("min_split_value", 0.15, f"{rng.randrange(1, 20)}.00"), ("allow_late", 0.2, False),
        ("allow_substitutes", 0.5, True), ("except_nodes", 0.2, [rng.choice(NODES)]),
    )  # fmt: skip
    limits = {name: value for name, chance, value in rolled if rng.random() < chance}
    fields: dict[str, Any] = {"limits": limits, "priority": rng.randrange(3), "placed_at": MONDAY,
                              "backorder": waits and rng.random() < 0.3}  # fmt: skip
    if rng.random() < 0.4:
        fields["deliver_by"] = rng.choice(["2030-01-08T12:00:00Z", "2030-01-10T12:00:00Z"])
    if rng.random() < 0.1:
        fields["pickup_node"] = rng.choice([n for n in NODES if n not in limits.get("except_nodes", [])])
    if rng.random() < 0.4:
        fields["hold_seconds"] = 600
    group = "g" if rng.random() < 0.25 else None
    lines = [
        {"sku": rng.choice("WXYZKL"), "quantity": rng.randrange(1, 5), "unit_price": rng.choice([None, "9.50"]),
         "group": rng.choice([group, None])}
        for _ in range(rng.randrange(1, 4))
    ]  # fmt: skip
    return order_of(order_id, *lines, **fields)


class Drive:
    """Random steps on one shop."""

    def __init__(self, scene: Scene, rng: random.Random, waits: bool) -> None:
        self.scene = scene
        self.rng = rng
        self.waits = waits
        """Then stock may change at any time: what waits is filled in the background."""
        self.bodies: dict[str, dict[str, Any]] = {}
        self._number = 0

    def _id(self) -> str:
        self._number += 1
        return f"O{self._number}"

    def judge(self, body: dict[str, Any], decision: dict[str, Any], excluded: tuple[str, ...] = ()) -> None:
        """Limits by the parcels alone."""
        keeps_its_limits(self.scene.books, body, decision)
        assert not {node for node, _ in shipped(decision)} & set(excluded)

    async def post(self) -> None:
        """A new order."""
        order_id = self._id()
        body = self.bodies[order_id] = random_order(self.rng, order_id, self.waits)
        answer = await self.scene.http.post("/v1/orders", json=body)
        assert answer.status_code == 201, answer.text
        self.judge(body, self.scene.checked(answer.json(), body))
        await self.scene.explained(order_id, answer.json())

    async def bulk(self) -> None:
        """Several new orders in one window."""
        new = [random_order(self.rng, self._id(), self.waits) for _ in range(self.rng.randrange(2, 6))]
        self.bodies |= {body["order_id"]: body for body in new}
        for body, decision in zip(new, await self.scene.together(*new), strict=True):
            self.judge(body, decision)
            await self.scene.explained(body["order_id"], decision)

    async def replace(self) -> None:
        """Another content for an order, where its state lets it."""
        order_id = self.rng.choice(list(self.bodies))
        before = (await self.scene.http.get(f"/v1/orders/{order_id}")).json()
        body = random_order(self.rng, order_id, self.waits)
        answer = await self.scene.http.put(f"/v1/orders/{order_id}", json=body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            self.bodies[order_id] = body
            self.judge(body, self.scene.checked(answer.json(), body), tuple(before["except_nodes"]))

    async def reroute(self) -> None:
        """Decided again without a node, dry or in earnest."""
        order_id, dry = self.rng.choice(list(self.bodies)), self.rng.random() < 0.3
        asked = {"command_id": self._id(), "except_nodes": [self.rng.choice(NODES)], "dry_run": dry}
        before = await self.picture()
        answer = await self.scene.http.post(f"/v1/orders/{order_id}/reroute", json=asked)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            body = self.bodies[order_id]
            self.judge(body, self.scene.checked(answer.json(), body), tuple(asked["except_nodes"]))
        if dry or answer.status_code == 409:
            assert self.waits or await self.picture() == before

    async def command(self) -> None:
        """Any command on any order; what is refused is 409."""
        name = self.rng.choice(["confirm", "release", "cancel", "cancel", "ready"])
        answer = await self.scene.http.post(f"/v1/orders/{self.rng.choice(list(self.bodies))}/{name}")
        assert answer.status_code in (200, 409), answer.text

    async def quote(self) -> None:
        """A question that changes nothing, and what it says adds up."""
        before, body = await self.picture(), random_order(self.rng, "quoted", self.waits)
        answer = await self.scene.http.post("/v1/quotes", json=body)
        assert answer.status_code == 200, answer.text
        assert self.waits or await self.picture() == before

    async def move(self) -> None:
        """Stock comes or goes."""
        kind, quantity = self.rng.choice(
            [("receive", 3), ("receive", 6), ("count", 4), ("damage", 1), ("write_off", 1)]
        )
        row = {"movement_id": self._id(), "node_id": self.rng.choice(NODES), "sku": self.rng.choice(SINGLES),
               "kind": kind, "quantity": quantity}  # fmt: skip
        answer = await self.scene.http.post("/v1/stock/movements", json=row)
        assert answer.status_code in (200, 422), answer.text

    async def picture(self) -> dict[str, Any]:
        """All stock."""
        return {sku: await self.scene.cells(sku) for sku in SINGLES}


@pytest.mark.parametrize("seed", range(3))
async def test_random_shops_stay_lawful(scene, seed):
    """Whatever is asked in whatever order: decisions lawful and priced right, nothing sold twice, all of it adds up."""
    rng = random.Random(seed)
    stock = {sku: {n: rng.randrange(12) for n in rng.sample(NODES, rng.randrange(1, 5))} for sku in SINGLES}
    nodes = random_nodes(rng)
    await scene.open(nodes, stock, random_catalogue(rng), random_policy(rng), **random_network(rng))
    drive = Drive(scene, rng, waits=seed % 2 == 0)
    await drive.post()
    steps = [drive.post] * 3 + [drive.bulk, drive.replace, drive.replace, drive.reroute, drive.command, drive.command,
                                drive.quote, drive.move]  # fmt: skip
    for _ in range(STEPS):
        await rng.choice(steps)()
    await scene.engine.backorders.stop()
    held = Counter[tuple[str, str]]()
    for order_id, body in drive.bodies.items():
        view = (await scene.http.get(f"/v1/orders/{order_id}")).json()
        decision = scene.checked(view["decision"], body)
        keeps_its_limits(scene.books, body, decision)
        if view["state"] in ("held", "allocated", "partially_allocated", "ready"):
            held += scene.books.leaves(decision)
    for sku, cells in (await drive.picture()).items():
        for node_id, cell in cells.items():
            assert cell["held"] == held[node_id, sku]
