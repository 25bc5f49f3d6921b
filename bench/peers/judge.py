"""Every system's outcome, judged by the same book-keeping and priced by the same tariff, whatever it says itself.

Plain arithmetic over decisions in wire form: units, stock, and the cost of what ships by the contract's formula. It
shares no code with solver, ledger or routers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from bench.peers.system import Answer, Outcome
from bench.peers.world import Posted, World
from bench.uci.judge import MILE_M, great_circle_m
from engine.domain import mills
from engine.policy import Policy

FAULTS_MAX = 20


class _Line(Struct):
    line_id: str
    sku: str
    quantity: int


class _Parcel(Struct):
    node_id: str
    lines: list[_Line]


class _Cost(Struct):
    total: str


class _Decision(Struct):
    order_id: str
    parcels: list[_Parcel]
    unallocated: list[_Line]
    cost: _Cost | None = None


class Quality(NamedTuple):
    """What decisions are worth: mills per order, of them spent on parcels, parcels per order, share of units filled."""

    cost: float
    spent: float
    parcels: float
    fill: float


class Judge:
    """Judges the runs of one world."""

    def __init__(self, world: World) -> None:
        document = msgspec.json.decode(world.network)
        self._world = world
        self._asked = {posted.order.order_id: posted for posted in world.orders}
        self._weights = {sku.sku: sku.weight_g for sku in world.skus}
        self._nodes = {node["node_id"]: node for node in document["nodes"]}
        self._work = {
            node["node_id"]: tuple(mills(node["costs"][each]) for each in ("per_parcel", "per_line", "per_unit"))
            for node in document["nodes"]
        }
        [card] = document["carriers"]
        self._upper_m = [miles * MILE_M for miles in card["zones"]["upper"]]
        self._up_to_g = [row["up_to_g"] for row in card["rates"]]
        self._prices = [[mills(price) for price in row["by_zone"]] for row in card["rates"]]
        terms = Policy().objective
        self._split, self._unfilled = mills(str(terms.split_parcel)), mills(str(terms.unfilled_per_unit))
        self._decode = msgspec.json.Decoder(_Decision).decode

    def judge(self, answers: Sequence[Answer], outcome: Outcome | None) -> tuple[Quality, list[str]]:
        """How good the decisions are, and every fault (the first ones): empty when all is well."""
        faults = list(outcome.faults) if outcome is not None else []
        taken: Counter[tuple[str, str]] = Counter()
        money = spent = parcels = filled = asked = 0
        for order_id, body in answers:
            posted = self._asked[order_id]
            asked += sum(line.quantity for line in posted.order.lines)
            try:
                decision = self._decode(body)
            except msgspec.MsgspecError as error:
                faults.append(f"{order_id}: no decision ({error}): {body[:120].decode(errors='replace')}")
                continue
            faults += self._units(posted, decision)
            cost, missing = self._cost(posted, decision), sum(line.quantity for line in decision.unallocated)
            stated = None if decision.cost is None else mills(decision.cost.total)
            if outcome is not None and stated is not None and stated != cost + self._unfilled * missing:
                faults.append(f"{order_id}: says {stated} mills, and costs {cost + self._unfilled * missing}")
            money, spent, parcels = (
                money + cost + self._unfilled * missing,
                spent + cost,
                parcels + len(decision.parcels),
            )
            for parcel in decision.parcels:
                for line in parcel.lines:
                    taken[line.sku, parcel.node_id] += line.quantity
                    filled += line.quantity
        if outcome is not None:
            faults += self._stock(taken, outcome) + _stored(answers, outcome)
        count = max(1, len(answers))
        return Quality(money / count, spent / count, parcels / count, filled / max(1, asked)), faults[:FAULTS_MAX]

    def _units(self, posted: Posted, decision: _Decision) -> list[str]:
        """Every ordered unit ships or is said not to, on its own line."""
        said: Counter[tuple[str, str]] = Counter()
        for lines in (decision.unallocated, *(parcel.lines for parcel in decision.parcels)):
            for line in lines:
                said[line.line_id, line.sku] += line.quantity
        wanted = Counter({(line.line_id, line.sku): line.quantity for line in posted.order.lines})
        right = said == wanted and decision.order_id == posted.order.order_id
        return [] if right else [f"{posted.order.order_id}: units do not add up"]

    def _stock(self, taken: Counter[tuple[str, str]], outcome: Outcome) -> list[str]:
        """Every cell fell by what the decisions took, and none below zero."""
        start = self._world.cells
        return [
            f"{sku} at {node_id}: {start.get((sku, node_id), 0)} units, {taken[sku, node_id]} taken, "
            f"{outcome.left.get((sku, node_id))} left"
            for sku, node_id in sorted(start.keys() | taken.keys() | outcome.left.keys())
            if outcome.left.get((sku, node_id), -1) < 0
            or start.get((sku, node_id), 0) - taken[sku, node_id] != outcome.left.get((sku, node_id))
        ]

    def _cost(self, posted: Posted, decision: _Decision) -> int:
        """Mills of what ships: the tariff by zone and weight, handling, and splitting."""
        total = self._split * max(0, len(decision.parcels) - 1)
        home = posted.order.ship_to
        assert home.lat is not None
        assert home.lon is not None
        for parcel in decision.parcels:
            node = self._nodes[parcel.node_id]
            metres = great_circle_m(node["lat"], node["lon"], home.lat, home.lon)
            grams = sum(self._weights[line.sku] * line.quantity for line in parcel.lines)
            per_parcel, per_line, per_unit = self._work[parcel.node_id]
            total += self._prices[bisect_left(self._up_to_g, grams)][bisect_left(self._upper_m, metres)]
            total += per_parcel + per_line * len({line.line_id for line in parcel.lines})
            total += per_unit * sum(line.quantity for line in parcel.lines)
        return total


def _stored(answers: Sequence[Answer], outcome: Outcome) -> list[str]:
    """The decisions that are stored are the acknowledged ones, byte for byte."""
    acknowledged = dict(answers)
    faults = (
        [f"{len(answers) - len(acknowledged)} orders were answered twice"] if len(acknowledged) < len(answers) else []
    )
    return faults + [
        f"{order_id}: acknowledged and stored decision differ"
        for order_id in sorted(acknowledged.keys() | outcome.stored.keys())
        if acknowledged.get(order_id) != outcome.stored.get(order_id)
    ]
