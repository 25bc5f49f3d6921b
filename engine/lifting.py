"""A solved window as proposals to the ledger: decisions in their wire form, what to take, and what ran out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from engine.decisions import (
    Cost,
    Decision,
    Guidance,
    Parcel,
    ParcelCost,
    ParcelLine,
    Status,
    Unallocated,
    WindowFacts,
    encode,
)
from engine.domain import Order, decimal
from engine.ledger.port import LoadTake, Proposal, Take
from engine.lowering import Lowered
from engine.promise import wall_time_text
from engine.shortfall import Short, Taken, shortfalls, taken
from solvers.solution import Solution

STATES: dict[Status, str] = {
    "allocated": "allocated",
    "partially_allocated": "partially_allocated",
    "refused": "refused",
}
"""The state of an order after its decision is committed."""


def lift(lowered: Lowered, solution: Solution, solve_ms: float) -> tuple[Proposal, ...]:
    """One proposal per order, in window order. `solve_ms` is told, never measured here."""
    window, problem = lowered.window, lowered.problem
    use = taken(lowered, solution)
    short: dict[int, list[Short]] = defaultdict(list)
    for each in shortfalls(lowered, use):
        short[int(np.searchsorted(problem.lines.start, each.line, side="right")) - 1].append(each)
    boxes = np.searchsorted(solution.boxes.order, np.arange(problem.orders + 1)).tolist()
    writer = _Writer(lowered, solution, solve_ms)
    proposals = []
    for o, order in enumerate(window.orders):
        parcels = writer.parcels(o, range(boxes[o], boxes[o + 1]))
        decision = writer.decision(o, parcels, short[o])
        stopped = [each for each in short[o] if each.reason.of_supply]
        proposals.append(
            Proposal(
                order_id=order.order_id,
                content=window.contents[o],
                order=msgspec.json.encode(order),
                decision=encode(decision),
                state=STATES[decision.status],
                takes=_takes(lowered, use, o),
                loads=_loads(lowered, solution, range(boxes[o], boxes[o + 1])),
                short_skus=tuple(dict.fromkeys(int(problem.lines.item[each.line]) for each in stopped)),
                short_days=tuple(sorted({day for each in stopped for day in each.days})),
                idempotency_key=window.idempotency_keys[o],
            )
        )
    return tuple(proposals)


class _Writer:
    """Writes decisions of one window."""

    def __init__(self, lowered: Lowered, solution: Solution, solve_ms: float) -> None:
        self._lowered = lowered
        self._solution = solution
        self._boxes = solution.boxes
        options = lowered.problem.options
        option = solution.boxes.option
        # Plain lists: single elements of arrays are slow to read.
        self._node = options.node[option].tolist()
        self._service = lowered.service[option].tolist()
        self._weight = solution.boxes.weight_g.tolist()
        self._shipping = solution.boxes.shipping.tolist()
        self._handling = solution.boxes.handling.tolist()
        self._take_start = solution.boxes.take_start.tolist()
        self._take_line = solution.boxes.take_line.tolist()
        self._take_units = solution.boxes.take_units.tolist()
        self._ship_day = lowered.ship_day[solution.boxes.order, options.node[option]].tolist()
        self._transit = lowered.transit_days[option].tolist()
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
            policy_version=window.snapshot.versions.policy,
            network_version=window.snapshot.versions.network,
            price_version=0,
        )

    def parcels(self, o: int, boxes: Sequence[int]) -> tuple[Parcel, ...]:
        """The order's boxes as parcels, numbered from 1."""
        network = self._lowered.window.network
        order = self._lowered.window.orders[o]
        first = int(self._lowered.problem.lines.start[o])
        destination = order.ship_to.timezone or "UTC"
        found = []
        for index, box in enumerate(boxes, 1):
            node, day = self._node[box], self._ship_day[box]
            service = network.rates.services[self._service[box]]
            arrival = int(network.calendars.arrivals(day)[node, self._transit[box]])
            found.append(
                Parcel(
                    parcel_id=f"{order.order_id}-{index}",
                    node_id=network.node_ids[node],
                    carrier=service.carrier,
                    service=service.service,
                    ship_by=network.calendars.ship_by(node, day),
                    deliver_by=wall_time_text(arrival, 1440, destination),
                    weight_g=self._weight[box],
                    lines=self._contents(box, order, first),
                    cost=ParcelCost(decimal(self._shipping[box]), decimal(self._handling[box])),
                )
            )
        return tuple(found)

    def _contents(self, box: int, order: Order, first: int) -> tuple[ParcelLine, ...]:
        found = []
        for at in range(self._take_start[box], self._take_start[box + 1]):
            line = order.lines[self._take_line[at] - first]
            found.append(ParcelLine(line.line_id, line.sku, self._take_units[at]))
        return tuple(found)

    def decision(self, o: int, parcels: tuple[Parcel, ...], short: Sequence[Short]) -> Decision:
        """The whole decision of one order."""
        window, costs = self._lowered.window, self._solution.costs
        order = window.orders[o]
        first = int(self._lowered.problem.lines.start[o])
        unallocated = tuple(
            Unallocated(
                line_id=order.lines[each.line - first].line_id,
                sku=order.lines[each.line - first].sku,
                quantity=each.quantity,
                reason=each.reason,
                transient=each.reason.transient,
                free=each.free,
                held=each.held,
                safety=each.safety,
                elsewhere=each.elsewhere,
            )
            for each in short
        )
        status: Status = "refused" if not parcels else "partially_allocated" if short else "allocated"
        terms = ("shipping", "handling", "split", "late", "unfilled", "total")
        return Decision(
            order_id=order.order_id,
            status=status,
            parcels=parcels,
            unallocated=unallocated,
            backordered=(),
            cost=Cost(**{term: decimal(int(getattr(costs, term)[o])) for term in terms}),
            guidance=Guidance(),
            window=msgspec.structs.replace(self._facts, waited_ms=round(window.waited_ms[o], 3)),
        )


