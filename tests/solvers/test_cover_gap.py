"""How far the cheapest cover is from the optimum: against an exact integer programme, on realistic orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from solvers.cover import cheapest_cover
from solvers.cover_bound import cover_bound
from solvers.plan import Priced, fits, plan_cost, use_of
from solvers.problem import Objective, Problem
from tests.solvers.worlds import Want, Way, World

OUNCE_G, POUND_G = 28.349523, 453.59237
BREAKS_G = [int(OUNCE_G * ounces) for ounces in (4, 8, 12, 16)] + [int(POUND_G * pounds) for pounds in range(2, 71)]
BOX_G = 31_751


def parcel_curve(zone: int, dearer: float = 1.0) -> list[tuple[int, int]]:
    """A retail parcel tariff of the usual shape: steps by ounce, then by pound, concave, steeper the farther."""
    start = [7200 + 150 * zone, 7500 + 220 * zone, 7800 + 260 * zone, 8000 + 330 * zone]
    pounds = [8300 + 350 * zone + int((900 + 170 * zone) * pound**0.8) for pound in range(2, 71)]
    return [(limit, round(price * dearer, -1)) for limit, price in zip(BREAKS_G, start + pounds, strict=True)]


def realistic(
    seed: int,
    *,
    lines: int,
    nodes: int,
    cover: float,
    services: int = 1,
    objective: Objective | None = None,
    repeats: bool = False,
    room: tuple[int, int] | None = None,
    tolls: int = 0,
) -> Problem:
    """One order of light retail goods; `cover` is the chance that a node holds a SKU, often not all of it.

    `tolls`: mills of toll on a unit at most.
    """
    rng = np.random.default_rng(seed)
    items = lines - 2 if repeats else lines
    stock = np.where(rng.random((items, nodes)) < cover, rng.integers(1, 15, (items, nodes)), 0)
    weight = np.maximum(5, 60 * np.exp(0.6 * rng.standard_normal(items))).astype(int).tolist()
    named = [line % items for line in range(lines)]
    quantity = np.minimum(12, rng.geometric(0.25, lines)).tolist()
    wants = [Want(item, int(units), weight[item], 1000) for item, units in zip(named, quantity, strict=True)]
    zones = rng.integers(1, 8, nodes).tolist()
    ways = [
        Way(
            node,
            curve=zone + 8 * service,
            handle_parcel=900,
            handle_line=250,
            handle_unit=50,
            max_weight_g=BOX_G,
            late_days=max(0, zone // 3 - service * 2),
            bucket=node if room else -1,
        )
        for node, zone in enumerate(zones)
        for service in range(services)
    ]
    world = World(
        stock=stock.tolist(),
        curves=[parcel_curve(zone, dearer) for dearer in (1.0, 1.25) for zone in range(8)],
        rooms=[room] * nodes if room else [],
        objective=objective or Objective(fill_always=True, unfilled_per_unit=0),
    )
    problem = world.order(wants, ways).problem()
    return replace(problem, toll=rng.integers(0, tolls + 1, problem.stock.shape)) if tolls else problem


class Programme:
    """Rows and columns of a mixed-integer programme, gathered one by one."""

    def __init__(self) -> None:
        self.upper: list[float] = []
        self.whole: list[int] = []
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def column(self, upper: float, whole: bool = True) -> int:
        self.upper.append(upper)
        self.whole.append(int(whole))
        return len(self.upper) - 1

    def row(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        self.entries += [(len(self.low), column, value) for column, value in terms]
        self.low.append(low)
        self.high.append(high)

    def solve(self, cost: dict[int, float], nodes: int) -> tuple[float, float]:
        """Minimise; (value of the best solution, proven lower bound), equal when solved to optimality."""
        objective = np.zeros(len(self.upper))
        for column, value in cost.items():
            objective[column] += value
        row, column, value = zip(*self.entries, strict=True)
        matrix = coo_array((value, (row, column)), shape=(len(self.low), len(self.upper))).tocsr()
        answer = milp(
            objective,
            integrality=np.array(self.whole),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(matrix, np.array(self.low), np.array(self.high)),
            options={"mip_rel_gap": 1e-5, "node_limit": nodes},
        )
        assert answer.x is not None, answer.message
        return float(answer.fun), float(answer.mip_dual_bound)


def _keep_limits(
    problem: Problem, model: Programme, shipments: list[tuple[dict[int, tuple[int, int]], list[int]]]
) -> None:
    """The rows of the order's limits; per option the columns (units, used) by line and those of its weight steps.

    An order that must be complete is looked at by its callers: it ships the most or nothing.
    """
    lines, limits = problem.lines, problem.limits
    every = [(step, 1.0) for _, steps in shipments for step in steps]
    if limits.max_parcels[0] < len(every):
        model.row(every, 0, float(limits.max_parcels[0]))
    if limits.whole_lines[0]:
        for line in range(len(lines.item)):
            model.row([(placed[line][1], 1.0) for placed, _ in shipments if line in placed], 0, 1)
    for group in set(lines.group[lines.group >= 0].tolist()):
        members = np.flatnonzero(lines.group == group).tolist()
        ships = []
        for placed, _ in shipments:
            # Without all of its lines a node ships nothing of a group.
            together = model.column(float(all(line in placed for line in members)))
            ships.append((together, 1.0))
            for line in members:
                if line in placed:
                    model.row([(placed[line][0], 1.0), (together, -float(lines.quantity[line]))], 0, 0)
        model.row(ships, 0, 1)
    least = float(limits.min_split_value[0])
    if least:
        several = model.column(1)
        model.row([*every, (several, -float(len(shipments)))], -np.inf, 1)
        for placed, steps in shipments:
            worth = [(x, float(lines.value[line])) for line, (x, _) in placed.items()]
            model.row([*worth, (several, -least), *[(step, -least) for step in steps]], -least, np.inf)


def optimum(problem: Problem, nodes: int = 100_000) -> tuple[int, float, float]:
    """Most units that can ship, the least cost of shipping them (or of anything, where units may stay), its bound.

    Exact for one order whose shipments all fit one box and that pays nothing per kilogram: units x, lines used t,
    one weight step z per option used.
    """
    lines, options, curves, objective = problem.lines, problem.options, problem.curves, problem.objective
    model = Programme()
    cost: dict[int, float] = {}
    placed: list[list[tuple[int, float]]] = [[] for _ in lines.item]
    cells: dict[tuple[int, int], list[tuple[int, float]]] = {}
    total_g = int((lines.quantity * lines.weight_g).sum())
    assert total_g <= options.max_weight_g.min(), "several boxes"
    some, latest = model.column(1), model.column(float(options.late_days.max()), whole=False)
    opened_all: list[tuple[int, float]] = []
    shipments: list[tuple[dict[int, tuple[int, int]], list[int]]] = []
    for j, node in enumerate(options.node.tolist()):
        steps = []
        for up_to, price in zip(curves.up_to_g[options.curve[j]], curves.price[options.curve[j]], strict=True):
            step = model.column(1)
            steps.append((step, float(min(up_to, total_g))))
            cost[step] = float(price + options.ship_parcel[j] + options.handle_parcel[j] + objective.split_parcel)
            if up_to >= total_g:
                break
        model.row([(step, 1.0) for step, _ in steps], 0, 1)
        opened_all += [(step, 1.0) for step, _ in steps]
        model.row([(latest, -1.0)] + [(step, float(options.late_days[j])) for step, _ in steps], -np.inf, 0)
        weight = [(step, -limit) for step, limit in steps]
        units, placed_here = [], []
        for line, item in enumerate(lines.item.tolist()):
            most = float(min(problem.stock[item, node], lines.quantity[line]))
            if most == 0 or not lines.eligible[line, node]:
                continue
            x, t = model.column(most), model.column(1)
            cost[x] = float(options.ship_unit[j] + options.handle_unit[j])
            cost[x] += 0 if problem.toll is None else float(problem.toll[item, node])
            cost[t] = float(options.ship_line[j] + options.handle_line[j])
            model.row([(x, 1.0), (t, -most)], -np.inf, 0)
            model.row([(t, 1.0)] + [(step, -1.0) for step, _ in steps], -np.inf, 0)
            weight.append((x, float(lines.weight_g[line])))
            units.append((x, 1.0))
            placed[line].append((x, 1.0))
            placed_here.append((line, x, t))
            cells.setdefault((item, node), []).append((x, 1.0))
        model.row(weight, -np.inf, 0)
        shipments.append(({line: (x, t) for line, x, t in placed_here}, [step for step, _ in steps]))
        if options.bucket[j] >= 0:
            model.row(units, 0, float(problem.bucket_units[options.bucket[j]]))
            model.row([(s, 1.0) for s, _ in steps], 0, float(problem.bucket_parcels[options.bucket[j]]))
    for line, terms in enumerate(placed):
        model.row(terms, 0, float(lines.quantity[line]))
    for (item, node), terms in cells.items():
        model.row(terms, 0, float(problem.stock[item, node]))
    _keep_limits(problem, model, shipments)
    model.row([(some, 1.0)] + [(step, -1.0) for step, _ in opened_all], -np.inf, 0)
    cost[some], cost[latest] = -float(objective.split_parcel), float(objective.late_per_day)
    every = [entry for terms in placed for entry in terms]
    for x, _ in every:
        cost[x] -= objective.unfilled_per_unit
    demand = int(lines.quantity.sum())
    most = 0
    if objective.fill_always:
        most = -round(model.solve({x: -1.0 for x, _ in every}, nodes)[0])
        model.row(every, most, most)
    value, bound = model.solve(cost, nodes)
    left = objective.unfilled_per_unit * demand
    return most, value + left, bound + left


def answer(problem: Problem) -> Priced:
    """The cover of the only order, checked against stock, rooms, lines and its own price."""
    stock = problem.stock.copy()
    priced = cheapest_cover(problem, 0, stock, problem.bucket_parcels, problem.bucket_units)
    assert (stock == problem.stock).all()
    assert fits(use_of(problem, 0, priced.plan), problem.stock, problem.bucket_parcels, problem.bucket_units)
    shipped = sum((shipment.units for shipment in priced.plan), np.zeros(len(problem.lines.item), np.int64))
    assert (shipped <= problem.lines.quantity).all()
    assert int(shipped.sum()) == priced.filled
    for option, units in priced.plan:
        assert problem.lines.eligible[units > 0, problem.options.node[option]].all()
        assert (units >= 0).all()
        assert units.any()
    assert plan_cost(problem, 0, priced.plan).total == priced.cost
    return priced


SCENARIOS = {
    "loose": (range(3), {"lines": 13, "nodes": 5, "cover": 0.8}),
    "normal": (range(3), {"lines": 20, "nodes": 8, "cover": 0.5}),
    "tight": (range(8), {"lines": 16, "nodes": 6, "cover": 0.3}),
    "long": (range(2), {"lines": 30, "nodes": 6, "cover": 0.5}),
    "late": (
        range(2),
        {"lines": 14, "nodes": 6, "cover": 0.6, "services": 2, "objective": Objective(True, 500, 1500, 0)},
    ),
    "economic": (range(6), {"lines": 16, "nodes": 6, "cover": 0.4, "objective": Objective(False, 0, 0, 1500)}),
    "repeats": (range(5), {"lines": 16, "nodes": 6, "cover": 0.5, "repeats": True}),
    "priced": (range(4), {"lines": 16, "nodes": 6, "cover": 0.5, "repeats": True, "tolls": 2500}),
    "refusing": (
        range(4),
        {"lines": 16, "nodes": 6, "cover": 0.4, "tolls": 2500, "objective": Objective(False, 0, 0, 2500)},
    ),
}


def test_gap_to_the_optimum_is_small_and_the_bound_below_it() -> None:
    """The money promise: over scarcities, services and objectives the cover fills what can be filled, stays close to
    the exact optimum, and its bound never exceeds that optimum."""
    gaps = []
    for name, (seeds, shape) in SCENARIOS.items():
        for seed in seeds:
            problem = realistic(seed, **shape)
            priced = answer(problem)
            most, value, proven = optimum(problem)
            assert priced.cost >= proven - 1, (name, seed)
            if problem.objective.fill_always:
                assert priced.filled == most, (name, seed)
            bound = cover_bound(problem, 0, problem.stock, problem.bucket_parcels, problem.bucket_units, priced)
            assert bound <= value + 1, (name, seed)
            gaps.append((priced.cost - value) / value)
    mean, worst = float(np.mean(gaps)), float(max(gaps))
    print(f"gap of {len(gaps)} orders: mean {mean:.3%}, worst {worst:.2%}")
    assert mean <= 0.005
    assert worst <= 0.03


@pytest.mark.parametrize("seed", range(4))
def test_tight_rooms_are_never_overdrawn_and_filled_to_the_last_unit(seed: int) -> None:
    """Capacity promise: with one box and few units of room at each node the plan fits and still fills the most."""
    problem = realistic(seed, lines=13, nodes=5, cover=0.6, room=(1, 14))
    priced = answer(problem)
    most, value, _ = optimum(problem)
    assert priced.filled == most
    assert priced.cost <= value * 1.15
