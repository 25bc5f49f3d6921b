"""The gate: who gets in, when a window closes, what happens when it is too much."""

from __future__ import annotations

import asyncio

import pytest

from engine.clock import SystemClock
from engine.domain import Order, OrderLine, ShipTo
from engine.errors import DeadlineError, OverloadedError, StoppingError
from engine.gate import ASIDE_LINES, BESIDE_ORDERS, Answer, Gate
from engine.metrics import Metrics
from engine.policy import WindowTerms
from engine.settings import Settings


def order(order_id: str, lines: int = 1, policy_id: str = "default") -> Order:
    return Order(
        order_id=order_id,
        policy_id=policy_id,
        ship_to=ShipTo(country="US"),
        lines=[OrderLine(line_id=str(number), sku=f"S{number}", quantity=1) for number in range(lines)],
    )


class Allocator:
    """Answers each window once `free` is set, and remembers what it was given."""

    def __init__(self, free: bool = True) -> None:
        self.windows: list[list[str]] = []
        self.aside: set[str] = set()
        self.entered = asyncio.Event()
        self.free = asyncio.Event()
        if free:
            self.free.set()

    async def allocate(self, partition: str, tickets, aside=0) -> None:
        self.windows.append([ticket.order.order_id for ticket in tickets])
        self.aside |= {ticket.order.order_id for ticket in tickets if aside}
        self.entered.set()
        await self.free.wait()
        for ticket in tickets:
            ticket.resolve(Answer(False, f"{partition}/{ticket.order.order_id}".encode()))


def gate(allocator: Allocator, terms: WindowTerms | None = None, **settings) -> Gate:
    async def terms_of(_partition: str, _order: Order) -> WindowTerms:
        return terms or WindowTerms()

    return Gate(allocator.allocate, terms_of, Settings(**settings), SystemClock(), Metrics())


async def submit_all(gate: Gate, count: int, **arguments) -> list[asyncio.Task[Answer]]:
    tasks = [asyncio.create_task(gate.submit("p", order(f"O{number}"), **arguments)) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_orders_that_come_together_are_decided_together():
    """Batching is what makes a joint decision possible."""
    allocator = Allocator()
    answers = await asyncio.gather(*await submit_all(gate(allocator), 5))
    assert allocator.windows == [["O0", "O1", "O2", "O3", "O4"]]
    assert answers[3] == Answer(False, b"p/O3")


async def test_a_window_fills_while_the_allocator_is_busy():
    """Natural batching: under load windows grow instead of queueing one by one."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=0)
    first = await submit_all(waiting, 1)
    await allocator.entered.wait()
    rest = [asyncio.create_task(waiting.submit("p", order(f"R{number}"))) for number in range(9)]
    await asyncio.sleep(0.005)
    allocator.free.set()
    await asyncio.gather(*first, *rest)
    assert [len(window) for window in allocator.windows] == [1, 9]


async def test_a_full_window_closes_at_once():
    """Neither orders nor lines of a window pass their limit, and a full one does not linger."""
    allocator = Allocator()
    tasks = await submit_all(gate(allocator, WindowTerms(max_orders=2, max_wait_ms=60_000), window_linger_ms=1_000), 4)
    await asyncio.gather(*tasks)
    assert [len(window) for window in allocator.windows] == [2, 2]


async def test_lines_bound_a_window_but_a_large_order_still_goes():
    """An order larger than a window's bound is decided alone, never refused."""
    allocator = Allocator()
    waiting = gate(allocator, window_lines_max=10)
    sizes = {"A": 6, "B": 6, "C": 50, "D": 1}
    await asyncio.gather(*(waiting.submit("p", order(name, lines)) for name, lines in sizes.items()))
    assert allocator.windows == [["A"], ["B"], ["C"], ["D"]]


async def test_partitions_never_share_a_window():
    """A window belongs to one stock partition."""
    allocator = Allocator()
    waiting = gate(allocator)
    answers = await asyncio.gather(*(waiting.submit(name, order("O")) for name in ("p", "q")))
    assert sorted(allocator.windows) == [["O"], ["O"]]
    assert {answer.decision for answer in answers} == {b"p/O", b"q/O"}


async def test_a_full_queue_refuses_with_a_time_to_retry():
    """Overload is answered at once, not by growing memory."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, queue_orders_max=3, window_linger_ms=1_000)
    tasks = await submit_all(waiting, 3)
    with pytest.raises(OverloadedError) as refusal:
        await waiting.submit("p", order("X"))
    assert refusal.value.retry_after_s >= 1
    allocator.free.set()
    await asyncio.gather(*tasks)


async def test_patient_callers_wait_for_room():
    """Bulk uploads are slowed down, not refused."""
    allocator = Allocator()
    waiting = gate(allocator, queue_orders_max=2)
    answers = await asyncio.gather(*await submit_all(waiting, 20, patient=True))
    assert len(answers) == 20
    assert max(len(window) for window in allocator.windows) <= 2


async def test_an_order_whose_deadline_passed_is_not_decided():
    """Nothing is taken for a caller who has been told to retry."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=0)
    first = await submit_all(waiting, 1)
    await allocator.entered.wait()
    late = asyncio.create_task(waiting.submit("p", order("late"), deadline_ms=1))
    await asyncio.sleep(0.01)
    allocator.free.set()
    with pytest.raises(DeadlineError):
        await late
    await asyncio.gather(*first)
    assert allocator.windows == [["O0"]]


async def test_an_order_whose_caller_left_is_not_decided():
    """A client that hangs up before its window closes takes no stock."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=0)
    first = await submit_all(waiting, 1)
    await allocator.entered.wait()
    gone = asyncio.create_task(waiting.submit("p", order("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    allocator.free.set()
    await asyncio.gather(*first)
    await waiting.drain()
    assert allocator.windows == [["O0"]]


async def test_drain_decides_what_waits_and_takes_no_more():
    """SIGTERM loses nothing that was accepted."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=1_000)
    tasks = await submit_all(waiting, 3)
    draining = asyncio.create_task(waiting.drain())
    await asyncio.sleep(0)
    with pytest.raises(StoppingError):
        await waiting.submit("p", order("X"))
    allocator.free.set()
    await draining
    assert [answer.decision for answer in await asyncio.gather(*tasks)] == [b"p/O0", b"p/O1", b"p/O2"]


def asked(gate: Gate, *orders: Order) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(gate.submit("p", each)) for each in orders]


