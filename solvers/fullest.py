"""The contested window where nobody knows how full it can be: limits, alternatives, shared parts or capacity decide.

Fill is one row per priority class that may fall short, a unit at so high a price that units of the classes come first,
highest class first, and then the money. The bound at those prices proves, where it can, that no window is fuller than
the answer (all that is dearer than any window costs at all is ruled out), and then bounds the money of those as full.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solvers.column import key_of
from solvers.columns import NEAR_WORK, ORDER_WORK, TINY_ORDERS, Answer, Window
from solvers.fill import Targets
from solvers.greedy import on_what_is_left, sequence
from solvers.master import EXACT_COLUMNS, FINE, Choice, worth_of
from solvers.plan import Priced, plan_cost, take, use_of
from solvers.problem import Ints
from solvers.resources import take_all, taken_by
from solvers.solution import Plan
from solvers.states import FAR

DEAREST = 2**39
"""Mills: no unit of fill is priced above this."""

OPEN_ORDERS = 40
"""Orders left open for the integer master where there are too many columns for all."""

ROUNDING = 4
"""Relaxations that rounding costs: most of its own are small."""

POLISH = 20_000
"""Work kept back for each order to be looked at again."""

TINY_COLUMNS = 4_000
"""Columns among which a window of TINY_ORDERS is still decided exactly."""


class Fullest(Window):
    """One run of column generation whose fill rows may fall short."""

    def _begin(self, fill: Targets | None) -> None:
        assert fill is not None, "only fill can fall short"
        super()._begin(fill)
        self.may_stay = True
        self.pricer.take_in(set(range(self.problem.orders)))
        self.ceiling = self._ceiling()
        self.master.short = self._prices_of(fill.units)
        self.class_of = np.unique(-self.problem.priority, return_inverse=True)[1].tolist()

    def _ceiling(self) -> int:
        """Mills that no window costs: every unit in a shipment of its own at the highest price there is."""
        objective, total = self.problem.objective, self.priced.simple.ceiling()
        for menu in self.priced.menus:
            price = np.where(menu.price < FAR, menu.price, 0).max(axis=0)
            dearest = np.maximum.reduceat(price, menu.start)
            late = objective.late_per_day * int(menu.late.max(initial=0))
            left = objective.unfilled_per_unit * menu.keeps.left.max(axis=0)
            total += int((dearest * int(menu.units.max()) + left + late).sum())
        return total + sum(one.cost for order, one in enumerate(self.alone) if order not in self.pricer.orders)

    def _prices_of(self, units: Ints) -> Ints:
        """Mills of a unit of each class: above all the money of the window and all units of the lower classes."""
        worth, found = 8 * (1 + self.ceiling), []
        for count in reversed(units.tolist()):
            found.append(min(DEAREST, worth))
            worth *= 8 * (1 + count)
        return np.array(found[::-1], np.int64)

    def _activate(self, orders: set[int]) -> None:
        super()._activate(orders)
        units = np.zeros_like(self.master.short)
        for order in self.active:
            units[self.class_of[order]] += self.alone[order].filled
        self.master.fill_units = units

    def claim(self, key: tuple[int, ...]) -> int | None:
        """The bound in mills that an answer with this key may claim: only if no window can be fuller."""
        if self.bound is None or self.prices is None or self.fill is None or not self._is_fullest(key):
            return None
        short = self.fill.units + np.array(key[:-1], np.int64)
        return max(0, -(-(self.bound - worth_of(self.prices.fill, short)) // FINE))

    def _is_fullest(self, key: tuple[int, ...]) -> bool:
        """Whether every fuller window, if there can be one, would cost more than windows can, by the bound."""
        fuller = self._fuller(key)
        return fuller is None or (self.bound is not None and self.bound - fuller > FINE * self.ceiling)

    def _fuller(self, key: tuple[int, ...]) -> int | None:
        """FINE parts of a mill: the most that the shortage of a fuller window than `key` counts in the bound.

        None if no class can be any fuller.
        """
        if self.fill is None or self.prices is None:
            return None
        units, worth = self.fill.units.tolist(), self.prices.fill.tolist()
        most: int | None = None
        before = 0
        for at, (filled, target) in enumerate(zip(key[:-1], units, strict=True)):
            if -filled < target:
                lower = sum(w * t for w, t in zip(worth[at + 1 :], units[at + 1 :], strict=True))
                most = max(most or 0, before + worth[at] * (target + filled - 1) + lower)
            before += worth[at] * (target + filled)
        return most

    def _decide(self, integral: list[int] | None) -> Answer | None:
        tiny = self.problem.orders <= TINY_ORDERS
        choice = Choice(integral, True) if integral is not None and self.master.holds(integral, []) else self._stages()
        answer = self._repaired() if choice is None else self._answer(choice.columns)
        if choice is None or not choice.optimal:
            answer = min(answer, self._polished(answer[1]), key=lambda one: one[0])
        bound = self.claim(answer[0])
        if bound is not None and self._close(answer[0][-1], bound):
            return answer[0], answer[1], bound
        if not tiny and (bound is None or self._spent(NEAR_WORK * len(self.alone))):
            return answer[0], answer[1], bound
        self._near_all(self._slack(answer[0], bound))
        return self._bettered((answer[0], answer[1]), bound, self._stages())

    def _slack(self, key: tuple[int, ...], bound: int | None) -> int:
        """How far from its best any order's plan can be in a window at least as good; FINE parts of a mill.

        With a `bound` no window is fuller.
        """
        if self.bound is None or self.prices is None or self.fill is None:
            return FAR
        short = self.fill.units + np.array(key[:-1], np.int64)
        equal = FINE * key[-1] + worth_of(self.prices.fill, short)
        fuller = FINE * self.ceiling + (self._fuller(key) or 0) if bound is None else 0
        return min(FAR, max(equal, fuller) - self.bound + FINE)

    def _reserve(self) -> int:
        return ROUNDING * self.master.steps + self.master.decision + POLISH * len(self.alone)

    def _stages(self) -> Choice | None:
        """The master's decision in stages, paid for."""
        choice = self._by_stages()
        self._pay()
        return choice

    def _by_stages(self) -> Choice | None:
        """Fill each class as far as the columns allow, then the money; where there are many columns, the LP is rounded
        until few orders are open."""
        most = TINY_COLUMNS if self.problem.orders <= TINY_ORDERS else EXACT_COLUMNS
        fixed = None
        if self.master.size > most:
            fixed = self.master.rounded(OPEN_ORDERS)
            if fixed is None:
                return None
        floors: list[int] = []
        optimal = True
        for row in range(len(self.fill.units) if self.fill is not None else 0):
            fullest = self.master.decide(floors, maximise=row, most=most, fixed=fixed)
            if fullest is None:
                return None
            optimal &= fullest.optimal
            floors.append(self.master.filled(fullest.columns, row))
        choice = self.master.decide(floors, most=most, fixed=fixed)
        return choice if choice is None else Choice(choice.columns, choice.optimal and optimal)

    def _polished(self, plans: Sequence[Plan]) -> Answer:
        """The plans with every order in turn, by priority, given its best on what the others leave."""
        priced = [
            Priced(tuple(plan), plan_cost(self.problem, order, tuple(plan)).total, _units(plan), None, 0)
            for order, plan in enumerate(plans)
        ]
        left = self.supply.copy()
        take_all(self.problem, taken_by(self.problem, range(len(plans)), plans), left)
        for order in sequence(self.problem).tolist():
            now, own = priced[order], self.alone[order]
            if (now.filled, now.cost) == (own.filled, own.cost) or self._spent():
                continue
            use = use_of(self.problem, order, now.plan)
            take(self.problem, use, left.stock, left.parcels, left.units, sign=-1)
            found = on_what_is_left(self.problem, self.priced, [order], left, self.purse, work=ORDER_WORK)[0]
            if (-found.filled, found.cost) < (-now.filled, now.cost):
                priced[order], use = found, use_of(self.problem, order, found.plan)
            take(self.problem, use, left.stock, left.parcels, left.units)
        return key_of(self.problem, priced), [one.plan for one in priced], None


def _units(plan: Plan) -> int:
    return sum(int(shipment.units.sum()) for shipment in plan)
