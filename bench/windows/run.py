"""Windows decided and measured: time, what is claimed, what other code says of it, and how good an early answer is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.windows.compact import prove
from bench.windows.scene import Shape, window
from solvers.alone import plans_alone
from solvers.choose import Budget, solve
from solvers.columns import contested
from solvers.menu import Supply
from solvers.problem import Problem
from solvers.purse import Purse
from solvers.solution import Solution, check

CURVE = (0, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
"""Work at which the anytime curve is looked at; the first is the floor, one by one."""

MILL = 1.0
"""What the program over floating-point numbers may be off by."""


@dataclass(slots=True)
class Window:
    """One window decided. Times in milliseconds of this process's CPU; money in mills; gaps as shares.

    `touched`: orders whose own best plan takes of something contested. `early`: (work, ms, units, mills) of the curve.
    `wrong`: what does not hold.
    """

    shape: Shape
    seed: int
    lines: int
    solver: str
    ms: float
    check_ms: float
    units: int
    total: int
    bound: int | None
    gap: float | None
    cut: bool
    work: int
    floor_units: int
    floor_total: int
    floor_ms: float
    touched: float
    proven: float | None = None
    early: list[tuple[int, float, int, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def measure(shape: Shape, seed: int, budget: Budget, curve: Sequence[int], prove_seconds: float | None) -> Window:
    """Decide the window of a seed, and judge the answer; `prove_seconds`: also by the compact program."""
    problem = window(shape, seed)
    ms, answer = timed(problem, budget)
    floor_ms, floor = timed(problem, Budget(floor=True))
    started = time.process_time()
    violations = check(problem, answer)
    check_ms = 1000 * (time.process_time() - started)
    found = Window(
        shape,
        seed,
        len(problem.lines.item),
        answer.solver,
        ms,
        check_ms,
        units_of(answer),
        answer.total,
        answer.bound,
        answer.gap,
        answer.cut,
        answer.work,
        units_of(floor),
        floor.total,
        floor_ms,
        _touched(problem),
        wrong=[f"{rule}: {detail}" for rule, detail in violations],
    )
    if (-found.units, found.total) > (-found.floor_units, found.floor_total):
        found.wrong.append(f"worse than one by one: {found.total} against {found.floor_total}")
    for work in curve:
        early_ms, early = timed(problem, Budget(work=work) if work else Budget(floor=True))
        found.early.append((work, early_ms, units_of(early), early.total))
    if prove_seconds is not None:
        _prove(problem, found, prove_seconds)
    return found


def timed(problem: Problem, budget: Budget) -> tuple[float, Solution]:
    """The answer and how long it took, in milliseconds of CPU: others use the machine too."""
    started = time.process_time()
    answer = solve(problem, budget)
    return 1000 * (time.process_time() - started), answer


def units_of(answer: Solution) -> int:
    """Units that ship."""
    return int(answer.boxes.take_units.sum())


def _touched(problem: Problem) -> float:
    """Share of the orders whose own best plan wants something that all of these plans together overdraw."""
    budget, orders = Budget(), np.arange(problem.orders)
    alone = plans_alone(problem, orders, Supply.of(problem), Purse(budget.work), work=budget.order_work)
    over = contested(problem, alone.taken)
    return len(np.unique(alone.taken.owner[over[alone.taken.resource]])) / max(1, problem.orders)


def _prove(problem: Problem, found: Window, seconds: float) -> None:
    proven = prove(problem, seconds)
    if found.units > proven.units:
        found.wrong.append(f"{found.units} units ship, of {proven.units} that can")
    if found.units < proven.units:
        if found.bound is not None:
            found.wrong.append(f"a bound is claimed for {found.units} units, and {proven.units} can ship")
        return
    if found.total < proven.bound - MILL:
        found.wrong.append(f"cheaper than can be: {found.total} against {proven.bound:.0f}")
    if proven.best is not None:
        found.proven = max(0.0, (found.total - proven.best) / found.total)
        if found.bound is not None and found.bound > proven.best + MILL:
            found.wrong.append(f"the bound {found.bound} is above {proven.best:.0f}, which can be had")
