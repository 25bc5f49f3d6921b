"""One lawful shipment: as much of what an order misses as can leave one place by one of some options.

For orders whose rows do not stand alone (limits, groups, alternatives, kits, stock of other nodes, units that may
wait): what ships of one row there decides what may ship of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvers.menu import Supply
from solvers.plan import Use, draw, fits, parts_of, unit_bucket
from solvers.problem import UNLIMITED, Bools, Ints, Problem
from solvers.runs import heads, opens
from solvers.solution import Shipment
from solvers.tariff import shipment_cost

MOST_TRIES = 400
"""Loads tried for one shipment."""


class Load(NamedTuple):
    """A shipment that can go: its boxes, mills of shipping and handling, and what it takes."""

    shipment: Shipment
    boxes: int
    price: int
    use: Use


class Rows(NamedTuple):
    """How the rows of one order hang together.

    `line` int64[rows] numbers its lines from 0; `wanted`, `dated` int64[lines]; `lots`: rows that ship together or not
    at all (`tied`, groups), else rows of one line. `grouped` bool[rows]: of a tied lot; `sequence` int64[rows]: the
    rows, lot after lot.
    """

    line: Ints
    wanted: Ints
    dated: Ints
    lots: list[Ints]
    tied: list[bool]
    grouped: Bools
    sequence: Ints


def is_careful(problem: Problem, order: int) -> bool:
    """Whether the order has a limit, or rows that do not stand alone."""
    limits, lines, at = problem.limits, problem.lines, problem.lines_of(order)
    own = limits.max_parcels[order] < UNLIMITED or limits.complete[order] or limits.whole_lines[order]
    if own or limits.min_split_value[order] > 0 or (lines.group[at] >= 0).any() or lines.dated[at].any():
        return True
    if (np.diff(lines.line[at]) == 0).any():
        return True
    return bool(len(problem.derived.item) and np.isin(lines.item[at], problem.derived.item).any())


def rows_of(problem: Problem, order: int) -> Rows:
    """The rows of an order, their lines and lots in row order."""
    lines, at = problem.lines, problem.lines_of(order)
    line, head = np.cumsum(opens(lines.line[at])) - 1, heads(lines.line[at])
    group = lines.group[at]
    if not (group >= 0).any():
        lots = np.split(np.arange(len(line)), head[1:]) if len(head) else []
        plain, every = np.zeros(len(line), np.bool_), np.arange(len(line))
        return Rows(line, lines.quantity[at][head], lines.dated[at][head], lots, [False] * len(lots), plain, every)
    key = np.where(group >= 0, group, -1 - line)
    _, first, lot = np.unique(key, return_index=True, return_inverse=True)
    order_of_lots = np.argsort(first, kind="stable").tolist()
    lots = [np.flatnonzero(lot == one) for one in order_of_lots]
    tied = [bool(group[rows[0]] >= 0) for rows in lots]
    sequence = np.concatenate(lots)
    return Rows(line, lines.quantity[at][head], lines.dated[at][head], lots, tied, group >= 0, sequence)


def most_at(
    problem: Problem,
    order: int,
    rows: Rows,
    option: int,
    missing: Ints,
    left: Supply,
    *,
    roomy: bool = False,
    within: Ints | None = None,
) -> Ints:
    """Units by row that stock lets leave by an option, within what is missing of each line int64[lines]; rows in order.

    Groups are whole or not there at all. `roomy`: also within the room for units; `within` int64[rows]: and these.
    """
    lines, at, leaves = problem.lines, problem.lines_of(order), int(problem.options.node[option])
    open_lines = missing.copy()
    stock, room = _Rest(left.stock), _Rest(left.units)
    units = np.zeros(len(rows.line), np.int64)
    there = lines.eligible[at, leaves] & (left.stock[lines.item[at], leaves] > 0) & (missing[rows.line] > 0)
    for row in rows.sequence[there[rows.sequence]].tolist():
        line = int(rows.line[row])
        source, parts = parts_of(problem, int(lines.item[at.start + row]))
        bucket, node = unit_bucket(problem, option, source), leaves if source < 0 else source
        most = min(int(open_lines[line]), *(stock.of((part, node)) // count for part, count in parts))
        if roomy and bucket >= 0:
            most = min(most, room.of(bucket))
        if within is not None:
            most = min(most, int(within[row]))
        if most <= 0:
            continue
        for part, count in parts:
            stock.take((part, node), count * most)
        room.take(bucket, most)
        open_lines[line] -= most
        units[row] = most
    if rows.grouped.any():
        for lot, tied in zip(rows.lots, rows.tied, strict=True):
            if tied and open_lines[rows.line[lot]].any():
                # What a group held that is not whole is not offered to other lots: rare, and never too much.
                units[lot] = 0
    return units


class _Rest:
    """What is left of an array's cells while some are taken."""

    def __init__(self, table: Ints) -> None:
        self._table = table
        self._taken: dict[object, int] = {}

    def of(self, cell: int | tuple[int, int]) -> int:
        return int(self._table[cell]) - self._taken.get(cell, 0)

    def take(self, cell: int | tuple[int, int], amount: int) -> None:
        self._taken[cell] = self._taken.get(cell, 0) + amount


