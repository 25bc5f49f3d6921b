"""The gate: admission, micro-windows, backpressure.

Orders of a partition wait in its lane, those of each policy in a queue. While one window is being decided the next ones
fill up; one closes as soon as the allocator is free and it is full or its first order has lingered long enough: natural
batching. Under load windows grow by themselves; when it is quiet an order waits no longer than the linger. A full one
goes while the window before it is still on its way. Of several windows that may close the one whose first order came
first does, so no policy waits for another for ever.

Two things keep what is large from holding up what is small. Orders of uploads, whose callers are patient, come after
those that somebody waits for, and while such ones come only a few of them share a window. An order of very many lines
is decided aside, by another process, while windows go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import chain
from math import ceil, inf
from typing import NamedTuple

from engine.clock import Clock
from engine.domain import Order, content_hash
from engine.errors import DeadlineError, OverloadedError, StoppingError
from engine.metrics import Metrics
from engine.policy import WindowTerms
from engine.settings import Settings

WINDOWS_AT_ONCE = 3
"""Of one partition: one is decided, one committed, and one read, so that the crew has the next at hand."""

ASIDE_LINES = 200
"""An order of so many lines is decided aside, one at a time of a partition: it takes as long as a full window."""

ASIDE_ROUNDS = 3
"""So often at most, then in line: each time another commit may overtake it."""

BESIDE_ORDERS = 16
"""Patient orders of one window, while prompt ones come: what a prompt one may have to wait behind, some milliseconds.
Alone they fill windows."""

PROMPT_SECONDS = 1.0
"""Prompt orders come as long as the last one came so lately."""

PATIENT_PART = 4
"""Patient orders that wait have one place in so many, however many prompt ones there are."""


class Answer(NamedTuple):
    """The decision, as JSON; `repeat` says that the order had been decided before."""

    repeat: bool
    decision: bytes


@dataclass(frozen=True, slots=True)
class Anew:
    """That a ticket's order stands already and is to be decided again: replaced by its new content, or re-routed.

    `token`: the command id of a re-route, anything new for a replacement; `digest` is of what a re-route asks.
    `except_nodes` join those excluded before. `dry_run`: decide, but change nothing.
    """

    command: str
    token: str
    digest: str = ""
    reason: str = ""
    except_nodes: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(slots=True, eq=False)
class Ticket:
    """One submitted order and the future of its answer. Instants are of `Clock.monotonic`, in seconds."""

    order: Order
    content: bytes
    idempotency_key: str | None
    submitted: float
    deadline: float
    anew: Anew | None = None
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def resolve(self, answer: Answer) -> None:
        """Give the answer, unless the caller has left."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Give an error, unless the caller has left."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True)
