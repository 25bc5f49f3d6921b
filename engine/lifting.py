"""A solved window as proposals to the ledger: decisions in their wire form, what to take, and what ran out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from engine.decisions import (
    Backordered,
    Cost,
    Decision,
    Guidance,
    Parcel,
    ParcelCost,
    ParcelLine,
    Unallocated,
    WindowFacts,
    encode,
    status_of,
    unfilled,
)
from engine.domain import Order, decimal
from engine.ledger.port import Proposal
from engine.lowering import PICKUP, Lowered
from engine.promise import wall_time_text
from engine.shortfall import Short, shortfalls
from engine.taking import loads_of, taken, takes_of
from engine.waiting import Missing, backordered, rank_of, waiting, waits_of
from solvers.guided import guidance
from solvers.limits import limited
from solvers.problem import Ints
from solvers.solution import Solution

_encode = msgspec.json.Encoder().encode


def lift(lowered: Lowered, solution: Solution, solve_ms: float) -> tuple[Proposal, ...]:
    """One proposal per order, in window order. `solve_ms` is told, never measured here."""
    window, problem = lowered.window, lowered.problem
    use = taken(lowered, solution)
    short: dict[int, list[Short]] = defaultdict(list)
    for each in shortfalls(lowered, use):
        short[int(lowered.demand.order[each.line])].append(each)
    boxes = np.searchsorted(solution.boxes.order, np.arange(problem.orders + 1)).tolist()
    takes, loads = takes_of(lowered, use), loads_of(lowered, solution)
    writer = _Writer(lowered, solution, solve_ms)
    keeps = limited(problem)
    proposals = []
    for o, order in enumerate(window.orders):
        parcels = writer.parcels(o, range(boxes[o], boxes[o + 1]))
        lacks = short.get(o, ())
        waits: Sequence[bool] = ()
        left: list[Missing] = []
        short_skus: tuple[int, ...] = ()
        short_days: tuple[int, ...] = ()
        if lacks:
            missing = writer.missing(o, lacks)
            waits = waiting(order, lowered.limits[o], window.items, parcels, missing)
            left = [each for each, waiting_too in zip(missing, waits, strict=True) if waiting_too]
            short_skus, short_days = _claims(lowered, o, lacks, bool(keeps[o]))
        decision = writer.decision(o, parcels, lacks, waits)
        proposals.append(
            Proposal(
                order_id=order.order_id,
                content=window.contents[o],
                order=_encode(order),
                decision=encode(decision),
                state=decision.status,
                takes=takes[o],
                loads=loads[o],
                short_skus=short_skus,
                short_days=short_days,
                idempotency_key=window.idempotency_keys[o],
                hold_ms=None if order.hold_seconds is None else order.hold_seconds * 1000,
                again=window.again,
                waits=waits_of(left, window.items, lowered.limits[o]) if left else (),
                rank=rank_of(order, window.snapshot.at_ms) if left else 0,
                closes_ms=writer.closes_ms(range(boxes[o], boxes[o + 1])),
            )
        )
    return tuple(proposals)


def _claims(
    lowered: Lowered, order: int, short: Sequence[Short], keeps: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The SKUs and ship days on whose want an order's unfilled units rest.

    Where the order `keeps` a limit, more of anything in it may change what ships; otherwise only of what is short.
    """
    stopped = [each for each in short if each.reason.of_supply]
    if not stopped:
        return (), ()
    if not keeps:
        skus = dict.fromkeys(sku for each in stopped for sku in each.skus)
        return tuple(skus), tuple(sorted({day for each in stopped for day in each.days}))
    goods = lowered.rows.good[lowered.problem.lines_of(order)].tolist()
    skus = dict.fromkeys(sku for good in goods for sku in lowered.goods.parts_of(good))
    days = lowered.days
    at = (slice(None), int(days.of_order[order]))
    nodes = lowered.places.leads()[order]
    there = days.ship[at][:, nodes][days.bucket[at][:, nodes] >= 0]
    return tuple(skus), tuple(np.unique(there).tolist())


_UNGUIDED = Guidance()


