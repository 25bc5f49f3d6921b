"""Both implementations in lock-step: equal answers to equal calls, equal state, and nothing ever oversold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from engine.clock import SystemClock
from engine.ledger import states
from engine.ledger.backlog import ROOM, Incoming, QueueAsked, Wait
from engine.ledger.memory import MemoryLedger
from engine.ledger.moving import Place
from engine.ledger.port import (
    Again,
    Batch,
    Entry,
    Ledger,
    LoadTake,
    NodeInUseError,
    OrderRecord,
    Proposal,
    Snapshot,
    StockKind,
    StockWrite,
    Take,
)
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.retention import START, Leaving
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.shop import DAY, content

SKUS = ("A", "B", "C")
NODES = 4
ORDERS = tuple(f"O{k}" for k in range(8))
KEYS = ("K1", "K2")
MOVEMENTS = ("M1", "M2", "M3")
COMING = ("I1", "I2", "I3")
NAMES = (*SKUS, ROOM)
ARCHIVE = "archive"

quantities = st.one_of(st.integers(0, 6), st.sampled_from([2**31 - 1, 2**31 - 3]))


@st.composite
def stock_writes(draw: st.DrawFn) -> StockWrite:
    """Any write that is not impossible."""
    kind = draw(st.sampled_from(StockKind))
    quantity = draw(quantities)
    if kind is StockKind.ADJUST and draw(st.booleans()):
        quantity = -quantity
    safety = draw(st.none() | st.integers(0, 3)) if kind is StockKind.SNAPSHOT else None
    movement_id = draw(st.none() | st.sampled_from(MOVEMENTS))
    cell = draw(st.sampled_from(SKUS)), draw(st.integers(0, NODES))
    incoming_id = draw(st.none() | st.sampled_from(COMING)) if kind is StockKind.RECEIVE else None
    return StockWrite(*cell, kind, quantity, safety, movement_id, incoming_id)


takes = st.tuples(st.integers(0, 2), st.integers(0, NODES), st.integers(1, 4), st.integers(0, 2))
loads = st.tuples(st.integers(0, 1), st.integers(0, NODES), st.integers(0, 2), st.integers(0, 4), st.integers(-1, 5))
proposals = st.tuples(
    st.sampled_from(ORDERS),
    st.sampled_from(["first", "second"]),
    st.sampled_from([b"{}", b'{"d":1}']),
    st.lists(takes, max_size=3),
    st.lists(loads, max_size=2),
    st.lists(st.integers(0, 2), max_size=2),
    st.lists(st.integers(0, 1), max_size=1),
    st.none() | st.sampled_from(KEYS),
    st.sampled_from([None, None, 3_600_000, -5_000]),
    st.none() | st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1),
    st.sampled_from([0, 5_000, 6_000]),
)
incoming = st.builds(
    Incoming,
    st.sampled_from(COMING), st.sampled_from(SKUS), st.integers(0, NODES), st.integers(0, 5), st.integers(1, 3),
)  # fmt: skip
"""Soft holds last an hour, or have lapsed before they are committed: both ledgers have clocks of their own."""


class Lockstep(RuleBasedStateMachine):
    """Every call goes to both; `seen` may be an old snapshot, as a slow solver's would be."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._partition = f"lock-{uuid4().hex[:8]}"
        self._ledgers: tuple[Ledger, Ledger] = (MemoryLedger(SystemClock()), self._run(self._open(url)))
        self._both(lambda ledger: ledger.put_network(self._partition, b"{}", [f"N{k}" for k in range(NODES)]))
        stock = [StockWrite(sku, node, StockKind.RECEIVE, 4) for sku in SKUS for node in range(NODES)]
        self._both(lambda ledger: ledger.write_stock(self._partition, stock))
        self._seen: Snapshot = self._look()
        self._windows = 0

    async def _open(self, url: str) -> RedisLedger:
        return RedisLedger(url)

    def _run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self._runner.run(awaited())

    def _both(self, call: Callable[[Ledger], Awaitable[Any]], shape: Callable[[Any], Any] = lambda it: it) -> Any:
        answers = []
        for ledger in self._ledgers:
            try:
                answers.append(shape(self._run(call(ledger))))
            except NodeInUseError as error:
                answers.append(error.node_ids)
        assert answers[0] == answers[1]
        return answers[1]

    def _look(self) -> Snapshot:
        return self._run(self._snapshot(self._ledgers[1]))

    def _snapshot(
        self, ledger: Ledger, ask: tuple[str, str] | None = None, moving: Sequence[str] = ()
    ) -> Awaitable[Snapshot]:
        return ledger.snapshot(self._partition, SKUS, (DAY, DAY + 1), ORDERS, ask, KEYS, SKUS, moving)

    def _batch(self, proposals: Sequence[Proposal]) -> Batch:
        """A window solved on what was seen; orders that may have left are the archive's to answer."""
        self._windows += 1
        gains = tuple(row.gain for row in self._seen.rows)
        day_gains = {day: load.gain for day, load in self._seen.days.items()}
        new = tuple(
            proposal
            for proposal in proposals
            if proposal.again is not None
            or (
                proposal.order_id not in self._seen.perhaps_gone
                and proposal.idempotency_key not in self._seen.keys_perhaps_gone
            )
        )
        evicted = self._seen.evicted
        return Batch(f"w{self._windows}", self._seen.versions, SKUS, gains, day_gains, new, b"{}", evicted)

    @rule()
    def look(self) -> None:
        """Solve on fresh stock from here."""
        self._seen = self._look()

    @rule(writes=st.lists(stock_writes(), min_size=1, max_size=5))
    def write(self, writes: list[StockWrite]) -> None:
        """Stock changes."""
        self._both(lambda ledger: ledger.write_stock(self._partition, writes))

    @rule(drawn=st.lists(proposals, min_size=1, max_size=5), fresh=st.booleans())
    def commit(self, drawn: list[Any], fresh: bool) -> None:
        """A window is committed."""
        if fresh:
            self.look()
        batch = self._batch([self._proposal(*parts) for parts in drawn])
        self._both(lambda ledger: ledger.commit(self._partition, batch))

    def _proposal(
        self,
        order_id: str,
        text: str,
        decision: bytes,
        cells: list[Any],
        capacity: list[Any],
        rows: list[int],
        days: list[int],
        key: str | None,
        hold_ms: int | None,
        waits: dict[str, int] | None,
        closes_ms: int,
    ) -> Proposal:
        made = []
        for sku, slot, units, safety in cells:
            slots = self._seen.rows[sku].slots
            node = int(slots["node"][slot]) if slot < len(slots) else slot
            made.append(Take(sku, slot, node, units, safety))
        taken = tuple(
            LoadTake(DAY + day, node, parcels, units, most, -1) for day, node, parcels, units, most in capacity
        )
        short_days = tuple(DAY + day for day in days)
        return Proposal(
            order_id,
            content(text),
            b"{}",
            decision,
            ("partially_allocated" if made else "backordered") if waits else "allocated" if made else "refused",
            tuple(made),
            taken if made else (),
            tuple(rows),
            short_days,
            key,
            hold_ms,
            waits=tuple(Wait(*wait) for wait in (waits or {}).items()),
            rank=len(text) if waits else 0,
            closes_ms=closes_ms,
        )

    @rule(
        drawn=proposals,
        command=st.sampled_from(["replace", "reroute", "fill", "fill"]),
        token=st.sampled_from(["T1", "T2", "T3"]),
        fresh=st.booleans(),
    )
    def again(self, drawn: Any, command: str, token: str, fresh: bool) -> None:
        """An order is decided again, perhaps on an old record."""
        order_id = drawn[0]
        ask = (order_id, token)
        self._both(lambda ledger: self._snapshot(ledger, ask), _snapshot)
        self._seen = self._run(self._snapshot(self._ledgers[1], ask))
        standing = self._seen.standing
        revision = standing.record.revision if standing is not None and fresh else 1
        made = replace(
            self._proposal(*drawn),
            again=Again(command, revision, token, drawn[1], "reason", ("N1",)),
            idempotency_key=None,
        )
        batch = self._batch([made])
        self._both(lambda ledger: ledger.commit(self._partition, batch))

    @rule(drawn=st.lists(proposals, min_size=1, max_size=4), fresh=st.sampled_from([True, True, False]))
    def swap(self, drawn: list[Any], fresh: bool) -> None:
        """Standing orders change places, in one part or each in its own, perhaps on old records."""
        self._both(lambda ledger: self._snapshot(ledger, moving=ORDERS), _snapshot)
        self._seen = self._run(self._snapshot(self._ledgers[1], moving=ORDERS))
        revisions = self._seen.moving if fresh else {}
        made = [
            replace(
                self._proposal(*parts),
                again=Again("reoptimise", revisions.get(parts[0], 1), "", saving=7, before=("N1",)),
                idempotency_key=None,
                hold_ms=None,
                short_skus=(),
                short_days=(),
            )
            for parts in drawn
        ]
        batch, alone = self._batch(made), [[k] for k in range(len(made))]
        self._both(lambda ledger: ledger.swap(self._partition, batch, [list(range(len(made))), *alone]))

    @rule(
        order_id=st.sampled_from(ORDERS),
        command=st.sampled_from(["confirm", "release", "cancel", "ready"]),
        command_id=st.sampled_from(["", "", "T1", "C1"]),
    )
    def command(self, order_id: str, command: str, command_id: str) -> None:
        """An order gets a command."""
        self._both(lambda ledger: ledger.command(self._partition, order_id, command, command_id))

    @rule(rows=st.lists(incoming, min_size=1, max_size=4))
    def coming(self, rows: list[Incoming]) -> None:
        """Stock is to come in, later or not at all."""
        self._both(lambda ledger: ledger.write_incoming(self._partition, rows))

    @rule(name=st.sampled_from(NAMES), fresh=st.booleans())
    def tried(self, name: str, fresh: bool) -> None:
        """All orders under a name were tried, perhaps on less than there is now."""
        asked = QueueAsked(name, None, 2)
        stamps = [self._run(ledger.queues(self._partition, [asked]))[0].stamp for ledger in self._ledgers]
        for ledger, stamp in zip(self._ledgers, stamps, strict=True):
            self._run(ledger.tried(self._partition, {name: stamp if fresh else "0"}))

    @rule()
    def sweep(self) -> None:
        """The sweeper makes a step: as much as there is, since deadlines a moment apart are one step or two."""
        self._both(self._swept)

    async def _swept(self, ledger: Ledger) -> None:
        while await ledger.sweep(self._partition):
            pass

    @rule(order_id=st.sampled_from(ORDERS))
    def cancel(self, order_id: str) -> None:
        """An order is cancelled."""
        self._both(lambda ledger: ledger.cancel(self._partition, order_id))

    @rule(
        order_ids=st.sets(st.sampled_from(ORDERS), min_size=1),
        key=st.none() | st.sampled_from(KEYS),
        movements=st.sets(st.sampled_from(MOVEMENTS)),
        right=st.sampled_from([True, True, False]),
    )
    def evict(self, order_ids: set[str], key: str | None, movements: set[str], right: bool) -> None:
        """Orders and movement ids are to leave, orders perhaps as they were before their last change."""
        leaving = []
        for order_id in sorted(order_ids):
            record = self._run(self._ledgers[1].order(self._partition, order_id))
            if record is not None:
                revision = record.revision if right else record.revision - 1
                leaving.append(Leaving(order_id, record.stored_state, revision, key))
        self._both(lambda ledger: self._archived(ledger))
        gone = self._both(lambda ledger: ledger.evict(self._partition, ARCHIVE, leaving, sorted(movements)))
        assert all(order.state in states.ENDED and right for order, left in zip(leaving, gone, strict=True) if left)

    async def _archived(self, ledger: Ledger) -> int:
        newest = (await ledger.retention(self._partition)).newest
        return await ledger.archived(self._partition, ARCHIVE, newest, START)

    @rule(nodes=st.sets(st.integers(0, NODES)))
    def network(self, nodes: set[int]) -> None:
        """The network is replaced."""
        self._both(lambda ledger: ledger.put_network(self._partition, b"{}", [f"N{k}" for k in sorted(nodes)]))

    @rule(skus=st.sets(st.sampled_from(SKUS)), policy_id=st.sampled_from(("default", "other")))
    def documents(self, skus: set[str], policy_id: str) -> None:
        """A policy, the catalogue, a zone matrix and the forecast change."""
        for used in (False, True):
            self._both(lambda ledger, used=used: _put_matrix(ledger, self._partition, used))
        self._both(lambda ledger: ledger.put_policy(self._partition, policy_id, b"{}"))
        self._both(lambda ledger: ledger.put_skus(self._partition, dict.fromkeys(sorted(skus), b"{}")))
        self._both(lambda ledger: ledger.put_forecast(self._partition, policy_id.encode()))

    @invariant()
    def equal(self) -> None:
        """Both hold the same, and both reconcile."""
        self._both(self._snapshot, _snapshot)
        self._both(lambda ledger: ledger.network(self._partition))
        self._both(lambda ledger: ledger.policies(self._partition))
        self._both(lambda ledger: ledger.skus_since(self._partition, 0))
        self._both(lambda ledger: ledger.forecast(self._partition))
        self._both(lambda ledger: ledger.waited(self._partition))
        self._both(lambda ledger: ledger.ripe(self._partition, 9), sorted)
        self._both(lambda ledger: ledger.incoming(self._partition, SKUS))
        self._both(lambda ledger: ledger.movable(self._partition, Place(1), 9), lambda found: list(map(_order, found)))
        self._both(lambda ledger: ledger.with_movable([self._partition]))
        self._both(lambda ledger: ledger.received(self._partition), bool)
        asked = [QueueAsked(name, 0, 9) for name in NAMES]
        self._both(lambda ledger: ledger.queues(self._partition, asked), lambda found: [each.orders for each in found])
        self._both(
            lambda ledger: ledger.orders(self._partition, ORDERS), lambda found: [_order(each) for each in found]
        )
        report = self._both(lambda ledger: reconcile(ledger, self._partition))
        assert report.clean, report.differences

    def teardown(self) -> None:
        """The logs tell the same story."""
        self._both(lambda ledger: ledger.tail(self._partition, "0", 0), lambda entries: [_entry(e) for e in entries])
        self._run(self._ledgers[1].close())
        self._runner.close()


