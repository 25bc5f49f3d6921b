"""One run: the orders of a demand decided by the engine in simulated time. Read this first.

until     let time pass: windows close, stock comes, held orders are looked at again and released, strikes begin and end
enter     an order comes; a window that it fills closes
decide    the closed window goes to the same allocator as a live one, on the memory ledger; prices are made before it,
          when they are due
settle    an order that moves no more is measured and forgotten, so that memory holds a run of any length

Nothing here reads the wall clock or dice of its own: the same setting and orders give the same decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import NamedTuple

import msgspec

from engine.assembly import build_simulation
from engine.clock import ManualClock
from engine.domain import Order, content_hash, epoch_ms
from engine.errors import InvalidInputError
from engine.gate import Ticket
from engine.ledger import states
from engine.network import Network
from engine.pricing.pricer import Pricer
from engine.promise import DAY_MS
from engine.settings import Settings
from engine.simulation.agenda import Agenda
from engine.simulation.figures import Figures
from engine.simulation.measuring import Instants, Meter, Told, Ways, told
from engine.simulation.outcome import Outcome
from engine.simulation.patching import Setting, without_carrier
from engine.simulation.supply import Supply
from engine.simulation.windows import NEVER_MS, Terms, Windows
from engine.simulation.world import World

PARTITION = "default"
FORGET_ORDERS = 1_000
"""Orders that are settled before they are forgotten together."""
UNSEEN_ORDERS = 10 * FORGET_ORDERS
"""Settled orders of which the pricer is told at the latest, so that they can be forgotten, if no prices are due."""
STOCK_ROWS = 10_000
_MOVED = "order." + states.PAST[states.REOPTIMISE]


class Watch(NamedTuple):
    """Who looks on. `settled`: orders that were measured. `through`: (orders come, instant), at every closed window; an
    error raised there ends the run. `decided`: a window's first decisions, as any caller would get them."""

    settled: Callable[[Sequence[Outcome]], None] = lambda _: None
    through: Callable[[int, int], None] = lambda *_: None
    decided: Callable[[Sequence[bytes]], None] = lambda _: None


async def run(setting: Setting, orders: Iterable[Order], watch: Watch | None = None) -> Figures:
    """Decide orders that come by ascending `placed_at`. Raises InvalidInputError for one that nothing can decide."""
    course = _Course(setting, watch or Watch())
    try:
        return await course.through(orders)
    finally:
        await course.close()


