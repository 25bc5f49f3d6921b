"""When standing orders are decided again, which ones, and that nothing moves that changed meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from engine.assembly import Engine, build_memory
from engine.clock import ManualClock
from engine.crew import CrewError
from engine.domain import Movement, Order, epoch_ms
from engine.ledger.port import LedgerUnavailableError
from engine.ledger.reconcile import reconcile
from engine.policy import Policy
from engine.reoptimising import walking
from engine.reoptimising.standing import Standing
from engine.reoptimising.task import CLOSING_MS, Reoptimiser
from engine.reoptimising.walking import YIELD_TICKS
from engine.settings import Settings
from tests.engine.making import MONDAY, document, node

PARTITION = "default"
NODES = [
    node("N1", cutoff="15:00", handling_minutes=60),
    node("N2", lat=39.5, cutoff="15:00"),
    node("N3", lat=47.0, cutoff="15:00"),
]
"""From the usual place: 60 miles, 95 and some 600; 5.00, 5.00 and 7.00."""


class Shop:
    """An engine on the memory twin whose background task is called by the test."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine = engine
        self.clock = clock
        self._received = 0

    async def policy(self, **terms: Any) -> None:
        body = {"reoptimise": {"mode": "on", "every_seconds": 3_600, **terms}}
        await self.engine.registry.put_policy(PARTITION, "default", msgspec.json.encode(msgspec.convert(body, Policy)))

    async def receive(self, node_id: str, sku: str, units: int) -> None:
        self._received += 1
        movement = Movement(movement_id=f"M{self._received}", node_id=node_id, sku=sku, kind="receive", quantity=units)
        tally = await self.engine.stock.write(PARTITION, [(1, movement)])
        assert not tally.faults

    async def order(self, order_id: str, sku: str = "A", units: int = 1, lat: float = 38.5) -> None:
        lines = [{"line_id": "1", "sku": sku, "quantity": units}]
        body = {"order_id": order_id, "ship_to": {"country": "US", "lat": lat, "lon": -99.0}, "lines": lines}
        await self.engine.gate.submit(PARTITION, msgspec.convert(body, Order))

    async def look(self, seconds: float = 0.0) -> None:
        self.clock.advance(round(seconds * 1000))
        await self.engine.reoptimiser.look(PARTITION)

    async def node_of(self, order_id: str) -> str:
        record = await self.engine.ledger.order(PARTITION, order_id)
        assert record is not None
        [parcel] = msgspec.json.decode(record.current)["parcels"]
        return str(parcel["node_id"])

    async def report(self) -> dict[str, Any]:
        found = await self.engine.ledger.reports(PARTITION)
        return msgspec.json.decode(found["default"]) if found else {}


@pytest.fixture
async def shop():
    """A shop that must reconcile when the test is over."""
    clock = ManualClock(epoch_ms(MONDAY))
    engine = build_memory(Settings(window_linger_ms=0), clock)
    await engine.start()
    await engine.reoptimiser.stop()
    made = Shop(engine, clock)
    await engine.registry.put_network(PARTITION, msgspec.json.encode(document(NODES)))
    await made.policy()
    yield made
    report = await reconcile(engine.ledger, PARTITION)
    assert report.clean, report.differences
    await engine.stop()


async def test_orders_are_looked_at_every_so_often(shop):
    """Protects the period: not before it is over, then all, then not before it is over again."""
    await shop.receive("N3", "A", 5)
    await shop.look()
    await shop.order("O")
    await shop.receive("N1", "B", 1)
    await shop.look(3_500)
    assert (await shop.report()).get("why") != "period"
    await shop.look(100)
    told = await shop.report()
    assert (told["why"], told["looked_at"], told["moved"]) == ("period", 1, 0)


async def test_stock_that_came_helps_those_who_want_it(shop):
    """Protects promptness and calm: a receipt brings a look at once, and only at orders of what became available."""
    await shop.receive("N3", "A", 5)
    await shop.receive("N3", "B", 5)
    await shop.look()
    await shop.order("OA")
    await shop.order("OB", "B")
    await shop.receive("N1", "A", 1)
    await shop.look(5)
    assert await shop.node_of("OA") == "N1"
    await shop.receive("N1", "C", 1)
    await shop.look(5)
    assert (await shop.report())["looked_at"] == 1, "what OA left may help others who want the same"
    await shop.receive("N1", "B", 1)
    await shop.look(5)
    told = await shop.report()
    assert (told["why"], told["looked_at"], told["moved"]) == ("stock", 1, 1)
    assert (await shop.node_of("OB"), told["moves"][0]["order_id"]) == ("N1", "OB")


