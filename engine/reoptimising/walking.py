"""Walks: through all orders that may move, those first that close first, in turns.

A *turn* decides so many orders of one policy together, on what is free and what they hold themselves, by the path that
decides new orders, and swaps what pays. Each swap is checked by revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import msgspec
import structlog

from engine.clock import Clock
from engine.crew import Crew
from engine.domain import mills
from engine.ledger import states
from engine.ledger.moving import Place
from engine.ledger.port import Ledger, LedgerRefusedError, LedgerUnavailableError, Snapshot
from engine.lowering import WindowInput, days_of, touched
from engine.metrics import Metrics
from engine.registry import Books, Registry
from engine.reoptimising.report import Found, Report, Why, total
from engine.reoptimising.standing import Standing, standings_of
from engine.reoptimising.swaps import moves_of, parts_of, room_of

log = structlog.get_logger("apportion.reoptimise")

PAGE_ORDERS = 50
"""Orders read in one call: some 150 kB."""
TURN_LINES = 500
"""The most order lines of one turn: about as many as the work of a window pays for at a policy's default."""
YIELD_TICKS = 10
"""How often in a row one turn gives way to orders that wait for a window."""
YIELD_SECONDS = 1.0
"""For how long each time."""
ROUNDS = 3
"""Snapshots taken for one turn at most, while orders or documents change."""


