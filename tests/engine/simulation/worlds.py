"""A small merchant to simulate: an eastern, a western and a middle node, four SKUs, two destinations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.domain import Order, OrderLine, ShipTo, Sku, StockRow
from engine.network import parse_network
from engine.policy import Policy
from engine.simulation.outcome import Outcome
from engine.simulation.patching import Setting
from engine.simulation.running import Watch, run
from engine.simulation.scenario import Pricing, Simulation, parse_simulation
from engine.simulation.world import World
from tests.engine.making import MONDAY, document, node

EAST, WEST = (
    ShipTo(country="US", region="NY", lat=40.7, lon=-74.0),
    ShipTo(country="US", region="CA", lat=34.1, lon=-118.2),
)
SKUS = ("P", "Q", "R", "S")


def world(stock: Mapping[tuple[str, str], int] | int = 100, **fields: Any) -> World:
    """`stock`: units by (node, SKU), or so many of each SKU at every node."""
    nodes = [
        node("E", lat=40.0, lon=-75.0),
        node("M", lat=38.5, lon=-98.0),
        node("W", lat=34.0, lon=-117.0),
    ]
    units = stock if not isinstance(stock, int) else {(n, sku): stock for n in "EMW" for sku in SKUS}
    return World(
        network=parse_network(json.dumps(document(nodes)).encode()),
        skus=tuple(Sku(sku=sku, weight_g=400) for sku in SKUS),
        stock=tuple(StockRow(node_id=at, sku=sku, on_hand=count) for (at, sku), count in units.items()),
        **fields,
    )


def order(order_id: str, at_s: float, lines: Mapping[str, int] | None = None, **fields: Any) -> Order:
    """An order to the east placed so many seconds after Monday morning; of one P unless told otherwise."""
    wanted = {"P": 1} if lines is None else lines
    return Order(
        order_id=order_id,
        placed_at=MONDAY + timedelta(seconds=at_s),
        ship_to=fields.pop("ship_to", EAST),
        lines=[OrderLine(line_id=str(n), sku=sku, quantity=units) for n, (sku, units) in enumerate(wanted.items(), 1)],
        **fields,
    )


def setting(of: World, **fields: Any) -> Setting:
    """A run without prices on a world."""
    return Setting(world=of, pricing=fields.pop("pricing", Pricing(on=False)), **fields)


async def outcomes_of(of: Setting, orders: Iterable[Order]) -> dict[str, Outcome]:
    """What becomes of each order."""
    found: list[Outcome] = []
    figures = await run(of, orders, Watch(settled=found.extend))
    assert figures.orders == len(found)
    return {outcome.order_id: outcome for outcome in found}


def simulation(**fields: Any) -> Simulation:
    """A generated demand of a day with one scenario that changes nothing much, unless told otherwise."""
    written = {
        "demand": {"generator": {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 50}},
        "scenarios": [{"name": "more", "patches": [{"demand_factor": 1.3}]}],
        **fields,
    }
    return parse_simulation(json.dumps(written).encode())


def patched(*patches: Mapping[str, Any]) -> Simulation:
    """One scenario, `other`, of these patches."""
    return simulation(scenarios=[{"name": "other", "patches": list(patches)}])


def with_policy(of: World, **fields: Any) -> World:
    """The world with another default policy."""
    return msgspec.structs.replace(of, policies={"default": Policy(**fields)})


def days_later(days: float) -> datetime:
    """So long after Monday morning."""
    return MONDAY + timedelta(days=days)


def rows(found: Mapping[str, Outcome], field: str, ids: Sequence[str]) -> list[Any]:
    """One field of some outcomes."""
    return [getattr(found[order_id], field) for order_id in ids]
