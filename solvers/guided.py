"""Guidance as prices: the problem whose plain costs are what the choice goes by.

Weights of shipping and handling become factors of the tariffs, money of rules and balance is added to every box. So no
method knows of guidance, and what a decision costs is told by the true problem alone.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd
from typing import NamedTuple

import numpy as np

from solvers.problem import UNLIMITED, Guide, Ints, Problem
from solvers.solution import Solution
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
    """Mills by which rules and balance steered each order, int64[O] both; never part of its cost."""

    rules: Ints
    balance: Ints


def guided(problem: Problem) -> Guided:
    """The problem to decide; the very same where nothing steers.

    Money is counted in the coarsest unit in which the weights are whole (a mill, or a fraction of it down to 1/1000),
    so the guided cost is exact but for the term per kilogram, whose rounding to mills the weights come before.
    """
    guide = problem.guide
    if guide is None:
        return Guided(problem, 1)
    if guide.shipping == guide.handling == THOUSAND and not guide.rules.any() and not guide.balance.any():
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
        ),
        scale,
    )


def guidance(problem: Problem, solution: Solution) -> Guidance:
    """What the guide's money came to for the parcels that were chosen, by order."""
    rules, balance = (np.zeros(problem.orders, np.int64) for _ in range(2))
    if problem.guide is not None:
        np.add.at(rules, solution.boxes.order, problem.guide.rules[solution.boxes.option])
        np.add.at(balance, solution.boxes.order, problem.guide.balance[solution.boxes.option])
    return Guidance(rules, balance)


def _tariffs(problem: Problem, guide: Guide, scale: int) -> Problem:
    """The problem with every price weighted and counted in `scale` parts of a mill."""
    options, lines, curves = problem.options, problem.lines, problem.curves
    shipping, handling = guide.shipping * scale // THOUSAND, guide.handling * scale // THOUSAND

    def weighted(values: Ints, factor: int) -> Ints:
        # What cannot be paid stays so, whatever the weight.
        return np.where(values >= BEYOND, values, times(values, np.array([factor], np.int64)))

    money = times(guide.rules + guide.balance, np.array([scale], np.int64))
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
        curves=replace(curves, price=np.where(curves.price >= BEYOND, UNLIMITED, weighted(curves.price, shipping))),
    )


def _signed(values: Ints, factor: int) -> Ints:
    """`times` for what may be negative."""
    product: Ints = np.sign(values) * times(np.abs(values), np.array([factor], np.int64))
    return product
