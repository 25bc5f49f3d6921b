"""What the same orders cost whoever knows all of them, and every delivery, beforehand: a floor, and plans that exist.

Every order ships just the units that it shipped when it was decided on its own day, so that only the choice of places
is compared. It may draw on any delivery until the instant it is handed over. Stock of a cell is therefore a chain of
limits, one for every delivery: what all orders up to it take is at most what has arrived (`Chain`).

- The *floor* is the Lagrangian value of prices of these limits, found by the LP over plans (`solvers.shadow_plans`,
  `shadow_lp`): no choice of places costs less, integer or not. Orders too large for the exact recursion enter it with
  their own bound at these prices (`cover_bound`), or with nothing where they have none.
- The *plans*: once as the orders were decided, once one order after another at the true prices; then again, each on
  what the others of all times leave, at falling prices and at last without, until nothing is saved. Of all that the
  cheapest, so never dearer than what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from bench.uci.recipe import Workload
from bench.uci.targets import PARTITION, MemoryTarget
from engine.domain import Order, epoch_ms
from engine.lowering import Lowered, WindowInput, days_of, lower, touched
from engine.policy import Policy
from solvers.alone import plans_alone
from solvers.cover_bound import cover_bound, is_bounded
from solvers.master import FINE
from solvers.menu import Supply
from solvers.plan import Priced, plan_cost, use_of
from solvers.problem import UNLIMITED, Bools, Ints, Objective, Problem
from solvers.purse import Purse
from solvers.shadow_lp import Floats, Pool, Relaxed
from solvers.shadow_plans import PlanPricer, Plans
from solvers.single import menus
from solvers.solution import Shipment
from solvers.states import FAR

Shipped = Mapping[str, dict[str, dict[str, int]]]
"""Units by order, line and node."""

ORDER_WORK = 3_000_000
ROUNDS = 80
"""LPs at most."""
GAP = 2e-5
PRICED = (1.0, 0.5, 0.25)
"""Parts of the true prices at which all orders are decided, one round after another, before they are at 0."""
ROUNDS_MAX = 12
"""Rounds without prices at most."""


class Chain(NamedTuple):
    """T deliveries. `arrived` int64[T, I, N]: units of each cell that have come by then. `binding` bool[T, I, N]: the
    limits that could matter, as more comes after them and what is wanted by then could exceed them."""

    arrived: Ints
    binding: Bools

    def price(self, limits: Ints) -> Ints:
        """int64[T, I, N]: what a unit costs who draws after a delivery, from the prices of the limits: it counts in
        this one and in all later ones."""
        total: Ints = np.cumsum(limits[::-1], axis=0)[::-1]
        return total


class Foresight(NamedTuple):
    """`floor` in mills; `exact` of its orders were priced exactly. `plans` by order, `cost` their mills."""

    floor: int
    exact: int
    plans: list[Priced]
    cost: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """All orders as one problem, in which item t * I + i is SKU i as it may be drawn after delivery t.

    `period` int64[O]: the last delivery that an order may draw on. `sooner`: the same orders as `lower` made them.
    `decided`: the plan of each as it was decided on its own day.
    """

    sooner: Lowered
    problem: Problem
    period: Ints
    chain: Chain
    decided: tuple[tuple[Shipment, ...], ...]


async def horizon(work: Workload, shipped: Shipped, hold_ms: int) -> Horizon:
    """The orders that shipped anything, each held for so long, as one problem."""
    orders = tuple(order for order in map(_as_shipping(shipped), work.orders) if order.lines)
    target = MemoryTarget()
    await target.open(work, Policy())
    try:
        for delivery in work.deliveries:
            await target.deliver(delivery.movements, epoch_ms(work.deliveries[0].at))
        ledger = target.engine.ledger
        books = await target.engine.registry.books(PARTITION, await ledger.versions(PARTITION))
        skus = touched(orders, books.items)
        days = sorted(days_of(orders, books.network, epoch_ms(work.deliveries[0].at), horizon=0))
        snapshot = await ledger.snapshot(PARTITION, skus, days, ())
    finally:
        await target.close()
    none = (None,) * len(orders)
    lowered = lower(
        WindowInput(
            window_id="hindsight", orders=orders, contents=(b"",) * len(orders), idempotency_keys=none,
            waited_ms=(0.0,) * len(orders), skus=skus, items={sku: books.items[sku] for sku in skus},
            snapshot=snapshot, network=books.network, policy=books.policies["default"].policy, as_placed=True,
        )
    )  # fmt: skip
    begins = [epoch_ms(delivery.at) for delivery in work.deliveries]
    handed = [epoch_ms(order.placed_at) + hold_ms for order in orders if order.placed_at is not None]
    period = np.searchsorted(begins, handed, side="right") - 1
    return _spread(lowered, work, period.astype(np.int64), shipped)


def _as_shipping(shipped: Shipped) -> Callable[[Order], Order]:
    """An order with just the units of it that ship."""

    def asked(order: Order) -> Order:
        units = shipped[order.order_id]
        lines = [
            msgspec.structs.replace(line, quantity=sum(units.get(line.line_id, {}).values())) for line in order.lines
        ]
        return msgspec.structs.replace(order, lines=[line for line in lines if line.quantity])

    return asked


def _spread(lowered: Lowered, work: Workload, period: Ints, shipped: Shipped) -> Horizon:
    problem, periods = lowered.problem, int(period.max()) + 1
    lines, (items, nodes) = problem.lines, problem.stock.shape
    arrived = np.zeros((periods, items, nodes), np.int64)
    row = {sku: i for i, sku in enumerate(lowered.window.skus)}
    node = {node_id: n for n, node_id in enumerate(lowered.window.network.node_ids)}
    for t, delivery in enumerate(work.deliveries[:periods]):
        for movement in delivery.movements:
            if movement.sku in row:
                arrived[t:, row[movement.sku], node[movement.node_id]] += movement.quantity
    of = np.repeat(period, np.diff(lines.start))
    wanted = np.zeros((periods, items), np.int64)
    np.add.at(wanted, (of, lines.item), lines.quantity)
    binding = np.cumsum(wanted, axis=0)[:, :, None] > arrived
    binding[:-1] &= arrived[1:] > arrived[:-1]
    spread = replace(
        problem,
        lines=replace(lines, item=lines.item + of * items),
        stock=arrived.reshape(-1, nodes),
        objective=Objective(True, problem.objective.split_parcel, problem.objective.late_per_day, 0),
    )
    decided = tuple(_decided(lowered, order, shipped) for order in range(problem.orders))
    return Horizon(lowered, spread, period, Chain(arrived, binding), decided)


def _decided(lowered: Lowered, place: int, shipped: Shipped) -> tuple[Shipment, ...]:
    """The plan of an order as it was decided; every node has one service."""
    problem, order, ids = lowered.problem, lowered.window.orders[place], lowered.window.network.node_ids
    plan = []
    for option in range(*problem.options_of(place).indices(len(problem.options.node))):
        node_id = ids[int(problem.options.node[option])]
        sent = [shipped[order.order_id][line.line_id].get(node_id, 0) for line in order.lines]
        if any(sent):
            plan.append(Shipment(option, np.array(sent, np.int64)))
    return tuple(plan)


def foresee(ahead: Horizon) -> Foresight:
    """The floor, and the best plans found."""
    programme = _Programme(ahead)
    limits = programme.limits()
    price = ahead.chain.price(limits)
    best = min(_settled(_Plans(ahead), price), _settled(_Plans(ahead, ahead.decided), price), key=lambda one: one[0])
    floor = max(programme.floor(limits, best[1]), programme.floor(np.zeros_like(limits), best[1]))
    return Foresight(floor, len(programme.exact), best[1], best[0])


def _settled(found: _Plans, price: Ints) -> tuple[int, list[Priced]]:
    """Mills and plans, the best on the way: turns at the prices, at parts of them, and at last without any."""
    seen = [(found.total(), list(found.plans))] if found.plans else []
    for part in (1.0, *PRICED, *(0.0,) * ROUNDS_MAX):
        before = found.total()
        found.take_turns(price, part)
        seen.append((found.total(), list(found.plans)))
        if not part and found.total() == before:
            break
    return min(seen, key=lambda one: one[0])


def _tolled(ahead: Horizon, price: Ints) -> Problem:
    """The problem with mills for every unit drawn after a delivery, int64[T, I, N]."""
    return replace(ahead.problem, toll=price.reshape(ahead.problem.stock.shape))


class _Plans:
    """A plan of every order, possible together at every time; `left` int64[T, I, N] is what all of them leave."""

    def __init__(self, ahead: Horizon, plans: Sequence[tuple[Shipment, ...]] = ()) -> None:
        self._ahead = ahead
        self.plans: list[Priced] = []
        self.left = ahead.chain.arrived.copy()
        problem = ahead.problem
        self._supply = Supply(np.zeros_like(problem.stock), problem.bucket_parcels, problem.bucket_units)
        for order, plan in enumerate(plans):
            units = sum(int(shipment.units.sum()) for shipment in plan)
            self.plans.append(Priced(plan, plan_cost(problem, order, plan).total, units, None, 0))
            self.book(order, self.plans[-1], 1)

    def total(self) -> int:
        """Mills of all plans."""
        return sum(one.cost for one in self.plans)

    def take_turns(self, price: Ints, part: float) -> None:
        """Every order in time: its best plan at a part of the prices, on what all others leave."""
        toll = np.rint(price * part).astype(np.int64)
        problem, own = _tolled(self._ahead, toll), self._ahead.problem
        before, self.plans = self.plans, []
        for order in range(own.orders):
            old = before[order] if before else None
            if old is not None:
                self.book(order, old, -1)
            new = self.on_what_is_left(problem, order)
            if old is not None and (new.filled < old.filled or new.cost >= plan_cost(problem, order, old.plan).total):
                new = old
            cost = plan_cost(own, order, new.plan).total
            self.plans.append(Priced(new.plan, cost, new.filled, None, 0))
            self.book(order, new, 1)

    def on_what_is_left(self, problem: Problem, order: int) -> Priced:
        """The best plan of one order in the money of `problem`."""
        t, items = int(self._ahead.period[order]), self.left.shape[1]
        rows = np.unique(problem.lines.item[problem.lines_of(order)])
        self._supply.stock[rows] = self.left[t:, rows - t * items].min(axis=0)
        one = np.array([order], np.int64)
        plan = plans_alone(problem, one, self._supply, Purse(UNLIMITED), work=ORDER_WORK).plans[0]
        self._supply.stock[rows] = 0
        return plan

    def book(self, order: int, plan: Priced, sign: int) -> None:
        """Take what a plan takes, or give it back (`sign` -1)."""
        t, items = int(self._ahead.period[order]), self.left.shape[1]
        for (item, node), units in use_of(self._ahead.problem, order, plan.plan).cells.items():
            self.left[t:, item - t * items, node] -= sign * units


class _Programme:
    """The LP over plans of the orders that are priced exactly; the others keep their distance (`_spoken_for`)."""

    def __init__(self, ahead: Horizon) -> None:
        problem = ahead.problem
        every = np.arange(problem.orders, dtype=np.int64)
        found = list(menus(problem, every, Supply.of(problem), Purse(UNLIMITED), set(), work=ORDER_WORK))
        dearest = max((int(menu.price[menu.price < FAR].max(initial=0)) for menu in found), default=0)
        self._ahead, self._pricer = ahead, PlanPricer(problem, found, 2 * dearest, loose=True)
        self.exact = self._pricer.orders
        self._large = np.setdiff1d(every, self.exact)
        self._binding = ahead.chain.binding.reshape(len(ahead.chain.arrived), -1)

    def limits(self) -> Ints:
        """int64[T, I, N], mills: prices of the limits near those of the LP's optimum."""
        shape = self._ahead.chain.arrived.shape
        weight = np.zeros(self._ahead.problem.orders)
        weight[self.exact] = 1.0
        free = np.maximum(self._ahead.chain.arrived - self._spoken_for(), 0).astype(np.float64).ravel()
        pool = Pool(len(weight), free.size, self._pricer.nothing())
        best, bound, asked, relaxed = np.zeros(free.size), -np.inf, np.zeros(free.size), None
        for _ in range(ROUNDS):
            plans, fine = self._answers(np.rint(asked * FINE).astype(np.int64).reshape(shape))
            value = (float(plans.value.sum()) - float(fine.ravel() @ free)) / FINE
            if value > bound:
                bound, best = value, asked
            if relaxed is not None and relaxed.value - bound <= GAP * max(1.0, abs(relaxed.value)):
                break
            linked = self._linked(plans)
            better = _improving(linked, relaxed)
            if not better.any():
                if relaxed is None or asked is relaxed.price:
                    break
                asked = relaxed.price
                continue
            pool.add(linked, better)
            following = pool.relax(weight, free)
            if following is None:
                break
            relaxed = following
            asked = (relaxed.price + best) / 2
        limits: Ints = np.rint(best).astype(np.int64).reshape(shape)
        return limits

    def _answers(self, fine: Ints) -> tuple[Plans, Ints]:
        return self._pricer.best(self._ahead.chain.price(fine).ravel()), fine

    def _linked(self, plans: Plans) -> Plans:
        """The plans with each draw in every later limit that could matter."""
        period, cell = np.divmod(plans.resource, self._binding.shape[1])
        later = self._binding[:, cell] & (np.arange(len(self._binding))[:, None] >= period)
        t, entry = np.nonzero(later)
        resource = t * self._binding.shape[1] + cell[entry]
        ranked = np.argsort(plans.at[entry], kind="stable")
        return plans._replace(at=plans.at[entry][ranked], resource=resource[ranked], amount=plans.amount[entry][ranked])

    def _spoken_for(self) -> Ints:
        """int64[T, I, N]: what the orders that are too large for the LP would take, one after another, if alone."""
        large = _Plans(self._ahead)
        for order in self._large.tolist():
            plan = large.on_what_is_left(self._ahead.problem, order)
            large.book(order, plan, 1)
        taken: Ints = self._ahead.chain.arrived - large.left
        return taken

    def floor(self, limits: Ints, plans: Sequence[Priced]) -> int:
        """Mills that no choice of places undercuts, by prices of the limits; `plans`: some possible ones."""
        exact, _ = self._answers(limits * FINE)
        problem = _tolled(self._ahead, self._ahead.chain.price(limits))
        supply, total = Supply.of(problem), int(exact.value.sum()) // FINE
        for order in self._large.tolist():
            if is_bounded(problem, order):
                tolled = plans[order]._replace(cost=plan_cost(problem, order, plans[order].plan).total)
                total += cover_bound(problem, order, supply.stock, supply.parcels, supply.units, tolled)
        return total - int((limits * self._ahead.chain.arrived).sum())


def _improving(plans: Plans, relaxed: Relaxed | None) -> Bools:
    """bool[P]: the plan would lower the LP's value."""
    if relaxed is None:
        return np.ones(len(plans.order), np.bool_)
    spent: Floats = np.zeros(len(plans.order))
    np.add.at(spent, plans.at, plans.amount * relaxed.price[plans.resource])
    better: Bools = plans.cost + spent < relaxed.dual[plans.order] - 1e-3 - 1e-9 * plans.cost
    return better