class Walker:
    """Walks.

    `busy`: whether orders wait for a window, to which each turn gives way. `mine`: whether a partition is still this
    process's, and for a while more.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        crew: Crew,
        clock: Clock,
        metrics: Metrics,
        process_id: str,
        busy: Callable[[], bool],
        mine: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._crew = crew
        self._clock = clock
        self._metrics = metrics
        self._busy = busy
        self._mine = mine
        self._window_ids = (f"{process_id}-r{number}" for number in count(1))
        self._gains: dict[str, dict[str, int]] = {}
        """Of each SKU, by partition, as its orders were last decided again."""

    async def walk(
        self, partition: str, policies: set[str], why: Why, first_ms: int | None = None, last_ms: int | None = None
    ) -> None:
        """Look at all orders of these policies that close after `first_ms` (now) and by `last_ms` (ever).

        Because of stock only at those of which something became available since they were last decided.
        An order or a turn that fails is logged, and the walk goes on. Raises Ledger errors.
        """
        found, waiting = Found(), dict[str, list[Standing]]()
        before = dict(self._gains.get(partition, {}))  # turns of this very walk must hide nothing from its later pages
        at = Place((self._clock.epoch_ms() if first_ms is None else first_ms) + 1)
        while page := await self._ledger.movable(partition, at, PAGE_ORDERS):
            if not await self._mine(partition):
                return
            at = at.past(page)
            records = [record for record in page if last_ms is None or record.closes_ms <= last_ms]
            some = [each for each in standings_of(partition, records) if each.order.policy_id in policies]
            if why == "stock":
                some = await self._helped(partition, some, before)
            for standing in some:
                waiting.setdefault(standing.order.policy_id, []).append(standing)
            for policy_id in list(waiting):
                waiting[policy_id] = await self._turns(partition, policy_id, waiting[policy_id], found, why, rest=False)
            at = at.back(found.left.pop(at.closes_ms, 0))
            if len(records) < len(page):
                break
        for policy_id, left in waiting.items():
            await self._turns(partition, policy_id, left, found, why, rest=True)
        for policy_id in policies:
            if why == "period" or policy_id in found.reports:
                await self._tell(partition, policy_id, found, why)

    async def _helped(self, partition: str, standings: list[Standing], before: Mapping[str, int]) -> list[Standing]:
        """Those of which some SKU gained since `before`, the gains of the last look at each."""
        items = (await self._registry.books(partition)).items
        wanted = {each.order.order_id: touched([each.order], items) for each in standings}
        skus = list(dict.fromkeys(sku for some in wanted.values() for sku in some))
        rows = (await self._ledger.snapshot(partition, skus, (), ())).rows
        gained = {sku for sku, row in zip(skus, rows, strict=True) if before.get(sku) != row.gain}
        return [each for each in standings if not gained.isdisjoint(wanted[each.order.order_id])]

    async def _turns(
        self, partition: str, policy_id: str, standings: list[Standing], found: Found, why: Why, *, rest: bool
    ) -> list[Standing]:
        """Take turns while there are orders for a whole one (`rest`: while there are any); returns those left."""
        while standings:
            edition = (await self._registry.books_for(partition, policy_id)).policies[policy_id]
            most = edition.policy.reoptimise.max_orders
            size, lines = 0, 0
            while size < min(most, len(standings)):
                lines += len(standings[size].order.lines)
                if size and lines > TURN_LINES:
                    break
                size += 1
            if size == len(standings) < most and not rest:
                break
            await self._give_way(partition)
            try:
                await self._turn(partition, policy_id, standings[:size], found, why)
            except (LedgerUnavailableError, LedgerRefusedError):
                raise
            except Exception:  # the others shall have their turns: what is due now is due again only after a period
                ids = [standing.order.order_id for standing in standings[:size]]
                log.exception("turn_failed", partition=partition, policy_id=policy_id, order_ids=ids)
            standings = standings[size:]
        return standings

    async def _give_way(self, partition: str) -> None:
        """Wait while orders wait for a window, for a bounded time, and keep the partition meanwhile."""
        for _ in range(YIELD_TICKS):
            if not self._busy():
                return
            await self._mine(partition)
            await asyncio.sleep(YIELD_SECONDS)

    async def _turn(self, partition: str, policy_id: str, standings: list[Standing], found: Found, why: Why) -> None:
        question, standings = await self._question(partition, policy_id, standings)
        if question is None:
            return
        terms = question.policy.reoptimise
        if terms.mode == "off":
            return
        decided = await self._crew.decide(question)
        records = [standing.record for standing in standings]
        savings = [
            stays - total(proposal) if stays is not None and proposal.state == states.ALLOCATED else None
            for stays, proposal in zip(decided.staying, decided.proposals, strict=True)
        ]
        moves = moves_of(records, decided.proposals, savings, question.skus)
        room = room_of(moves, records, question.skus, question.snapshot, question.network)
        parts = parts_of(moves, room, mills(terms.min_saving))
        objective = question.policy.objective
        proposals = {
            move.place: standings[move.place].moved(decided.proposals[move.place], move.saving, objective)
            for part in parts
            for move in part
        }
        done = [True] * len(parts)
        if terms.mode == "on" and parts:
            whole = tuple(proposals.get(k, proposal) for k, proposal in enumerate(decided.proposals))
            batch = replace(decided.batch(question), proposals=whole)
            done = await self._ledger.swap(partition, batch, [[move.place for move in part] for part in parts])
            gone = [move.place for part, swapped in zip(parts, done, strict=True) if swapped for move in part]
            found.left.update(records[k].closes_ms for k in gone if proposals[k].closes_ms != records[k].closes_ms)
        report = found.reports.setdefault(
            policy_id, Report(policy_id=policy_id, mode=terms.mode, why=why, at=self._now())
        )
        report.looked_at += len(standings)
        moved = [move for part, swapped in zip(parts, done, strict=True) if swapped for move in part]
        found.count(report, standings, proposals, moved)
        report.dropped += sum(len(part) for part, swapped in zip(parts, done, strict=True) if not swapped)

    async def _question(
        self, partition: str, policy_id: str, standings: list[Standing]
    ) -> tuple[WindowInput | None, list[Standing]]:
        """These orders as one window, on stock that counts what they hold as free; without those that changed."""
        for _ in range(ROUNDS):
            books = await self._registry.books_for(partition, policy_id)
            edition = books.policies[policy_id]
            orders = tuple(standing.asked_again() for standing in standings)
            skus = touched(orders, books.items)
            horizon = edition.policy.capacity_horizon_days
            days = sorted(days_of(orders, books.network, self._clock.epoch_ms(), horizon=horizon))
            ids = [order.order_id for order in orders]
            snapshot = await self._ledger.snapshot(partition, skus, days, (), moving=ids)
            current = await self._registry.books(partition, snapshot.versions)
            same = [each for each in standings if _unchanged(each, snapshot, set(skus))]
            if not same:
                return None, []
            if len(same) == len(standings) and current.versions[:3] == books.versions[:3] == snapshot.versions[:3]:
                gains = self._gains.setdefault(partition, {})
                gains.update({sku: row.gain for sku, row in zip(skus, snapshot.rows, strict=True)})
                window_id = next(self._window_ids)
                return _window(window_id, partition, policy_id, books, snapshot, skus, standings), standings
            standings = same
        return None, []

    async def _tell(self, partition: str, policy_id: str, found: Found, why: Why) -> None:
        """Leave the report of a walk, and count it."""
        mode = (await self._registry.books_for(partition, policy_id)).policies[policy_id].policy.reoptimise.mode
        if mode == "off":
            return
        report = found.reports.get(policy_id) or Report(policy_id=policy_id, mode=mode, why=why, at=self._now())
        self._metrics.reoptimised(report.mode, report.looked_at, report.moved, report.dropped, float(report.saving))
        await self._ledger.put_report(partition, policy_id, msgspec.json.encode(report))
        if report.moved or report.dropped:
            log.info(
                "reoptimised", partition=partition, policy_id=policy_id, mode=report.mode, why=why,
                looked_at=report.looked_at, moved=report.moved, dropped=report.dropped, saving=report.saving,
            )  # fmt: skip

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.epoch_ms() / 1000, UTC)


def _unchanged(standing: Standing, snapshot: Snapshot, skus: set[str]) -> bool:
    """Whether an order is as it was read and open still, and all that it holds is of what may ship for it now."""
    record = standing.record
    if record.closes_ms <= snapshot.at_ms:
        return False
    return snapshot.moving.get(record.order_id) == record.revision and all(sku in skus for sku, _, _ in record.takes)


def _window(
    window_id: str,
    partition: str,
    policy_id: str,
    books: Books,
    snapshot: Snapshot,
    skus: tuple[str, ...],
    standings: Sequence[Standing],
) -> WindowInput:
    edition = books.policies[policy_id]
    return WindowInput(
        window_id=window_id,
        partition=partition,
        orders=tuple(standing.asked_again() for standing in standings),
        contents=tuple(standing.record.content for standing in standings),
        idempotency_keys=(None,) * len(standings),
        waited_ms=(0.0,) * len(standings),
        skus=skus,
        items={sku: books.items[sku] for sku in skus if sku in books.items},
        snapshot=snapshot,
        network=books.network,
        policy=edition.policy,
        policy_version=edition.version,
        strict_skus=books.strict_skus,
        prices=books.prices_of(skus, snapshot),
        present=tuple(standing.record.current for standing in standings),
        as_shipping=True,
    )
