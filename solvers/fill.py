"""How many units a window can ship at most, class by class of priority: exactly if only stock limits it (`targets`).

Without limits, alternatives, shared parts and binding capacity SKUs are independent: the units of one SKU that the
orders of the highest classes can get is a maximum flow from nodes to lines, and raising it for a class never lowers it
for a higher one (the fillable sets of a flow form a matroid), so the cumulative flows are the lexicographic optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solvers.limits import limited
from solvers.menu import Supply, has_room, spans
from solvers.plan import Priced
from solvers.problem import Bools, Ints, Problem
from solvers.runs import owners
from solvers.simple import Simple
from solvers.tariff import BEYOND, Contents, box_prices, tolls


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


def targets(problem: Problem, supply: Supply, simple: Simple) -> Targets:
    """The most units by (SKU, priority class) that stock allows; an upper bound where capacity binds too.

    `simple`: the window's simple orders, on the same supply.
    """
    lines = problem.lines
    owner = owners(lines.start)
    row = np.full(len(lines.item), -1, np.int64)
    units: list[int] = []
    usable = simple.usable()
    others = np.flatnonzero(simple.place[owner] < 0)
    usable[others] = _usable(problem, supply, others)
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


def everything(problem: Problem) -> Targets:
    """The targets of a window of which a solution is known that ships all."""
    owner = owners(problem.lines.start)
    return Targets(np.full(len(owner), -1, np.int64), np.zeros(0, np.int64), owner)


def class_units(problem: Problem, fill: Targets) -> tuple[int, ...]:
    """What `targets` add up to by descending priority class: one class may not stand in for another."""
    classes, number = np.unique(-problem.priority[fill.owner], return_inverse=True)
    units = np.zeros(len(classes), np.int64)
    whole = fill.row < 0
    np.add.at(units, number[whole], problem.lines.quantity[whole])
    for row, most in enumerate(fill.units.tolist()):
        units[number[np.flatnonzero(fill.row == row)[0]]] += most
    return tuple(units.tolist())


def known(problem: Problem) -> bool:
    """Whether stock alone decides what can be filled, capacity aside: no limits, no alternatives, no shared parts."""
    return not len(problem.derived.item) and not limited(problem).any()


def by_class(problem: Problem, plans: Sequence[Priced]) -> Targets:
    """One row per priority class over all rows of `Lines`, as far as each order by itself could be filled.

    Never less than what can be filled, if the plans fill as much as can be.
    """
    owner = owners(problem.lines.start)
    classes, number = np.unique(-problem.priority, return_inverse=True)
    units = np.zeros(len(classes), np.int64)
    np.add.at(units, number, [one.filled for one in plans])
    return Targets(number[owner], units, owner)


def _usable(problem: Problem, supply: Supply, which: Ints) -> Bools:
    """bool[n, N]: some option with room carries a unit of the row `which` int64[n] of `Lines` from the node."""
    lines, options = problem.lines, problem.options
    owner = owners(lines.start)[which]
    rows, of = spans(options.start, owner)
    line = which[of]
    light = lines.weight_g[line] <= options.max_weight_g[rows]
    one = np.ones(1, np.int64)
    more = tolls(problem, line, rows)
    price = box_prices(problem, rows, Contents(lines.weight_g[line], lines.volume_mm3[line], one, one, one, more))
    good = light & (price < BEYOND) & has_room(problem, rows, supply)
    usable = np.zeros((len(which), problem.nodes), np.bool_)
    usable[of[good], options.node[rows[good]]] = True
    return usable & lines.eligible[which]


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
