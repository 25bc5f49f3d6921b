"""A window's way through snapshot, decision and commit, and what happens when the world changes in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from engine.allocator import Allocator
from engine.archive.recall import Recall
from engine.backorders import Backorders
from engine.clock import ManualClock
from engine.crew import Crew, Crews, InlineCrew
from engine.domain import Component, Movement, Order, OrderLine, ShipTo, Sku, StockRow
from engine.errors import KeyConflictError, OrderConflictError, StoreUnavailableError
from engine.gate import Answer, Ticket, content_hash
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Batch, LedgerUnavailableError, Outcome, Snapshot
from engine.metrics import Metrics
from engine.registry import Registry
from engine.settings import Settings
from engine.stock import StockRoom

NOW_MS = 1_795_600_000_000


def network(*nodes: dict) -> bytes:
    """Nodes with a lane of their own each; `parcel` is the lane's price."""
    return msgspec.json.encode(
        {
            "currency": "USD",
            "nodes": [
                {
                    "node_id": node["id"],
                    "country": "US",
                    "lat": 40,
                    "lon": -75,
                    "active": node.get("active", True),
                    "capacity": node.get("capacity", {}),
                }
                for node in nodes
            ],
            "carriers": [],
            "lanes": [
                {"node_id": node["id"], "to": "*", "service": "ground", "parcel": node["parcel"], "transit_days": 2}
                for node in nodes
            ],
        }
    )


class Meddler(MemoryLedger):
    """A ledger in which something else happens just before a commit, or whose store goes away for some calls."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.before_commit: list[Callable[[], Awaitable[object]]] = []
        self.failures = 0
        self.lose_reply = False
        self.commits = 0

    async def commit(self, partition: str, batch: Batch) -> list[Outcome]:
        if self.before_commit:
            await self.before_commit.pop(0)()
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailableError("gone")
        self.commits += 1
        outcomes = await super().commit(partition, batch)
        if self.lose_reply:
            self.lose_reply = False
            raise LedgerUnavailableError("the reply was lost")
        return outcomes


class World:
    """One allocator on one ledger, deciding in place."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS)
        self.ledger = Meddler(self.clock)
        self.registry = Registry(self.ledger, prices_max_age_s=Settings().price_max_age_seconds)
        self.stock = StockRoom(Recall(self.ledger, None), self.registry)
        self.crew: Crew = InlineCrew(time.monotonic)
        self.allocator = self.process("test")

    def process(self, process_id: str, aside: Crew | None = None) -> Allocator:
        """The allocator of one process on this ledger. `aside`: who decides what no other waits for."""
        metrics = Metrics()
        backorders = Backorders(self.ledger, self.registry, self.crew, self.clock, metrics, process_id)
        return Allocator(
            Recall(self.ledger, None),
            self.registry,
            Crews(self.crew, aside),
            self.clock,
            metrics,
            process_id,
            backorders.fill,
        )

    async def setup(self, nodes: Sequence[dict], stock: dict[tuple[str, str], int]) -> None:
        await self.registry.put_network("p", network(*nodes))
        rows = [StockRow(node_id=node, sku=sku, on_hand=units) for (node, sku), units in stock.items()]
        await self.stock.write("p", list(enumerate(rows)))

    def ticket(self, order: Order, key: str | None = None) -> Ticket:
        now = self.clock.monotonic()
        return Ticket(order, content_hash(order), key, now, now + 10)

    async def decide(self, *orders: Order, by: Allocator | None = None) -> list[dict]:
        tickets = [self.ticket(order) for order in orders]
        await (by or self.allocator).allocate("p", tickets)
        return [msgspec.json.decode((await ticket.answer).decision) for ticket in tickets]


def order(order_id: str, *lines: tuple[str, int]) -> Order:
    return Order(
        order_id=order_id,
        ship_to=ShipTo(country="US", region="NY", postal_code="10001"),
        lines=[OrderLine(line_id=str(n), sku=sku, quantity=quantity) for n, (sku, quantity) in enumerate(lines, 1)],
    )


@pytest.fixture
async def world() -> World:
    made = World()
    await made.setup(
        [{"id": "near", "parcel": "5.00"}, {"id": "far", "parcel": "9.00"}],
        {("near", "A"): 1, ("far", "A"): 5, ("near", "B"): 5, ("far", "B"): 0},
    )
    return made


def nodes_of(decision: dict) -> list[str]:
    return [parcel["node_id"] for parcel in decision["parcels"]]


async def test_a_window_is_decided_jointly(world: World):
    """The order that saves a parcel by it gets the last near unit, whoever came first."""
    # One by one: O1 takes near's A (5), O2 ships B near and A far (5 + 9): 19. Jointly: O1 far 9, O2 near 5: 14.
    first, second = await world.decide(order("O1", ("A", 1)), order("O2", ("A", 1), ("B", 1)))
    assert nodes_of(first) == ["far"]
    assert nodes_of(second) == ["near"]
    assert first["window"]["orders"] == 2