class _Course:
    """The state of one run."""

    def __init__(self, setting: Setting, watch: Watch) -> None:
        self._setting = setting
        self._watch = watch
        self._clock = ManualClock()
        terms = setting.pricing
        self._settings = Settings(
            window_linger_ms=0,
            strict_skus=setting.world.strict_skus,
            price_orders_min=terms.orders_min,
            price_horizon_days=terms.horizon_days,
            price_max_age_seconds=2 * 60 * terms.minutes,  # made twice in that time, as by the service
        )
        self._engine, self._ledger = build_simulation(self._settings, self._clock)
        self._registry = self._engine.registry
        self._windows = Windows(self._terms_of)
        self._agenda = Agenda()
        self._meter = Meter()
        self._pricer: Pricer | None = None
        if terms.on:
            apart_s = terms.programme_hours * 3600
            self._pricer = Pricer(
                self._ledger, self._registry, self._settings, self._clock.monotonic, "simulation", apart_s=apart_s
            )
        self._priced_ms = -NEVER_MS
        self._standing: dict[str, tuple[Order, int]] = {}
        """Orders that may still change, and when they were decided."""
        self._settled: list[Outcome] = []
        self._gone: list[str] = []
        self._came = 0
        self._last_ms = -NEVER_MS
        """The last release there will be."""
        self._network: Network | None = None
        self._ways: Ways

    async def through(self, orders: Iterable[Order]) -> Figures:
        """From the first order to the last release."""
        last_ms = -NEVER_MS
        for order in orders:
            if order.placed_at is None:
                raise _unfit(order, "placed_at", "a simulated order needs the instant that it was placed at")
            at_ms = epoch_ms(order.placed_at)
            if self._came == 0:
                await self._begin(at_ms)
            if at_ms < last_ms:
                raise _unfit(order, "placed_at", "orders must come in the sequence of their placing")
            last_ms = at_ms
            if at_ms >= self._next_ms():
                await self._until(at_ms)
            if order.policy_id not in self._setting.world.policies:
                raise _unfit(order, "policy_id", f"there is no policy {order.policy_id!r}")
            self._came += 1
            for closed in self._windows.enter(order, at_ms):
                await self._decide(closed, at_ms)
        await self._end()
        return self._meter.figures

    def _next_ms(self) -> int:
        return min(self._windows.next_ms, self._agenda.next_ms)

    def _terms_of(self, policy_id: str) -> Terms:
        window = self._setting.world.policies[policy_id].window
        length_ms = self._setting.window_ms
        length_ms = round(window.max_wait_ms) if length_ms is None else length_ms
        return Terms(length_ms, window.max_orders, self._settings.window_lines_max)

    async def _begin(self, at_ms: int) -> None:
        """Furnish the partition as it is when the first order comes."""
        world = self._setting.world
        self._clock.set(at_ms)
        await self._furnish(world)
        await Supply(self._engine, PARTITION, world, self._setting.replenishment).begin(self._agenda, at_ms)
        for strike in self._setting.strikes:
            for edge in (strike.since, strike.until):
                self._agenda.at(max(at_ms, epoch_ms(edge)), self._follow_strikes)
        moving = [policy.reoptimise for policy in world.policies.values() if policy.reoptimise.mode == "on"]
        if moving:
            self._look_at(at_ms, 1000 * min(terms.every_seconds for terms in moving))
        self._clear_up_at(at_ms)

    async def _furnish(self, world: World) -> None:
        for name, matrix in world.matrices.items():
            await self._registry.matrices.put(PARTITION, name, matrix)
        await self._registry.put_network(PARTITION, msgspec.json.encode(world.network))
        for policy_id, policy in world.policies.items():
            await self._registry.put_policy(PARTITION, policy_id, msgspec.json.encode(policy))
        if world.skus:
            await self._registry.put_skus(PARTITION, world.skus)
        for start in range(0, len(world.stock), STOCK_ROWS):
            rows = list(enumerate(world.stock[start : start + STOCK_ROWS], start=start + 1))
            tally = await self._engine.stock.write(PARTITION, rows)
            if tally.faults:
                row = tally.faults[0]
                raise InvalidInputError.at(f"$.stock[{row.line - 1}].{row.path}", row.reason)

    async def _follow_strikes(self, at_ms: int) -> None:
        """The network without the carriers that strike now."""
        now = tuple(each for each in self._setting.strikes if epoch_ms(each.since) <= at_ms < epoch_ms(each.until))
        network = without_carrier(self._setting.world, now).network
        await self._registry.put_network(PARTITION, msgspec.json.encode(network))

    async def _until(self, to_ms: int) -> None:
        """Do all that is due up to an instant."""
        while (at_ms := self._next_ms()) <= to_ms:
            if self._agenda.next_ms <= at_ms:
                at_ms, work = self._agenda.take()
                self._clock.set(max(self._clock.epoch_ms(), at_ms))
                await work(at_ms)
            else:
                await self._decide(self._windows.close_next(), at_ms)

    async def _decide(self, orders: Sequence[Order], at_ms: int) -> None:
        """Decide a window at the instant at which it closed."""
        self._clock.set(max(self._clock.epoch_ms(), at_ms))
        await self._price(at_ms)
        instants = list(map(_placed_ms, orders))
        tickets = [
            Ticket(order, content_hash(order), None, placed_ms / 1000, inf)
            for order, placed_ms in zip(orders, instants, strict=True)
        ]
        await self._engine.allocate(PARTITION, tickets)
        books = await self._registry.books(PARTITION)
        bodies = [ticket.answer.result().decision for ticket in tickets]
        self._watch.decided(bodies)
        decisions = list(map(told, bodies))
        self._meter.window(decisions[0].window.gap, decisions[0].window.cut)
        moving = books.policies[orders[0].policy_id].policy.reoptimise.mode == "on"
        for k, (order, decision) in enumerate(zip(orders, decisions, strict=True)):
            if decision.backordered or (moving and decision.parcels):
                await self._stand(order, at_ms)
            else:
                self._settle(order, decision, Instants(instants[k], at_ms, at_ms), books.network)
        await self._tell()
        self._watch.through(self._came, at_ms)

    async def _stand(self, order: Order, at_ms: int) -> None:
        """The order may still change: until it is released, if it moves; else as long as it waits for stock."""
        record = await self._ledger.order(PARTITION, order.order_id)
        assert record is not None, "what was decided is there"
        self._standing[order.order_id] = order, at_ms
        if not record.closes_ms:
            return
        hold_ms = self._setting.hold_ms
        release_ms = max(at_ms, record.closes_ms if hold_ms is None else min(record.closes_ms, at_ms + hold_ms))
        self._last_ms = max(self._last_ms, release_ms)

        async def release(due_ms: int) -> None:
            await self._ledger.command(PARTITION, order.order_id, states.TO_NODE)
            await self._settle_standing(order.order_id, due_ms)

        self._agenda.at(release_ms, release)

    async def _settle_standing(self, order_id: str, at_ms: int, *, finally_: bool = False) -> None:
        """Measure an order that stood, unless it waits for stock and will go on to (not `finally_`)."""
        record = await self._ledger.order(PARTITION, order_id)
        assert record is not None, "standing orders are kept"
        if record.waits and record.state in states.WAITING and not finally_:
            return
        order, decided_ms = self._standing.pop(order_id)
        moves = sum(change.event == _MOVED for change in record.history)
        network = (await self._registry.books(PARTITION)).network
        at = Instants(_placed_ms(order), decided_ms, at_ms, moves)
        self._settle(order, told(record.current), at, network)

    def _settle(self, order: Order, decision: Told, at: Instants, network: Network) -> None:
        if network is not self._network:
            self._network, self._ways = network, Ways(network)
        self._settled.append(self._meter.order(order, decision, at, self._ways.to(order)))

    async def _tell(self) -> None:
        """Hand over what was settled, and forget it once the pricer has seen it."""
        if self._settled:
            self._watch.settled(self._settled)
            self._gone += [outcome.order_id for outcome in self._settled]
            self._settled = []
        if self._pricer is None:
            self._forget()
        elif len(self._gone) >= UNSEEN_ORDERS:
            await self._make_prices()

    def _forget(self) -> None:
        """What was settled, if it is worth the while. The pricer has seen it by now."""
        if len(self._gone) >= FORGET_ORDERS:
            self._ledger.forget(PARTITION, self._gone)
            self._gone = []

    def _look_at(self, at_ms: int, every_ms: int) -> None:
        """Look at orders that may move every so often, as the background task does."""

        async def look(due_ms: int) -> None:
            await self._price(due_ms)
            await self._engine.reoptimiser.look(PARTITION)
            self._look_at(due_ms, every_ms)

        self._agenda.at(at_ms + every_ms, look)

    def _clear_up_at(self, at_ms: int) -> None:
        """Once a day: settle orders that waited for stock and got it."""

        async def clear_up(due_ms: int) -> None:
            for order_id in list(self._standing):
                record = await self._ledger.order(PARTITION, order_id)
                if record is not None and not record.closes_ms:
                    await self._settle_standing(order_id, due_ms)
            await self._tell()
            self._clear_up_at(due_ms)

        self._agenda.at(at_ms + DAY_MS, clear_up)

    async def _price(self, at_ms: int) -> None:
        """Prices for this instant, if the last ones are old enough."""
        if self._pricer is not None and at_ms >= self._priced_ms + self._setting.pricing.minutes * 60_000:
            await self._make_prices()

    async def _make_prices(self) -> None:
        """A round of the pricer; waits until windows go by what it made."""
        assert self._pricer is not None, "asked for only where prices are made"
        priced = False
        for made in await self._pricer.round():
            self._priced_ms = self._clock.epoch_ms()
            self._meter.sheet("failed" if made.error else made.source)
            priced = True
        versions = await self._ledger.versions(PARTITION)
        books = await self._registry.books(PARTITION, versions)
        while versions.prices and (books.prices is None or books.prices.version != versions.prices):
            await asyncio.sleep(0)
            books = await self._registry.books(PARTITION, versions)
        if priced and books.prices is not None:
            self._meter.prices(books.prices, self._setting.priced_skus, books.network)
        self._forget()

    async def _end(self) -> None:
        """Close what is open, and let time pass until the last held order is released."""
        while self._windows.next_ms < NEVER_MS:
            await self._until(self._windows.next_ms)
        await self._until(self._last_ms)
        for order_id in list(self._standing):
            await self._settle_standing(order_id, self._clock.epoch_ms(), finally_=True)
        if self._settled:
            self._watch.settled(self._settled)
            self._settled = []

    async def close(self) -> None:
        """End the engine."""
        await self._engine.stop()


def _placed_ms(order: Order) -> int:
    assert order.placed_at is not None, "was seen when it came"
    return epoch_ms(order.placed_at)


def _unfit(order: Order, field: str, reason: str) -> InvalidInputError:
    return InvalidInputError.at(f"order {order.order_id!r}: $.{field}", reason)