class _Writer:
    """Writes the decisions of one window and what they take."""

    def __init__(self, lowered: Lowered, solution: Solution, solve_ms: float) -> None:
        self._lowered = lowered
        options, rows = lowered.problem.options, lowered.rows
        option = solution.boxes.option
        # Plain lists: single elements of arrays are slow to read.
        self._node = options.node[option].tolist()
        self._service = lowered.ways.service[option].tolist()
        self._weight = solution.boxes.weight_g.tolist()
        self._shipping = solution.boxes.shipping.tolist()
        self._handling = solution.boxes.handling.tolist()
        self._take_start = solution.boxes.take_start.tolist()
        self._take_line = solution.boxes.take_line.tolist()
        self._take_units = solution.boxes.take_units.tolist()
        ship_day = lowered.ship_day(option)
        self._ship_day = ship_day.tolist()
        self._arrival = _arrivals(lowered, ship_day, option).tolist()
        self._start = lowered.demand.start.tolist()
        self._rows = list(
            zip(rows.line.tolist(), rows.sku.tolist(), rows.ratio.tolist(), rows.source.tolist(), strict=True)
        )
        steered = guidance(lowered.problem, solution)
        self._guidance = [
            Guidance(stock_price=decimal(price), rules=decimal(rules), balance=decimal(balance))
            if price or rules or balance
            else _UNGUIDED
            for rules, balance, price in zip(*(each.tolist() for each in steered), strict=True)
        ]
        self._costs = list(
            zip(*(getattr(solution.costs, term).tolist() for term in Cost.__struct_fields__), strict=True)
        )
        window = lowered.window
        gap = solution.gap
        self._facts = WindowFacts(
            window_id=window.window_id,
            orders=len(window.orders),
            waited_ms=0.0,
            solve_ms=round(solve_ms, 3),
            solver=solution.solver,
            gap=None if gap is None else round(gap, 6),
            cut=solution.cut,
            policy_version=window.policy_version,
            network_version=window.snapshot.versions.network,
            price_version=lowered.priced_by,
        )

    def parcels(self, o: int, boxes: Sequence[int]) -> tuple[Parcel, ...]:
        """The order's boxes as parcels, numbered from 1."""
        network = self._lowered.window.network
        order = self._lowered.window.orders[o]
        first = self._start[o]
        destination = order.ship_to.timezone or "UTC"
        found = []
        for index, box in enumerate(boxes, 1):
            node, day = self._node[box], self._ship_day[box]
            way = self._service[box]
            service = None if way == PICKUP else network.rates.services[way]
            found.append(
                Parcel(
                    parcel_id=f"{order.order_id}-{index}",
                    node_id=network.node_ids[node],
                    carrier=service.carrier if service else None,
                    service=service.service if service else "pickup",
                    ship_by=network.calendars.ship_by(node, day),
                    deliver_by=wall_time_text(self._arrival[box], 1440, destination),
                    weight_g=self._weight[box],
                    lines=self._contents(box, order, first),
                    cost=ParcelCost(decimal(self._shipping[box]), decimal(self._handling[box])),
                )
            )
        return tuple(found)

    def _contents(self, box: int, order: Order, first: int) -> tuple[ParcelLine, ...]:
        window = self._lowered.window
        found = []
        for at in range(self._take_start[box], self._take_start[box + 1]):
            row, sku, ratio, source = self._rows[self._take_line[at]]
            line, shown = order.lines[row - first], window.skus[sku]
            found.append(
                ParcelLine(
                    line.line_id,
                    shown,
                    self._take_units[at] * ratio,
                    None if shown == line.sku else line.sku,
                    None if source < 0 else window.network.node_ids[source],
                )
            )
        return tuple(found)

    def missing(self, o: int, short: Sequence[Short]) -> list[Missing]:
        """What does not ship of an order."""
        lines, first = self._lowered.window.orders[o].lines, self._start[o]
        return [Missing(lines[each.line - first], each.quantity, each.reason) for each in short]

    def decision(self, o: int, parcels: tuple[Parcel, ...], short: Sequence[Short], waits: Sequence[bool]) -> Decision:
        """The whole decision of one order. `waits`: which of what is short waits for stock."""
        window = self._lowered.window
        unallocated, later = self._short(o, short, waits) if short else ((), ())
        return Decision(
            order_id=window.orders[o].order_id,
            status=status_of(parcels, unallocated, later),
            parcels=parcels,
            unallocated=unallocated,
            backordered=later,
            cost=self._cost(o, unallocated, later),
            guidance=self._guidance[o],
            window=msgspec.structs.replace(self._facts, waited_ms=round(window.waited_ms[o], 3)),
        )

    def _short(
        self, o: int, short: Sequence[Short], waits: Sequence[bool]
    ) -> tuple[tuple[Unallocated, ...], tuple[Backordered, ...]]:
        """What stays, and what waits."""
        lines, first = self._lowered.window.orders[o].lines, self._start[o]
        later = tuple(
            entry
            for each, waiting_too in zip(short, waits, strict=True)
            if waiting_too
            for entry in backordered(lines[each.line - first], each.quantity, self._lowered.dues.get(each.line, ()))
        )
        unallocated = tuple(
            Unallocated(
                line_id=lines[each.line - first].line_id,
                sku=lines[each.line - first].sku,
                quantity=each.quantity,
                reason=each.reason,
                transient=each.reason.transient,
                free=each.free,
                held=each.held,
                safety=each.safety,
                elsewhere=each.elsewhere,
            )
            for each, waiting_too in zip(short, waits, strict=True)
            if not waiting_too
        )
        return unallocated, later

    def _cost(self, o: int, unallocated: Sequence[Unallocated], later: Sequence[Backordered]) -> Cost:
        """The order's cost. Units that were to wait and cannot, for another reason, are charged as unfilled."""
        *others, charged, total = self._costs[o]
        if self._lowered.dues:
            told, charged = charged, unfilled(unallocated, later) * self._lowered.problem.objective.unfilled_per_unit
            total += charged - told
        return Cost(*map(decimal, (*others, charged, total)))

    def closes_ms(self, boxes: Sequence[int]) -> int:
        """Until when the order may be decided again in the background: the first of its ship days ends; 0 for never."""
        window = self._lowered.window
        if window.policy.reoptimise.mode == "off":
            return 0
        calendars = window.network.calendars
        return min((calendars.closes_ms(self._node[box], self._ship_day[box]) for box in boxes), default=0)


def _arrivals(lowered: Lowered, ship_day: Ints, option: Ints) -> Ints:
    """The day on which each of some boxes arrives, int64[P]."""
    node, transit = lowered.problem.options.node[option], lowered.ways.transit_days[option]
    arrival = np.zeros(len(option), np.int64)
    for day in np.unique(ship_day).tolist():
        at = np.flatnonzero(ship_day == day)
        arrival[at] = lowered.window.network.calendars.arrivals(day)[node[at], transit[at]]
    return arrival
