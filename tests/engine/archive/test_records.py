"""Decisions found again with all that they depended on: in the store, in the archive, or gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.archive import writing
from engine.archive.database import Archive, sqlite_url
from engine.archive.sweep import Sweep
from engine.assembly import Engine
from engine.clock import ManualClock, SystemClock
from engine.crew import InlineCrew
from engine.deciding import decide
from engine.domain import Order, Sku
from engine.errors import GoneError, NotFoundError, StoreUnavailableError
from engine.explaining.explain import explain
from engine.gate import Anew
from engine.ledger import cuts
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Ledger, StockKind, StockWrite
from engine.ledger.redis import RedisLedger
from engine.lowering import WindowInput
from engine.metrics import Metrics
from engine.records import Records
from engine.settings import Settings
from tests.engine.archive.conftest import follow
from tests.engine.making import document, node, order

NEAR_AND_FAR = [node("A"), node("B", lon=-110.0)]


class House:
    """An engine whose archive follows when told."""

    def __init__(self, ledger: Ledger, archive: Archive | None, partition: str) -> None:
        self.ledger, self.archive, self.partition = ledger, archive, partition
        self.engine = self.another()

    def another(self) -> Engine:
        """An engine on the same store and archive that has seen nothing yet."""
        crew = InlineCrew(time.monotonic)
        # Orders that come at once share a window, also where the machine is busy.
        return Engine(Settings(window_linger_ms=100), self.ledger, crew, SystemClock(), Metrics(), archive=self.archive)

    async def network(self, nodes: list[dict[str, Any]], **more: Any) -> None:
        """A new network."""
        await self.engine.registry.put_network(self.partition, msgspec.json.encode(document(nodes, **more)))

    async def stock(self, sku: str, **units: int) -> None:
        """Goods received."""
        _, numbers = await self.ledger.network(self.partition)
        writes = [StockWrite(sku, numbers[name], StockKind.RECEIVE, each) for name, each in units.items()]
        await self.ledger.write_stock(self.partition, writes)

    async def place(self, *orders: Order, anew: Anew | None = None) -> list[bytes]:
        """Orders that come at once, and their decisions."""
        submitted = [self.engine.gate.submit(self.partition, each, anew=anew) for each in orders]
        return [answer.decision for answer in await asyncio.gather(*submitted)]

    async def follow(self, **settings: object) -> None:
        """Bring all into the archive."""
        assert self.archive is not None
        await follow(self.ledger, self.archive, self.partition, **settings)

    async def sweep(self, **settings: object) -> None:
        """Let go of what is old."""
        assert self.archive is not None
        one = Sweep(self.ledger, self.archive, SystemClock(), Settings(**settings))
        await one.partition(self.partition)

    async def recorded(self, order_id: str, engine: Engine | None = None) -> tuple[WindowInput, bytes]:
        """As `Records.recorded`, of a process that has nothing at hand."""
        engine = engine or self.another()
        return await Records(engine.past, engine.registry).recorded(self.partition, order_id)

    async def replays(self, order_id: str) -> WindowInput:
        """The window of an order, after deciding it again gave the order's current decision."""
        window, decision = await self.recorded(order_id)
        found = {each.order_id: each.decision for each in decide(window, now=time.monotonic).proposals}
        assert untimed(found[order_id]) == untimed(decision)
        record = await self.engine.past.order(self.partition, order_id)
        assert record is not None
        assert record.current == decision
        return window


def untimed(decision: bytes) -> dict[str, Any]:
    """A decision without how long deciding took."""
    told = msgspec.json.decode(decision)
    told["window"]["solve_ms"] = 0
    return told


