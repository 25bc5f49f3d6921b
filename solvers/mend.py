"""The way back to a lawful plan: what breaks a limit or is not in stock is left behind, and no more than that."""

from __future__ import annotations

import numpy as np

from solvers.limits import Broken, broken, value_of
from solvers.load import loaded, most_at, rows_of
from solvers.menu import Supply
from solvers.plan import fits, take, use_of
from solvers.problem import Bools, Problem
from solvers.solution import Shipment
from solvers.tariff import shipment_cost


def mended(
    problem: Problem, order: int, plan: tuple[Shipment, ...], supply: Supply, *, unfinished: bool = False
) -> tuple[Shipment, ...]:
    """The plan without what keeps it from being lawful and possible on the supply; the very same where nothing does.

    Every step leaves something behind, so it ends; an order that ships whole or not at all may be left with nothing,
    but not while it is `unfinished`.
    """
    lawful = (None, Broken.COMPLETE) if unfinished else (None,)
    if broken(problem, order, plan) in lawful and _possible(problem, order, plan, supply):
        return plan
    shipments = _in_stock(problem, order, plan, supply)
    while shipments:
        kept = tuple(sorted(shipments, key=lambda shipment: shipment.option))
        fault = broken(problem, order, kept)
        if fault in lawful and _possible(problem, order, kept, supply):
            return kept
        shipments = _without(problem, order, list(kept), fault, supply)
    return ()


def _possible(problem: Problem, order: int, plan: tuple[Shipment, ...], supply: Supply) -> bool:
    if any(shipment_cost(problem, *shipment) is None for shipment in plan):
        return False
    return fits(use_of(problem, order, plan), supply.stock, supply.parcels, supply.units)


def _in_stock(problem: Problem, order: int, plan: tuple[Shipment, ...], supply: Supply) -> list[Shipment]:
    """Each shipment cut to what lines, stock and room leave for it after those before, largest shipment first."""
    rows, left = rows_of(problem, order), supply.copy()
    missing = rows.wanted.copy()
    kept: list[Shipment] = []
    for option, units in sorted(plan, key=lambda shipment: -int(shipment.units.sum())):
        wanted = most_at(problem, order, rows, option, missing, left, roomy=True, within=units)
        found = loaded(problem, order, rows, [option], wanted, left)
        if found is not None:
            kept.append(found.shipment)
            missing -= np.bincount(rows.line, weights=found.shipment.units, minlength=len(missing)).astype(np.int64)
            take(problem, found.use, left.stock, left.parcels, left.units)
    return kept


def _without(
    problem: Problem, order: int, plan: list[Shipment], fault: Broken | None, supply: Supply
) -> list[Shipment]:
    """The shipments less something that is at fault."""
    lines, at = problem.lines, problem.lines_of(order)
    if fault is Broken.COMPLETE:
        return []
    if fault is Broken.GROUP:
        return _less(plan, _at_fault(problem, order, plan))
    if fault is Broken.WHOLE_LINES:
        line = lines.line[at]
        held = np.array([np.bincount(line - line[0], weights=shipment.units) for shipment in plan])
        best = held.argmax(axis=0)
        return _less(plan, [best[line - line[0]] != index for index in range(len(plan))])
    if fault is Broken.MAX_PARCELS and len(plan) == 1:
        rows, (option, units) = rows_of(problem, order), plan[0]
        most = int(problem.limits.max_parcels[order])
        found = loaded(problem, order, rows, [option], units, supply, boxes=most)
        return [found.shipment] if found is not None else []
    if fault is Broken.MIN_SPLIT_VALUE:
        least = min(plan, key=lambda shipment: value_of(problem, order, shipment.units))
    else:
        least = min(plan, key=lambda shipment: int(shipment.units.sum()))
    return [shipment for shipment in plan if shipment is not least]


def _at_fault(problem: Problem, order: int, plan: list[Shipment]) -> list[Bools]:
    """bool[rows] by shipment: of groups that are not whole in one shipment, all; else what keeps one from one box."""
    rows = rows_of(problem, order)
    shipped = np.bincount(rows.line, weights=sum(shipment.units for shipment in plan), minlength=len(rows.wanted))
    without = [np.zeros(len(rows.line), np.bool_) for _ in plan]
    for lot in [lot for lot, tied in zip(rows.lots, rows.tied, strict=True) if tied]:
        holding = [index for index, shipment in enumerate(plan) if shipment.units[lot].any()]
        if len(holding) > 1 or (shipped < rows.wanted)[rows.line[lot]].any():
            for index in holding:
                without[index][lot] = True
    if any(rows_without.any() for rows_without in without):
        return without
    for index, shipment in enumerate(plan):
        if shipment.units[rows.grouped].any():
            beside = ~rows.grouped & (shipment.units > 0)
            without[index] = beside if beside.any() else rows.grouped
    return without


def _less(plan: list[Shipment], without: list[Bools]) -> list[Shipment]:
    """The shipments without the rows named, bool[rows] each; those left empty are gone."""
    units = [np.where(rows, 0, shipment.units) for shipment, rows in zip(plan, without, strict=True)]
    return [Shipment(old.option, new) for old, new in zip(plan, units, strict=True) if new.any()]
