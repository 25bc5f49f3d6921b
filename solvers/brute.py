"""The referee: every plan of every order, every combination. Plain and slow; for tiny windows only.

It knows what the guide steers for (`guided`) but no mode: every order is optimised. Where units may stay its shadow
prices may refuse them, whatever the guide says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from solvers.limits import broken, limited
from solvers.plan import Priced, Use, fits, plan_cost, take, use_of
from solvers.problem import Ints, Problem
from solvers.solution import Plan, Shipment, Solution, settle
from solvers.tariff import shipment_cost

MAX_PLANS = 200_000
"""Plans of one order, and combinations of the window, that are still looked at."""

Key = tuple[int, ...]
"""What a decision is worth, smaller is better: units by descending priority class (negative), then guided money."""


class TooLargeError(ValueError):
    """The window has more plans than the referee will look at."""


class _Choice(NamedTuple):
    """One plan of an order as the window sees it."""

    key: Key
    use: Use
    plan: Plan


def guided(problem: Problem, order: int, plan: Plan) -> int:
    """What a plan costs in the eyes of the guide, in thousandths of mills; without one, its cost times a thousand."""
    cost, guide = plan_cost(problem, order, tuple(plan)), problem.guide
    if guide is None:
        return 1000 * cost.total
    steered = 0
    for option, units in plan:
        carried = shipment_cost(problem, option, units)
        assert carried is not None, "a plan with a cost has shipments that can go"
        steered += carried.boxes * int(guide.rules[option] + guide.balance[option])
    use = use_of(problem, order, tuple(plan))
    steered += sum(int(guide.stock[cell]) * units for cell, units in use.cells.items())
    steered += sum(int(guide.room[bucket]) * boxes for bucket, boxes in use.parcels.items())
    weighed = guide.shipping * cost.shipping + guide.handling * cost.handling
    return weighed + 1000 * (cost.split + cost.late + cost.unfilled + steered)


def every_plan(problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints) -> list[Priced]:
    """Every plan of one order that keeps its limits, the empty one included.

    stock int64[I, N]; parcels, units int64[D]. Two shipments may go by one option.
    Raises TooLargeError above MAX_PLANS.
    """
    return [
        Priced(plan, plan_cost(problem, order, plan).total, _filled(plan), None, 1)
        for plan in _lawful(problem, order, stock, parcels, units)
    ]


def _lawful(problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints) -> Iterator[tuple[Shipment, ...]]:
    """Every plan of one order that keeps its limits, without its price."""
    bound = bool(limited(problem)[order])
    for plan in _combinations(problem, order, stock, parcels, units):
        if not bound or broken(problem, order, plan) is None:
            yield plan


def _filled(plan: Plan) -> int:
    return sum(int(shipment.units.sum()) for shipment in plan)


def _combinations(
    problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints
) -> Iterator[tuple[Shipment, ...]]:
    """Every multiset of shipments that fits quantities, stock and room, each once."""
    shipments = list(_shipments(problem, order))
    uses = [use_of(problem, order, (shipment,)) for shipment in shipments]
    cells = sorted({cell for use in uses for cell in use.cells})
    line = problem.lines.line[problem.lines_of(order)]
    head = np.flatnonzero(np.diff(line, prepend=-1))
    quantity = problem.lines.quantity[problem.lines_of(order)][head]
    have = np.concatenate([quantity, np.array([stock[cell] for cell in cells], np.int64), parcels, units])
    need = np.zeros((len(shipments), len(have)), np.int64)
    rooms = len(head) + len(cells)
    for row, (shipment, use) in enumerate(zip(shipments, uses, strict=True)):
        need[row, : len(head)] = np.add.reduceat(shipment.units, head)
        need[row, len(head) : rooms] = [use.cells.get(cell, 0) for cell in cells]
        for bucket, boxes in use.parcels.items():
            need[row, rooms + bucket] = boxes
        for bucket, many in use.units.items():
            need[row, rooms + len(parcels) + bucket] = many
    seen = 0
    waiting: list[tuple[int, Ints, tuple[int, ...]]] = [(0, have, ())]
    while waiting:
        first, left, chosen = waiting.pop()
        seen += 1
        if seen > MAX_PLANS:
            raise TooLargeError(f"order {order} has more than {MAX_PLANS} plans")
        yield tuple(shipments[one] for one in chosen)
        able = first + np.flatnonzero((need[first:] <= left).all(axis=1))
        waiting += [(one, left - need[one], (*chosen, one)) for one in able.tolist()]


def _shipments(problem: Problem, order: int) -> Iterator[Shipment]:
    """Every shipment that could go, ascending by option; stock and room aside."""
    at = problem.lines_of(order)
    line, quantity, eligible = problem.lines.line[at], problem.lines.quantity[at], problem.lines.eligible[at]
    head = np.flatnonzero(np.diff(line, prepend=-1))
    loads = [np.array(load, np.int64) for load in product(*(range(most + 1) for most in quantity.tolist()))]
    loads = [load for load in loads if load.any() and (np.add.reduceat(load, head) <= quantity[head]).all()]
    for option in range(*problem.options_of(order).indices(len(problem.options.node))):
        for load in loads:
            may = eligible[load > 0, problem.options.node[option]].all()
            if may and shipment_cost(problem, option, load) is not None:
                yield Shipment(option, load)


def best_plan(problem: Problem, order: int, stock: Ints, parcels: Ints, units: Ints) -> Priced:
    """The best plan of one order under the window's objective and guide."""

    def worth(priced: Priced) -> tuple[int, int]:
        money = 1000 * priced.cost if problem.guide is None else guided(problem, order, priced.plan)
        return -priced.filled if problem.objective.fill_always else 0, money

    return min(every_plan(problem, order, stock, parcels, units), key=worth)


