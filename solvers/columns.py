"""Column generation over a contested window: plans of every order at the prices of what is scarce, and the bound.

One run has its fill rows, if any, met in full; `fullest` is the run for windows where nobody knows what can be met.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from solvers.alone import COVER, Alone, plans_alone
from solvers.column import columns_of, key_of
from solvers.fill import Targets, class_units
from solvers.greedy import on_what_is_left
from solvers.master import EXACT_COLUMNS, FINE, Choice, Master, Prices, worth_of
from solvers.menu import Supply
from solvers.picking import pick
from solvers.plan import Priced, charged, fits, plan_cost, take, use_of
from solvers.pricing import Pricer
from solvers.problem import Bools, Ints, Problem
from solvers.purse import Purse
from solvers.resources import contested, free, plentiful, take_all, taken_by, used
from solvers.solution import Plan
from solvers.states import FAR

ROUNDS = 40
"""Pricing rounds at most; windows of hundreds of orders need about ten."""

NEAR_PLANS = 400
"""Plans of one order that may join the master to close a gap."""

TINY_PLANS = 2_000
"""The same in a window of at most TINY_ORDERS."""

NEAR_TOTAL = 4_000
"""And of all orders together."""

NEAR_WORK, COLUMN_WORK = 150_000, 10_000
"""Work of looking for the plans of one order near its best, and of taking one in: measured."""

PART = 4
"""The LP is solved to within this part of the gap that is good enough, unless its optimum is whole."""

ORDER_WORK = 600_000
"""Search bound for one order: the subset DP of 12 single units is exact within it."""


TINY_ORDERS = 12
"""Windows of so few orders are enumerated outright where capacity keeps the fill targets out of reach."""

MAX_CAUTIOUS = 40
"""Large orders given a second plan that avoids what is contested."""

MAX_PENALTY = 2**42
"""Mills: no shortfall in the relaxed master is priced above this."""

Answer = tuple[tuple[int, ...], list[Plan], int | None]
"""(key, plans, bound)."""


class Window:
    """One run of column generation over the orders that matter.

    `bound`: the best Lagrangian value so far, in FINE parts of a mill, at `prices`; None if there is none yet.
    """

    def __init__(
        self,
        problem: Problem,
        alone: Alone,
        greedy: Sequence[Priced],
        fallback: dict[int, Priced],
        purse: Purse,
        gap: float,
    ) -> None:
        self.problem, self.priced, self.alone, self.greedy = problem, alone, alone.plans, greedy
        self.fallback = fallback
        self.supply = Supply.of(problem)
        self.taken = alone.taken
        self.free = free(self.supply)
        self.over = contested(problem, self.taken)
        self.purse, self.gap, self.cut = purse, gap, False

    def run(self, fill: Targets | None) -> Answer | None:
        """The best answer with the fill rows met, or None if they cannot be (or nothing was found)."""
        self._begin(fill)
        first = self._touching(self.over | self._taken_up())
        if fill is not None:
            first |= set(fill.owner[fill.row >= 0].tolist())
        self._activate(first)
        if self.impossible:
            return None
        converged, integral = self._generate()
        return self._decide(integral) if converged else None

    def claim(self, key: tuple[int, ...]) -> int | None:
        """The bound in mills that an answer with this key may claim: the rows' bound, if it is as full as they are."""
        if self.bound is None or not self.is_full(key):
            return None
        return max(0, -(-self.bound // FINE))

    def is_full(self, key: tuple[int, ...]) -> bool:
        """Whether an answer with this key meets the fill rows in every class."""
        return self.fill is None or tuple(-units for units in key[:-1]) == class_units(self.problem, self.fill)

    def _begin(self, fill: Targets | None) -> None:
        self.fill = fill
        self.pricer = Pricer(self.problem, self.priced, fill)
        self.active: set[int] = set()
        self.master = Master(
            self.problem.orders, self.free, fill.units if fill is not None else None, _largest(self.problem)
        )
        self._paid = 0
        self.bound: int | None = None
        self.prices: Prices | None = None
        self.picked = np.zeros(0)
        self.complete = self.impossible = False
        self.may_stay = fill is None
        self.class_of: list[int] = []

    def _generate(self) -> tuple[bool, list[int] | None]:
        """Prices and plans in turn until no plan improves: (False where that fails, the LP's choice if integral)."""
        penalty = 20 * max(1, int(self.master.cost.max(initial=0)))
        integral: list[int] | None = None
        for _ in range(ROUNDS):
            if self.impossible:
                return False, None
            if self._spent(self.master.steps + self.pricer.steps() + self._reserve()):
                break
            relaxed = self.master.relax(penalty)
            self._pay()
            if relaxed is None:
                return False, None
            self.picked = relaxed.picked
            fresh, restless = self._price(relaxed.prices, relaxed.order)
            if self.impossible:
                return False, None
            touching = restless | self._touching(relaxed.prices.resource > 0)
            if touching - self.active:
                self._activate(touching)
                continue
            integral = relaxed.chosen if relaxed.artificial < 1e-6 else None
            if not fresh and relaxed.artificial > 1e-6 and penalty < MAX_PENALTY:
                penalty *= 100
                continue
            value = np.floor(relaxed.value + self._resting() + 1e-6)
            if not fresh or (self.bound is not None and self._converged(value, integral)):
                break
        return True, integral

    def _converged(self, value: float, integral: list[int] | None) -> bool:
        """Whether the LP can only gain what is not worth gaining; a part of that is left for making it whole."""
        bound = -(-(self.bound or 0) // FINE)
        worth = abs(bound) * self.gap
        return bool(bound >= value - (worth if integral is not None else worth / PART))

    def _reserve(self) -> int:
        """Work kept back for the decision."""
        return self.master.decision

    def _pay(self) -> None:
        """Count what the master has done since it was last counted."""
        self.purse.pay(self.master.work - self._paid)
        self._paid = self.master.work

    def _resting(self) -> int:
        """Mills that the orders outside the master cost."""
        return sum(one.cost for order, one in enumerate(self.alone) if order not in self.active)

    def _spent(self, step: int = 1) -> bool:
        """Whether a step of so much work is too much now."""
        self.cut = not self.purse.affords(step)
        return self.cut

    def _touching(self, resources: Bools) -> set[int]:
        """Orders whose own best plan takes any of the resources."""
        return set(self.taken.owner[resources[self.taken.resource]].tolist())

    def _activate(self, orders: set[int]) -> None:
        """Move orders into the master, with their own best and one-by-one plans as first columns."""
        fresh = sorted(orders - self.active)
        if not fresh:
            return
        self.active |= orders
        self.pricer.take_in(self.active)
        self._floor = self._others()
        left = self._beside_the_active()
        self.master.free = free(left)
        # An order that cannot ship what it must even alone is held back by capacity: the targets are out of reach.
        own = self._add(fresh, [self.alone[order] for order in fresh])
        self.impossible |= own < len(fresh)
        moved = [order for order in fresh if self.greedy[order] is not self.alone[order]]
        self._add(moved, [self.greedy[order] for order in moved])
        falling = [order for order in fresh if order in self.fallback]
        self._add(falling, [self.fallback[order] for order in falling])
        if self.may_stay:
            unit = self.problem.objective.unfilled_per_unit
            nothing = [unit * charged(self.problem, order, ()) for order in fresh]
            self._add(fresh, [Priced((), cost, 0, None, 0) for cost in nothing])
        others = [order for order in fresh if order not in self.pricer.orders and self.alone[order].filled]
        if others:
            self._add_cautious(np.array(others[:MAX_CAUTIOUS], np.int64))

    def _taken_up(self) -> Bools:
        """bool[resources]: nothing is left of it one by one, and it is the second choice of someone."""
        chosen = [one.plan for one in self.greedy]
        taken = taken_by(self.problem, range(self.problem.orders), chosen)
        moved = np.array([one is not other for one, other in zip(self.greedy, self.alone, strict=True)], np.bool_)
        wanted = np.zeros(len(self.free), np.bool_)
        wanted[taken.resource[moved[taken.owner]]] = True
        falling = sorted(self.fallback)
        second = taken_by(self.problem, falling, [self.fallback[order].plan for order in falling])
        wanted[second.resource] = True
        gone: Bools = wanted & (used(self.problem, taken) >= self.free)
        return gone

    def _beside_the_active(self) -> Supply:
        """What the own best plans of the other orders leave."""
        resting = np.ones(self.problem.orders, np.bool_)
        resting[list(self.active)] = False
        left = self.supply.copy()
        take_all(self.problem, self.taken.only(resting), left)
        return left

    def _add_cautious(self, orders: Ints) -> None:
        """Orders too large to be priced by tolls: their best plan without the contested cells."""
        spared = self.supply.copy()
        spared.stock[self.over[: spared.stock.size].reshape(spared.stock.shape)] = 0
        for order in orders.tolist():
            if self._spent(COVER):
                return
            one = plans_alone(self.problem, np.array([order], np.int64), spared, self.purse, work=ORDER_WORK).plans[0]
            self._add([order], [one])

    def _add(self, orders: Sequence[int], plans: Sequence[Priced]) -> int:
        """Take plans in as columns, but for those known and those that leave units that every fullest solution ships;
        returns how many leave none."""
        costs = [(one.cost, one.plan) for one in plans]
        columns = columns_of(self.problem, orders, costs, self.fill, full=True)
        self.master.add(columns)
        return len(columns.order)

    def _others(self) -> tuple[bool, int]:
        """(proven, value) of the orders that are not priced: prices only add to what an order pays, so its own best is
        a floor, if it ships the same in any case."""
        proven, value = True, 0
        moves = np.zeros(self.problem.orders, np.bool_)
        if self.fill is not None:
            moves[self.fill.owner[self.fill.row >= 0]] = True
        for order, (one, moving) in enumerate(zip(self.alone, moves.tolist(), strict=True)):
            if order not in self.pricer.orders:
                proven &= one.bound is not None and not (moving and one.filled > 0)
                value += one.bound or 0
        return proven, FINE * value

    def _price(self, prices: Prices, dual: NDArray[np.float64]) -> tuple[bool, set[int]]:
        """Price all orders at hand, keep the bound, add plans that improve: (whether any does, orders to activate)."""
        limit = np.clip(np.where(np.isnan(dual), FAR, dual * FINE - FINE / 2), -FAR, FAR)
        wanted = limit.astype(np.int64)
        for order in self.pricer.orders - self.active:
            wanted[order] = self._own(order, prices) - FINE // 2
        offers = self.pricer.offers(prices, wanted)
        self.purse.pay(self.pricer.steps(offers.by_menu))
        proven, value = self._floor
        value += sum(offers.value.tolist())
        self.impossible |= bool((offers.value >= FAR).any())
        active = np.zeros(self.problem.orders, np.bool_)
        active[list(self.active)] = True
        better = offers.value < wanted[offers.order]
        restless = set(offers.order[better & ~active[offers.order]].tolist())
        fresh = False
        for columns in self.pricer.columns(offers, better & active[offers.order]):
            fresh |= self.master.add(columns)
        value -= worth_of(prices.resource, self.free)
        if self.fill is not None:
            value += worth_of(prices.fill, self.fill.units)
        if proven and not self.impossible and (self.bound is None or value > self.bound):
            self.bound, self.prices = value, prices
        return fresh, restless

    def _own(self, order: int, prices: Prices) -> int:
        """What an order's own best plan is worth where nothing it takes has a price; FINE parts of a mill."""
        one = self.alone[order]
        filled = int(prices.fill[self.class_of[order]]) * one.filled if self.class_of else 0
        return FINE * one.cost - filled

    def _decide(self, integral: list[int] | None) -> Answer | None:
        """The integer master; where it leaves a gap to the bound, again with every plan inside the gap."""
        floors = self.fill.units.tolist() if self.fill is not None else []
        choice: Choice | None = None
        if integral is not None and self.master.holds(integral, floors):
            choice = Choice(integral, True)
        else:
            choice = self._chosen(floors)
        if choice is None and self.master.size > EXACT_COLUMNS and not self._spent(self.master.exact_decision):
            choice = self._every(floors)
        if choice is None and not self._spent(self.master.decision):
            # One-by-one plans of all orders are feasible together, but perhaps not beside the passive orders' best.
            self._activate(set(range(self.problem.orders)))
            choice = self._chosen(floors)
        if choice is None and self.problem.orders <= TINY_ORDERS and not self._spent(NEAR_WORK * len(self.alone)):
            self._near_all(FAR)
            choice = self._chosen(floors)
        if choice is None:
            return self._repaired()
        answer = self._answer(choice.columns)
        bound = self.claim(answer[0])
        if bound is not None and not self._close(answer[0][-1], bound) and self.master.size > EXACT_COLUMNS:
            if self._spent(self.master.exact_decision):
                return answer[0], answer[1], bound
            # What was fixed first is left open.
            again = self._every(floors)
            answer = answer if again is None else min(answer, self._answer(again.columns), key=lambda one: one[0])
            bound = self.claim(answer[0])
        if bound is None or self._close(answer[0][-1], bound) or self._spent(NEAR_WORK * len(self.alone)):
            return answer[0], answer[1], bound
        self._near_all(FINE * (answer[0][-1] + 1) - self.bound if self.bound is not None else FAR)
        return self._bettered(answer, bound, self._chosen(floors, exact=True))

    def _chosen(self, floors: list[int], *, exact: bool = False) -> Choice | None:
        """The best choice where few columns are near it, else the master's decision, paid for; unless `exact`, that may
        lose half of the gap."""
        if self.prices is not None:
            picked = pick(self.master, self.prices, floors, self.picked)
            self._pay()
            if picked is not None and picked.optimal:
                return picked
        gap = 0.0 if exact else self.gap / 2
        choice = self.master.decide(floors, picked=self.picked, gap=gap)
        if choice is None and not self._spent(self.master.decision):
            choice = self.master.decide(floors, picked=self.picked, wide=True, gap=gap)
        self._pay()
        return choice

    def _every(self, floors: list[int]) -> Choice | None:
        """The decision with all orders open, paid for."""
        choice = self.master.decide(floors, most=self.master.size, gap=self.gap / 2)
        self._pay()
        return choice

    def _bettered(self, answer: tuple[tuple[int, ...], list[Plan]], bound: int | None, again: Choice | None) -> Answer:
        """The better of an answer and a choice among the plans near it, which proves itself if they are complete."""
        if again is not None:
            better = self._answer(again.columns)
            answer = min(answer, better, key=lambda one: one[0])
            if again.optimal and self.complete:
                bound = better[0][-1]
        return answer[0], answer[1], bound

    def _close(self, cost: int, bound: int) -> bool:
        """Whether what is left of the gap is not worth closing."""
        return cost - bound <= abs(bound) * self.gap

    def _near_all(self, slack: int) -> None:
        """Add every plan of every order within the slack (FINE parts of a mill) of its best. Sets `complete`."""
        self.complete = True
        self._activate(set(range(self.problem.orders)))
        prices = self.prices
        if prices is None:
            rows = len(self.fill.units) if self.fill is not None else 0
            prices = Prices(np.zeros_like(self.free), np.zeros(rows, np.int64))
        room, reached = NEAR_TOTAL, self._touching(~plentiful(self.problem))
        for order, one in enumerate(self.alone):
            if order not in reached and one.bound is not None:  # its best plan is in nobody's way, whatever they do
                continue
            if self._spent(NEAR_WORK):
                self.complete = False
                return
            if order not in self.pricer.orders:
                self.complete &= one.filled == 0 and one.bound is not None
                continue
            self.purse.pay(NEAR_WORK)
            most = NEAR_PLANS if self.problem.orders > TINY_ORDERS else TINY_PLANS
            plans = self.pricer.near(prices, order, slack, min(most, room))
            if plans is None:
                self.complete = False
                continue
            room -= len(plans)
            self.purse.pay(COLUMN_WORK * len(plans))
            found = [Priced(plan, plan_cost(self.problem, order, plan).total, 0, None, 0) for plan in plans]
            self._add([order] * len(found), found)

    def _repaired(self) -> Answer:
        """Orders take the plans the LP liked best while they fit; the others are priced one by one on what is left.

        May fill less than the targets, so nothing is proven; the caller compares it with its incumbent.
        """
        left = self._beside_the_active()
        plans = list(self.alone)
        waiting = set(self.active)
        liked = [index for index, part in enumerate(self.picked.tolist()) if part > 0.3]
        owner = self.master.order.tolist()
        liked.sort(key=lambda i: (-self.problem.priority[owner[i]], -round(float(self.picked[i]), 6), i))
        for index in liked:
            order, one = owner[index], self.master.plan(index)
            use = use_of(self.problem, order, one.plan)
            if order in waiting and fits(use, left.stock, left.parcels, left.units):
                take(self.problem, use, left.stock, left.parcels, left.units)
                plans[order] = one
                waiting.discard(order)
        for order in sorted(waiting, key=lambda order: (-self.problem.priority[order], order)):
            one = on_what_is_left(self.problem, self.priced, [order], left, self.purse, work=ORDER_WORK)[0]
            use = use_of(self.problem, order, one.plan)
            take(self.problem, use, left.stock, left.parcels, left.units)
            plans[order] = one
        return key_of(self.problem, plans), [one.plan for one in plans], None

    def _answer(self, columns: Sequence[int]) -> tuple[tuple[int, ...], list[Plan]]:
        plans = list(self.alone)
        for index in columns:
            plans[int(self.master.order[index])] = self.master.plan(index)
        return key_of(self.problem, plans), [one.plan for one in plans]


def _largest(problem: Problem) -> int:
    """The most units that one order can draw from stock, whatever supplies it."""
    until = np.append(0, np.cumsum(problem.lines.quantity))[problem.lines.start]
    return int(np.diff(until).max(initial=1)) * int(problem.derived.count.max(initial=1))