def _takes(lowered: Lowered, use: Taken, o: int) -> tuple[Take, ...]:
    """Units of each cell that the order takes, each cell once, by item and node."""
    lines, network = lowered.problem.lines, lowered.window.network
    rows = lowered.problem.lines_of(o)
    wanted: dict[tuple[int, int], int] = defaultdict(int)
    line_at, node_at = np.nonzero(use.by_line[rows])
    for line, node in zip((line_at + rows.start).tolist(), node_at.tolist(), strict=True):
        wanted[int(lines.item[line]), node] += int(use.by_line[line, node])
    return tuple(
        Take(
            sku=item,
            slot=int(lowered.cells.place[item, node]),
            node=int(network.number_of[node]),
            units=units,
            safety=int(network.safety[node]),
        )
        for (item, node), units in sorted(wanted.items())
    )


def _loads(lowered: Lowered, solution: Solution, boxes: range) -> tuple[LoadTake, ...]:
    """Parcels and units of each ship day and node, of all nodes, limited or not: the load page shows them all."""
    network, options = lowered.window.network, lowered.problem.options
    found: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    for box in boxes:
        node = int(options.node[solution.boxes.option[box]])
        load = found[int(lowered.ship_day[solution.boxes.order[box], node]), node]
        load[0] += 1
        start, end = solution.boxes.take_start[box], solution.boxes.take_start[box + 1]
        load[1] += int(solution.boxes.take_units[start:end].sum())
    return tuple(
        LoadTake(
            day=day,
            node=int(network.number_of[node]),
            parcels=parcels,
            units=units,
            parcels_max=int(network.parcels_max[node]),
            units_max=int(network.units_max[node]),
        )
        for (day, node), (parcels, units) in sorted(found.items())
    )
