"""Paths decided by the engine: `solvers.choose.solve`, in windows or order by order, with prices or without.

Order by order is the same engine on windows of one. Its plan depends on the kind of order and on which cells are empty
alone (all quantities are 1), so it is asked once for many kinds at a time, and again for those whose plan met an empty
cell; a test holds the outcome against true windows of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.papers.world import PLENTY, World
from solvers.choose import solve
from solvers.problem import Guide, Ints, Problem
from solvers.solution import Solution

WEIGHT = 1_000
"""Weights of shipping and handling, thousandths: money as it is."""


NOBODY = np.zeros(0, np.int64)


class Moment(NamedTuple):
    """What is known when prices are made: the kinds that came so far, the stock now int64[I, N], the slots gone by, and
    those still to come until stock is delivered again.

    `movable`: kinds of orders that are to be decided again; what they hold is in `stock`, so that prices do not swing
    with where they stand.
    """

    past: Ints
    stock: Ints
    gone: int
    remaining: int
    movable: Ints = NOBODY

    @property
    def pace(self) -> float:
        """Orders in a slot so far; 1 where nothing is known."""
        return len(self.past) / self.gone if self.gone else 1.0


class Delivery(NamedTuple):
    """Stock that comes before the arrival of a slot: `units` int64[I, N]."""

    slot: int
    units: Ints


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


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a path is decided: prices made anew `resolves` times, evenly; `window` orders together; what is delivered.

    `movable`: so many orders before a window are not released yet and are decided again with it.
    """

    resolves: int = 1
    window: int = 1
    deliveries: tuple[Delivery, ...] = ()
    movable: int = 0


@dataclass(slots=True)
class Unreleased:
    """Orders that may still be decided again, oldest first: their kinds, int64[L] the nodes of their lines, and what
    the plan of each costs, int64[n] money units."""

    kinds: Ints
    node: Ints
    cost: Ints

    @classmethod
    def none(cls) -> Unreleased:
        return cls(NOBODY, NOBODY, NOBODY)

    def move(self, world: World, stock: Ints, units: int) -> None:
        """Give what they hold back to `stock` in place (1), or take it (-1)."""
        item, sent = world.lines_of(self.kinds)[0], self.node >= 0
        np.add.at(stock, (item[sent], self.node[sent]), units)


def decide(world: World, arrivals: Ints, prices: Prices, rhythm: Rhythm) -> Path:
    """Decide all arrivals, int64[T] kinds or -1 for an empty slot. Windows end where prices are made anew."""
    stock, slots = world.stock.copy(), len(arrivals)
    deliveries = {one.slot: one.units for one in rhythm.deliveries}
    ends = np.array(sorted({*deliveries, slots}), np.int64)
    edges = sorted({*np.linspace(0, slots, max(1, rhythm.resolves) + 1).astype(int).tolist(), *deliveries})
    parts: list[Ints] = [np.zeros(0, np.int64)]
    path, waiting = Path(parts[0], 0), Unreleased.none()
    for low, high in pairwise(edges):
        stock += deliveries.get(low, 0)
        before, came = arrivals[:low], arrivals[low:high]
        until = int(ends[np.searchsorted(ends, low, side="right")])
        free = stock.copy()
        waiting.move(world, free, 1)
        now = prices(Moment(before[before >= 0], free, low, until - low, waiting.kinds))
        came = came[came >= 0]
        if rhythm.window == 1 and not rhythm.movable:
            parts.append(_in_turn(world, came, now, stock, path))
            continue
        windows = [came[first : first + rhythm.window] for first in range(0, len(came), rhythm.window)]
        for each in windows:
            path.gaps += _together(world, each, now, stock, waiting)
            parts.append(_release(world, waiting, rhythm.movable, path))
    parts.append(_release(world, waiting, 0, path))
    path.node = np.concatenate(parts)
    return path


def _together(world: World, kinds: Ints, prices: Ints | None, stock: Ints, waiting: Unreleased) -> list[float]:
    """Decide a window with all that may still move, whose stock is free for it. Returns the gap, if it is proven."""
    waiting.move(world, stock, 1)
    waiting.kinds = np.concatenate([waiting.kinds, kinds])
    problem = world.problem(waiting.kinds, stock.copy())
    solution = solve(priced(problem, prices))
    waiting.node, waiting.cost = nodes_of(problem, solution), solution.costs.total
    waiting.move(world, stock, -1)
    return [] if solution.gap is None else [solution.gap]


def _release(world: World, waiting: Unreleased, keep: int, path: Path) -> Ints:
    """Release all but the last `keep` orders and book their cost. Returns int64[L] the nodes of their lines."""
    leave = max(0, len(waiting.kinds) - keep)
    lines = int((world.lines_of(waiting.kinds)[1] < leave).sum())
    path.cost += int(waiting.cost[:leave].sum())
    node = waiting.node[:lines]
    waiting.kinds, waiting.node, waiting.cost = waiting.kinds[leave:], waiting.node[lines:], waiting.cost[leave:]
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
