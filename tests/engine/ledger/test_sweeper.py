"""The sweeper over many partitions: none waits for another's backlog, and none is asked of for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger, OrderRecord
from engine.ledger.redis import RedisLedger
from engine.sweeper import Sweeper
from tests.chaos.trust import count, within
from tests.engine.ledger.conftest import Server
from tests.engine.ledger.crowd import Crowd
from tests.engine.ledger.shop import Shop

LONG_MS, GONE_MS = 3_600_000, -5_000
IDLE = 1_000


async def _held(ledger: Ledger, partition: str, hold_ms: int) -> Shop:
    """A partition with one soft hold."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 5})
    await shop.order("O", {("A", 0): 5}, hold_ms=hold_ms)
    return shop


async def _until(come: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what others do."""
    async with asyncio.timeout(60):
        for pause in repeat(0.01):
            if await come():
                return
            await asyncio.sleep(pause)


async def _lapse(shop: Shop, order_id: str = "O") -> OrderRecord:
    """The order once its lapse is written down."""
    kept: OrderRecord | None = None

    async def written_down() -> bool:
        nonlocal kept
        kept = await shop.ledger.order(shop.partition, order_id)
        return kept is not None and kept.stored_state != "held"

    await _until(written_down)
    assert kept is not None
    assert kept.history[-1].event == "order.lapsed"
    return kept


@asynccontextmanager
async def _sweeping(ledger: Ledger, *served: str) -> AsyncIterator[Sweeper]:
    sweeper = Sweeper(ledger)
    for partition in served:
        sweeper.serve(partition)
    sweeper.start()
    yield sweeper
    await sweeper.stop()


async def test_one_question_tells_what_is_overdue(ledger: Ledger, partition: str):
    """Protects the sweeper's look: which partitions hold anything softly, and where some of it has lapsed."""
    late, far, none = (f"{partition}-{name}" for name in ("late", "far", "none"))
    shop = await _held(ledger, late, GONE_MS)
    await _held(ledger, far, LONG_MS)
    await Shop(ledger, none).open(stock={("A", 0): 5})
    assert await ledger.overdue([late, far, none, f"{partition}-unknown"]) == {late: True, far: False}
    assert await ledger.overdue([]) == {}
    while await ledger.sweep(late):
        pass
    assert await ledger.overdue([late]) == {}
    await shop.order("P", {("A", 0): 1}, hold_ms=LONG_MS)
    await shop.order("Q", {("A", 0): 1}, hold_ms=GONE_MS)
    assert await ledger.overdue([late]) == {late: True}
    await ledger.command(far, "O", "confirm")
    assert await ledger.overdue([far]) == {}


async def test_partitions_may_be_in_different_slots(tmp_path: Path):
    """Protects scale-out: a store in cluster mode, which refuses calls on keys of two slots, is swept as any other."""
    server = Server(tmp_path, cluster_enabled="yes")
    server.start()
    client = server.client()
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    async def up() -> bool:
        return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")

    await _until(up)
    store = RedisLedger(server.url)
    names = [f"p-{k}" for k in range(40)]
    assert len({client.execute_command("CLUSTER", "KEYSLOT", name) for name in names}) > 1
    for name in names:
        await _held(store, name, GONE_MS)
    assert await store.overdue(names) == dict.fromkeys(names, True)
    async with _sweeping(store):
        for name in names:
            await _lapse(Shop(store, name))
    await store.close()
    server.stop()


class _Endless(MemoryLedger):
    """A ledger with partitions whose backlogs have no end; it notes of which partitions was asked."""

    def __init__(self, *endless: str) -> None:
        super().__init__(SystemClock())
        self.endless = endless
        self.asked: list[list[str]] = []

    async def overdue(self, partitions: Sequence[str]) -> dict[str, bool]:
        self.asked.append(list(partitions))
        return {**await super().overdue(partitions), **dict.fromkeys(self.endless, True)}

    async def sweep(self, partition: str) -> int:
        await asyncio.sleep(0)
        return 1 if partition in self.endless else await super().sweep(partition)


async def test_no_backlog_keeps_another_partition_waiting():
    """Protects R8 by structure: partitions that never come to an end leave room for one that is overdue later."""
    ledger = _Endless("a", "b", "c", "z")
    async with _sweeping(ledger, "a", "b", "c", "z", "m"):
        await asyncio.sleep(0.05)
        await _lapse(await _held(ledger, "m", 20))


async def test_found_partitions_that_hold_nothing_are_forgotten():
    """Protects the store of many partitions: one that another process served is asked of only as long as it holds."""
    ledger = _Endless()
    for name, hold_ms in (("far", LONG_MS), ("late", GONE_MS), ("served", GONE_MS)):
        await _held(ledger, name, hold_ms)

    async def forgotten() -> bool:
        return ledger.asked[-1] == ["far", "served"]

    async with _sweeping(ledger, "served"):
        await _lapse(Shop(ledger, "late"))
        await _until(forgotten)
    assert ["far", "late", "served"] in ledger.asked


@pytest.fixture
def idle(server: Server, partition: str) -> Iterator[list[str]]:
    """A thousand partitions of which each holds something for an hour more."""
    client, names = server.client(), [f"{partition}-idle-{k}" for k in range(IDLE)]
    far_ms = 1000 * client.time()[0] + LONG_MS
    for name in names:
        client.zadd("{" + name + "}:holds", {"O": far_ms})
    yield names
    client.delete(*("{" + name + "}:holds" for name in names))


async def test_a_hold_among_a_thousand_partitions(store: RedisLedger, partition: str, idle: list[str]):
    """R8: beside a thousand idle partitions and a large backlog, a hold is written down within a second, by the store's
    clock, and long before the backlog's end."""
    orders = count(1_000, 20_000)
    crowd = Crowd(store, f"{partition}-a", orders, 200)
    together_ms = await crowd.hold(seconds=orders / 400)
    shop = await _held(store, f"{partition}-b", LONG_MS)
    await store.command(shop.partition, "O", "release")

    async def all_swept() -> bool:
        return not await store.overdue([crowd.partition])

    async with _sweeping(store, *idle, crowd.partition, shop.partition):
        await crowd.wait(together_ms)
        await shop.order("P", {("A", 0): 5}, hold_ms=30)
        kept = await _lapse(shop, "P")
        await _until(all_swept)
    assert 0 <= kept.history[-1].at_ms - kept.deadline_ms < within(1_000)
    last = [entry for entry in await crowd.shop.log() if entry.kind == "lapse"][-1]
    print(f"\n{kept.history[-1].at_ms - kept.deadline_ms} ms late; the backlog took {last.at_ms - together_ms} ms")
