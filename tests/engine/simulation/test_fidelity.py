"""Live fidelity: windows that were decided live, decided in a simulation, give the same decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
import pytest

from engine.assembly import Engine, build_memory
from engine.clock import ManualClock
from engine.domain import Order, epoch_ms
from engine.ledger.journal import summary
from engine.policy import Policy, WindowTerms
from engine.records import Records
from engine.settings import Settings
from engine.simulation.demand_document import Generator, Promised
from engine.simulation.generated import Generated
from engine.simulation.present import present
from engine.simulation.running import Watch, run
from tests.engine.simulation.worlds import SKUS, setting, with_policy, world

PARTITION = "default"
LENGTH_MS = 40

TIMINGS = ("window_id", "waited_ms", "solve_ms", "policy_version", "network_version")
"""What of a decision says when and by whom it was made."""


def plain(decision: bytes) -> dict[str, Any]:
    """A decision without timings and ids of the process."""
    told: dict[str, Any] = msgspec.json.decode(decision)
    for name in TIMINGS:
        told["window"].pop(name)
    return told


async def furnished(clock: ManualClock, policy: Policy, units: int) -> Engine:
    """A live engine with the small merchant's documents and stock."""
    base = with_policy(world(units), window=policy.window, limits=policy.limits)
    engine = build_memory(Settings(window_linger_ms=0, order_timeout_ms=600_000), clock)
    await engine.start()
    await engine.registry.put_network(PARTITION, msgspec.json.encode(base.network))
    await engine.registry.put_policy(PARTITION, "default", msgspec.json.encode(policy))
    await engine.registry.put_skus(PARTITION, base.skus)
    tally = await engine.stock.write(PARTITION, list(enumerate(base.stock, start=1)))
    assert not tally.faults
    return engine


async def decided_live(engine: Engine, clock: ManualClock, orders: Sequence[Order]) -> None:
    """Let orders come through the gate; those of one instant are one window, closed as long after as windows are."""
    for at, together in groupby(orders, key=lambda order: order.placed_at):
        assert at is not None
        clock.set(epoch_ms(at) + LENGTH_MS)
        await asyncio.gather(*(engine.gate.submit(PARTITION, order) for order in together))


@pytest.mark.parametrize("units", [8, 60], ids=["scarce", "ample"])
async def test_recorded_live_windows_give_the_same_decisions_in_a_simulation(units):
    """The windows in the live log, simulated on the stock of before, differ in timings only, scarce or not."""
    clock = ManualClock(epoch_ms(datetime(2026, 11, 22, tzinfo=UTC)))
    policy = Policy(window=WindowTerms(max_wait_ms=LENGTH_MS))
    engine = await furnished(clock, policy, units)
    try:
        before = await present(engine.ledger, PARTITION)
        terms = Generator(
            since=datetime(2026, 11, 23, tzinfo=UTC),
            days=0.5,
            orders_per_day=240,
            promised=Promised(share=0.5, days_min=1, days_max=3),
        )
        orders = [
            # Some at one instant, so that windows hold several.
            msgspec.structs.replace(each, placed_at=each.placed_at.replace(minute=0, second=0, microsecond=0))
            for each in Generated(terms, SKUS, 5).orders()
        ]
        await decided_live(engine, clock, orders)
        recorded = [
            entry async for entry in engine.ledger.entries(PARTITION) if entry.kind == "commit" and entry.record
        ]
        records = Records(engine.past, engine.registry)
        replayed: list[Order] = []
        live: list[bytes] = []
        for entry in recorded:
            first = msgspec.json.decode(summary(entry.record))["order_ids"][0]
            window, _ = await records.recorded(PARTITION, first)
            replayed += window.orders
            for one in window.orders:
                record = await engine.ledger.order(PARTITION, one.order_id)
                assert record is not None
                live.append(record.decision)
    finally:
        await engine.stop()
    simulated: list[bytes] = []
    windows: list[int] = []
    of = setting(before)
    await run(of, replayed, Watch(decided=lambda some: (simulated.extend(some), windows.append(len(some)))))
    assert len(recorded) > 5
    assert max(windows) > 5
    assert [plain(each) for each in simulated] == [plain(each) for each in live]


async def test_reading_the_present_changes_nothing_and_counts_only_what_is_left():
    """The world that a simulation begins with is what is free now; the partition it is read from stays as it is."""
    clock = ManualClock(epoch_ms(datetime(2026, 11, 23, tzinfo=UTC)))
    engine = await furnished(clock, Policy(), 5)
    try:
        terms = Generator(since=datetime(2026, 11, 23, tzinfo=UTC), days=0.1, orders_per_day=100)
        await decided_live(engine, clock, list(Generated(terms, SKUS, 1).orders()))
        before = [entry.entry_id async for entry in engine.ledger.entries(PARTITION)]
        held = sum(int(row.slots["held"].sum()) for row in [await engine.ledger.stock(PARTITION, sku) for sku in SKUS])
        found = await present(engine.ledger, PARTITION)
        assert [entry.entry_id async for entry in engine.ledger.entries(PARTITION)] == before
        assert held > 0
        assert sum(row.on_hand for row in found.stock) == 5 * 3 * len(SKUS) - held
        assert found.network.nodes == world().network.nodes
        assert {sku.sku for sku in found.skus} == set(SKUS)
    finally:
        await engine.stop()
