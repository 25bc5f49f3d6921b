"""Small networks, orders and windows for the tests of deciding; what a test does not care about has a value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from engine.domain import Order, Sku, content_hash, epoch_ms
from engine.ledger.port import LOAD, SLOT, DayLoad, Row, Snapshot, Versions
from engine.lowering import Lowered, WindowInput, lower, touched
from engine.network import Network, parse_network
from engine.policy import Policy
from engine.pricing.sheet import PriceSheet
from solvers.problem import Ints
from solvers.solution import Shipment, Solution, check, settle

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
"""A Monday morning; Thursday of that week is the US holiday of 2026-11-26."""


def node(node_id: str, **fields: Any) -> dict[str, Any]:
    """A node near the middle of Kansas unless told otherwise."""
    return {"node_id": node_id, "country": "US", "lat": 38.5, "lon": -98.0, **fields}


def card(**fields: Any) -> dict[str, Any]:
    """A card of three distance zones and two weights: 5.00 / 6.00 / 7.00 to 1 kg, 9.00 / 10.00 / 11.00 to 5 kg."""
    return {
        "carrier": "usps",
        "service": "ground",
        "zones": {"kind": "distance_miles", "upper": [100, 500]},
        "rates": [
            {"up_to_g": 1000, "by_zone": ["5.00", "6.00", "7.00"]},
            {"up_to_g": 5000, "by_zone": ["9.00", "10.00", "11.00"]},
        ],
        "transit_days": [1, 2, 4],
        **fields,
    }


def document(
    nodes: Sequence[Mapping[str, Any]],
    carriers: Sequence[Mapping[str, Any]] | None = None,
    lanes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A network document; without carriers named there is one card."""
    return {"nodes": list(nodes), "carriers": [card()] if carriers is None else list(carriers), "lanes": list(lanes)}


def compiled(written: Mapping[str, Any], version: int = 7) -> Network:
    """Parse and compile; node numbers are 10 times the place in the document plus 3, so that nobody confuses them."""
    parsed = parse_network(json.dumps(written).encode())
    return Network.compile(parsed, {each.node_id: 10 * i + 3 for i, each in enumerate(parsed.nodes)}, version)


def order(order_id: str, *lines: tuple[str, int], **fields: Any) -> Order:
    """An order of (sku, quantity) lines, numbered from 1, to a place 60 miles from the default node."""
    ship_to = {"country": "US", "lat": 38.5, "lon": -99.0, **fields.pop("ship_to", {})}
    written = [{"line_id": str(i), "sku": sku, "quantity": quantity} for i, (sku, quantity) in enumerate(lines, 1)]
    body = json.dumps({"order_id": order_id, "ship_to": ship_to, "lines": written, **fields})
    return msgspec.json.decode(body, type=Order)


def row(network: Network, cells: Mapping[str, Any]) -> Row:
    """A stock row; a cell is on_hand, or a dict of the fields of a slot."""
    slots = np.zeros(len(cells), SLOT)
    for slot, (node_id, cell) in zip(slots, cells.items(), strict=True):
        values = cell if isinstance(cell, dict) else {"on_hand": cell}
        slot["node"], slot["safety"] = network.numbers[node_id], -1
        for name, value in values.items():
            slot[name] = value
    return Row(1, slots)


def window(
    network: Network,
    orders: Sequence[Order],
    stock: Mapping[str, Mapping[str, Any]],
    *,
    skus: Sequence[Sku] = (),
    at: datetime = MONDAY,
    loads: Mapping[int, Mapping[str, tuple[int, int]]] | None = None,
    policy: Mapping[str, Any] | None = None,
    as_placed: bool = False,
    strict_skus: bool = False,
    prices: PriceSheet | None = None,
) -> WindowInput:
    """A window of these orders; `stock` is {sku: {node_id: cell}}, `loads` {day: {node_id: (parcels, units)}}."""
    items = {each.sku: each for each in skus}
    names = touched(orders, items)
    days = {}
    for day, load in (loads or {}).items():
        table = np.zeros(max(network.numbers.values()) + 1, LOAD)
        for node_id, used in load.items():
            table[network.numbers[node_id]] = used
        days[day] = DayLoad(1, table)
    return WindowInput(
        window_id="w-1",
        orders=tuple(orders),
        contents=tuple(content_hash(each) for each in orders),
        idempotency_keys=(None,) * len(orders),
        waited_ms=(1.5,) * len(orders),
        skus=names,
        items={sku: items[sku] for sku in names if sku in items},
        snapshot=Snapshot(
            epoch_ms(at),
            Versions(network.version, 1, 1),
            tuple(row(network, stock.get(sku, {})) for sku in names),
            days,
            {},
        ),
        network=network,
        policy=msgspec.convert(policy or {}, Policy),
        as_placed=as_placed,
        strict_skus=strict_skus,
        prices=prices,
    )


def shipped(lowered: Lowered, *plans: Mapping[tuple[str, str], Sequence[int]]) -> Solution:
    """A solution by hand: per order {(node_id, service): units per line}; feasible by the judge."""
    return settled(
        lowered, [{option_of(lowered, o, *way): units for way, units in p.items()} for o, p in enumerate(plans)]
    )


def settled(lowered: Lowered, plans: Sequence[Mapping[int, Sequence[int]]]) -> Solution:
    """A solution from {option: units per line} per order."""
    made = [tuple(Shipment(j, np.array(units, np.int64)) for j, units in plan.items()) for plan in plans]
    solution = settle(lowered.problem, made, solver="by hand", work=1, bound=None, cut=False)
    assert check(lowered.problem, solution) == []
    return solution


def option_of(lowered: Lowered, o: int, node_id: str, service: str = "ground") -> int:
    """The option of an order from a node by a service name."""
    network, options = lowered.window.network, lowered.problem.options
    found = [
        j
        for j in range(*lowered.problem.options_of(o).indices(len(options.node)))
        if network.node_ids[options.node[j]] == node_id
        and network.rates.services[lowered.ways.service[j]].service == service
    ]
    assert len(found) == 1, f"{len(found)} options from {node_id} by {service}"
    return found[0]


def priced(network: Network, one: Order, skus: Sequence[Sku], node_id: str, service: str = "ground") -> Solution:
    """The order shipped whole from one node."""
    stock = {line.sku: {node_id: 10**6} for line in one.lines}
    lowered = lower(window(network, [one], stock, skus=skus))
    return shipped(lowered, {(node_id, service): [line.quantity for line in one.lines]})


def column(values: Ints) -> list[int]:
    """An array as a plain list, for comparing."""
    return values.tolist()  # type: ignore[no-any-return]


def lowered_equal(one: WindowInput, other: WindowInput) -> None:
    """Assert that two windows become the same problem."""

    def compare(a: Any, b: Any) -> None:
        if isinstance(a, np.ndarray):
            assert np.array_equal(a, b)
        elif isinstance(a, tuple):
            assert len(a) == len(b)
            for one, other in zip(a, b, strict=True):
                compare(one, other)
        elif is_dataclass(a) and not isinstance(a, type):
            for field in fields(a):
                compare(getattr(a, field.name), getattr(b, field.name))
        else:
            assert a == b

    first, second = lower(one), lower(other)
    compare(first.problem, second.problem)
    compare(first.cells, second.cells)
    compare(first.days.ship, second.days.ship)
