"""A window's question as the allocator puts it to its crew, without a gate before it or a commit after it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.assembly import Engine
from engine.domain import Order, content_hash
from engine.gate import Ticket
from engine.lowering import WindowInput
from engine.window import Window


async def question_of(engine: Engine, partition: str, window_id: str, orders: Sequence[Order]) -> WindowInput:
    """All that deciding these orders needs, on the stock there is now."""
    now = engine.clock.monotonic()
    tickets = [Ticket(order, content_hash(order), None, now, now) for order in orders]
    window = Window(window_id, partition, tickets, now)
    books = await engine.registry.books(partition)
    skus, days = window.skus(books), window.days(books, engine.clock.epoch_ms())
    snapshot = await engine.past.snapshot(partition, skus, days, *window.asked(books))
    return window.question(books, snapshot, skus)
