"""How many units a window can ship at most, class by class of priority, if only stock limits it.

Without binding capacity SKUs are independent: the units of one SKU that the orders of the highest classes can get is a
maximum flow from nodes to lines, and raising it for a class never lowers it for a higher one (the fillable sets of a
flow form a matroid), so the cumulative flows are the lexicographic optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvers.menu import Supply, has_room, spans
from solvers.problem import Bools, Ints, Problem
from solvers.tariff import BEYOND, Contents, box_prices


class FlowFailedError(RuntimeError):
    """A flow solver did not report an optimum."""


@dataclass(frozen=True, slots=True)
class Targets:
    """`row` int64[L]: the fill row of each line, -1 where the whole line ships in every fullest solution.

    `units` int64[rows]: what the lines of a row can ship together; `owner` int64[L] the order of each line.
    """

    row: Ints
    units: Ints
    owner: Ints


def targets(problem: Problem, supply: Supply) -> Targets:
    """The most units by (SKU, priority class) that stock allows; an upper bound where capacity binds too."""
    lines = problem.lines
    owner = np.repeat(np.arange(problem.orders), np.diff(lines.start))
    row = np.full(len(lines.item), -1, np.int64)
    units: list[int] = []
    usable = _usable(problem, supply)
    stock = np.where(usable, np.minimum(supply.stock[lines.item], 2**40), 0)
    demand = np.zeros(len(problem.stock), np.int64)
    np.add.at(demand, lines.item, lines.quantity)
    # Where every line could have all that the window wants of its SKU, any order of serving fills everything.
    short = stock.sum(axis=1) < demand[lines.item]
    for item in np.unique(lines.item[short]).tolist():
        at = np.flatnonzero(lines.item == item)
        priority = problem.priority[owner[at]]
        before = 0
        for one in sorted(set(priority.tolist()), reverse=True):
            here = at[priority >= one]
            total = _most(lines.quantity[here], stock[here])
            mine = at[priority == one]
            if total - before < int(lines.quantity[mine].sum()):
                row[mine] = len(units)
                units.append(total - before)
            before = total
    return Targets(row, np.array(units, np.int64), owner)


def by_class(problem: Problem, fill: Targets) -> Targets:
    """The same with one row per priority class over all lines: where capacity may bind, SKUs compete for it."""
    priority = problem.priority[fill.owner]
    classes = sorted(set(priority.tolist()), reverse=True)
    row = np.array([classes.index(one) for one in priority.tolist()], np.int64)
    units = np.zeros(len(classes), np.int64)
    whole = fill.row < 0
    np.add.at(units, row[whole], problem.lines.quantity[whole])
    for index, most in enumerate(fill.units.tolist()):
        units[row[np.flatnonzero(fill.row == index)[0]]] += most
    return Targets(row, units, fill.owner)


def _usable(problem: Problem, supply: Supply) -> Bools:
    """bool[L, N]: some option with room carries a unit of the line from the node."""
    lines, options = problem.lines, problem.options
    every = np.arange(len(lines.item), dtype=np.int64)
    owner = np.repeat(np.arange(problem.orders), np.diff(lines.start))
    rows, of = spans(options.start, owner)
    line = every[of]
    light = lines.weight_g[line] <= options.max_weight_g[rows]
    one = np.ones(1, np.int64)
    price = box_prices(problem, rows, Contents(lines.weight_g[line], lines.volume_mm3[line], one, one, one))
    good = light & (price < BEYOND) & has_room(problem, rows, supply)
    usable = np.zeros((len(every), problem.nodes), np.bool_)
    usable[line[good], options.node[rows[good]]] = True
    return usable & lines.eligible


def _most(quantity: Ints, stock: Ints) -> int:
    """Units that lines (int64[n]) can get of one SKU; stock int64[n, N]: what each line may take at each node."""
    free = stock.max(axis=0)
    nodes = np.flatnonzero(free)
    reach = stock[:, nodes] > 0
    if reach.all():
        return min(int(quantity.sum()), int(free.sum()))
    from ortools.graph.python import max_flow  # Loaded only where eligibility differs between lines of a scarce SKU.

    flow = max_flow.SimpleMaxFlow()
    source, sink, count = 0, 1, len(nodes)
    line, node = np.nonzero(reach)
    flow.add_arcs_with_capacity(np.full(count, source), 2 + np.arange(count), free[nodes])
    flow.add_arcs_with_capacity(2 + node, 2 + count + line, free[nodes][node])
    flow.add_arcs_with_capacity(2 + count + np.arange(len(quantity)), np.full(len(quantity), sink), quantity)
    if flow.solve(source, sink) != flow.OPTIMAL:
        raise FlowFailedError("the maximum flow of a SKU was not solved")
    return int(flow.optimal_flow())
