"""Paths decided by the engine: `solvers.choose.solve`, in windows or order by order, with prices or without.

Order by order is the same engine on windows of one. Its plan depends on the kind of order and on which cells are empty
alone (all quantities are 1), so it is asked once for many kinds at a time, and again for those whose plan met an empty
cell; a test holds the outcome against true windows of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bench.papers.world import PLENTY, World
from solvers.choose import Budget, solve
from solvers.problem import Guide, Ints, Problem
from solvers.solution import Solution

WEIGHT = 1_000
"""Weights of shipping and handling, thousandths: money as it is."""


class Moment(NamedTuple):
    """What is known when prices are made: the arrivals so far, the stock now int64[I, N], and slots still to come."""

    past: Ints
    stock: Ints
    remaining: int


Prices = Callable[[Moment], Ints | None]
"""Money units for a unit of every cell, int64[I, N]; None for no prices."""


@dataclass(slots=True)
class Path:
    """What became of a path: `node` int64[L] for every line of its orders (-1: not shipped), `cost` in money units as
    the engine told it, `gaps` proven by window."""

    node: Ints
    cost: int
    gaps: list[float] = field(default_factory=list)


def priced(problem: Problem, prices: Ints | None) -> Problem:
    """The window with prices as its guide. Where not shipping is a node with a price of its own, prices may refuse."""
    if prices is None or not prices.any():
        return problem
    nothing = np.zeros(len(problem.options.node), np.int64)
    refuse = not problem.objective.fill_always
    return replace(
        problem, guide=Guide(WEIGHT, WEIGHT, nothing, nothing, prices, np.zeros(0, np.int64), prices_refuse=refuse)
    )


def nodes_of(problem: Problem, solution: Solution) -> Ints:
    """int64[L]: the node every line leaves from, -1 if it stays."""
    node = np.full(len(problem.lines.item), -1, np.int64)
    boxes = solution.boxes
    box = np.repeat(np.arange(len(boxes.option)), np.diff(boxes.take_start))
    node[boxes.take_line] = problem.options.node[boxes.option[box]]
    return node


def decide(
    world: World, arrivals: Ints, prices: Prices, resolves: int, window: int, budget: Budget | None = None
) -> Path:
    """Decide all arrivals, int64[T] kinds or -1 for an empty slot; prices are made anew `resolves` times, evenly."""
    stock, slots = world.stock.copy(), len(arrivals)
    edges = np.linspace(0, slots, max(1, resolves) + 1).astype(np.int64).tolist()
    parts: list[Ints] = [np.zeros(0, np.int64)]
    path = Path(parts[0], 0)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        before = arrivals[:low]
        now = prices(Moment(before[before >= 0], stock.copy(), slots - low))
        came = arrivals[low:high]
        came = came[came >= 0]
        if window == 1:
            parts.append(_in_turn(world, came, now, stock, path))
            continue
        for first in range(0, len(came), window):
            parts.append(_together(world, came[first : first + window], now, stock, path, budget or Budget()))
    path.node = np.concatenate(parts)
    return path


def _together(world: World, kinds: Ints, prices: Ints | None, stock: Ints, path: Path, budget: Budget) -> Ints:
    problem = world.problem(kinds, stock.copy())
    solution = solve(priced(problem, prices), budget)
    node = nodes_of(problem, solution)
    sent = node >= 0
    np.subtract.at(stock, (problem.lines.item[sent], node[sent]), 1)
    path.cost += solution.total
    if solution.gap is not None:
        path.gaps.append(solution.gap)
    return node


def _in_turn(world: World, kinds: Ints, prices: Ints | None, stock: Ints, path: Path) -> Ints:
    """One order after another; `ready` holds what the engine answered for each kind."""
    ready: dict[int, tuple[list[int], int]] = {}
    free, nodes = stock.ravel().tolist(), world.nodes
    chosen: list[int] = []
    came = kinds.tolist()
    for at, kind in enumerate(came):
        if kind not in ready:
            open_cells = np.where(np.array(free).reshape(stock.shape) > 0, PLENTY, 0)
            missing = sorted({one for one in came[at:] if one not in ready})
            ready.update(_answers(world, missing, prices, open_cells))
        plan, cost = ready[kind]
        path.cost += cost
        chosen.extend(cell % nodes if cell >= 0 else -1 for cell in plan)
        closed = set()
        for cell in plan:
            if cell >= 0:
                free[cell] -= 1
                if free[cell] == 0:
                    closed.add(cell)
        if closed:
            for one in [one for one, (cells, _) in ready.items() if not closed.isdisjoint(cells)]:
                del ready[one]
    stock[:] = np.array(free, np.int64).reshape(stock.shape)
    return np.array(chosen, np.int64)


def _answers(world: World, kinds: list[int], prices: Ints | None, stock: Ints) -> dict[int, tuple[list[int], int]]:
    """The engine's plan for one order of each kind: the cell of every line (-1: stays), and its cost."""
    problem = world.problem(np.array(kinds, np.int64), stock)
    solution = solve(priced(problem, prices))
    node = nodes_of(problem, solution)
    cell = np.where(node >= 0, problem.lines.item * world.nodes + node, -1).tolist()
    start, total = problem.lines.start.tolist(), solution.costs.total.tolist()
    return {kind: (cell[start[at] : start[at + 1]], total[at]) for at, kind in enumerate(kinds)}
