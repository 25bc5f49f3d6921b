"""One order's plan with its price: what every single-order method answers.

`single.cheapest_plan` and `cover.cheapest_cover` share one signature and this answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.problem import Ints, Problem
from solvers.runs import heads
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
    shipping = handling = boxes = late = 0
    for option, units in plan:
        cost = shipment_cost(problem, option, units)
        if cost is None:
            raise ValueError(f"option {option} cannot carry its shipment")
        shipping += cost.shipping
        handling += cost.handling
        boxes += cost.boxes
        late = max(late, int(problem.options.late_days[option]))
    objective = problem.objective
    return PlanCost(
        shipping,
        handling,
        objective.split_parcel * max(0, boxes - 1),
        objective.late_per_day * late,
        objective.unfilled_per_unit * charged(problem, order, plan),
    )


def charged(problem: Problem, order: int, plan: tuple[Shipment, ...]) -> int:
    """Units of an order that a plan leaves behind and that may not wait uncharged (`Lines.dated`)."""
    lines, at = problem.lines, problem.lines_of(order)
    head = heads(lines.line[at])
    shipped = sum((shipment.units for shipment in plan), np.zeros(at.stop - at.start, np.int64))
    left = lines.quantity[at][head] - np.add.reduceat(shipped, head) - lines.dated[at][head]
    return int(np.maximum(left, 0).sum())


def use_of(problem: Problem, order: int, plan: tuple[Shipment, ...]) -> Use:
    """The stock cells and bucket room that a plan takes; raises ValueError if a shipment cannot go by its option.

    Cells are those of real goods: of a derived item, its parts where they are drawn.
    """
    use = Use({}, {}, {})
    for shipment in plan:
        draw(problem, order, shipment, use)
        bucket = int(problem.options.bucket[shipment.option])
        if bucket >= 0:
            cost = shipment_cost(problem, shipment.option, shipment.units)
            if cost is None:
                raise ValueError(f"option {shipment.option} cannot carry its shipment")
            use.parcels[bucket] = use.parcels.get(bucket, 0) + cost.boxes
    return use


def draw(problem: Problem, order: int, shipment: Shipment, use: Use) -> None:
    """Add to `use` the cells and the room for units that a shipment takes, its boxes left aside."""
    option, units = shipment
    node, first = int(problem.options.node[option]), int(problem.lines.start[order])
    for row in np.flatnonzero(units).tolist():
        taken = int(units[row])
        source, parts = parts_of(problem, int(problem.lines.item[first + row]))
        for part, count in parts:
            cell = (part, node if source < 0 else source)
            use.cells[cell] = use.cells.get(cell, 0) + count * taken
        room = unit_bucket(problem, option, source)
        if room >= 0:
            use.units[room] = use.units.get(room, 0) + taken


def unit_bucket(problem: Problem, option: int, source: int) -> int:
    """The bucket in which units count that leave by an option and are drawn from a source; -1 for no limit."""
    if source < 0:
        return int(problem.options.bucket[option])
    return int(problem.source_bucket[problem.options.day[option], source])


def parts_of(problem: Problem, item: int) -> tuple[int, list[tuple[int, int]]]:
    """What one unit of an item is drawn from: (node or -1 for the option's own, [(real item, units)])."""
    derived = problem.derived
    if not len(derived.item):
        return -1, [(item, 1)]
    at = int(np.searchsorted(derived.item, item))
    if at == len(derived.item) or int(derived.item[at]) != item:
        return -1, [(item, 1)]
    inside = slice(int(derived.start[at]), int(derived.start[at + 1]))
    return int(derived.source[at]), list(
        zip(derived.part[inside].tolist(), derived.count[inside].tolist(), strict=True)
    )


def fits(use: Use, stock: Ints, room_parcels: Ints, room_units: Ints) -> bool:
    """Whether what a plan takes is there. stock int64[I, N]; the rooms int64[D]."""
    return (
        all(stock[cell] >= taken for cell, taken in use.cells.items())
        and all(room_parcels[bucket] >= taken for bucket, taken in use.parcels.items())
        and all(room_units[bucket] >= taken for bucket, taken in use.units.items())
    )


def take(problem: Problem, use: Use, stock: Ints, room_parcels: Ints, room_units: Ints, sign: int = 1) -> None:
    """Subtract what a plan takes from the arrays, in place (`sign` -1 gives it back)."""
    for cell, taken in use.cells.items():
        stock[cell] -= sign * taken
    for bucket, taken in use.parcels.items():
        room_parcels[bucket] -= sign * taken
    for bucket, taken in use.units.items():
        room_units[bucket] -= sign * taken
    if len(problem.derived.item) and use.cells:
        derive(problem, stock, {part for part, _ in use.cells})


def derive(problem: Problem, stock: Ints, parts: set[int] | None = None) -> None:
    """Set the rows of derived items, in place, to what their parts allow for one taker.

    `parts`: only of items made of one of these; None for all.
    """
    derived = problem.derived
    which = np.arange(len(derived.item))
    if parts is not None:
        touched = np.isin(derived.part, np.fromiter(parts, np.int64, len(parts)))
        which = np.flatnonzero(np.logical_or.reduceat(touched, derived.start[:-1]))
    for at in which.tolist():
        inside = slice(int(derived.start[at]), int(derived.start[at + 1]))
        whole = (np.maximum(stock[derived.part[inside]], 0) // derived.count[inside][:, None]).min(axis=0)
        source, item = int(derived.source[at]), int(derived.item[at])
        stock[item] = whole if source < 0 else np.where(problem.stock[item] > 0, whole[source], 0)


def add_up(problem: Problem, price: Ints) -> None:
    """Set the rows of derived items in prices of stock int64[I, N], in place: what their parts cost where drawn."""
    derived = problem.derived
    for at, item in enumerate(derived.item.tolist()):
        inside = slice(int(derived.start[at]), int(derived.start[at + 1]))
        each, source = derived.count[inside] @ price[derived.part[inside]], int(derived.source[at])
        price[item] = each if source < 0 else each[source]