def _snapshot(seen: Snapshot) -> object:
    rows = [(row.gain, row.slots.tolist()) for row in seen.rows]
    days = {day: (load.gain, load.nodes.tolist()) for day, load in seen.days.items()}
    gone = seen.evicted, seen.perhaps_gone, seen.keys_perhaps_gone
    return seen.versions, rows, days, seen.decided, gone, seen.ripe, seen.expected, seen.moving


def _order(record: OrderRecord | None) -> object:
    if record is None:
        return None
    events = [change.event for change in record.history]
    kept = record.state, record.stored_state, record.content, record.decision, record.current, record.deadline_ms > 0
    again = record.revision, record.excluded, record.token
    return kept, record.takes, record.loads, events, again, record.waits, record.rank, record.closes_ms


def _entry(entry: Entry) -> object:
    events = [(event.type, event.subject, event.data) for event in entry.events]
    orders = list(zip(entry.orders, entry.commands, strict=True))
    if entry.kind == "lapse":  # in order of deadline, and the clocks differ
        events, orders = sorted(events), sorted(orders)
    cells = sorted(entry.cells, key=str)
    backlog = sorted(entry.waited), entry.incoming
    rest = entry.excluded, backlog, entry.forecast, entry.record
    return entry.kind, events, cells, sorted(entry.loads), orders, *rest


def test_lockstep(server: Server):
    """Protects the twin: whatever is called, memory and store answer alike, hold alike and never oversell."""
    run_state_machine_as_test(
        lambda: Lockstep(server.url),
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )


async def _put_matrix(ledger: Ledger, partition: str, used: bool) -> tuple[int, int]:
    network = (await ledger.versions(partition)).network
    return await ledger.put_matrix(partition, "chart", b"1", network, used=used)
