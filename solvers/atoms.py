"""One order with quantities too large to divide unit by unit: whole lines first, then units shifted between shipments.

Every line some node can fill is one atom of the subset DP; a line that no node can fill alone is cut into what its best
nodes have. The plan found is then topped up with units still free and improved by moving units. Good, not proven.
"""

from __future__ import annotations

import numpy as np

from solvers.menu import Supply, build_menu, fillable, has_room
from solvers.plan import Priced, fits, plan_cost, take, use_of
from solvers.problem import Ints, Problem
from solvers.shift import improve, top_up
from solvers.solution import Shipment
from solvers.subset import answer, as_plan

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
        menu = build_menu(problem, np.array([order], np.int64), lines[None, :], (1,) * len(ships), supply, grid @ ships)
        cells = 2 * menu.price.size
        if len(menu.orders):
            objective = problem.objective
            stay = None
            if not objective.fill_always:
                stay = menu.staying(objective.unfilled_per_unit)[:, None]
            plan = as_plan(menu, 0, answer(menu, menu.price, stay, objective.late_per_day)[0].pieces)
    while not fits(use_of(problem, order, plan), supply.stock, supply.parcels, supply.units):
        plan = plan[:-1]
    left = supply.copy()
    take(problem, use_of(problem, order, plan), left.stock, left.parcels, left.units)
    plan = top_up(problem, order, plan, left)
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
    """(lines int64[n], units int64[atoms, n]): what is shipped whole, largest first, at most MAX_ATOMS of them."""
    lines, most = fillable(problem, np.array([order], np.int64), supply)
    rows = np.arange(problem.options.start[order], problem.options.start[order + 1])
    nodes = np.unique(problem.options.node[rows[has_room(problem, rows, supply)]])
    atoms: list[tuple[int, int]] = []
    for column, (line, units) in enumerate(zip(lines.tolist(), most.tolist(), strict=True)):
        free = np.where(problem.lines.eligible[line, nodes], supply.stock[problem.lines.item[line], nodes], 0)
        left = units
        for there in sorted(free.tolist(), reverse=True):
            chunk = min(left, there)
            if chunk <= 0:
                break
            atoms.append((chunk, column))
            left -= chunk
    atoms.sort(key=lambda atom: (-atom[0], atom[1]))
    atoms = atoms[:MAX_ATOMS]
    columns = sorted({column for _, column in atoms})
    ships = np.zeros((len(atoms), len(columns)), np.int64)
    for index, (chunk, column) in enumerate(atoms):
        ships[index, columns.index(column)] = chunk
    return lines[columns], ships
