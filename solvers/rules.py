"""The rule-based modes other systems route by: nodes in a fixed order, as much as possible of every line at each.

Orders are served in index order, whatever their priority. At a node the cheapest option that can carry what is taken is
used (by shipping plus handling, then option index). Where no option carries all of it, lines are added in line order as
far as some option carries them; the rest moves on to the next node. Limits are kept on the way: no shipment is begun
that would break one, a line that must not be split waits for a node that has all of it, and only then takes the first
that has some.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from solvers.limits import value_of
from solvers.load import loaded, most_at, rows_of
from solvers.menu import Supply
from solvers.plan import Use, take
from solvers.problem import Ints, Mode, Problem
from solvers.solution import Shipment, Solution, settle


def solve(problem: Problem) -> Solution:
    """Route every order by its mode; raises ValueError for Mode.OPTIMISE. Nothing is proven (`bound` None)."""
    left = Supply.of(problem).copy()
    plans = []
    work = 0
    for order in range(problem.orders):
        route = _Route(problem, order, left)
        route.run()
        work += route.visits
        plans.append(tuple(route.shipments))
    return settle(
        problem,
        plans,
        solver=problem.modes[0].value if problem.modes else Mode.SEQUENCE.value,
        work=work,
        bound=None,
        cut=False,
    )


def _ranked(problem: Problem, order: int, left: Supply) -> Iterator[int]:
    """The nodes that have an option for the order, in the mode's order; ties go to the lower node index.

    SEQUENCE: by `node_rank`. NEAREST: by `distance_m`. MOST_STOCK: by units free now of the order's distinct items
    together, most first.
    """
    nodes = np.unique(problem.options.node[problem.options_of(order)])
    mode = problem.modes[order]
    if mode is Mode.SEQUENCE:
        key = problem.node_rank[nodes]
    elif mode is Mode.NEAREST:
        key = problem.distance_m[order, nodes]
    elif mode is Mode.MOST_STOCK:
        items = problem.lines.item[problem.lines_of(order)]
        key = -left.stock[np.ix_(np.unique(items), nodes)].sum(axis=0)
    else:
        raise ValueError(f"{mode} is not a rule")
    return iter(nodes[np.lexsort((nodes, key))].tolist())


class _Route:
    """One order on its way from node to node: what it misses still, and what its limits still allow.

    `missing` int64[lines]: what may still ship; what it ships is taken from `left` at once.
    """

    def __init__(self, problem: Problem, order: int, left: Supply) -> None:
        self.problem, self.order, self.left = problem, order, left
        self.rows = rows_of(problem, order)
        self.missing = self.rows.wanted.copy()
        self.boxes = int(problem.limits.max_parcels[order])
        self.shipments: list[Shipment] = []
        self.uses: list[Use] = []
        self.visits = 0

    def run(self) -> None:
        """Visit the nodes; an order that goes whole or not at all gives everything back where something is short."""
        limits, order = self.problem.limits, self.order
        nodes = list(_ranked(self.problem, order, self.left))
        least, whole = int(limits.min_split_value[order]), bool(limits.whole_lines[order])
        for only_whole in (True, False) if whole else (False,):
            for node in nodes:
                # What has to go in a box of its own, as groups do, may leave more behind.
                while self.visit(node, only_whole, least) and any(self.rows.tied):
                    pass
        if least and not self.shipments:
            # Alone a shipment may hold as little as it likes.
            next((node for node in nodes if self.visit(node, whole, 0)), None)
        if limits.complete[order] and self._shipped() < self.problem.demand_of(order):
            for use in self.uses:
                self._take(use, -1)
            self.shipments = []

    def visit(self, node: int, whole: bool, least: int) -> bool:
        """Ship what the node has of what is missing, in one shipment; False if nothing went.

        `whole`: only lines it has all of; `least`: mills that the shipment must hold.
        """
        problem, order = self.problem, self.order
        if not self.missing.any() or self.boxes <= 0:
            return False
        self.visits += 1
        options = [o for o in range(*problem.options_of(order).indices(2**62)) if problem.options.node[o] == node]
        wanted = most_at(problem, order, self.rows, options[0], self.missing, self.left)
        if whole:
            enough = self._by_line(wanted) == self.missing
            wanted = np.where(enough[self.rows.line], wanted, 0)
        found = loaded(problem, order, self.rows, options, wanted, self.left, boxes=self.boxes, whole=whole)
        if found is None or value_of(problem, order, found.shipment.units) < least:
            return False
        shipped = self._by_line(found.shipment.units)
        self.shipments.append(found.shipment)
        self.boxes -= found.boxes
        self.uses.append(found.use)
        self._take(found.use, 1)
        self.missing -= shipped
        if problem.limits.whole_lines[order]:
            self.missing[shipped > 0] = 0
        return True

    def _take(self, use: Use, sign: int) -> None:
        take(self.problem, use, self.left.stock, self.left.parcels, self.left.units, sign)

    def _by_line(self, units: Ints) -> Ints:
        return np.bincount(self.rows.line, weights=units, minlength=len(self.missing)).astype(np.int64)

    def _shipped(self) -> int:
        return sum(int(shipment.units.sum()) for shipment in self.shipments)