@pytest.mark.parametrize("mode", ["on", "dry_run"])
async def test_stock_that_came_helps_all_who_want_it(shop, monkeypatch, mode):
    """Protects the saving: one receipt brings a look at all orders that want the SKU, however many pages and turns,
    though those that move close at another time."""
    monkeypatch.setattr(walking, "PAGE_ORDERS", 1)
    await shop.policy(max_orders=1, mode=mode)
    await shop.receive("N3", "A", 4)
    await shop.look()
    for k in range(4):
        await shop.order(f"O{k}")
    await shop.receive("N1", "A", 4)
    await shop.look(5)
    told = await shop.report()
    assert (told["why"], told["looked_at"], told["moved"]) == ("stock", 4, 4)
    assert {await shop.node_of(f"O{k}") for k in range(4)} == {"N1" if mode == "on" else "N3"}


async def test_who_looks_for_the_first_time_looks_at_all(shop):
    """Protects from what nobody saw: stock that came before this process first looked helps as any other."""
    await shop.receive("N3", "A", 1)
    await shop.order("O")
    await shop.receive("N1", "A", 1)
    await shop.look()
    told = await shop.report()
    assert (told["why"], told["looked_at"], told["moved"]) == ("stock", 1, 1)
    assert await shop.node_of("O") == "N1"


async def test_a_last_look_before_orders_close(shop):
    """Protects cut-offs: orders are looked at once more shortly before their day closes, and never after it."""
    await shop.receive("N1", "A", 1)
    await shop.policy(every_seconds=86_400)
    await shop.look()
    await shop.order("O")
    record = await shop.engine.ledger.order(PARTITION, "O")
    assert record.closes_ms == epoch_ms(MONDAY.replace(hour=14)), "an hour of handling before the cut-off"
    await shop.look()
    shop.clock.set(record.closes_ms - CLOSING_MS - 1)
    await shop.look()
    assert (await shop.report()).get("looked_at", 0) == 0
    await shop.look(1)
    told = await shop.report()
    assert (told["why"], told["looked_at"]) == ("closing", 1)
    shop.clock.set(record.closes_ms)
    await shop.receive("N1", "A", 1)
    await shop.look(0.001)
    assert (await shop.report()) == told


async def test_orders_change_places_if_it_pays(shop):
    """Protects joint decisions: who came first leaves the near node to one for whom everything else is far."""
    await shop.receive("N1", "A", 1)
    await shop.receive("N3", "A", 1)
    await shop.look()
    await shop.order("first", lat=41.5)
    await shop.order("second")
    assert (await shop.node_of("first"), await shop.node_of("second")) == ("N1", "N3")
    await shop.look()
    await shop.look(3_600)
    told = await shop.report()
    assert (told["looked_at"], told["moved"], told["saving"]) == (2, 2, "2.00")
    assert (await shop.node_of("first"), await shop.node_of("second")) == ("N3", "N1")


async def test_what_changed_meanwhile_is_dropped(shop, monkeypatch):
    """Protects nodes: an order that is handed over while it is decided again stays where it is, and that is told."""
    await shop.receive("N3", "A", 5)
    await shop.look()
    await shop.order("O")
    crew = shop.engine._desk
    decide = crew.decide

    async def slowly(window):
        decided = await decide(window)
        await shop.engine.ledger.command(PARTITION, "O", "ready")
        return decided

    monkeypatch.setattr(crew, "decide", slowly)
    await shop.receive("N1", "A", 1)
    await shop.look(5)
    told = await shop.report()
    assert (told["moved"], told["dropped"], told["saving"]) == (0, 1, "0")
    assert await shop.node_of("O") == "N3"


async def test_what_fails_stops_nobody_else(shop, monkeypatch):
    """Protects the saving: a turn that fails and an order that cannot be read leave all others their turns; a store
    that does not answer ends the walk."""
    await shop.policy(max_orders=1)
    await shop.receive("N3", "A", 5)
    await shop.look()
    for order_id in ("O0", "O1", "O2"):
        await shop.order(order_id)
    decide, of, swap = shop.engine._desk.decide, Standing.of, shop.engine.ledger.swap

    async def failing(window):
        if window.orders[0].order_id == "O0":
            raise CrewError
        return await decide(window)

    def unreadable(record):
        return of(replace(record, order=b"{}") if record.order_id == "O1" else record)

    async def unavailable(*_):
        raise LedgerUnavailableError

    monkeypatch.setattr(shop.engine._desk, "decide", failing)
    monkeypatch.setattr(Standing, "of", unreadable)
    monkeypatch.setattr(shop.engine.ledger, "swap", unavailable)
    await shop.receive("N1", "A", 5)
    with pytest.raises(LedgerUnavailableError):
        await shop.look(5)
    monkeypatch.setattr(shop.engine.ledger, "swap", swap)
    await shop.look(3_600)
    assert (await shop.report())["looked_at"] == 1
    assert [await shop.node_of(order_id) for order_id in ("O0", "O1", "O2")] == ["N3", "N3", "N1"]


