"""What a solution takes, in real goods where they are: for the ledger and for telling why the rest stays.

A kit takes its parts, a substitute its own units, goods from along a dock those of the node that has them.
Sizes: K order lines, I SKUs, N nodes, D buckets, T takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from engine.ledger.port import LoadTake, Take
from engine.lowering import Lowered
from solvers.problem import Ints
from solvers.solution import Shipment, Solution

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Taken:
    """`plans` of the solution; `shipped` int64[K]: units of each order line; `cells` int64[I, N]; `parcels`, `units`
    int64[D].

    Takes int64[T], ascending by box: `box`, its order, the SKU, the node that has it, and units.
    """

    plans: tuple[tuple[Shipment, ...], ...]
    shipped: Ints
    cells: Ints
    parcels: Ints
    units: Ints
    box: Ints
    order: Ints
    sku: Ints
    node: Ints
    count: Ints

    def own(self, order: Ints, sku: Ints) -> Ints:
        """Units that each of these orders takes of each of these SKUs: int64[P] twice -> int64[P, N]."""
        skus, nodes = self.cells.shape
        wanted, which = np.unique(order * skus + sku, return_inverse=True)
        keys = self.order * skus + self.sku
        at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
        rows = np.flatnonzero(wanted[at] == keys)
        sums = np.zeros((len(wanted), nodes), np.int64)
        np.add.at(sums, (at[rows], self.node[rows]), self.count[rows])
        own: Ints = sums[which]
        return own


def taken(lowered: Lowered, solution: Solution) -> Taken:
    """Add up what the boxes of a solution take."""
    problem, rows, boxes = lowered.problem, lowered.rows, solution.boxes
    box = np.repeat(np.arange(len(boxes.order)), np.diff(boxes.take_start))
    row, units = boxes.take_line, boxes.take_units
    option = boxes.option[box]
    source = rows.source[row]
    node = np.where(source >= 0, source, problem.options.node[option])
    shipped = np.zeros(len(lowered.demand.quantity), np.int64)
    np.add.at(shipped, rows.line[row], units)
    bucket = problem.options.bucket
    parcels, in_units = np.zeros(len(problem.bucket_parcels), np.int64), np.zeros(len(problem.bucket_units), np.int64)
    per_box = bucket[boxes.option]
    np.add.at(parcels, per_box[per_box >= 0], 1)
    if len(problem.source_bucket):
        per_take = np.where(source >= 0, problem.source_bucket[problem.options.day[option], source], bucket[option])
    else:
        per_take = bucket[option]
    np.add.at(in_units, per_take[per_take >= 0], units[per_take >= 0])
    sku = rows.good[row]
    if lowered.goods.parts:
        parts = [lowered.goods.parts_of(good) for good in sku.tolist()]
        sizes = [len(each) for each in parts]
        box, node = np.repeat(box, sizes), np.repeat(node, sizes)
        units = np.repeat(units, sizes) * np.array([count for each in parts for count in each.values()], np.int64)
        sku = np.array([part for each in parts for part in each], np.int64)
    cells = np.zeros(lowered.cells.free.shape, np.int64)
    np.add.at(cells, (sku, node), units)
    return Taken(solution.plans, shipped, cells, parcels, in_units, box, boxes.order[box], sku, node, units)


def takes_of(lowered: Lowered, use: Taken) -> list[tuple[Take, ...]]:
    """What each order takes of each cell, each cell once, by SKU and node."""
    network, (skus, nodes) = lowered.window.network, use.cells.shape
    key, at = np.unique((use.order * skus + use.sku) * nodes + use.node, return_inverse=True)
    units = np.zeros(len(key), np.int64)
    np.add.at(units, at, use.count)
    cell, node = np.divmod(key, nodes)
    order, sku = np.divmod(cell, skus)
    columns = sku, lowered.cells.place(sku, node), network.number_of[node], units, network.safety[node]
    return _by_order(list(map(Take, *(column.tolist() for column in columns))), order, lowered)


def loads_of(lowered: Lowered, solution: Solution) -> list[tuple[LoadTake, ...]]:
    """Parcels of each order by ship day where they leave and units where they are drawn from, by day and node.

    Of all nodes, limited or not, so that a load page shows them.
    """
    network, boxes = lowered.window.network, solution.boxes
    nodes, leaves = len(network.node_ids), lowered.problem.options.node[boxes.option]
    days, day = np.unique(lowered.ship_day(boxes.option), return_inverse=True)
    box = np.repeat(np.arange(len(boxes.order)), np.diff(boxes.take_start))
    source = lowered.rows.source[boxes.take_line]
    first = boxes.order * len(days) + day
    drawn = np.where(source >= 0, source, leaves[box])
    key, at = np.unique(np.concatenate([first * nodes + leaves, first[box] * nodes + drawn]), return_inverse=True)
    parcels, units = np.zeros(len(key), np.int64), np.zeros(len(key), np.int64)
    np.add.at(parcels, at[: len(first)], 1)
    np.add.at(units, at[len(first) :], boxes.take_units)
    place, node = np.divmod(key, nodes)
    order, day = np.divmod(place, max(1, len(days)))
    most = network.parcels_max[node], network.units_max[node]
    columns = days[day], network.number_of[node], parcels, units, *most
    return _by_order(list(map(LoadTake, *(column.tolist() for column in columns))), order, lowered)


def _by_order(every: list[One], order: Ints, lowered: Lowered) -> list[tuple[One, ...]]:
    """What ascends by order, apart."""
    edge = np.searchsorted(order, np.arange(lowered.problem.orders + 1)).tolist()
    return [tuple(every[low:high]) for low, high in pairwise(edge)]
