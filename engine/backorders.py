"""Orders that wait get what becomes available, in order of priority and age, before new orders are decided.

The ledger says which names are ripe. One *turn* takes the first orders under some of them, decides what is missing of
these as one window, the earlier order first, and adds what ships to what they have: per order one commit, checked by
revision, so that several processes may take turns in one partition. A name under which all orders were tried, or of
which nothing is free any more, is ripe no longer until more comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, groupby

import structlog

from engine.background import Background
from engine.clock import Clock
from engine.crew import Crew
from engine.domain import Limits, Order
from engine.filling import Waiter, filled
from engine.ledger.backlog import ROOM, Queue, QueueAsked
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError, Proposal, Row, Snapshot, Verdict
from engine.lowering import WindowInput, days_of, touched
from engine.metrics import Metrics
from engine.network import Network
from engine.policy.steering import steer
from engine.registry import Books, Edition, Registry
from engine.waiting import without

log = structlog.get_logger("apportion.backorders")

PAUSE_SECONDS = 0.1
"""Between two looks at what is ripe, where nothing was."""
ROOM_SECONDS = 60.0
"""How often orders that wait for room are tried although none was given back: days pass, and budgets differ."""
REST_SECONDS = 5.0
"""Before a partition is looked at again in which a turn failed."""
TURN_ORDERS, TURN_LINES, TURN_NAMES = 200, 2_000, 100
"""The most orders, lines and names of one turn."""
_AT_ONCE = 16
"""Names of which the ledger is asked at once."""
_READ_ORDERS = 25
"""Orders read at once: decoding them takes the event loop a few milliseconds."""
_BREATH_ORDERS = 8
"""Decisions joined between two looks of the event loop at others: about a millisecond."""

Fill = Callable[[str, Sequence[str]], Awaitable[bool]]
"""`Backorders.fill`."""


@dataclass(slots=True)
class _Walk:
    """How far the orders under a ripe name were tried on what `stamp` stands for."""

    stamp: str
    rank: int | None = None
    tried: set[str] = field(default_factory=set)
    """Of this rank."""

    def past(self, orders: Sequence[tuple[str, int]]) -> None:
        """These were tried, too; ascending by rank."""
        for order_id, rank in orders:
            if rank != self.rank:
                self.rank, self.tried = rank, set()
            self.tried.add(order_id)


@dataclass(frozen=True, slots=True)
class _Some:
    """The next orders under one name; `all`: there are no more."""

    name: str
    walk: _Walk
    orders: tuple[tuple[str, int], ...]
    all: bool


class Backorders:
    """Fills what waits, in the background and when the allocator asks. One per process."""

    def __init__(
        self, ledger: Ledger, registry: Registry, crew: Crew, clock: Clock, metrics: Metrics, process_id: str
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._crew = crew
        self._clock = clock
        self._metrics = metrics
        self._window_ids = (f"{process_id}-b{number}" for number in count(1))
        self._turns: dict[str, asyncio.Lock] = {}
        self._walks: dict[tuple[str, str], _Walk] = {}
        self._rest_until: dict[str, float] = {}
        self._room_due: dict[str, float] = {}
        self._task = Background(self._run, "backorders")

    def start(self) -> None:
        """Begin, until `stop`."""
        self._task.start()

    async def stop(self) -> None:
        """End; what waits goes on waiting."""
        await self._task.stop()

    async def _run(self) -> None:
        while True:
            busy = False
            try:
                waiting = sorted(await self._ledger.partitions_waiting())
            except (LedgerUnavailableError, LedgerRefusedError) as error:
                log.warning("fill_failed", error=str(error))
                waiting = []
            for partition in waiting:
                busy |= await self.look(partition)
            await asyncio.sleep(0 if busy else PAUSE_SECONDS)

    async def look(self, partition: str) -> bool:
        """A turn for all that is ripe in one partition; what fails there stops no other."""
        try:
            names = await self._ledger.ripe(partition, TURN_NAMES)
            return await self.fill(partition, [*names, *self._room(partition)])
        except Exception as error:
            log.warning("fill_failed", partition=partition, error=repr(error))
            return False

    def _room(self, partition: str) -> list[str]:
        """The name of room, once in a while."""
        now = self._clock.monotonic()
        if now < self._room_due.setdefault(partition, now + ROOM_SECONDS):
            return []
        self._room_due[partition] = now + ROOM_SECONDS
        return [ROOM]

    async def fill(self, partition: str, names: Sequence[str]) -> bool:
        """Take one turn for these names; returns whether there was anything to do. Raises Ledger errors only."""
        if not names or self._clock.monotonic() < self._rest_until.get(partition, 0.0):
            return False
        async with self._turns.setdefault(partition, asyncio.Lock()):
            try:
                return await self._turn(partition, names)
            except (LedgerUnavailableError, LedgerRefusedError):
                raise
            except Exception:
                log.exception("turn_failed", partition=partition)
                self._rest_until[partition] = self._clock.monotonic() + REST_SECONDS
                return False

    async def _turn(self, partition: str, names: Sequence[str]) -> bool:
        chosen = await self._choose(partition, names)
        ranks = {order_id: rank for some in chosen for order_id, rank in some.orders}
        waiters, passed = await self._waiters(partition, sorted(ranks, key=lambda each: (ranks[each], each)))
        used_up: dict[str, bool] = {}
        for policy_id, run in groupby(waiters, lambda waiter: waiter.order.policy_id):
            left = await self._decide(partition, policy_id, list(run))
            if left is None:
                return True  # somebody came first: the same orders again, as they are now
            used_up.update(left)
        over: list[_Some] = []
        for some in chosen:
            tried = [order for order in some.orders if order[0] in passed]
            some.walk.past(tried)
            if (some.all and len(tried) == len(some.orders)) or used_up.get(some.name):
                self._walks.pop((partition, some.name), None)
                over.append(some)
        if over:
            await self._ledger.tried(partition, {some.name: some.walk.stamp for some in over})
        return bool(chosen)

    async def _choose(self, partition: str, names: Sequence[str]) -> list[_Some]:
        """The next orders under each name, until they are enough for a turn."""
        chosen: list[_Some] = []
        for start in range(0, min(len(names), TURN_NAMES), _AT_ONCE):
            if sum(len(some.orders) for some in chosen) >= TURN_ORDERS:
                break
            chosen += await self._next(partition, names[start : start + _AT_ONCE])
        return chosen

    async def _next(self, partition: str, names: Sequence[str]) -> list[_Some]:
        """The next orders under some names; under one of which more became available, all over again."""
        walks = [self._walks.get((partition, name)) or _Walk("") for name in names]
        asked = [
            QueueAsked(name, walk.rank, TURN_ORDERS + len(walk.tried)) for name, walk in zip(names, walks, strict=True)
        ]
        queues = await self._ledger.queues(partition, asked)
        again = [k for k, queue in enumerate(queues) if queue.stamp != walks[k].stamp]
        begun = [k for k in again if walks[k].rank is not None]
        if begun:
            from_first = await self._ledger.queues(partition, [asked[k]._replace(rank=None) for k in begun])
            queues = [*queues]
            for k, queue in zip(begun, from_first, strict=True):
                queues[k] = queue
        for k in again:
            walks[k] = self._walks[partition, names[k]] = _Walk(queues[k].stamp)
        return [
            _Some(each.name, walk, _fresh(queue, walk), len(queue.orders) < each.limit)
            for each, walk, queue in zip(asked, walks, queues, strict=True)
        ]

    async def _waiters(self, partition: str, order_ids: Sequence[str]) -> tuple[list[Waiter], set[str]]:
        """The first of these orders that one turn can take, and the ids of those looked at."""
        waiters: list[Waiter] = []
        passed: set[str] = set()
        for start in range(0, min(len(order_ids), TURN_ORDERS), _READ_ORDERS):
            some = order_ids[start : min(start + _READ_ORDERS, TURN_ORDERS)]
            records = await self._ledger.orders(partition, some)
            waiters += [waiter for record in records if record and (waiter := Waiter.of(record)) is not None]
            passed.update(some)
            if sum(len(waiter.decision.backordered) for waiter in waiters) >= TURN_LINES:
                break
        return waiters, passed

    async def _decide(self, partition: str, policy_id: str, waiters: Sequence[Waiter]) -> dict[str, bool] | None:
        """Decide and commit what is missing of orders of one policy, the first of them first.

        Returns the SKUs, and of each whether nothing is free any more; None if another commit came first.
        """
        books = await self._registry.books_for(partition, policy_id)
        edition = books.policies[policy_id]
        orders, limits = _remainders(waiters, books, edition)
        skus = touched(orders, books.items)
        horizon = edition.policy.capacity_horizon_days
        days = sorted(days_of(orders, books.network, self._clock.epoch_ms(), horizon=horizon))
        snapshot = await self._ledger.snapshot(partition, skus, days, (), expected=skus)
        current = await self._registry.books(partition, snapshot.versions)
        if current.versions != books.versions or books.versions[:2] != snapshot.versions[:2]:
            return None
        question = _question(next(self._window_ids), partition, orders, skus, books, edition, snapshot, waiters)
        decided = await self._crew.decide(question)
        proposals: list[Proposal] = []
        for k, (waiter, proposal) in enumerate(zip(waiters, decided.proposals, strict=True)):
            more = filled(waiter, proposal, limits[k], books.items, edition.policy.objective)
            proposals += [more] if more is not None else []
            if k % _BREATH_ORDERS == 0:
                await asyncio.sleep(0)
        if proposals:
            batch = replace(decided.batch(question), proposals=tuple(proposals))
            outcomes = await self._ledger.commit(partition, batch)
            self._metrics.settled(proposals, outcomes)
            if any(outcome.verdict is not Verdict.COMMITTED for outcome in outcomes):
                return None
        return _used_up(skus, snapshot, books.network, proposals)


def _fresh(queue: Queue, walk: _Walk) -> tuple[tuple[str, int], ...]:
    """Those of a queue that were not tried yet, as many as a turn can take."""
    return tuple(order for order in queue.orders if order[0] not in walk.tried)[:TURN_ORDERS]


def _remainders(waiters: Sequence[Waiter], books: Books, edition: Edition) -> tuple[tuple[Order, ...], list[Limits]]:
    """What is missing of each order as an order of its own, and all that the whole order must keep."""
    steering = steer(edition.policy, [waiter.order for waiter in waiters], books.network, books.items)
    limits = list(steering.limits)
    return tuple(waiter.remainder(each) for waiter, each in zip(waiters, limits, strict=True)), limits


def _question(
    window_id: str,
    partition: str,
    orders: tuple[Order, ...],
    skus: tuple[str, ...],
    books: Books,
    edition: Edition,
    snapshot: Snapshot,
    waiters: Sequence[Waiter],
) -> WindowInput:
    return WindowInput(
        window_id=window_id,
        partition=partition,
        orders=orders,
        contents=tuple(waiter.record.content for waiter in waiters),
        idempotency_keys=(None,) * len(orders),
        waited_ms=(0.0,) * len(orders),
        skus=skus,
        items={sku: books.items[sku] for sku in skus if sku in books.items},
        snapshot=replace(snapshot, expected=without(snapshot.expected, *(waiter.record.waits for waiter in waiters))),
        network=books.network,
        policy=edition.policy,
        policy_version=edition.version,
        strict_skus=books.strict_skus,
        prices=books.prices_of(skus, snapshot),
        in_turn=True,
    )


def _used_up(
    skus: Sequence[str], snapshot: Snapshot, network: Network, proposals: Sequence[Proposal]
) -> dict[str, bool]:
    """Of each SKU whether the proposals leave nothing free."""
    taken: dict[int, int] = {}
    for proposal in proposals:
        for take in proposal.takes:
            taken[take.sku] = taken.get(take.sku, 0) + take.units
    floor = {number: int(network.safety[node]) for node, number in enumerate(network.number_of.tolist())}
    return {
        sku: _free(row, floor) <= taken.get(k, 0) for k, (sku, row) in enumerate(zip(skus, snapshot.rows, strict=True))
    }


def _free(row: Row, floor: dict[int, int]) -> int:
    """Units of a SKU that are free anywhere; `floor`: the default safety of the nodes of the network."""
    return sum(
        max(0, on_hand - held - blocked - (floor[node] if safety < 0 else safety))
        for node, on_hand, held, safety, blocked in row.slots.tolist()
        if node in floor
    )
