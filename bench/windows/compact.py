"""An optimum by other means: one mixed-integer program over units and parcels, from the window's arrays alone.

It shares no code with the solvers and knows only what `scene` makes: one option for every (order, node), prices by
weight and no lateness, every parcel within its weight limit, orders of one priority, fill before money.

x[l, k] units of line l from node k; u[l, k] whether any; z[o, k, b] whether order o has a parcel from k in weight step b.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from solvers.problem import Problem


class Proven(NamedTuple):
    """Units filled at most, and mills of the cheapest window that fills so much: between `bound` and `best` (None if
    none was found in time)."""

    units: int
    bound: float
    best: float | None


class _Model(NamedTuple):
    cost: np.ndarray
    units: np.ndarray
    high: np.ndarray
    matrix: csr_matrix
    low_row: np.ndarray
    high_row: np.ndarray
    constant: int


def prove(problem: Problem, seconds: float) -> Proven:
    """The optimum of a window, as far as it can be had in so many seconds."""
    model = _model(problem)
    rows = LinearConstraint(model.matrix, model.low_row, model.high_row)
    whole, bounds = np.ones(len(model.cost)), Bounds(np.zeros(len(model.cost)), model.high)
    most = milp(-model.units, integrality=whole, bounds=bounds, constraints=rows)
    if most.status != 0:
        raise RuntimeError(f"the most units of the window were not found: {most.message}")
    units = round(-most.fun)
    full = LinearConstraint(csr_matrix(model.units[None, :]), units, np.inf)
    options = {"time_limit": seconds, "mip_rel_gap": 0.0}
    found = milp(model.cost, integrality=whole, bounds=bounds, constraints=[rows, full], options=options)
    best = None if found.x is None else float(found.fun) + model.constant
    bound = found.mip_dual_bound if found.mip_dual_bound is not None else 0.0
    return Proven(units, float(bound) + model.constant, best)


def _model(problem: Problem) -> _Model:
    lines, options, objective = problem.lines, problem.options, problem.objective
    nodes, orders = problem.nodes, problem.orders
    if objective.late_per_day or not objective.fill_always or len(set(problem.priority.tolist())) > 1:
        raise ValueError("the compact program does not know such windows")
    owner = np.repeat(np.arange(orders), np.diff(lines.start))
    option = np.arange(orders * nodes).reshape(orders, nodes)
    line, node = np.nonzero(np.minimum(problem.stock[lines.item], lines.quantity[:, None]))
    x, u = np.arange(len(line)), len(line) + np.arange(len(line))
    quantity = np.minimum(problem.stock[lines.item[line], node], lines.quantity[line])
    at = option[owner[line], node]
    pair, of = np.unique(at, return_inverse=True)
    parcels = [_steps(problem, one, line[of == p], quantity[of == p]) for p, one in enumerate(pair.tolist())]
    size = np.array([len(price) for _, price in parcels])
    z = 2 * len(line) + np.arange(int(size.sum()))
    parcel = np.repeat(np.arange(len(pair)), size)
    up_to = np.concatenate([limit for limit, _ in parcels])
    price = np.concatenate([money for _, money in parcels]) + objective.split_parcel
    columns = 2 * len(line) + len(z)
    cost, units = np.zeros(columns), np.zeros(columns)
    cost[x] = options.handle_unit[at] + options.ship_unit[at] - objective.unfilled_per_unit
    cost[u], cost[z] = options.handle_line[at] + options.ship_line[at], price
    units[x] = 1
    high = np.concatenate([quantity, np.ones(len(line) + len(z))])
    entries, low_row, high_row = [], [], []

    def rows(row: np.ndarray, column: np.ndarray, value: np.ndarray, most: np.ndarray) -> None:
        entries.append((row + sum(map(len, high_row)), column, value))
        low_row.append(np.full(len(most), -np.inf))
        high_row.append(most)

    one = np.ones(len(line))
    rows(line, x, one, lines.quantity)
    cell, which = np.unique(lines.item[line] * nodes + node, return_inverse=True)
    rows(which, x, one, problem.stock.ravel()[cell])
    every = np.arange(len(line))
    rows(np.r_[every, every], np.r_[x, u], np.r_[one, -quantity], np.zeros(len(line)))
    rows(np.r_[of, parcel], np.r_[x, z], np.r_[lines.weight_g[line], -up_to], np.zeros(len(pair)))
    rows(parcel, z, np.ones(len(z)), np.ones(len(pair)))
    # Not needed, but the relaxation is far better for it: no line without a parcel.
    rows(np.r_[every, _repeat(size, of)[0]], np.r_[u, z[_repeat(size, of)[1]]], _signs(len(line), size, of), 0 * one)
    # The first box of an order is free of the split penalty: one too many is charged where it ships at all.
    cost, high, extra, ships = _first_free(cost, high, objective.split_parcel, orders)
    rows(
        np.r_[np.arange(orders), pair[parcel] // nodes],
        np.r_[ships, z],
        np.r_[np.ones(orders), -np.ones(len(z))],
        np.zeros(orders),
    )
    if len(problem.bucket_parcels):
        rows(options.bucket[pair[parcel]], z, np.ones(len(z)), problem.bucket_parcels)
    shape = (sum(map(len, high_row)), columns + extra)
    r, c, v = (np.concatenate(part) for part in zip(*entries, strict=True))
    constant = int(objective.unfilled_per_unit * lines.quantity.sum())
    units = np.concatenate([units, np.zeros(extra)])
    matrix = csr_matrix((v, (r, c)), shape=shape)
    return _Model(cost, units, high, matrix, np.concatenate(low_row), np.concatenate(high_row).astype(float), constant)


def _first_free(
    cost: np.ndarray, high: np.ndarray, split: int, orders: int
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """A column for every order that gives one split penalty back if it ships."""
    ships = len(cost) + np.arange(orders)
    return np.r_[cost, np.full(orders, -split)], np.r_[high, np.ones(orders)], orders, ships


def _repeat(size: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(line-node pair, step) of all steps of every pair's parcel."""
    start = np.cumsum(size) - size
    row = np.repeat(np.arange(len(of)), size[of])
    within = np.arange(len(row)) - np.repeat(np.cumsum(size[of]) - size[of], size[of])
    return row, start[of][row] + within


def _signs(lines: int, size: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.r_[np.ones(lines), -np.ones(int(size[of].sum()))]


def _steps(problem: Problem, option: int, line: np.ndarray, quantity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(grams up to, mills) of the weight steps that a parcel by an option can fall into."""
    options, curves = problem.options, problem.curves
    heaviest = int((problem.lines.weight_g[line] * quantity).sum())
    limit, price = curves.up_to_g[options.curve[option]], curves.price[options.curve[option]]
    if heaviest > min(int(limit[-1]), int(options.max_weight_g[option])):
        raise ValueError("the compact program does not know parcels of several boxes")
    lightest = int(problem.lines.weight_g[line].min())
    inside = slice(int(np.searchsorted(limit, lightest)), int(np.searchsorted(limit, heaviest)) + 1)
    return limit[inside], price[inside] + options.ship_parcel[option] + options.handle_parcel[option]
