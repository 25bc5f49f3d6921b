"""One replay: all orders in windows, stock delivered on its days, every decision judged, and the figures of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from bench.uci.judge import Decision, Judge
from bench.uci.recipe import Delivery, Workload
from bench.uci.targets import Answered, Target, policy_of
from engine.domain import Order, epoch_ms, mills

Progress = Callable[[int], None]


class Run(NamedTuple):
    """What is replayed."""

    cut: str
    days: int
    mode: str


class Figures(Struct, kw_only=True):
    """The outcome of one run. Money in currency units; `spent` is the cost without the penalty for unfilled units."""

    cut: str
    days: int
    mode: str
    window: int
    seed: int
    orders: int
    lines: int
    seconds: float
    orders_per_s: float
    lines_per_s: float
    window_p50_ms: float
    window_p99_ms: float
    order_p50_ms: float
    order_p99_ms: float
    cost: float
    spent: float
    cost_per_order: float
    spent_per_order: float
    spent_per_unit: float
    parcels: int
    parcels_per_order: float
    units: int
    unallocated_units: int
    unallocated_value: float
    fill: float
    statuses: dict[str, int]
    solvers: dict[str, int]
    oversold: int
    faults: int
    first_faults: list[str]
    stock_differs: int


async def replay(target: Target, work: Workload, run: Run, window: int, seed: int, progress: Progress) -> Figures:
    """Send everything in the order it was recorded; a delivery comes before the orders placed after it."""
    policy = policy_of(run.mode, window)
    judge = Judge(work.network, work.skus, mills(policy.objective.unfilled_per_unit))
    count = _Count()
    await target.load(work, run.mode, window)
    for step in steps(work, window):
        if isinstance(step, Delivery):
            await target.deliver(step.movements, epoch_ms(step.at))
            judge.deliver(step.movements)
            continue
        started = time.perf_counter()
        answers = await target.decide(step)
        count.window(time.perf_counter() - started, answers)
        for order, answer in zip(step, answers, strict=True):
            count.order(order, judge.decided(order, answer.decision))
        progress(len(step))
    free = await target.free()
    differs = sum(1 for cell in judge.free.keys() | free.keys() if judge.free[cell] != free.get(cell, 0))
    return count.figures(work, run, window, seed, judge, differs)


def steps(work: Workload, window: int) -> Iterator[Delivery | Sequence[Order]]:
    """Deliveries and windows of `window` orders, in time; a delivery closes the window before it."""
    deliveries = list(reversed(work.deliveries))
    waiting: list[Order] = []
    for order in work.orders:
        assert order.placed_at is not None
        while deliveries and deliveries[-1].at <= order.placed_at:
            if waiting:
                yield waiting
                waiting = []
            yield deliveries.pop()
        waiting.append(order)
        if len(waiting) == window:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class _Count:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.windows_ms: list[float] = []
        self.orders_ms: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.solvers: Counter[str] = Counter()
        self.cost = self.spent = self.value = 0
        self.parcels = self.shipped = self.units = self.left = 0

    def window(self, seconds: float, answers: Sequence[Answered]) -> None:
        self.seconds += seconds
        self.windows_ms.append(seconds * 1000)
        self.orders_ms.extend(answer.ms for answer in answers)

    def order(self, order: Order, decision: Decision) -> None:
        self.statuses[decision.status] += 1
        self.solvers[decision.window.solver] += 1
        total, unfilled = mills(decision.cost.total), mills(decision.cost.unfilled)
        self.cost += total
        self.spent += total - unfilled
        self.parcels += len(decision.parcels)
        self.shipped += bool(decision.parcels)
        self.units += sum(line.quantity for parcel in decision.parcels for line in parcel.lines)
        prices = {line.line_id: mills(line.unit_price or "0") for line in order.lines}
        for line in decision.unallocated:
            self.left += line.quantity
            self.value += prices[line.line_id] * line.quantity

    def figures(self, work: Workload, run: Run, window: int, seed: int, judge: Judge, differs: int) -> Figures:
        orders, seconds = len(work.orders), max(1e-9, self.seconds)
        w50, w99 = np.percentile(self.windows_ms, (50, 99))
        o50, o99 = np.percentile(self.orders_ms, (50, 99))
        return Figures(
            cut=run.cut,
            days=run.days,
            mode=run.mode,
            window=window,
            seed=seed,
            orders=orders,
            lines=work.lines,
            seconds=round(seconds, 2),
            orders_per_s=round(orders / seconds, 1),
            lines_per_s=round(work.lines / seconds, 1),
            window_p50_ms=round(float(w50), 2),
            window_p99_ms=round(float(w99), 2),
            order_p50_ms=round(float(o50), 2),
            order_p99_ms=round(float(o99), 2),
            cost=self.cost / 1000,
            spent=self.spent / 1000,
            cost_per_order=round(self.cost / 1000 / orders, 4),
            spent_per_order=round(self.spent / 1000 / orders, 4),
            spent_per_unit=round(self.spent / 1000 / max(1, self.units), 5),
            parcels=self.parcels,
            parcels_per_order=round(self.parcels / max(1, self.shipped), 4),
            units=self.units,
            unallocated_units=self.left,
            unallocated_value=self.value / 1000,
            fill=round(self.units / max(1, self.units + self.left), 5),
            statuses=dict(sorted(self.statuses.items())),
            solvers=dict(sorted(self.solvers.items())),
            oversold=judge.oversold,
            faults=len(judge.faults),
            first_faults=judge.faults[:5],
            stock_differs=differs,
        )