async def test_an_order_that_another_commit_overtook_is_solved_again(world: World):
    """Contention alone never refuses an order that could be filled."""

    async def another_process() -> None:
        await world.decide(order("rival", ("A", 1)), by=world.process("rival"))

    world.ledger.before_commit.append(another_process)
    (decision,) = await world.decide(order("O1", ("A", 1)))
    assert decision["status"] == "allocated"
    assert nodes_of(decision) == ["far"]


async def test_an_order_that_is_overtaken_aside_stays_aside_as_often_as_allowed(world: World):
    """Deciding a very large order again holds up no other window either, until its turns aside are used up."""
    decided: list[str] = []

    class Counting(InlineCrew):
        def __init__(self, name: str) -> None:
            super().__init__(time.monotonic)
            self.name = name

        async def decide(self, window):
            decided.append(self.name)
            return await super().decide(window)

    world.crew = Counting("line")
    allocator = world.process("test", Counting("aside"))
    for price in ("6.00", "7.00"):

        async def another_process(price: str = price) -> None:
            nodes = [{"id": "near", "parcel": price}, {"id": "far", "parcel": "9.00"}]
            await world.registry.put_network("p", network(*nodes))

        world.ledger.before_commit.append(another_process)
    ticket = world.ticket(order("O1", ("A", 1)))
    await allocator.allocate("p", [ticket], 2)
    assert msgspec.json.decode((await ticket.answer).decision)["status"] == "allocated"
    assert decided == ["aside", "aside", "line"]


async def test_a_refusal_is_solved_again_when_stock_came_back_meanwhile(world: World):
    """A shortage seen before the commit is verified by the commit."""
    await world.decide(order("all", ("A", 6)))

    async def cancel() -> None:
        await world.ledger.cancel("p", "all")

    world.ledger.before_commit.append(cancel)
    (decision,) = await world.decide(order("O1", ("A", 1)))
    assert decision["status"] == "allocated"


async def test_a_window_on_an_old_network_is_solved_again(world: World):
    """No parcel leaves a node that was paused before the commit."""

    async def pause() -> None:
        await world.registry.patch_node("p", "near", b'{"active": false}')

    world.ledger.before_commit.append(pause)
    (decision,) = await world.decide(order("O1", ("A", 1)))
    assert nodes_of(decision) == ["far"]
    assert decision["window"]["network_version"] == 2


async def test_a_window_on_an_old_policy_is_solved_again(world: World):
    """Whatever policy changes, no order is committed by one that was replaced."""

    async def exclude() -> None:
        body = b'{"rules": [{"name": "r", "then": {"except_nodes": ["near"]}}]}'
        assert await world.registry.put_policy("p", "default", body) == 2

    world.ledger.before_commit.append(exclude)
    (decision,) = await world.decide(order("O1", ("A", 1)))
    assert nodes_of(decision) == ["far"]
    assert decision["window"]["policy_version"] == 2


async def test_a_repeat_gets_the_first_decision_byte_for_byte(world: World):
    """Retries are safe, in the same window and later."""
    twins = [world.ticket(order("O1", ("A", 1))) for _ in range(3)]
    await world.allocator.allocate("p", twins)
    later = world.ticket(order("O1", ("A", 1)))
    await world.allocator.allocate("p", [later])
    answers = [await ticket.answer for ticket in [*twins, later]]
    assert [answer.repeat for answer in answers] == [False, True, True, True]
    assert len({answer.decision for answer in answers}) == 1


async def test_repeats_do_not_disturb_the_new_orders_of_their_window(world: World):
    """A window keeps the stock it read, although its repeats leave it before it is decided."""
    await world.decide(order("O1", ("A", 1)))
    first, second = await world.decide(order("O1", ("A", 1)), order("O2", ("B", 5)))
    assert [line["sku"] for parcel in first["parcels"] for line in parcel["lines"]] == ["A"]
    assert second["status"] == "allocated"
    assert nodes_of(second) == ["near"]


async def test_other_content_under_a_known_id_is_a_conflict(world: World):
    """An order id names one content for ever."""
    first, other = world.ticket(order("O1", ("A", 1))), world.ticket(order("O1", ("A", 2)))
    await world.allocator.allocate("p", [first, other])
    assert isinstance(await first.answer, Answer)
    with pytest.raises(OrderConflictError):
        await other.answer


async def test_an_idempotency_key_belongs_to_one_order(world: World):
    """The same key for another order is refused, and that order is not decided."""
    first, other = world.ticket(order("O1", ("A", 1)), "key"), world.ticket(order("O2", ("A", 1)), "key")
    await world.allocator.allocate("p", [first, other])
    assert isinstance(await first.answer, Answer)
    with pytest.raises(KeyConflictError):
        await other.answer
    assert await world.ledger.order("p", "O2") is None


