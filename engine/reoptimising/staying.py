"""What orders that are decided again would cost if they stayed: their present plans on today's problem. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np

from engine.decisions import Decision, Parcel
from engine.lowering import PICKUP, Lowered
from engine.promise import to_day
from solvers.plan import plan_cost
from solvers.problem import Ints
from solvers.solution import Shipment

_decision = msgspec.json.Decoder(Decision)


def staying(lowered: Lowered, decisions: Sequence[bytes]) -> tuple[int | None, ...]:
    """The cost of each order's present decision, mills, at today's rates; None where it cannot go that way any more.

    A parcel that waits for room on a later day counts as one that leaves sooner, if only that is offered: what staying
    costs is never put too high.
    """
    if not decisions:  # of a window of new orders: there is nothing to look for
        return ()
    ways = _Ways(lowered)
    return tuple(ways.cost(o, _decision.decode(decision)) for o, decision in enumerate(decisions))


class _Ways:
    """The options and rows of a window by what decisions call them."""

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered
        network = lowered.window.network
        self._node = {node_id: n for n, node_id in enumerate(network.node_ids)}
        self._sku = {sku: k for k, sku in enumerate(lowered.window.skus)}
        everything = np.arange(len(lowered.ways.order), dtype=np.int64)
        self._names = [(service.carrier, service.service) for service in network.rates.services]
        self._days: dict[tuple[int, int, tuple[str | None, str]], list[tuple[int, int]]] = {}
        """(ship day, option) by order, node, and carrier with service."""
        columns = lowered.ways.order, lowered.ways.node, lowered.ways.service, lowered.ship_day(everything)
        for option, (o, node, service, day) in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
            name = (None, "pickup") if service == PICKUP else self._names[service]
            self._days.setdefault((o, node, name), []).append((day, option))

    def cost(self, o: int, decision: Decision) -> int | None:
        """What one order's plan costs."""
        problem = self._lowered.problem
        rows = self._rows(o)
        units: dict[int, Ints] = {}
        for parcel in decision.parcels:
            option = self._option(o, parcel)
            if option is None:
                return None
            taken = units.setdefault(option, np.zeros(len(rows), np.int64))
            for line in parcel.lines:
                place = (
                    line.line_id,
                    self._sku.get(line.sku),
                    -1 if line.node_id is None else self._node.get(line.node_id),
                )
                if place not in rows:
                    return None
                row, ratio = rows[place]
                taken[row] += line.quantity // ratio
        plan = tuple(Shipment(option, taken) for option, taken in sorted(units.items()))
        try:
            return plan_cost(problem, o, plan).total
        except ValueError:  # a service carries less than it did
            return None

    def _option(self, o: int, parcel: Parcel) -> int | None:
        """The option by which a parcel goes: on its day, or on the last one before."""
        day = to_day(date.fromisoformat(parcel.ship_by[:10]))
        ways = self._days.get((o, self._node.get(parcel.node_id, -1), (parcel.carrier, parcel.service)), ())
        return max(((at, option) for at, option in ways if at <= day), default=(0, None))[1]

    def _rows(self, o: int) -> dict[tuple[str, int | None, int | None], tuple[int, int]]:
        """(row of the order, ratio) by line, SKU shown, and the node drawn from, -1 for the option's own."""
        lowered = self._lowered
        inside, rows, first = lowered.problem.lines_of(o), lowered.rows, int(lowered.demand.start[o])
        lines = lowered.window.orders[o].lines
        columns = (column[inside].tolist() for column in (rows.line, rows.sku, rows.source, rows.ratio))
        return {
            (lines[line - first].line_id, sku, source): (k, ratio)
            for k, (line, sku, source, ratio) in enumerate(zip(*columns, strict=True))
        }