def loaded(
    problem: Problem,
    order: int,
    rows: Rows,
    options: Sequence[int],
    wanted: Ints,
    left: Supply,
    *,
    boxes: int = UNLIMITED,
    whole: bool = False,
) -> Load | None:
    """As much of `wanted` int64[rows], lots in order, as one shipment can hold, by the cheapest option that does.

    At most `boxes` boxes, one where it holds a group; `whole`: what is wanted of a line goes whole or not at all.
    `wanted` has groups whole and keeps to the lines. None where nothing can go.
    """
    found = _carried(problem, order, rows, options, wanted, left, boxes)
    if found is not None or not wanted.any():
        return found
    units = np.zeros(len(wanted), np.int64)
    best: Load | None = None
    tries = 0
    # Blocks of lots, halved until they can go, so that many lots cost few tries.
    blocks = [list(range(len(rows.lots)))]
    while blocks and tries < MOST_TRIES:
        block = [lot for lot in blocks.pop() if wanted[rows.lots[lot]].any()]
        if not block:
            continue
        more = np.zeros(len(wanted), np.int64)
        for lot in block:
            more[rows.lots[lot]] = wanted[rows.lots[lot]]
        tries += 1
        found = _carried(problem, order, rows, options, units + more, left, boxes)
        if found is None and len(block) > 1:
            middle = len(block) // 2
            blocks += [block[middle:], block[:middle]]
            continue
        while found is None and not whole and not rows.tied[block[0]] and int(more.sum()) > 1:
            more = _first(more, int(more.sum()) // 2)
            tries += 1
            found = _carried(problem, order, rows, options, units + more, left, boxes)
        if found is not None:
            units, best = units + more, found
    return best


def _first(units: Ints, count: int) -> Ints:
    """The first so many of some units, in row order."""
    first: Ints = np.clip(count - (np.cumsum(units) - units), 0, units)
    return first


def _carried(
    problem: Problem, order: int, rows: Rows, options: Sequence[int], units: Ints, left: Supply, boxes: int
) -> Load | None:
    """The units by the cheapest option that takes all of them, None if none does."""
    if not units.any():
        return None
    most = min(boxes, 1) if units[rows.grouped].any() else boxes
    found: list[tuple[int, int, int]] = []
    grams = float(units @ problem.lines.weight_g[problem.lines_of(order)].astype(np.float64))
    for option in options:
        if grams > 1.000001 * most * float(problem.options.max_weight_g[option]):
            # More than so many full boxes hold: seen without packing them.
            continue
        cost = shipment_cost(problem, option, units)
        if cost is not None and cost.boxes <= most:
            found.append((cost.shipping + cost.handling, option, cost.boxes))
    for price, option, count in sorted(found):
        shipment, bucket = Shipment(option, units), int(problem.options.bucket[option])
        use = Use({}, {bucket: count} if bucket >= 0 else {}, {})
        draw(problem, order, shipment, use)
        if fits(use, left.stock, left.parcels, left.units):
            return Load(shipment, count, price, use)
    return None