class Queue:
    """The waiting orders of one partition and policy, never none: they share windows. `prompt`: somebody waits for
    each; `patient`: those of uploads, which come after them."""

    terms: WindowTerms
    prompt: deque[Ticket] = field(default_factory=deque)
    patient: deque[Ticket] = field(default_factory=deque)
    lines: int = 0

    def __len__(self) -> int:
        return len(self.prompt) + len(self.patient)

    def tickets(self) -> Iterator[Ticket]:
        """All that wait, in no order."""
        return chain(self.prompt, self.patient)

    def since(self) -> float:
        """When the one that waits longest was submitted."""
        return min(waiting[0].submitted for waiting in (self.prompt, self.patient) if waiting)

    def full(self, patient_max: int, lines_max: int) -> bool:
        """Whether its window can take no more. Patient orders beyond their part make none full: else windows of them
        would be under way one upon the other, and a prompt order behind all of these."""
        if len(self.patient) > patient_max:
            return len(self.prompt) + patient_max >= self.terms.max_orders
        return len(self) >= self.terms.max_orders or self.lines >= lines_max

    def window(self, patient_max: int) -> Iterator[tuple[Ticket, deque[Ticket]]]:
        """Those that may share the next window, each with where it waits at the head; who takes one, pops it."""
        places = self.terms.max_orders
        kept = min(len(self.patient), patient_max, places // PATIENT_PART)
        for waiting, most in ((self.prompt, places - kept), (self.patient, patient_max)):
            for _ in range(min(most, places, len(waiting))):
                places -= 1
                yield waiting[0], waiting


@dataclass(slots=True)
class Lane:
    """The queues of one partition by policy id. Written by `Gate` only, on the event loop; hence no lock."""

    queues: dict[str, Queue] = field(default_factory=dict)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    """Of an order, or of a window back from the allocator."""
    flying: int = 0
    """Windows that are with the allocator, but for one that is aside."""
    aside: deque[list[Ticket]] = field(default_factory=deque)
    """The window that is decided aside, and those that will be after it."""
    prompt_at: float = -inf
    """When the last prompt order came."""
    back_at: float = 0.0
    """When the last of them came back, in seconds of `Clock.monotonic`."""


AllocateWindow = Callable[[str, list[Ticket], int], Awaitable[None]]
"""Partition, tickets, and how many rounds of the window are decided aside."""

WindowTermsOf = Callable[[str, Order], Awaitable[WindowTerms]]


class Gate:
    """Admits orders, closes windows, hands them to the allocator, a few at a time per partition."""

    def __init__(
        self, allocate: AllocateWindow, terms_of: WindowTermsOf, settings: Settings, clock: Clock, metrics: Metrics
    ) -> None:
        self._allocate = allocate
        self._terms_of = terms_of
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders = 0
        self._lines = 0
        self._room = asyncio.Event()
        self._stopping = False
        self._seconds_per_order = 0.0

    def busy(self) -> bool:
        """Whether orders wait for a window."""
        return self._orders > 0

    def pressure(self) -> float:
        """How full the queue is, 0 to 1."""
        settings = self._settings
        return max(self._orders / settings.queue_orders_max, self._lines / settings.queue_lines_max)

    async def submit(
        self,
        partition: str,
        order: Order,
        idempotency_key: str | None = None,
        patient: bool = False,
        deadline_ms: float | None = None,
        anew: Anew | None = None,
    ) -> Answer:
        """Wait for the order's decision: `enter`, then `Ticket.answer`. Raises what both raise."""
        return await (await self.enter(partition, order, idempotency_key, patient, deadline_ms, anew)).answer

    async def enter(
        self,
        partition: str,
        order: Order,
        idempotency_key: str | None = None,
        patient: bool = False,
        deadline_ms: float | None = None,
        anew: Anew | None = None,
    ) -> Ticket:
        """Let an order in. `patient` callers wait for room in the queue, others get OverloadedError.

        `deadline_ms`: how long the caller waits at most. `anew`: the order stands already. Raises NoNetworkError,
        InvalidInputError (its policy is unknown), OverloadedError, DeadlineError, StoppingError. The ticket's answer
        raises DeadlineError, StoppingError, OrderConflictError, KeyConflictError, StoreUnavailableError; with `anew`
        also NotFoundError, StateConflictError, CommandConflictError. Whoever leaves cancels it.
        """
        terms = await self._terms_of(partition, order)
        await self._admit(order, patient, deadline_ms)
        now = self._clock.monotonic()
        wait_ms = deadline_ms if deadline_ms is not None else self._settings.order_timeout_ms
        ticket = Ticket(order, content_hash(order), idempotency_key, now, now + wait_ms / 1000, anew)
        self._queue(partition, terms, ticket, patient)
        return ticket

    async def _admit(self, order: Order, patient: bool, deadline_ms: float | None) -> None:
        while not self._stopping and self._full(order):
            if not patient:
                raise OverloadedError(
                    f"{self._orders} orders are waiting, which is the limit; nothing was taken",
                    retry_after_s=self._wait_estimate_s(),
                )
            self._room.clear()
            await self._room.wait()
        if self._stopping:
            raise StoppingError("this process takes no more orders; another or the restarted one will", retry_after_s=1)
        if deadline_ms is not None and self._seconds_per_order * self._orders * 1000 > deadline_ms:
            raise OverloadedError(
                f"the queue is longer than the {deadline_ms:.0f} ms that the caller waits; nothing was taken",
                retry_after_s=self._wait_estimate_s(),
            )

    def _full(self, order: Order) -> bool:
        settings = self._settings
        over = self._lines + len(order.lines) > settings.queue_lines_max and self._orders > 0
        return self._orders >= settings.queue_orders_max or over

    def _wait_estimate_s(self) -> int:
        return max(1, ceil(self._seconds_per_order * self._orders))

    def _queue(self, partition: str, terms: WindowTerms, ticket: Ticket, patient: bool) -> None:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane()
            self._keep(self._serve(partition, lane), f"lane-{partition}")
        queue = lane.queues.setdefault(ticket.order.policy_id, Queue(terms))
        queue.terms = terms
        if patient:
            queue.patient.append(ticket)
        else:
            queue.prompt.append(ticket)
            lane.prompt_at = ticket.submitted
        queue.lines += len(ticket.order.lines)
        lane.arrival.set()
        self._count(1, len(ticket.order.lines))

    def _count(self, orders: int, lines: int) -> None:
        self._orders += orders
        self._lines += lines
        self._metrics.waiting.set(self._orders)
        if orders < 0:
            self._room.set()

    async def _serve(self, partition: str, lane: Lane) -> None:
        while lane.queues or lane.flying or lane.aside:
            if not lane.queues or lane.flying >= WINDOWS_AT_ONCE:
                lane.arrival.clear()
                await lane.arrival.wait()
                continue
            policy_id = await self._next(lane)
            tickets = self._close(lane.queues[policy_id], self._patient_max(lane))
            if not len(lane.queues[policy_id]):
                del lane.queues[policy_id]
            if tickets and len(tickets[0].order.lines) >= ASIDE_LINES:
                lane.aside.append(tickets)
                if len(lane.aside) == 1:
                    self._keep(self._go_aside(partition, lane), f"aside-{partition}")
            elif tickets:
                lane.flying += 1
                self._keep(self._fly(partition, lane, tickets), f"window-{partition}")
        # No await since the last look at `queues`: nobody can have entered in between.
        del self._lanes[partition]

    async def _fly(self, partition: str, lane: Lane, tickets: list[Ticket]) -> None:
        """One window's way through the allocator."""
        started = self._clock.monotonic()
        try:
            await self._allocate(partition, tickets, 0)
        finally:
            # Of two that overlap each counts what it took beyond the one before it.
            since, lane.back_at = max(started, lane.back_at), self._clock.monotonic()
            lane.flying -= 1
            lane.arrival.set()
        self._learn((lane.back_at - since) / len(tickets))

    async def _go_aside(self, partition: str, lane: Lane) -> None:
        """The way of windows that are decided aside: the others go on, and learn nothing from how long these take."""
        while lane.aside:
            try:
                await self._allocate(partition, lane.aside[0], ASIDE_ROUNDS)
            finally:
                lane.aside.popleft()
                lane.arrival.set()

    def _patient_max(self, lane: Lane) -> int:
        """Patient orders that may share a window now."""
        prompt = self._clock.monotonic() - lane.prompt_at < PROMPT_SECONDS
        return BESIDE_ORDERS if prompt else sys.maxsize

    def _keep(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run it as a task, until it is done."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _next(self, lane: Lane) -> str:
        """Let windows fill until one is full or its first order has lingered long enough; whose window it is.

        While another is on its way only a full one makes them close.
        """
        while True:
            now = self._clock.monotonic()
            full = {policy_id: self._is_full(lane, queue) for policy_id, queue in lane.queues.items()}
            closes = {policy_id: self._closes(queue, full[policy_id]) for policy_id, queue in lane.queues.items()}
            grows = lane.flying > 0 and not any(full.values())
            ready = [policy_id for policy_id, at in closes.items() if at <= now or self._stopping]
            if ready and not grows:
                return min(ready, key=lambda policy_id: lane.queues[policy_id].since())
            lane.arrival.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.arrival.wait(), None if grows else min(closes.values()) - now)

    def _is_full(self, lane: Lane, queue: Queue) -> bool:
        return queue.full(self._patient_max(lane), self._settings.window_lines_max)

    def _closes(self, queue: Queue, full: bool) -> float:
        """When the queue's window closes: at once if it is full."""
        linger_ms = min(self._settings.window_linger_ms, queue.terms.max_wait_ms)
        return queue.since() + (0 if full else linger_ms / 1000)

    def _close(self, queue: Queue, patient_max: int) -> list[Ticket]:
        """Take the next window out of a queue; those who left or whose deadline has passed are not decided."""
        tickets: list[Ticket] = []
        lines = 0
        now = self._clock.monotonic()
        for ticket, waiting in queue.window(patient_max):
            size = len(ticket.order.lines)
            alone = ticket.anew is not None or size >= ASIDE_LINES
            if tickets and (alone or lines + size > self._settings.window_lines_max):
                break
            waiting.popleft()
            queue.lines -= size
            self._count(-1, -size)
            if ticket.answer.done():
                continue
            if ticket.deadline <= now:
                ticket.fail(DeadlineError("the order waited too long in the queue; nothing was taken", 1))
                continue
            tickets.append(ticket)
            lines += size
            if alone:  # of one decided anew: what it holds is free for it, and for nobody else
                break
        return tickets

    def _learn(self, seconds_per_order: float) -> None:
        self._seconds_per_order += 0.2 * (seconds_per_order - self._seconds_per_order)

    async def drain(self) -> None:
        """Take no more orders, decide those that wait, and return when all are answered (bounded by settings)."""
        self._stopping = True
        self._room.set()
        for lane in self._lanes.values():
            lane.arrival.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._settings.drain_seconds)
        for task in set(self._tasks):
            task.cancel()
        for queue in [queue for lane in self._lanes.values() for queue in lane.queues.values()]:
            for ticket in queue.tickets():
                ticket.fail(StoppingError("this process stopped before the order was decided; please retry", 1))
        for ticket in [ticket for lane in self._lanes.values() for tickets in lane.aside for ticket in tickets]:
            ticket.fail(StoppingError("this process stopped before the order was decided; please retry", 1))
