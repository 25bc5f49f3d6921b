"""One order with quantities too large to divide unit by unit: whole lines first, then units shifted between shipments.

Every line some node can fill is one atom of the subset DP; a line that no node can fill alone is cut into what its best
nodes have. The plan found is then topped up with units still free and improved by moving units. Good, not proven.
"""

from __future__ import annotations

import numpy as np

from solvers.load import Rows, most_at, rows_of
from solvers.mend import mended
from solvers.menu import Supply, build_menu, fillable, has_room
from solvers.plan import Priced, plan_cost, take, use_of
from solvers.problem import Ints, Problem
from solvers.shift import improve, top_up
from solvers.solution import Shipment
from solvers.states import plain
from solvers.subset import as_plan, best_alone

MAX_ATOMS = 7
"""Atoms of one order: 3**7 pairs. Lines beyond that are placed by `shift.top_up`."""

MAX_MOVES = 40
"""Moves tried on one order's plan: each costs some tens of microseconds."""

ATOMS, MOVE = 80_000, 3_000
"""Work of one order beside its menu, and of one move: measured."""


def cheapest_by_atoms(problem: Problem, order: int, supply: Supply, known: Priced, *, work: int) -> Priced:
    """A good plan of one order, at least as good as `known`; `bound` is None. `work` bounds the moves tried."""
    lines, ships = _atoms(problem, order, supply)
    plan: tuple[Shipment, ...] = ()
    cells = 0
    if len(ships):
        grid = np.indices([2] * len(ships), dtype=np.int64).reshape(len(ships), -1).T
        shape, which = plain((1,) * len(ships)), np.array([order], np.int64)
        menu = build_menu(problem, which, lines[None, :], shape, supply, grid @ ships)
        cells = 2 * menu.price.size
        if len(menu.orders):
            plan = as_plan(menu, 0, best_alone(menu)[0].pieces)
    plan = mended(problem, order, plan, supply, unfinished=True)
    left = supply.copy()
    take(problem, use_of(problem, order, plan), left.stock, left.parcels, left.units)
    plan = top_up(problem, order, plan, left)
    if problem.limits.complete[order]:
        plan = mended(problem, order, plan, supply)
    first = problem.objective.fill_always
    tried = [_priced(problem, order, plan), known]
    best = min(tried, key=lambda one: (-one.filled if first else 0, one.cost))
    plan, steps = improve(problem, order, best.plan, supply, work=min(work, MAX_MOVES))
    done = ATOMS + MOVE * steps + cells
    return _priced(problem, order, plan)._replace(work=done)


def _priced(problem: Problem, order: int, plan: tuple[Shipment, ...]) -> Priced:
    filled = sum(int(shipment.units.sum()) for shipment in plan)
    return Priced(plan, plan_cost(problem, order, plan).total, filled, None, 0)


def _atoms(problem: Problem, order: int, supply: Supply) -> tuple[Ints, Ints]:
    """(rows int64[n], units int64[atoms, n]): what is shipped whole, largest first, at most MAX_ATOMS of them."""
    at, most = fillable(problem, np.array([order], np.int64), supply)
    options = np.arange(problem.options.start[order], problem.options.start[order + 1])
    options = options[has_room(problem, options, supply)]
    nodes = np.unique(problem.options.node[options])
    rows = rows_of(problem, order)
    left = rows.wanted.copy()
    atoms: list[tuple[int, int, Ints]] = []
    for lot, tied in zip(rows.lots, rows.tied, strict=True):
        if tied:
            group = _group(problem, order, rows, lot, options, supply)
            if group.any():
                atoms.append((int(group.sum()), int(lot[0]), group))
            continue
        for row in lot.tolist():
            line, stock = int(rows.line[row]), supply.stock[problem.lines.item[at[row]], nodes]
            free = np.where(problem.lines.eligible[at[row], nodes], stock, 0)
            for there in sorted(free.tolist(), reverse=True):
                chunk = min(int(left[line]), int(most[row]), there)
                if chunk <= 0:
                    break
                atoms.append((chunk, row, chunk * (np.arange(len(at)) == row)))
                left[line] -= chunk
    atoms.sort(key=lambda atom: (-atom[0], atom[1]))
    ships = np.array([units for _, _, units in atoms[:MAX_ATOMS]], np.int64).reshape(-1, len(at))
    used = ships.any(axis=0)
    return at[used], ships[:, used]


def _group(problem: Problem, order: int, rows: Rows, lot: Ints, options: Ints, supply: Supply) -> Ints:
    """int64[rows]: a group's units where the first option with all of them draws them; nothing if none has."""
    only = np.zeros(len(rows.wanted), np.int64)
    lines = np.unique(rows.line[lot])
    only[lines] = rows.wanted[lines]
    for option in options.tolist():
        units = most_at(problem, order, rows, option, only, supply)
        if units.any():
            return units
    return np.zeros(len(rows.line), np.int64)
