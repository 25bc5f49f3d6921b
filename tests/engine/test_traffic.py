"""Windows under way at once: what one takes is taken for the next, and what it does not take after all is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.clock import ManualClock
from engine.crew import InlineCrew
from engine.deciding import DecidedWindow
from engine.gate import Answer, Gate, Ticket
from engine.lowering import WindowInput
from engine.metrics import Metrics
from engine.policy import WindowTerms
from engine.settings import Settings
from engine.traffic import Traffic
from tests.engine.test_allocator import World, nodes_of, order
from tests.engine.test_gate import Allocator, asked, gate
from tests.engine.test_gate import order as plain

PATIENCE = 1_000
"""Turns of the loop in which all that is awaited here happens."""


class Slow(InlineCrew):
    """Decides after a few turns of the loop, so that the next window is read meanwhile; remembers what it decided."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.decided: list[str] = []

    async def decide(self, window: WindowInput) -> DecidedWindow:
        for _ in range(20):
            await asyncio.sleep(0)
        self.decided.append(window.window_id)
        return await super().decide(window)

    async def wait_for(self, windows: int) -> None:
        """Until so many windows are decided."""
        for _ in range(PATIENCE):
            if len(self.decided) >= windows:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.decided)} windows were decided, not {windows}")


async def make(stock: dict[tuple[str, str], int], **node: object) -> tuple[World, Slow]:
    world = World()
    world.crew = crew = Slow()
    world.allocator = world.process("test")
    nodes = [{"id": "near", "parcel": "5.00", **node}, {"id": "far", "parcel": "9.00"}]
    await world.setup(nodes, stock)
    return world, crew


async def test_a_window_is_decided_while_the_one_before_it_is_committed():
    """The last near unit, taken by a window whose commit has not ended, is not planned with again."""
    world, crew = await make({("near", "A"): 1, ("far", "A"): 5})
    world.ledger.before_commit.append(lambda: crew.wait_for(2))
    [[first], [second]] = await asyncio.gather(world.decide(order("O1", ("A", 1))), world.decide(order("O2", ("A", 1))))
    assert (nodes_of(first), nodes_of(second)) == (["near"], ["far"])
    assert len(crew.decided) == 2, "nothing was decided twice"


async def test_room_taken_by_a_window_ahead_is_taken():
    """A node whose last parcel of the day a window ahead takes has none for the next."""
    world, crew = await make({("near", "A"): 5, ("far", "A"): 5}, capacity={"parcels_per_day": 1})
    world.ledger.before_commit.append(lambda: crew.wait_for(2))
    [[first], [second]] = await asyncio.gather(world.decide(order("O1", ("A", 1))), world.decide(order("O2", ("A", 1))))
    assert (nodes_of(first), nodes_of(second)) == (["near"], ["far"])
    assert len(crew.decided) == 2


async def test_a_refusal_that_counted_on_a_window_ahead_is_decided_again():
    """Contention alone never refuses: the window ahead did not take the last unit, so the next gets it."""
    world, crew = await make({("near", "A"): 1, ("near", "B"): 1})

    async def rival() -> None:
        await crew.wait_for(2)
        await world.decide(order("O1", ("B", 1)), by=world.process("rival"))

    world.ledger.before_commit.append(rival)
    ahead, [second] = await asyncio.gather(
        world.decide(order("O1", ("A", 1))), world.decide(order("O2", ("A", 1))), return_exceptions=True
    )
    assert "decided with other content" in str(ahead)
    assert second["status"] == "allocated"


async def test_a_refusal_is_decided_again_when_nobody_knows_what_the_window_ahead_took():
    """The store went away while a window was committed: what counted on it is not believed."""
    world, crew = await make({("near", "A"): 1})

    async def away() -> None:
        await crew.wait_for(2)
        world.ledger.failures = 1

    world.ledger.before_commit.append(away)
    decisions = await asyncio.gather(world.decide(order("O1", ("A", 1))), world.decide(order("O2", ("A", 1))))
    assert sorted(decision["status"] for [decision] in decisions) == ["allocated", "refused"]


async def test_flights_that_ended_are_forgotten():
    """Under load there is always a flight ahead: a chain of all there ever were would fill the memory."""
    traffic = Traffic()
    async with traffic.flight() as first:
        first.begin()
        async with traffic.flight() as second:
            second.begin()
            assert second.ahead == (first,)
    assert (first.ahead, second.ahead, traffic.flights) == ((), (), [])


async def test_overlap_does_not_lengthen_the_estimate_of_a_wait():
    """Callers are told when to come again by how fast orders leave, not by how long two windows at once take each."""
    clock, ends = ManualClock(0), [asyncio.Event(), asyncio.Event()]
    pending = iter(ends)

    async def allocate(_partition: str, tickets: list[Ticket], _aside: int) -> None:
        await next(pending).wait()
        for ticket in tickets:
            ticket.resolve(Answer(False, b"{}"))

    async def terms_of(_partition: str, _order: object) -> WindowTerms:
        return WindowTerms(max_orders=1)

    waiting = Gate(allocate, terms_of, Settings(window_linger_ms=0), clock, Metrics())
    tasks = asked(waiting, plain("O1"), plain("O2"))
    for end in ends:
        await asyncio.sleep(0.005)
        clock.advance(10_000)
        end.set()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    each = 10.0
    assert waiting._seconds_per_order == pytest.approx(0.2 * each + 0.8 * 0.2 * each)


async def test_only_a_full_window_leaves_before_the_one_ahead_is_back():
    """While a window is on its way the next one grows, until it is full."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, WindowTerms(max_orders=4), window_linger_ms=0)
    tasks = asked(waiting, plain("first"))
    await allocator.entered.wait()
    tasks += asked(waiting, *(plain(f"O{k}") for k in range(3)))
    await asyncio.sleep(0.005)
    assert len(allocator.windows) == 1
    tasks += asked(waiting, plain("last"))
    await asyncio.sleep(0.005)
    assert [len(window) for window in allocator.windows] == [1, 4]
    allocator.free.set()
    await asyncio.gather(*tasks)