@pytest.fixture(params=["memory", "redis"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Each ledger in turn, by the clock of the engine."""
    if request.param == "memory":
        yield MemoryLedger(SystemClock())
        return
    made = RedisLedger(request.getfixturevalue("server").url)
    yield made
    await made.close()


@pytest.fixture
async def house(ledger: Ledger, archive: Archive, partition: str) -> House:
    """Two nodes with a little stock."""
    made = House(ledger, archive, partition)
    await made.network(NEAR_AND_FAR)
    await made.engine.registry.put_skus(partition, [Sku(sku="S", weight_g=300), Sku(sku="T", weight_g=5_000)])
    await made.stock("S", A=3, B=9)
    await made.stock("T", B=4)
    return made


async def test_orders_of_one_window_are_decided_again(house: House):
    """R14: orders that competed for one cell are recomputed together, though stock has changed since."""
    asked = [order(f"O{n}", ("S", 2), ("T", 1)) for n in range(3)]
    decisions = await house.place(*asked)
    await house.stock("S", A=50)
    window = await house.replays("O1")
    assert [each.order_id for each in window.orders] == ["O0", "O1", "O2"]
    assert window.items["S"].weight_g == 300
    for each in ("O0", "O2"):
        await house.replays(each)
    assert (await house.recorded("O2"))[1] == decisions[2]


async def test_an_order_decided_again_has_the_record_of_its_last_window(house: House):
    """After a re-route the current decision counts, with what the order itself held free and the node left out."""
    asked = order("O", ("S", 3))
    first = (await house.place(asked))[0]
    second = (await house.place(asked, anew=Anew("reroute", "C", "digest", "", ("A",))))[0]
    window = await house.replays("O")
    assert untimed((await house.recorded("O"))[1]) == untimed(second) != untimed(first)
    assert window.again is not None
    assert window.again.excluded == ("A",)


async def test_a_hold_that_had_lapsed_counts_as_free_in_the_record(house: House):
    """The record has the stock as the window saw it, before anybody wrote down that the hold was over."""
    await house.place(order("held", ("S", 3), hold_seconds=1))
    await asyncio.sleep(1.1)
    await house.place(order("O", ("S", 3)))
    window = await house.replays("O")
    assert sum(int(row.slots["held"].sum()) for row in window.snapshot.rows) == 0


async def test_all_cuts_of_a_window_share_its_record(house: House, monkeypatch: pytest.MonkeyPatch):
    """A large window commits in several steps; what the later ones decided is told by the record of the first."""
    monkeypatch.setattr(cuts, "CUT_ORDERS", 2)
    asked = [order(f"O{n}", ("S", 1)) for n in range(7)]
    await house.place(*asked)
    records = [await house.ledger.order(house.partition, each.order_id) for each in asked]
    assert len({each.recorded for each in records if each is not None}) == 1
    for each in ("O0", "O6"):
        assert len((await house.replays(each)).orders) == 7


async def test_what_left_the_store_is_recomputed_from_the_archive(house: House):
    """Orders and log entries leave; an explanation needs neither, in any process, also once the tables are remade."""
    await house.place(order("O", ("S", 3), ("T", 1)))
    await house.ledger.cancel(house.partition, "O")
    await house.place(order("later", ("S", 1)))
    await house.place(order("last", ("S", 1)))
    await house.follow(log_tail_entries=1)
    await house.sweep(order_retention_days=0, ended_orders_max=0)
    assert await house.ledger.order(house.partition, "O") is None
    before = await house.replays("O")
    recorded = await house.engine.past.order(house.partition, "O")
    assert recorded is not None
    assert await house.ledger.record(house.partition, recorded.recorded) is None
    await house.archive.write(writing.rebuild, house.partition)
    assert (await house.replays("O")).orders == before.orders


async def test_a_record_is_let_go_of_after_its_days(house: House):
    """Disk is bounded: what is old enough says that it is gone, and younger records stay."""
    await house.place(order("O", ("S", 1)))
    await house.place(order("P", ("S", 1)))
    await house.place(order("Q", ("S", 1)))
    await house.follow(log_tail_entries=1)
    await house.sweep(record_days=1)
    await house.replays("O")
    await house.sweep(record_days=0)
    with pytest.raises(GoneError, match="kept no longer"):
        await house.recorded("O")
    await house.replays("Q")  # its entry is still in the log


async def test_documents_of_the_past_come_from_the_archive(house: House):
    """A network without the node, another matrix, a hundred policies later: the decision rests on those of its day."""
    zones = {"kind": "matrix", "matrix": "m"}
    by_matrix = [{"carrier": "c", "service": "s", "zones": zones, "transit_days": [1, 2],
                  "rates": [{"up_to_g": 9_000, "by_zone": ["4.00", "9.00"]}]}]  # fmt: skip
    registry, partition = house.engine.registry, house.partition
    near, far = b"origin,destination,zone\nA,67,1\nB,67,2\n", b"origin,destination,zone\nA,67,2\nB,67,1\n"
    await registry.matrices.put(partition, "m", near)
    await house.network([*NEAR_AND_FAR, node("C")], carriers=by_matrix)
    await registry.put_policy(partition, "p", b'{"objective":{"split_parcel":"1.00"}}')
    there = {"postal_code": "67001"}
    await house.place(order("O", ("S", 3), ("T", 1), ship_to=there, policy_id="p"))
    await registry.matrices.put(partition, "m", far)
    await house.network(NEAR_AND_FAR, carriers=by_matrix)
    for k in range(101):
        await registry.put_policy(partition, "p", b'{"objective":{"split_parcel":"%d.00"}}' % (2 + k))
    with pytest.raises(StoreUnavailableError, match="has not come"):
        await house.recorded("O")
    await house.follow()
    window = await house.replays("O")
    assert window.network.node_ids == ("A", "B", "C")
    assert [str(window.policy.objective.split_parcel), window.policy_version] == ["1.00", 1]
    await house.place(order("P", ("S", 3), ship_to=there, policy_id="p"))
    assert (await house.replays("P")).network.version > window.network.version
    engine = house.another()
    first, _ = await house.recorded("O", engine)
    assert first.network.matrices["m"].csv() != (await house.recorded("P", engine))[0].network.matrices["m"].csv()


async def test_an_unknown_order_has_no_record(house: House):
    """Nothing was decided: that is not the same as forgotten."""
    with pytest.raises(NotFoundError):
        await house.recorded("nobody")


async def test_records_survive_a_restart(tmp_path: Path, partition: str, server: Any):
    """The archive is opened anew by another process, and the store has the log."""
    first = House(RedisLedger(server.url), Archive(sqlite_url(tmp_path)), partition)
    await first.network(NEAR_AND_FAR)
    await first.stock("S", A=9)
    await first.place(order("O", ("S", 1)))
    await first.follow(log_tail_entries=1)
    await first.archive.close()
    await first.ledger.close()
    second = House(RedisLedger(server.url), Archive(sqlite_url(tmp_path)), partition)
    await second.replays("O")
    await second.archive.close()
    await second.ledger.close()


async def test_without_an_archive_the_store_answers_while_it_can(partition: str):
    """A process that keeps no archive explains what is in the log; what left it cannot tell."""
    house = House(MemoryLedger(ManualClock(1_795_600_000_000)), None, partition)
    await house.network(NEAR_AND_FAR)
    await house.stock("S", A=9)
    await house.place(order("O", ("S", 1)))
    await house.replays("O")
    await house.network([*NEAR_AND_FAR, node("C")])
    with pytest.raises(StoreUnavailableError):
        await house.recorded("O")


async def test_what_waited_is_recomputed_as_it_was_filled(house: House):
    """An order that got the rest later has the record of the window that filled it, and the explanation says so."""
    await house.place(order("O", ("S", 15), backorder=True))
    first = await house.recorded("O")
    await house.stock("S", A=5)
    assert await house.engine.backorders.fill(house.partition, ["S"])
    window, decision = await house.recorded("O")
    assert (first[0].in_turn, window.in_turn) == (False, True)
    told = explain(window, "O", decision, now=time.monotonic)
    assert told.reproduced
    assert told.chosen.units == 3
    assert msgspec.json.decode(decision)["status"] == "allocated"