async def test_each_turn_gives_way_to_orders_that_wait(shop, monkeypatch):
    """Protects the hot path: no turn begins while orders wait for a window, for a bounded number of times each."""
    told: list[str] = []
    waiting = iter([True] * 2 * YIELD_TICKS + [False])
    decide = shop.engine._desk.decide

    async def noted(window):
        told.append("turn")
        return await decide(window)

    def busy():
        told.append("asked")
        return next(waiting)

    await shop.policy(max_orders=1)
    await shop.receive("N3", "A", 3)
    await shop.look()
    for k in range(3):
        await shop.order(f"O{k}")
    monkeypatch.setattr(walking, "YIELD_SECONDS", 0)
    monkeypatch.setattr(shop.engine.reoptimiser._walker, "_busy", busy)
    monkeypatch.setattr(shop.engine._desk, "decide", noted)
    await shop.receive("N1", "A", 1)
    await shop.look(5)
    assert told == [*["asked"] * YIELD_TICKS, "turn", *["asked"] * YIELD_TICKS, "turn", "asked", "turn"]


async def test_who_closes_meanwhile_stays(shop, monkeypatch):
    """Protects cut-offs: an order that closes while its turn gives way to others is not decided again."""
    await shop.receive("N3", "A", 1)
    await shop.order("O")
    await shop.look()
    record = await shop.engine.ledger.order(PARTITION, "O")
    shop.clock.set(record.closes_ms - 1)

    def busy():
        shop.clock.advance(1)
        return False

    monkeypatch.setattr(shop.engine.reoptimiser._walker, "_busy", busy)
    await shop.receive("N1", "A", 1)
    await shop.look()
    told = await shop.report()
    assert (told["why"], told["looked_at"], await shop.node_of("O")) == ("period", 0, "N3")


async def test_one_process_does_it(shop):
    """Protects the store: a second process leaves a partition to the one that has the lease."""
    engine = shop.engine
    other = Reoptimiser(
        engine.ledger, engine.registry, engine._desk, shop.clock, engine._metrics, "other", lambda: False
    )
    await shop.receive("N3", "A", 1)
    await shop.look()
    await shop.order("O")
    shop.clock.advance(3_600_000)
    await shop.look()
    told = await shop.report()
    await other.look(PARTITION)
    shop.clock.advance(5_000)
    await other.look(PARTITION)
    assert await shop.report() == told


async def test_only_where_orders_may_move_documents_are_loaded(shop, monkeypatch):
    """Protects memory: a process loads the documents of no partition in which nothing may move, or another is at it."""
    registry, loaded = shop.engine.registry, []
    books = registry.books

    async def noted(partition, versions=None):
        loaded.append(partition)
        return await books(partition, versions)

    await registry.put_network("calm", msgspec.json.encode(document(NODES)))
    await shop.receive("N3", "A", 1)
    reoptimiser = shop.engine.reoptimiser
    monkeypatch.setattr(registry, "books", noted)
    await reoptimiser.look_around()
    assert loaded == []
    await shop.order("O")
    loaded.clear()
    await reoptimiser.look_around()
    assert set(loaded) == {PARTITION}
    loaded.clear()
    engine = shop.engine
    other = Reoptimiser(engine.ledger, registry, engine._desk, shop.clock, engine._metrics, "other", lambda: False)
    await other.look_around()
    assert loaded == []


async def test_policies_have_their_own_turns(shop):
    """Protects policies: orders of a policy that does not ask for it are not looked at, whatever others ask."""
    off = msgspec.json.encode(Policy())
    await shop.engine.registry.put_policy(PARTITION, "calm", off)
    await shop.receive("N3", "A", 2)
    await shop.look()
    await shop.order("O")
    body = {"order_id": "C", "policy_id": "calm", "ship_to": {"country": "US", "lat": 38.5, "lon": -99.0}}
    body["lines"] = [{"line_id": "1", "sku": "A", "quantity": 1}]
    await shop.engine.gate.submit(PARTITION, msgspec.convert(body, Order))
    await shop.receive("N1", "A", 2)
    await shop.look(5)
    assert (await shop.node_of("O"), await shop.node_of("C")) == ("N1", "N3")
    assert (await shop.report())["looked_at"] == 1