async def test_a_window_holds_orders_of_one_policy():
    """Policies never mix in a window, and the orders of each stay in their order."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=0)
    tasks = asked(waiting, order("first"))
    await allocator.entered.wait()
    tasks += asked(waiting, *(order(f"{policy_id}{k}", policy_id=policy_id) for k in range(3) for policy_id in "ab"))
    await asyncio.sleep(0.005)
    allocator.free.set()
    await asyncio.gather(*tasks)
    assert allocator.windows == [["first"], ["a0", "a1", "a2"], ["b0", "b1", "b2"]]


async def test_a_busy_policy_starves_no_other():
    """However many orders of one policy wait, another's first order has its turn by when it came."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, WindowTerms(max_orders=2), window_linger_ms=0)
    tasks = asked(waiting, order("first"))
    await allocator.entered.wait()
    tasks += asked(waiting, *(order(f"a{k}", policy_id="a") for k in range(3)), order("rare", policy_id="b"))
    tasks += asked(waiting, *(order(f"a{k}", policy_id="a") for k in range(3, 9)))
    await asyncio.sleep(0.005)
    allocator.free.set()
    await asyncio.gather(*tasks)
    assert allocator.windows[:4] == [["first"], ["a0", "a1"], ["a2", "a3"], ["rare"]]


async def test_a_full_window_does_not_wait_for_another_policy_that_lingers():
    """A lone order that waits for company holds up nobody else's window."""
    allocator = Allocator()
    waiting = gate(allocator, WindowTerms(max_orders=2, max_wait_ms=60_000), window_linger_ms=1_000)
    alone, *pair = asked(waiting, order("lone", policy_id="a"), *(order(f"b{k}", policy_id="b") for k in range(2)))
    await asyncio.gather(*pair)
    assert allocator.windows == [["b0", "b1"]]
    await waiting.drain()
    await alone


async def test_who_waits_goes_before_uploads():
    """An upload of many orders holds up nobody who sends one: it has a few places of each window while such come."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, WindowTerms(max_orders=200), window_linger_ms=0)
    first = await submit_all(waiting, 1)
    await allocator.entered.wait()
    uploads = [asyncio.create_task(waiting.submit("p", order(f"U{n}"), patient=True)) for n in range(120)]
    await asyncio.sleep(0)
    prompt = [asyncio.create_task(waiting.submit("p", order(f"P{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    allocator.free.set()
    await asyncio.gather(*first, *uploads, *prompt)
    second = next(window for window in allocator.windows if "P0" in window)
    assert second[:3] == ["P0", "P1", "P2"] or len(second) <= BESIDE_ORDERS
    assert max(map(len, allocator.windows)) <= BESIDE_ORDERS + 3


async def test_windows_of_uploads_do_not_pile_up_before_who_waits():
    """While prompt orders come one window at a time is under way, however many orders of uploads wait."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, WindowTerms(max_orders=200), window_linger_ms=0)
    first = await submit_all(waiting, 1)
    await allocator.entered.wait()
    uploads = [asyncio.create_task(waiting.submit("p", order(f"U{n}"), patient=True)) for n in range(1_000)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(allocator.windows) == 1
    allocator.free.set()
    await asyncio.gather(*first, *uploads)


async def test_uploads_alone_fill_windows_and_are_never_starved():
    """Nobody else waits: windows are as large as they may be. Beside many who wait they keep one place in four."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, WindowTerms(max_orders=8), window_linger_ms=0)
    uploads = [asyncio.create_task(waiting.submit("p", order(f"U{n}"), patient=True)) for n in range(40)]
    await allocator.entered.wait()
    prompt = [asyncio.create_task(waiting.submit("p", order(f"P{n}"))) for n in range(16)]
    await asyncio.sleep(0)
    allocator.free.set()
    await asyncio.gather(*uploads, *prompt)
    assert len(allocator.windows[0]) == 8
    mixed = next(window for window in allocator.windows if "P0" in window)
    assert [name[0] for name in mixed] == ["P"] * 6 + ["U"] * 2


async def test_an_order_of_very_many_lines_holds_up_no_window():
    """It is decided aside, and several of them one after the other; orders of usual size are decided meanwhile."""
    allocator = Allocator(free=False)
    waiting = gate(allocator, window_linger_ms=0)
    large = [asyncio.create_task(waiting.submit("p", order(name, ASIDE_LINES))) for name in ("L0", "L1")]
    await allocator.entered.wait()
    allocator.entered.clear()
    small = asyncio.create_task(waiting.submit("p", order("S")))
    await allocator.entered.wait()
    assert allocator.windows == [["L0"], ["S"]]
    allocator.free.set()
    await asyncio.gather(*large, small)
    assert allocator.windows[2:] == [["L1"]]
    assert allocator.aside == {"L0", "L1"}
