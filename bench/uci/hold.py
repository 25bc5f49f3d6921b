"""`python -m bench.uci.hold`: the UCI orders decided as they come, and again until they are handed over, hours later.

The orders come at the recorded time, divided by --pace: those of one minute are one window. An order is handed to its
nodes (`ready`) so many hours after it was placed; until then the production task looks at it every --every minutes of
that time, on the memory ledger. "hindsight" decides all orders between two deliveries at once, before the first comes,
and again and again until nothing is saved any more: no bound, but what this solver finds when it knows everything.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby, product
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import structlog
import typer
from msgspec import Struct

from bench.uci.judge import Judge
from bench.uci.recipe import Delivery, Workload, workload
from bench.uci.source import data_directory, read_centres, read_invoices, read_regions
from bench.uci.targets import PARTITION, MemoryTarget
from engine.domain import Order, epoch_ms, mills
from engine.ledger import states
from engine.policy import Policy, ReoptimiseTerms, SolverTerms, WindowTerms
from engine.pricing.pricer import Pricer
from engine.settings import Settings

HINDSIGHT = "hindsight"
ROUNDS_MAX = 12
"""How often all orders of a period are decided again at most."""
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
FOREVER_MS = 2**45


class Terms(NamedTuple):
    """How a run looks at standing orders."""

    every_minutes: int
    min_saving: str
    max_orders: int
    work: int
    prices: bool


class Held(Struct, kw_only=True):
    """One run. Money in currency units; `spent` is the cost without the penalty for unfilled units.

    `extra`: parcels beyond the first of each order that ships; `saving`: the sum over all moves.
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
        self._priced_ms = 0
        self._looked_ms = 0

    async def run(self, days: int) -> Held:
        """All of it."""
        try:
            return await self._run(days)
        finally:
            await self._target.close()

    async def _run(self, days: int) -> Held:
        whole = max((len(orders) for _, orders in periods(self._work)), default=1)
        off = self._hold == "0"
        policy = Policy(
            window=WindowTerms(max_orders=min(5_000, whole if self._hold == HINDSIGHT else 200)),
            solver=SolverTerms(work=self._terms.work, budget_ms=600_000),
            reoptimise=ReoptimiseTerms(
                mode="off" if off else "on",
                every_seconds=self._terms.every_minutes * 60,
                min_saving="0.001" if self._hold == HINDSIGHT else self._terms.min_saving,
                max_orders=self._terms.max_orders,
            ),
        )
        await self._target.open(self._work, policy)
        if self._terms.prices:
            engine = self._target.engine
            ahead = Settings(price_orders_min=50, price_horizon_days=max(0.01, self._between_days()))
            self._pricer = Pricer(engine.ledger, engine.registry, ahead, time.monotonic, "replay")
        for delivery, orders in periods(self._work):
            await self._until(epoch_ms(delivery.at))
            await self._target.deliver(delivery.movements, epoch_ms(delivery.at))
            if self._hold == HINDSIGHT:
                await self._know_all(orders)
            else:
                for at_ms, placed in groupby(orders, _ms):
                    await self._until(at_ms)
                    some = list(placed)
                    await self._price(at_ms)
                    await self._target.decide(some)
                    self._standing += [] if off else some
        await self._until(FOREVER_MS)
        return await self._figures(days)

    def _between_days(self) -> float:
        """From one delivery to the next."""
        first, *following = (epoch_ms(delivery.at) for delivery in self._work.deliveries)
        return (following[0] - first) / (24 * HOUR_MS) if following else 7.0

    async def _price(self, at_ms: int) -> None:
        """Prices of stock as often as standing orders are looked at, by the pricer of production, waited for."""
        if self._pricer is None or at_ms < self._priced_ms + self._terms.every_minutes * MINUTE_MS:
            return
        self._priced_ms = at_ms
        self._target.set(at_ms)
        await self._pricer.round()
        registry, versions = self._target.engine.registry, await self._target.engine.ledger.versions(PARTITION)
        books = await registry.books(PARTITION, versions)
        while versions.prices and (books.prices is None or books.prices.version != versions.prices):
            await asyncio.sleep(0)
            books = await registry.books(PARTITION, versions)

    async def _know_all(self, orders: list[Order]) -> None:
        """All orders of a period at its beginning, until nothing is saved any more."""
        if not orders:
            return
        await self._target.decide_now(orders)
        for _ in range(ROUNDS_MAX):
            before = await self._target.saved()
            await self._target.engine.reoptimiser.walk(PARTITION, {"default"})
            if await self._target.saved() == before:
                break
        for order in orders:
            await self._ready(order)

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
        cost = spent = units = left = parcels = shipped = moves = moved_orders = 0
        for order in self._work.orders:
            record = await self._target.engine.ledger.order(PARTITION, order.order_id)
            assert record is not None, "every order was decided"
            decision = judge.decided(order, record.current)
            cost += mills(decision.cost.total)
            spent += mills(decision.cost.total) - mills(decision.cost.unfilled)
            units += sum(line.quantity for parcel in decision.parcels for line in parcel.lines)
            left += sum(line.quantity for line in decision.unallocated)
            parcels += len(decision.parcels)
            shipped += bool(decision.parcels)
            times = sum(change.event == "order.reoptimised" for change in record.history)
            moves, moved_orders = moves + times, moved_orders + bool(times)
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
            faults=len(judge.faults),
            oversold=judge.oversold,
            stock_differs=differs,
        )


