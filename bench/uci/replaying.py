"""Orders decided as they come, and again until they are handed over, hours later: one run on the memory ledger.

The orders of one minute are one window. An order is handed to its nodes (`ready`) so many hours after it was placed;
until then the production task looks at it every so often. With prices the production pricer is asked before every
window and every look whenever its sheet is half as old as one may be, and waited for: after a delivery, and every so
many hours, by a programme, else by following what sold.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

import msgspec
from msgspec import Struct

from bench.uci.hindsight import Shipped
from bench.uci.judge import Judge
from bench.uci.recipe import Delivery, Workload
from bench.uci.targets import PARTITION, MemoryTarget, as_announced
from engine.domain import Order, epoch_ms, mills
from engine.ledger import states
from engine.policy import Policy, ReoptimiseTerms, SolverTerms, WindowTerms
from engine.pricing.pricer import Pricer
from engine.settings import Settings

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
FOREVER_MS = 2**45


class Terms(NamedTuple):
    """How a run looks at standing orders."""

    every_minutes: int
    min_saving: str
    max_orders: int
    work: int
    prices: bool
    programme_minutes: int = 240
    """Between two programmes of prices, unless a delivery comes."""
    orders_min: int = 50
    """Orders seen before there are prices."""


class Held(Struct, kw_only=True):
    """One run. Money in currency units; `spent` is the cost without the penalty for unfilled units.

    `extra`: parcels beyond the first of each order that ships; `saving`: the sum over all moves. `unpriced`: windows
    and looks without a sheet in force once there was one. `programmes`, `followed`: sheets of either kind.
    """

    days: int
    hold: str
    prices: bool
    orders: int
    cost_per_order: float
    spent_per_order: float
    spent_per_unit: float
    parcels_per_order: float
    fill: float
    extra: int
    moves: int
    moved_orders: int
    saving: float
    programmes: int
    followed: int
    unpriced: int
    differing: int = 0
    """Orders that ship other units than in the run that is compared with."""
    faults: int
    oversold: int
    stock_differs: int


def paced(work: Workload, pace: int) -> Workload:
    """The same orders and deliveries in a `pace`-th of the time."""
    begin = work.deliveries[0].at

    def sooner(at: datetime) -> datetime:
        return begin + (at - begin) / pace

    orders = (msgspec.structs.replace(order, placed_at=sooner(_placed(order))) for order in work.orders)
    deliveries = (Delivery(sooner(each.at), each.movements) for each in work.deliveries)
    return replace(work, orders=tuple(orders), deliveries=tuple(deliveries))


def _placed(order: Order) -> datetime:
    assert order.placed_at is not None, "recorded orders have a time"
    return order.placed_at


def _ms(order: Order) -> int:
    return epoch_ms(_placed(order))


def periods(work: Workload) -> Iterator[tuple[Delivery, list[Order]]]:
    """Each delivery, and the orders that come before the next one."""
    orders = deque(work.orders)
    for delivery, following in zip(work.deliveries, [*work.deliveries[1:], None], strict=True):
        mine = []
        while orders and (following is None or _placed(orders[0]) < following.at):
            mine.append(orders.popleft())
        yield delivery, mine
        if not orders:
            return


class Replay:
    """One run on the memory ledger; the background task is called at recorded times instead of running by itself."""

    def __init__(self, work: Workload, hold: str, terms: Terms) -> None:
        self._work = work
        self._hold = hold
        self._terms = terms
        self._target = MemoryTarget()
        self._standing: deque[Order] = deque()
        self._pricer: Pricer | None = None
        self._priced_ms: int | None = None
        self._max_age_ms = 0
        self._looked_ms = 0
        self._ahead_s = 0.0
        self._sheets = {"lp": 0, "adaptive": 0, "none": 0}
        self.shipped: Shipped = {}
        """What was decided in the end; after `run`."""

    async def run(self, days: int) -> Held:
        """All of it."""
        try:
            return await self._run(days)
        finally:
            await self._target.close()

    async def _run(self, days: int) -> Held:
        off = self._hold == "0"
        policy = Policy(
            window=WindowTerms(max_orders=200),
            solver=SolverTerms(work=self._terms.work, budget_ms=600_000),
            reoptimise=ReoptimiseTerms(
                mode="off" if off else "on",
                every_seconds=self._terms.every_minutes * 60,
                min_saving=self._terms.min_saving,
                max_orders=self._terms.max_orders,
            ),
        )
        await self._target.open(self._work, policy)
        if self._terms.prices:
            engine = self._target.engine
            ahead = Settings(
                price_orders_min=self._terms.orders_min, price_horizon_days=max(0.01, self._between_days())
            )
            self._max_age_ms = round(1000 * ahead.price_max_age_seconds)
            apart_s = self._terms.programme_minutes * 60.0
            self._pricer = Pricer(engine.ledger, engine.registry, ahead, self._seconds, "replay", apart_s=apart_s)
        for number, (delivery, orders) in enumerate(periods(self._work)):
            await self._until(epoch_ms(delivery.at))
            await self._arrive(number, delivery)
            for at_ms, placed in groupby(orders, _ms):
                await self._until(at_ms)
                some = list(placed)
                await self._price(at_ms)
                await self._target.decide(some)
                self._standing += [] if off else some
        await self._until(FOREVER_MS)
        return await self._figures(days)

    async def _arrive(self, number: int, delivery: Delivery) -> None:
        """Stock comes in. Where prices look ahead, the next delivery is announced, as any merchant knows it."""
        if self._pricer is None:
            await self._target.deliver(delivery.movements, epoch_ms(delivery.at))
            return
        movements = as_announced(delivery.movements) if number else delivery.movements
        await self._target.deliver(movements, epoch_ms(delivery.at))
        for following in self._work.deliveries[number + 1 : number + 2]:
            await self._target.announce(following.movements, following.at)
        self._ahead_s += self._terms.programme_minutes * 60.0
        self._priced_ms = None

    def _between_days(self) -> float:
        """From one delivery to the next."""
        first, *following = (epoch_ms(delivery.at) for delivery in self._work.deliveries)
        return (following[0] - first) / (24 * HOUR_MS) if following else 7.0

    def _seconds(self) -> float:
        """The pricer's time; every delivery moves it on, so that a programme is due."""
        return self._target.seconds() + self._ahead_s

    async def _price(self, at_ms: int) -> None:
        """A sheet for this instant, if the last one is half as old as it may be; waits until windows know it."""
        if self._pricer is None:
            return
        self._target.set(at_ms)
        registry, ledger = self._target.engine.registry, self._target.engine.ledger
        if self._priced_ms is None or at_ms >= self._priced_ms + self._max_age_ms // 2:
            for told in await self._pricer.round():
                self._priced_ms = at_ms
                self._sheets[told.source or "none"] += 1
        versions = await ledger.versions(PARTITION)
        books = await registry.books(PARTITION, versions)
        while versions.prices and (books.prices is None or books.prices.version != versions.prices):
            await asyncio.sleep(0)
            books = await registry.books(PARTITION, versions)
        late = books.prices is not None and at_ms - books.prices.at_ms > self._max_age_ms
        self._sheets["none"] += late

    async def _until(self, to_ms: int) -> None:
        """Let time pass: look at what stands every so often, hand over what was held long enough."""
        every_ms = self._terms.every_minutes * MINUTE_MS
        while self._standing:
            at_ms = max(self._looked_ms + every_ms, _ms(self._standing[0]))
            due_ms = _ms(self._standing[0]) + int(float(self._hold) * HOUR_MS)
            if min(at_ms, due_ms) > to_ms:
                return
            if at_ms <= due_ms:
                self._looked_ms = at_ms
                await self._price(at_ms)
                self._target.set(at_ms)
                await self._target.engine.reoptimiser.look(PARTITION)
            else:
                self._target.set(due_ms)
                await self._ready(self._standing.popleft())

    async def _ready(self, order: Order) -> None:
        await self._target.engine.ledger.command(PARTITION, order.order_id, states.TO_NODE)

    async def _figures(self, days: int) -> Held:
        judge = Judge(self._work.network, self._work.skus, mills(Policy().objective.unfilled_per_unit))
        for delivery, _ in periods(self._work):
            judge.deliver(delivery.movements)
        found: dict[str, dict[str, dict[str, int]]] = {}
        cost = spent = units = left = parcels = shipped = moves = moved_orders = 0
        for order in self._work.orders:
            record = await self._target.engine.ledger.order(PARTITION, order.order_id)
            assert record is not None, "every order was decided"
            decision = judge.decided(order, record.current)
            sent = found.setdefault(order.order_id, {})
            for node_id, line in ((parcel.node_id, line) for parcel in decision.parcels for line in parcel.lines):
                by_node = sent.setdefault(line.line_id, {})
                by_node[node_id] = by_node.get(node_id, 0) + line.quantity
            cost += mills(decision.cost.total)
            spent += mills(decision.cost.total) - mills(decision.cost.unfilled)
            units += sum(line.quantity for parcel in decision.parcels for line in parcel.lines)
            left += sum(line.quantity for line in decision.unallocated)
            parcels += len(decision.parcels)
            shipped += bool(decision.parcels)
            times = sum(change.event == "order.reoptimised" for change in record.history)
            moves, moved_orders = moves + times, moved_orders + bool(times)
        self.shipped = found
        free = await self._target.free()
        differs = sum(1 for cell in judge.free.keys() | free.keys() if judge.free[cell] != free.get(cell, 0))
        count = len(self._work.orders)
        return Held(
            days=days,
            hold=self._hold,
            prices=self._terms.prices,
            orders=count,
            cost_per_order=round(cost / 1000 / count, 4),
            spent_per_order=round(spent / 1000 / count, 4),
            spent_per_unit=round(spent / 1000 / max(1, units), 5),
            parcels_per_order=round(parcels / max(1, shipped), 4),
            fill=round(units / max(1, units + left), 5),
            extra=parcels - shipped,
            moves=moves,
            moved_orders=moved_orders,
            saving=round(await self._target.saved(), 2),
            programmes=self._sheets["lp"],
            followed=self._sheets["adaptive"],
            unpriced=self._sheets["none"],
            faults=len(judge.faults),
            oversold=judge.oversold,
            stock_differs=differs,
        )
