"""Random windows: the yardstick itself, and what the solvers claim against programs of other code."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_matrix
from typer.testing import CliRunner

from bench.windows.__main__ import app
from bench.windows.compact import prove
from bench.windows.run import measure
from bench.windows.scene import SCARCITIES, Shape, window
from solvers.choose import Budget, solve
from solvers.problem import Problem
from solvers.solution import check

SMALL = 12
"""Nodes of windows that a program proves in a second."""


@pytest.mark.parametrize("scarcity", SCARCITIES)
@pytest.mark.parametrize("room", [False, True], ids=["", "room"])
@pytest.mark.parametrize("quantity", [1, 3])
def test_what_is_claimed_is_true(scarcity: str, room: bool, quantity: int) -> None:
    """Fill, cost and bound against a mixed-integer program that knows nothing of plans, menus or columns."""
    found = measure(Shape(24, scarcity, SMALL, quantity, room=room), 5, Budget(), (), prove_seconds=20)
    assert found.wrong == []
    assert found.proven is not None
    if quantity == 1 and not room:
        assert (found.gap, round(found.proven * found.total)) == (0, 0)


@pytest.mark.parametrize("orders", [50, 200, 500])
@pytest.mark.parametrize("scarcity", SCARCITIES)
def test_large_windows_hold_and_are_never_worse_than_one_by_one(scarcity: str, orders: int) -> None:
    """Whatever the size and the scarcity: the judge is content, and the joint answer is not the worse one."""
    assert measure(Shape(orders, scarcity), 11, Budget(), (), None).wrong == []


def least(problem: Problem) -> tuple[int, float]:
    """(units, mills) of a window of single units by a linear program from orders to cells; fill first."""
    lines, options, curves = problem.lines, problem.options, problem.curves
    order, node = np.nonzero(problem.stock[lines.item] > 0)
    at = order * problem.nodes + node
    break_at = [int(np.searchsorted(curves.up_to_g[options.curve[a]], lines.weight_g[o])) for a, o in zip(at, order)]
    card = curves.price[options.curve[at], break_at]
    price = card + options.handle_parcel[at] + options.handle_line[at] + options.handle_unit[at]
    cells, cell = np.unique(lines.item[order] * problem.nodes + node, return_inverse=True)
    arcs = np.arange(len(order))
    rows = np.concatenate([order, problem.orders + cell])
    matrix = coo_matrix((np.ones(2 * len(arcs)), (rows, np.tile(arcs, 2)))).tocsr()
    limit = np.concatenate([np.ones(problem.orders), problem.stock.ravel()[cells]])
    # Units come first: one more is worth more than all the money.
    worth = 1 + int(price.max()) * problem.orders
    found = linprog(price - worth, A_ub=matrix, b_ub=limit, method="highs")
    assert found.status == 0
    units = round(found.x.sum())
    return units, float(price @ found.x) + problem.objective.unfilled_per_unit * (problem.orders - units)


@pytest.mark.parametrize("scarcity", SCARCITIES)
def test_single_lines_are_the_optimum_of_a_linear_program(scarcity: str) -> None:
    """Windows of one unit an order are a transportation problem: exact, by flow or by whatever decides them."""
    problem = window(Shape(200, scarcity, single=True), 3)
    answer = solve(problem)
    units, mills = least(problem)
    assert check(problem, answer) == []
    assert (int(answer.boxes.take_units.sum()), answer.gap) == (units, 0)
    assert answer.total == pytest.approx(mills, abs=1)


def test_a_compact_program_finds_a_wrong_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The yardstick can fail: a bound above the optimum is told."""
    shape = Shape(24, "scarce", SMALL)
    proven = prove(window(shape, 5), 20)
    assert proven.best is not None
    monkeypatch.setattr("bench.windows.run.prove", lambda *_: proven._replace(bound=proven.best * 2, best=1.0))
    assert measure(shape, 5, Budget(), (), prove_seconds=1).wrong


def test_the_command_tells_figures_as_a_table_and_as_json() -> None:
    """One command, both forms, every shape a row, the curve of budgets included."""
    asked = ["--windows", "1", "--orders", "20", "--nodes", "8", "--curve"]
    table = CliRunner().invoke(app, asked)
    assert table.exit_code == 0, table.output
    assert (
        sum(line.startswith(tuple(f"| {one} | 20 | 1 |" for one in SCARCITIES)) for line in table.output.splitlines())
        == 3
    )
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert [len(one["early"]) for one in told["windows"]] == [6, 6, 6]
    assert CliRunner().invoke(app, ["--scarcity", "none"]).exit_code == 2