def markdown(results: Sequence[Held]) -> str:
    """One row per run; what is saved and removed is against the same orders held for no time."""
    lines = [
        "| k days | held | orders | cost/order | spent/order | saved | parcels/order | extra shipments | removed "
        "| fill | moves | orders moved | faults |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in results:
        base = next(
            (other for other in results if (other.days, other.hold) == (each.days, "0") and not other.prices), None
        )
        saved = removed = ""
        if base is not None and base is not each:
            saved = f"{1 - each.spent_per_unit / base.spent_per_unit:.2%}"
            removed = f"{1 - each.extra / max(1, base.extra):.1%}"
        held = (each.hold if each.hold == HINDSIGHT else f"{each.hold} h") + (", prices" if each.prices else "")
        lines.append(
            f"| {each.days} | {held} | {each.orders:,} | {each.cost_per_order:.2f} | {each.spent_per_order:.3f} "
            f"| {saved} | {each.parcels_per_order:.3f} | {each.extra:,} | {removed} | {each.fill:.2%} | {each.moves:,} "
            f"| {each.moved_orders:,} | {each.faults + each.oversold + each.stock_differs} |"
        )
    return "\n".join(lines) + "\n"


def _work(directory: Path, cut: str, days: int, seed: int, limit: int, lines_max: int | None) -> Workload:
    invoices = read_invoices(directory)
    if lines_max is not None:
        invoices = [invoice for invoice in invoices if len(invoice.items) <= lines_max]
    whole = workload(invoices, read_regions(directory), read_centres(directory), cut, days, seed)
    return replace(whole, orders=whole.orders[:limit])


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def hold(
    data: Annotated[Path | None, typer.Option(help="The data directory.")] = None,
    cut: Annotated[str, typer.Option(help="retail or wholesale.")] = "retail",
    days: Annotated[list[int] | None, typer.Option(min=1, help="Stock for k days; default 3, 10 and 30.")] = None,
    hours: Annotated[
        list[str] | None, typer.Option(help="Hours held, or hindsight; default 0, 1, 4, hindsight.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many orders.")] = 1_000,
    lines_max: Annotated[
        int | None, typer.Option(min=1, help="Only orders of so many lines, and stock for them.")
    ] = None,
    prices: Annotated[list[str] | None, typer.Option(help="Prices of stock: off, on; default off.")] = None,
    pace: Annotated[int, typer.Option(min=1, help="So many times as fast as recorded.")] = 1,
    every: Annotated[int, typer.Option(min=1, help="Minutes between two looks.")] = 30,
    min_saving: Annotated[str, typer.Option(help="As in a policy.")] = "0.50",
    max_orders: Annotated[int, typer.Option(min=1, max=2_000, help="Decided together.")] = 200,
    work: Annotated[int, typer.Option(min=1, help="As in a policy, of windows and looks.")] = 20_000_000,
    seed: Annotated[int, typer.Option(help="Of places, weights and stock.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
) -> None:
    directory = data_directory(data)
    if directory is None:
        print("bench.uci.hold: the UCI data is not here (see python -m bench.uci --help); skipped")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: list[Held] = []
    for k in days or (3, 10, 30):
        paced_work = paced(_work(directory, cut, k, seed, limit, lines_max), pace)
        for held, by_price in product(hours or ("0", "1", "4", HINDSIGHT), prices or ("off",)):
            results.append(
                asyncio.run(
                    Replay(paced_work, held, Terms(every, min_saving, max_orders, work, by_price == "on")).run(k)
                )
            )
            print(msgspec.json.encode(results[-1]).decode(), file=sys.stderr, flush=True)
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    print(markdown(results))
    raise typer.Exit(1 if any(each.faults or each.oversold or each.stock_differs for each in results) else 0)


if __name__ == "__main__":
    app()
