"""One order's plan with its price: what every single-order method answers.

`single.cheapest_plan` and `cover.cheapest_cover` share one signature and this answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.problem import Ints, Problem
from solvers.solution import Shipment
from solvers.tariff import shipment_cost


class Priced(NamedTuple):
    """The plan of one order and what it costs.

    `cost`: mills, all five terms (shipping, handling, split, late, unfilled). `filled`: units that ship.
    `bound`: no plan of this order on the same stock and room that fills as many units costs less; equal to `cost`
    when the plan is proven cheapest, None when nothing is proven. Where units may stay (`fill_always` false) the
    bound holds for every fill. `work`: steps done, deterministic.
    """

    plan: tuple[Shipment, ...]
    cost: int
    filled: int
    bound: int | None
    work: int


class Use(NamedTuple):
    """What one plan takes: units by (item, node) cell, and boxes and units by bucket."""

    cells: dict[tuple[int, int], int]
    parcels: dict[int, int]
    units: dict[int, int]


class PlanCost(NamedTuple):
    """The five terms of one order's cost in mills; `total` sums them."""

    shipping: int
    handling: int
    split: int
    late: int
    unfilled: int

    @property
    def total(self) -> int:
        """All terms together."""
        return self.shipping + self.handling + self.split + self.late + self.unfilled


def plan_cost(problem: Problem, order: int, plan: tuple[Shipment, ...]) -> PlanCost:
    """The exact cost of a plan; raises ValueError if a shipment cannot go by its option."""
    shipping = handling = boxes = late = filled = 0
    for option, units in plan:
        cost = shipment_cost(problem, option, units)
        if cost is None:
            raise ValueError(f"option {option} cannot carry its shipment")
        shipping += cost.shipping
        handling += cost.handling
        boxes += cost.boxes
        late = max(late, int(problem.options.late_days[option]))
        filled += int(units.sum())
    objective = problem.objective
    demand = int(problem.lines.quantity[problem.lines_of(order)].sum())
    return PlanCost(
        shipping,
        handling,
        objective.split_parcel * max(0, boxes - 1),
        objective.late_per_day * late,
        objective.unfilled_per_unit * (demand - filled),
    )


def use_of(problem: Problem, order: int, plan: tuple[Shipment, ...]) -> Use:
    """The stock cells and bucket room that a plan takes; raises ValueError if a shipment cannot go by its option."""
    cells: dict[tuple[int, int], int] = {}
    parcels: dict[int, int] = {}
    units_in: dict[int, int] = {}
    first = int(problem.lines.start[order])
    for option, units in plan:
        node, bucket = int(problem.options.node[option]), int(problem.options.bucket[option])
        taken = 0
        for line in np.flatnonzero(units).tolist():
            cell = (int(problem.lines.item[first + line]), node)
            cells[cell] = cells.get(cell, 0) + int(units[line])
            taken += int(units[line])
        if bucket >= 0:
            cost = shipment_cost(problem, option, units)
            if cost is None:
                raise ValueError(f"option {option} cannot carry its shipment")
            parcels[bucket] = parcels.get(bucket, 0) + cost.boxes
            units_in[bucket] = units_in.get(bucket, 0) + taken
    return Use(cells, parcels, units_in)


def fits(use: Use, stock: Ints, room_parcels: Ints, room_units: Ints) -> bool:
    """Whether what a plan takes is there. stock int64[I, N]; the rooms int64[D]."""
    return (
        all(stock[cell] >= taken for cell, taken in use.cells.items())
        and all(room_parcels[bucket] >= taken for bucket, taken in use.parcels.items())
        and all(room_units[bucket] >= taken for bucket, taken in use.units.items())
    )


def take(use: Use, stock: Ints, room_parcels: Ints, room_units: Ints, sign: int = 1) -> None:
    """Subtract what a plan takes from the arrays, in place (`sign` -1 gives it back)."""
    for cell, taken in use.cells.items():
        stock[cell] -= sign * taken
    for bucket, taken in use.parcels.items():
        room_parcels[bucket] -= sign * taken
    for bucket, taken in use.units.items():
        room_units[bucket] -= sign * taken
