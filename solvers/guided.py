"""Guidance as prices: the problem whose plain costs are what the choice goes by.

Weights of shipping and handling become factors of the tariffs; money of rules and balance and the price of room are
added to every box, the price of stock to every unit. So no method knows of guidance, and what a decision costs is told
by the true problem alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd
from typing import NamedTuple

import numpy as np

from solvers.plan import add_up
from solvers.problem import UNLIMITED, Guide, Ints, Problem
from solvers.runs import heads, owners
from solvers.solution import Plan, Solution
from solvers.tariff import BEYOND, times

THOUSAND = 1_000
"""Weights are thousandths."""


class Guided(NamedTuple):
    """A problem without a guide, and how many of its money units are one mill of the true problem."""

    problem: Problem
    scale: int

    def mills(self, money: int) -> int:
        """Money of the guided problem in mills, rounded up: what is equal stays equal, what bounds still bounds."""
        return -(-money // self.scale)


class Guidance(NamedTuple):
    """Mills by which rules, balance and shadow prices steered each order, int64[O] all; never part of its cost."""

    rules: Ints
    balance: Ints
    stock_price: Ints


def guided(problem: Problem) -> Guided:
    """The problem to decide; the very same where nothing steers.

    Money is counted in the coarsest unit in which the weights are whole (a mill, or a fraction of it down to 1/1000),
    so the guided cost is exact but for the term per kilogram, whose rounding to mills the weights come before.
    """
    guide = problem.guide
    if guide is None:
        return Guided(problem, 1)
    weighted = guide.shipping != THOUSAND or guide.handling != THOUSAND
    if not (weighted or guide.prices or guide.rules.any() or guide.balance.any()):
        return Guided(problem, 1)
    scale = THOUSAND // gcd(THOUSAND, guide.shipping, guide.handling)
    objective = problem.objective
    return Guided(
        replace(
            _tariffs(problem, guide, scale),
            objective=replace(
                objective,
                split_parcel=objective.split_parcel * scale,
                late_per_day=objective.late_per_day * scale,
                unfilled_per_unit=objective.unfilled_per_unit * scale,
            ),
            guide=None,
            toll=times(unit_prices(problem, guide), np.array([scale], np.int64)) if guide.stock.any() else None,
        ),
        scale,
    )


def unit_prices(problem: Problem, guide: Guide) -> Ints:
    """int64[I, N]: mills that a unit of every item is worth to orders to come where it would be drawn."""
    price = guide.stock.copy()
    add_up(problem, price)
    return price


def unpriced(problem: Problem) -> Problem:
    """The problem with a guide that knows no shadow prices."""
    guide = problem.guide
    if guide is None or not guide.prices:
        return problem
    return replace(problem, guide=replace(guide, stock=np.zeros_like(guide.stock), room=np.zeros_like(guide.room)))


def shipping_as(problem: Problem, plans: Sequence[Plan]) -> Problem:
    """The window in which just the units of each line that these plans ship are wanted, and all of them."""
    lines = problem.lines
    head = heads(lines.line)
    shipped = np.concatenate([np.zeros(0, np.int64), *(_units(problem, at, plan) for at, plan in enumerate(plans))])
    by_line = np.add.reduceat(shipped, head) if len(head) else shipped
    units = np.repeat(by_line, np.diff(head, append=len(lines.line)))
    return replace(
        problem,
        # A line that stays whole is asked for as before, but of nobody.
        lines=replace(
            lines, quantity=np.where(units > 0, units, lines.quantity), eligible=lines.eligible & (units > 0)[:, None]
        ),
        objective=replace(problem.objective, fill_always=True),
    )


def _units(problem: Problem, order: int, plan: Plan) -> Ints:
    """int64[rows of the order]: what a plan ships in all."""
    at = problem.lines_of(order)
    return sum((shipment.units for shipment in plan), np.zeros(at.stop - at.start, np.int64))


def guidance(problem: Problem, solution: Solution) -> Guidance:
    """What the guide's money came to for the parcels that were chosen, by order."""
    rules, balance, kept = (np.zeros(problem.orders, np.int64) for _ in range(3))
    guide, boxes = problem.guide, solution.boxes
    if guide is not None:
        np.add.at(rules, boxes.order, guide.rules[boxes.option])
        np.add.at(balance, boxes.order, guide.balance[boxes.option])
    if guide is not None and guide.prices:
        np.add.at(kept, boxes.order, _of_room(guide.room, problem.options.bucket[boxes.option]))
        box = owners(boxes.take_start)
        node = problem.options.node[boxes.option[box]]
        each = unit_prices(problem, guide)[problem.lines.item[boxes.take_line], node]
        np.add.at(kept, boxes.order[box], each * boxes.take_units)
    return Guidance(rules, balance, kept)


def _of_room(room: Ints, bucket: Ints) -> Ints:
    """Mills of a box in each bucket; bucket -1 reads the entry put behind, which costs nothing."""
    return np.append(room, 0)[bucket]


def _tariffs(problem: Problem, guide: Guide, scale: int) -> Problem:
    """The problem with every price weighted and counted in `scale` parts of a mill."""
    options, lines, curves = problem.options, problem.lines, problem.curves
    shipping, handling = guide.shipping * scale // THOUSAND, guide.handling * scale // THOUSAND

    def weighted(values: Ints, factor: int) -> Ints:
        # What cannot be paid stays so, whatever the weight.
        if factor == 1:
            return values
        return np.where(values >= BEYOND, values, times(values, np.array([factor], np.int64)))

    money = times(guide.rules + guide.balance + _of_room(guide.room, options.bucket), np.array([scale], np.int64))
    return replace(
        problem,
        options=replace(
            options,
            ship_parcel=weighted(options.ship_parcel, shipping),
            ship_line=weighted(options.ship_line, shipping),
            ship_unit=weighted(options.ship_unit, shipping),
            ship_per_kg=weighted(options.ship_per_kg, shipping),
            handle_parcel=weighted(options.handle_parcel, handling) + money,
            handle_line=weighted(options.handle_line, handling),
            handle_unit=weighted(options.handle_unit, handling),
        ),
        lines=replace(
            lines, more_line=_signed(lines.more_line, handling), more_unit=_signed(lines.more_unit, handling)
        ),
        # The very same where they do not change: what is derived from them is kept by identity (`tariff.steps_of`).
        curves=curves
        if shipping == 1
        else replace(curves, price=np.where(curves.price >= BEYOND, UNLIMITED, weighted(curves.price, shipping))),
    )


def _signed(values: Ints, factor: int) -> Ints:
    """`times` for what may be negative."""
    product: Ints = np.sign(values) * times(np.abs(values), np.array([factor], np.int64))
    return product
