"""Plans of the solver as decisions in wire form, so that the judge can judge them as he does any other."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.uci.hindsight import Foresight, Horizon, Shipped
from bench.uci.judge import Judge
from bench.uci.recipe import Workload
from engine.domain import Order, decimal, mills
from engine.policy import Policy
from solvers.solution import settle


def judged(ahead: Horizon, found: Foresight, work: Workload, shipped: Shipped) -> tuple[Judge, int, int]:
    """The judge after all deliveries and plans in time; the parcels, and how many orders ship any."""
    unfilled = mills(Policy().objective.unfilled_per_unit)
    judge = Judge(work.network, work.skus, unfilled)
    asked = {order.order_id: order for order in work.orders}
    parcels = _parcels(ahead, found)
    for period, delivery in enumerate(work.deliveries):
        judge.deliver(delivery.movements)
        for place in (ahead.period == period).nonzero()[0].tolist():
            order = asked[ahead.sooner.window.orders[place].order_id]
            judge.decided(order, _decision(order, parcels[place], shipped[order.order_id], unfilled))
    return judge, sum(map(len, parcels)), sum(map(bool, parcels))


def _parcels(ahead: Horizon, found: Foresight) -> list[list[dict[str, Any]]]:
    """The parcels of every order, as a decision has them."""
    plans = [one.plan for one in found.plans]
    boxes = settle(ahead.problem, plans, solver="hindsight", work=0, bound=None, cut=False).boxes
    network, window, of = ahead.sooner.window.network, ahead.sooner.window, ahead.problem
    parcels: list[list[dict[str, Any]]] = [[] for _ in plans]
    for box, (place, option) in enumerate(zip(boxes.order.tolist(), boxes.option.tolist(), strict=True)):
        service = network.rates.services[int(ahead.sooner.ways.service[option])]
        inside = slice(int(boxes.take_start[box]), int(boxes.take_start[box + 1]))
        lines = [
            window.orders[place].lines[row - int(of.lines.start[place])] for row in boxes.take_line[inside].tolist()
        ]
        units = boxes.take_units[inside].tolist()
        parcels[place].append(
            {
                "node_id": network.node_ids[int(of.options.node[option])],
                "carrier": service.carrier,
                "service": service.service,
                "weight_g": int(boxes.weight_g[box]),
                "lines": [_line(line.line_id, line.sku, each) for line, each in zip(lines, units, strict=True)],
                "cost": {
                    "shipping": decimal(int(boxes.shipping[box])),
                    "handling": decimal(int(boxes.handling[box])),
                },
            }
        )
    return parcels


def _line(line_id: str, sku: str, units: int) -> dict[str, Any]:
    return {"line_id": line_id, "sku": sku, "quantity": units}


def _decision(order: Order, parcels: list[dict[str, Any]], sent: dict[str, dict[str, int]], unfilled: int) -> bytes:
    """The whole order: what ships, and the units that never did."""
    left = [(line, line.quantity - sum(sent.get(line.line_id, {}).values())) for line in order.lines]
    money = {name: sum(mills(parcel["cost"][name]) for parcel in parcels) for name in ("shipping", "handling")} | {
        "split": 0,
        "late": 0,
        "unfilled": unfilled * sum(units for _, units in left),
    }
    money["total"] = sum(money.values())
    return msgspec.json.encode(
        {
            "order_id": order.order_id,
            "status": "allocated",
            "parcels": parcels,
            "unallocated": [_line(line.line_id, line.sku, units) for line, units in left if units],
            "cost": {name: decimal(amount) for name, amount in money.items()},
            "window": {"window_id": "hindsight", "solve_ms": 0.0, "solver": "hindsight"},
        }
    )
