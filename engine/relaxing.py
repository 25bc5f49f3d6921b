"""Which limit of an order keeps back what stock, room and time would let ship."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.decisions import Reason
from engine.domain import Limits
from engine.lowering import Lowered
from engine.taking import Taken
from solvers.budget import Budget
from solvers.limits import limited
from solvers.menu import Supply
from solvers.part import part
from solvers.plan import derive, take, use_of
from solvers.problem import Ints, Problem
from solvers.problem import Limits as Bounds

SOLVED_MAX = 50
"""Orders of one window that are solved again without a limit; others, and large ones, name the first they have."""

LINES_MAX = 500
"""Lines of an order that is solved again: one of thousands takes seconds each time."""

WORK = 200_000
"""Work of one such solve."""

_ORDER = (Reason.MAX_PARCELS, Reason.SHIP_COMPLETE, Reason.GROUP, Reason.SPLIT_LINES, Reason.MIN_SPLIT_VALUE)


def limiting(lowered: Lowered, use: Taken, short: Ints, stopped: Sequence[Reason | None]) -> list[Reason]:
    """The reason of every unfilled line, given the stage of supply that stopped it, None where none did.

    A line whose order or group waits for another that is short says so. Otherwise the one limit that an order has is
    it; of several, the first which, lifted alone, would let the line ship more. Without any it is the objective's word.
    """
    problem = lowered.problem
    last = Reason.UNDECIDED if problem.objective.fill_always else Reason.UNECONOMIC
    found: list[Reason | None] = list(stopped)
    lines: dict[int, list[int]] = defaultdict(list)
    for u, o in enumerate(lowered.demand.order[short].tolist()):
        lines[o].append(u)
    solved = 0
    keeps = limited(problem)
    for o, mine in lines.items():
        open_lines = [u for u in mine if found[u] is None] if keeps[o] else []
        active = _active(lowered, o) if open_lines else []
        if not active:
            continue
        if len(open_lines) < len(mine) and Reason.SHIP_COMPLETE in active:
            for u in open_lines:
                found[u] = Reason.SHIP_COMPLETE
            continue
        _grouped(lowered, short, mine, found)
        open_lines = [u for u in mine if found[u] is None]
        large = len(lowered.window.orders[o].lines) > LINES_MAX
        if large or (problem.objective.fill_always and (len(active) == 1 or solved >= SOLVED_MAX)):
            for u in open_lines:
                found[u] = active[0]
        elif open_lines:
            solved += 1
            _lift_each(lowered, use, o, active, {u: int(short[u]) for u in open_lines}, found)
    return [last if reason is None else reason for reason in found]


def _active(lowered: Lowered, order: int) -> list[Reason]:
    """The limits that an order has."""
    limit: Limits = lowered.limits[order]
    has = (
        limit.max_parcels is not None,
        limit.ship_complete,
        lowered.grouped(order),
        not limit.split_lines,
        bool(lowered.problem.limits.min_split_value[order]),
    )
    return [reason for reason, there in zip(_ORDER, has, strict=True) if there]


def _grouped(lowered: Lowered, short: Ints, mine: Sequence[int], found: list[Reason | None]) -> None:
    """Lines wait for a line of their group that supply stopped."""
    group = {}
    for u in mine:
        line = int(short[u])
        o = int(lowered.demand.order[line])
        group[u] = lowered.window.orders[o].lines[line - int(lowered.demand.start[o])].group
    waiting = {group[u] for u in mine if found[u] is not None} - {None}
    for u in mine:
        if found[u] is None and group[u] in waiting:
            found[u] = Reason.GROUP


def _lift_each(
    lowered: Lowered,
    use: Taken,
    order: int,
    active: Sequence[Reason],
    lines: dict[int, int],
    found: list[Reason | None],
) -> None:
    """Solve one order on what the others left, each time without one of its limits, then without any."""
    from solvers.choose import solve  # As in `deciding`.

    alone = _alone(lowered, use, order)
    for reason in (*active, None):
        if all(found[u] is not None for u in lines):
            return
        solution = solve(_without(alone, (reason,) if reason else tuple(active)), Budget(work=WORK))
        shipped = np.zeros(len(use.shipped), np.int64)
        rows = lowered.rows.line[lowered.problem.lines_of(order)]
        for shipment in solution.plans[0]:
            np.add.at(shipped, rows, shipment.units)
        for u, line in lines.items():
            if found[u] is None and shipped[line] > use.shipped[line]:
                found[u] = reason or active[0]


def _alone(lowered: Lowered, use: Taken, order: int) -> Problem:
    """One order on what the others left."""
    problem, skus = lowered.problem, len(use.cells)
    stock = problem.stock.copy()
    stock[:skus] -= use.cells
    room = Supply(stock, problem.bucket_parcels - use.parcels, problem.bucket_units - use.units)
    take(problem, use_of(problem, order, use.plans[order]), room.stock, room.parcels, room.units, sign=-1)
    derive(problem, room.stock)
    return part(problem, np.array([order], np.int64), room).problem


def _without(problem: Problem, reasons: Sequence[Reason]) -> Problem:
    """The problem of one order without some of its limits."""
    lines, limits = problem.lines, problem.limits
    none = Bounds.none(1)
    if Reason.GROUP in reasons:
        lines = replace(lines, group=np.full(len(lines.group), -1, np.int64))
    limits = replace(
        limits,
        max_parcels=none.max_parcels if Reason.MAX_PARCELS in reasons else limits.max_parcels,
        complete=none.complete if Reason.SHIP_COMPLETE in reasons else limits.complete,
        whole_lines=none.whole_lines if Reason.SPLIT_LINES in reasons else limits.whole_lines,
        min_split_value=none.min_split_value if Reason.MIN_SPLIT_VALUE in reasons else limits.min_split_value,
    )
    return replace(problem, lines=lines, limits=limits)