def key_of(problem: Problem, plans: Sequence[Plan]) -> Key:
    """What the plans of all orders are worth together."""
    return _sum(problem, [_key(problem, order, plan) for order, plan in enumerate(plans)])


def solve(problem: Problem) -> Solution:
    """The best decision of the window: lexicographic fill by descending priority (if `fill_always`), then guided money.

    Raises TooLargeError where there are more than MAX_PLANS combinations.
    """
    every = [_choices(problem, order) for order in range(problem.orders)]
    # No combination of the orders from o on is better than the sum of their best: keys add up and keep their order.
    rest = [_sum(problem, [choices[0].key for choices in every[order:]]) for order in range(problem.orders + 1)]
    best: tuple[Key, list[Plan]] | None = None
    seen = 0

    def descend(order: int, key: Key, chosen: list[Plan]) -> None:
        nonlocal best, seen
        if order == problem.orders:
            best = (key, chosen)
            return
        for choice in every[order]:
            after = _sum(problem, [key, choice.key])
            if best is not None and _sum(problem, [after, rest[order + 1]]) >= best[0]:
                return
            seen += 1
            if seen > MAX_PLANS:
                raise TooLargeError(f"the window has more than {MAX_PLANS} combinations")
            if fits(choice.use, stock, parcels, units):
                take(problem, choice.use, stock, parcels, units)
                descend(order + 1, after, [*chosen, choice.plan])
                take(problem, choice.use, stock, parcels, units, sign=-1)

    stock, parcels, units = problem.stock.copy(), problem.bucket_parcels.copy(), problem.bucket_units.copy()
    descend(0, rest[-1], [])
    assert best is not None, "the empty plan of every order is always possible"
    goal = -(-best[0][-1] // 1000)
    return settle(problem, best[1], solver="brute", work=seen, bound=goal, cut=False, guided_total=goal)


def _choices(problem: Problem, order: int) -> list[_Choice]:
    """The plans of one order, best first; of those that take the same, only the best."""
    best: dict[tuple[frozenset[tuple[object, int]], ...], _Choice] = {}
    for plan in _lawful(problem, order, problem.stock, problem.bucket_parcels, problem.bucket_units):
        use = use_of(problem, order, plan)
        choice = _Choice(_key(problem, order, plan), use, plan)
        same = tuple(frozenset(part.items()) for part in use)
        if same not in best or choice.key < best[same].key:
            best[same] = choice
    return sorted(best.values(), key=lambda choice: choice.key)


def _classes(problem: Problem) -> list[int]:
    """Priorities in the order in which their fill counts; none where only money does."""
    return sorted(set(problem.priority.tolist()), reverse=True) if problem.objective.fill_always else []


def _key(problem: Problem, order: int, plan: Plan) -> Key:
    filled, own = _filled(plan), int(problem.priority[order])
    return (*(-filled if own == one else 0 for one in _classes(problem)), guided(problem, order, plan))


def _sum(problem: Problem, keys: Sequence[Key]) -> Key:
    return tuple(sum(column) for column in zip((0,) * (len(_classes(problem)) + 1), *keys, strict=True))
