"""Some orders of a window as a window of their own, on what is left for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from solvers.menu import Supply, spans
from solvers.problem import Ints, Limits, Lines, Options, Problem
from solvers.runs import sizes
from solvers.solution import Plan, Shipment


class Part(NamedTuple):
    """The orders `orders` int64 of a window as `problem`; `options` int64: the window's option of each of its own."""

    problem: Problem
    orders: Ints
    options: Ints

    def plans_of_window(self, plans: Sequence[Plan]) -> dict[int, Plan]:
        """Plans of the part's orders as plans of the window, by order index."""
        return {
            order: tuple(Shipment(int(self.options[shipment.option]), shipment.units) for shipment in plan)
            for order, plan in zip(self.orders.tolist(), plans, strict=True)
        }


def part(problem: Problem, orders: Ints, supply: Supply) -> Part:
    """The orders (ascending) alone on the supply. Items, nodes, buckets and curves keep their numbers."""
    rows, _ = spans(problem.lines.start, orders)
    options, _ = spans(problem.options.start, orders)

    def chosen(table: Lines | Options | Limits, which: Ints) -> dict[str, Any]:
        return {name: getattr(table, name)[which] for name in table.__slots__ if name != "start"}

    def starts(start: Ints) -> Ints:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes(start)[orders])])

    left, guide = supply.copy(), problem.guide
    if guide is not None:
        guide = replace(guide, rules=guide.rules[options], balance=guide.balance[options])
    alone = replace(
        problem,
        lines=replace(problem.lines, start=starts(problem.lines.start), **chosen(problem.lines, rows)),
        options=replace(problem.options, start=starts(problem.options.start), **chosen(problem.options, options)),
        priority=problem.priority[orders],
        stock=left.stock,
        bucket_parcels=left.parcels,
        bucket_units=left.units,
        distance_m=problem.distance_m[orders],
        limits=replace(problem.limits, **chosen(problem.limits, orders)),
        modes=tuple(problem.modes[order] for order in orders.tolist()),
        guide=guide,
    )
    return Part(alone, orders, options)
