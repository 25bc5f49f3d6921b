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
from engine.shortfall import Short, shortfalls, taken
from solvers.solution import Solution


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
                state=decision.status,
                takes=writer.takes(range(boxes[o], boxes[o + 1])),
                loads=writer.loads(range(boxes[o], boxes[o + 1])),
                short_skus=tuple(dict.fromkeys(int(problem.lines.item[each.line]) for each in stopped)),
                short_days=tuple(sorted({day for each in stopped for day in each.days})),
                idempotency_key=window.idempotency_keys[o],
                hold_ms=None if order.hold_seconds is None else order.hold_seconds * 1000,
                again=window.again,
            )
        )
    return tuple(proposals)


_TERMS = ("shipping", "handling", "split", "late", "unfilled", "total")


class _Writer:
    """Writes the decisions of one window and what they take."""

    def __init__(self, lowered: Lowered, solution: Solution, solve_ms: float) -> None:
        self._lowered = lowered
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
        self._item = lowered.problem.lines.item.tolist()
        self._start = lowered.problem.lines.start.tolist()
        self._numbers = lowered.window.network.number_of.tolist()
        self._costs = {term: getattr(solution.costs, term).tolist() for term in _TERMS}
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
            price_version=0,
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
        window = self._lowered.window
        order = window.orders[o]
        first = self._start[o]
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
        return Decision(
            order_id=order.order_id,
            status=status,
            parcels=parcels,
            unallocated=unallocated,
            backordered=(),
            cost=Cost(**{term: decimal(amounts[o]) for term, amounts in self._costs.items()}),
            guidance=Guidance(),
            window=msgspec.structs.replace(self._facts, waited_ms=round(window.waited_ms[o], 3)),
        )

    def takes(self, boxes: Sequence[int]) -> tuple[Take, ...]:
        """Units of each cell that the boxes take, each cell once, by item and node."""
        network, place = self._lowered.window.network, self._lowered.cells.place
        wanted: dict[tuple[int, int], int] = defaultdict(int)
        for box in boxes:
            node = self._node[box]
            for at in range(self._take_start[box], self._take_start[box + 1]):
                wanted[self._item[self._take_line[at]], node] += self._take_units[at]
        return tuple(
            Take(item, int(place[item, node]), self._numbers[node], units, int(network.safety[node]))
            for (item, node), units in sorted(wanted.items())
        )

    def loads(self, boxes: Sequence[int]) -> tuple[LoadTake, ...]:
        """Parcels and units of each ship day and node: of all nodes, limited or not, so that a load page shows them."""
        network = self._lowered.window.network
        found: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        for box in boxes:
            load = found[self._ship_day[box], self._node[box]]
            load[0] += 1
            load[1] += sum(self._take_units[self._take_start[box] : self._take_start[box + 1]])
        return tuple(
            LoadTake(
                day, self._numbers[node], parcels, units, int(network.parcels_max[node]), int(network.units_max[node])
            )
            for (day, node), (parcels, units) in sorted(found.items())
        )