async def test_a_growing_catalogue_does_not_hold_up_orders(world: World):
    """A SKU upload during an order costs it nothing: only network and policy make a window start again."""

    async def upload() -> None:
        await world.registry.put_skus("p", [Sku(sku="NEW", weight_g=1)])

    for _ in range(3):
        world.ledger.before_commit.append(upload)
        (decision,) = await world.decide(order(f"O{len(world.ledger.before_commit)}-{world.ledger.commits}", ("B", 1)))
        assert decision["status"] == "allocated"
    assert world.ledger.commits == 3


async def test_a_rival_with_other_content_does_not_spoil_the_repeats_behind_it(world: World):
    """R5 between processes: who posts the decided content gets its decision, whoever else is in the window."""

    async def another_process() -> None:
        await world.decide(order("O1", ("A", 1)), by=world.process("rival"))

    world.ledger.before_commit.append(another_process)
    rival, same = world.ticket(order("O1", ("B", 1))), world.ticket(order("O1", ("A", 1)))
    await world.allocator.allocate("p", [rival, same])
    with pytest.raises(OrderConflictError):
        await rival.answer
    assert (await same.answer).repeat


async def test_a_store_that_comes_back_is_waited_for(world: World):
    """A short outage costs latency, not orders."""
    world.ledger.failures = 2
    (decision,) = await world.decide(order("O1", ("A", 1)))
    assert decision["status"] == "allocated"


async def test_a_lost_reply_is_not_decided_twice(world: World):
    """When the commit stood but its reply did not arrive, the order keeps that decision."""
    world.ledger.lose_reply = True
    (decision,) = await world.decide(order("O1", ("A", 1)))
    record = await world.ledger.order("p", "O1")
    assert record is not None
    assert msgspec.json.decode(record.decision) == decision
    assert world.ledger.commits == 1


async def test_a_store_that_stays_away_is_an_error_with_a_time_to_retry(world: World):
    """Callers are not kept waiting beyond their deadline."""
    world.ledger.failures = 1_000_000
    ticket = world.ticket(order("O1", ("A", 1)))
    deciding = asyncio.create_task(world.allocator.allocate("p", [ticket]))
    await asyncio.sleep(0)
    world.clock.advance(11_000)
    with pytest.raises(StoreUnavailableError):
        await asyncio.wait_for(ticket.answer, 5)
    await deciding


async def test_a_kit_takes_its_parts_in_the_store(world: World):
    """5 of A at `far` and 1 at `near`: two kits of 3 A cannot both be had, one can; B of the other node is no help."""
    await world.registry.put_skus("p", [Sku(sku="K", components=[Component(sku="A", quantity=3)])])
    first, second = await world.decide(order("O1", ("K", 1)), order("O2", ("K", 1)))
    assert sorted([first["status"], second["status"]]) == ["allocated", "refused"]
    (row,) = [cell for cell in (await world.stock.view("p", "A")).nodes if cell.node_id == "far"]
    assert (row.held, row.available) == (3, 2)


async def test_a_kit_that_was_changed_meanwhile_is_read_with_its_new_parts(world: World):
    """The snapshot was asked for the old parts; the catalogue it comes with has others: another round is due."""
    await world.registry.put_skus("p", [Sku(sku="K", components=[Component(sku="A", quantity=1)])])
    assert (await world.decide(order("O1", ("K", 1))))[0]["status"] == "allocated"
    read = world.ledger.snapshot

    async def meddled(*asked: Any, **more: Any) -> Snapshot:
        world.ledger.snapshot = read
        await Registry(world.ledger).put_skus("p", [Sku(sku="K", components=[Component(sku="B", quantity=2)])])
        return await read(*asked, **more)

    world.ledger.snapshot = meddled
    (decision,) = await world.decide(order("O2", ("K", 1)))
    assert decision["status"] == "allocated"
    (row,) = [cell for cell in (await world.stock.view("p", "B")).nodes if cell.node_id == "near"]
    assert row.held == 2


async def test_a_refused_kit_is_decided_again_when_a_part_comes_back(world: World):
    """The claim of a refusal is about the parts: a part received between snapshot and commit makes it void."""
    await world.registry.put_skus("p", [Sku(sku="K", components=[Component(sku="A", quantity=7)])])

    async def receive() -> None:
        rows = [Movement(movement_id="m", node_id="far", sku="A", kind="receive", quantity=2)]
        await world.stock.write("p", list(enumerate(rows)))

    world.ledger.before_commit.append(receive)
    (decision,) = await world.decide(order("O", ("K", 1)))
    assert decision["status"] == "allocated"
