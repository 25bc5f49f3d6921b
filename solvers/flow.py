"""Windows in which every order wants one line: a minimum-cost flow from orders to stock cells, exact and fast.

It is exact where an order's cost is linear in the units it takes from each node: one unit per order. Then an order
ships whole from one node by that node's cheapest option or not at all, cells and unit room are arc capacities, and a
flow's optimum is integral. Larger quantities pay per parcel and are not linear: this module declines them (None), as it
does items whose stock is that of others (kits, stock of another node), and buckets shared by several nodes or options
that differ within a node. A single unit keeps every limit that an order can have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.menu import Supply, has_room, spans
from solvers.problem import Ints, Problem
from solvers.runs import sizes
from solvers.solution import Plan, Shipment
from solvers.tariff import BEYOND, Contents, box_prices, tolls

MAX_COST = 2**40
"""Arc costs stay below this, so that no path over a whole window overflows the solver's int64."""


class Flown(NamedTuple):
    """The optimum of the window: a plan per order, its total as `bound`, and the arcs looked at."""

    plans: list[Plan]
    bound: int
    work: int


class _Arcs(NamedTuple):
    """For every (order, node) that can ship: order, node, option and cost in mills with lateness."""

    order: Ints
    node: Ints
    option: Ints
    cost: Ints
    bucket: Ints


def solve(problem: Problem) -> Flown | None:
    """The window's optimum, or None where a flow would not be exact or its solver did not say OPTIMAL.

    Fill by priority comes first through arc costs: serving a class rather than the next lower one is worth more than
    all the money of the window; None where that would not fit an integer.
    """
    size, lines = sizes(problem.lines.start), problem.lines
    if problem.orders == 0 or not (size == 1).all() or not (lines.quantity == 1).all():
        return None
    if np.isin(lines.item, problem.derived.item).any():
        return None
    arcs = _arcs(problem)
    stay = _stay_costs(problem, arcs)
    if arcs is None or stay is None:
        return None
    chosen = _flow(problem, arcs, stay)
    if chosen is None:
        return None
    plans: list[Plan] = [() for _ in range(problem.orders)]
    charged = _charges(problem)
    total = int(charged.sum())
    for arc in chosen.tolist():
        order = int(arcs.order[arc])
        plans[order] = (Shipment(int(arcs.option[arc]), np.ones(1, np.int64)),)
        total += int(arcs.cost[arc] - charged[order])
    return Flown(plans, total, len(arcs.order))


def _arcs(problem: Problem) -> _Arcs | None:
    """The cheapest option of every (order, node); None where options of one node draw on different buckets."""
    options, lines = problem.options, problem.lines
    supply = Supply.of(problem)
    rows, order = spans(options.start, np.arange(problem.orders, dtype=np.int64))
    node, one = options.node[rows], np.ones(1, np.int64)
    more = (lines.more_line + lines.more_unit)[order] + tolls(problem, order, rows)
    price = box_prices(problem, rows, Contents(lines.weight_g[order], lines.volume_mm3[order], one, one, one, more))
    possible = (
        (price < BEYOND)
        & (lines.weight_g[order] <= options.max_weight_g[rows])
        & lines.eligible[order, node]
        & (supply.stock[lines.item[order], node] > 0)
        & has_room(problem, rows, supply)
    )
    cost = price + problem.objective.late_per_day * options.late_days[rows]
    rows, order, node, cost = rows[possible], order[possible], node[possible], cost[possible]
    ranked = np.lexsort((rows, cost, node, order))
    rows, order, node, cost = rows[ranked], order[ranked], node[ranked], cost[ranked]
    bucket = options.bucket[rows]
    same = (order[1:] == order[:-1]) & (node[1:] == node[:-1])
    if (same & (bucket[1:] != bucket[:-1])).any():
        return None
    of_node = np.zeros(problem.nodes, np.int64)
    of_node[node] = bucket
    if (of_node[node] != bucket).any():
        return None
    first = np.r_[True, ~same] if len(rows) else np.zeros(0, np.bool_)
    return _Arcs(order[first], node[first], rows[first], cost[first], bucket[first])


def _charges(problem: Problem) -> Ints:
    """int64[O]: what leaving each order's unit costs; nothing where it may wait."""
    return np.where(problem.lines.dated > 0, 0, problem.objective.unfilled_per_unit)


def _stay_costs(problem: Problem, arcs: _Arcs | None) -> Ints | None:
    """int64[O]: what leaving each order's unit costs the flow."""
    objective, count = problem.objective, problem.orders
    if arcs is None:
        return None
    most = max(int(arcs.cost.max(initial=0)), objective.unfilled_per_unit)
    stay = _charges(problem)
    if objective.fill_always:
        # The sets of orders that can be served are a matroid, so one step per class serves the classes in turn.
        step = count * most + 1
        for rank, one in enumerate(sorted(set(problem.priority.tolist())), 1):
            stay[problem.priority == one] = rank * step
        most = max(most, int(stay.max(initial=0)))
    return stay if most < MAX_COST else None


def _flow(problem: Problem, arcs: _Arcs, stay: Ints) -> Ints | None:
    """Indexes of the arcs used. Vertices: orders, cells (item, node), nodes with a bucket, and one sink."""
    from ortools.graph.python import min_cost_flow  # Loaded with the first single-line window.

    count = problem.orders
    cells, cell_of = np.unique(problem.lines.item[arcs.order] * problem.nodes + arcs.node, return_inverse=True)
    cell_node = cells % problem.nodes
    bucket_of_node = np.full(problem.nodes, -1, np.int64)
    bucket_of_node[arcs.node] = arcs.bucket
    buckets, bucket_at = np.unique(bucket_of_node[cell_node], return_inverse=True)
    first_cell, first_bucket = count, count + len(cells)
    sink = first_bucket + len(buckets)
    stock = np.minimum(problem.stock[cells // problem.nodes, cell_node], count)
    room = np.full(len(buckets), count, np.int64)
    limited = buckets >= 0
    both = np.minimum(problem.bucket_parcels[buckets[limited]], problem.bucket_units[buckets[limited]])
    room[limited] = np.minimum(both, count)
    flow = min_cost_flow.SimpleMinCostFlow()

    def add(tail: Ints, head: Ints, capacity: Ints, cost: Ints) -> Ints:
        return np.asarray(flow.add_arcs_with_capacity_and_unit_cost(tail, head, capacity, cost))

    one, none = np.ones(len(arcs.order), np.int64), np.zeros
    used = add(arcs.order, first_cell + cell_of, one, arcs.cost)
    add(np.arange(count), np.full(count, sink), np.ones(count, np.int64), stay)
    add(first_cell + np.arange(len(cells)), first_bucket + bucket_at, stock, none(len(cells), np.int64))
    add(first_bucket + np.arange(len(buckets)), np.full(len(buckets), sink), room, none(len(buckets), np.int64))
    flow.set_nodes_supplies(np.arange(count), np.ones(count, np.int64))
    flow.set_nodes_supplies(np.array([sink]), np.array([-count]))
    if flow.solve() != flow.OPTIMAL:
        return None
    return np.flatnonzero(np.asarray(flow.flows(used)) > 0)
