"""The orders of one micro-window while they are being decided: who still waits, and who gets which answer."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain import Order
from engine.errors import EngineError, KeyConflictError, OrderConflictError
from engine.gate import Answer, Ticket
from engine.ledger.port import Outcome, Proposal, Snapshot, Verdict
from engine.lowering import WindowInput
from engine.registry import Books


class Window:
    """Tickets by order id. Several tickets with one id are one order: the first leads, the others get its answer.

    `open` holds the undecided orders in order of arrival; owned by the allocator for the window's life.
    """

    def __init__(self, window_id: str, partition: str, tickets: Sequence[Ticket], closed_at: float) -> None:
        self.window_id = window_id
        self.partition = partition
        self._closed_at = closed_at
        self.open: dict[str, list[Ticket]] = {}
        for ticket in tickets:
            self.open.setdefault(ticket.order.order_id, []).append(ticket)

    def _leaders(self) -> list[Ticket]:
        return [tickets[0] for tickets in self.open.values()]

    def orders(self) -> tuple[Order, ...]:
        """The open orders; all methods below are parallel to it."""
        return tuple(ticket.order for ticket in self._leaders())

    def keys(self) -> dict[str, str | None]:
        """The idempotency key, if any, by order id."""
        return {order_id: tickets[0].idempotency_key for order_id, tickets in self.open.items()}

    def contents(self) -> tuple[bytes, ...]:
        return tuple(ticket.content for ticket in self._leaders())

    def idempotency_keys(self) -> tuple[str | None, ...]:
        return tuple(ticket.idempotency_key for ticket in self._leaders())

    def waited_ms(self) -> tuple[float, ...]:
        """From submission to the closing of the window."""
        return tuple((self._closed_at - ticket.submitted) * 1000 for ticket in self._leaders())

    def skus(self) -> tuple[str, ...]:
        """The distinct SKUs of the open orders, in order of first appearance."""
        return tuple(dict.fromkeys(line.sku for ticket in self._leaders() for line in ticket.order.lines))

    def question(self, books: Books, snapshot: Snapshot, skus: tuple[str, ...]) -> WindowInput:
        """All that deciding the open orders needs. `skus`: those of the snapshot, some perhaps only in repeats."""
        return WindowInput(
            window_id=self.window_id,
            partition=self.partition,
            orders=self.orders(),
            contents=self.contents(),
            idempotency_keys=self.idempotency_keys(),
            waited_ms=self.waited_ms(),
            skus=skus,
            items={sku: books.items[sku] for sku in skus if sku in books.items},
            snapshot=snapshot,
            network=books.network,
            policy=books.policy,
        )

    def answer_repeats(self, snapshot: Snapshot) -> int:
        """Answer the orders that had been decided before; returns how many. A used key is its order's own fault."""
        for order_id, decided in snapshot.decided.items():
            self._answer(order_id, decided.content, decided.decision)
        for order_id in snapshot.key_conflicts:
            self.refuse(order_id, _key_used(order_id))
        return len(snapshot.decided)

    def settle(self, proposal: Proposal, outcome: Outcome) -> None:
        """Answer one order by what the ledger made of its proposal; LOST and STALE stay open."""
        order_id = proposal.order_id
        match outcome.verdict:
            case Verdict.COMMITTED:
                leader = self.open[order_id].pop(0)
                leader.resolve(Answer(repeat=False, decision=proposal.decision))
                self._answer(order_id, proposal.content, proposal.decision)
            case Verdict.REPEAT:
                assert outcome.decision is not None
                self._answer(order_id, proposal.content, outcome.decision)
            case Verdict.CONFLICT:
                self.refuse(order_id, _other_content(order_id))
            case Verdict.KEY_CONFLICT:
                self.refuse(order_id, _key_used(order_id))
            case Verdict.LOST | Verdict.STALE:
                pass

    def _answer(self, order_id: str, content: bytes, decision: bytes) -> None:
        for ticket in self.open.pop(order_id):
            if ticket.content == content:
                ticket.resolve(Answer(repeat=True, decision=decision))
            else:
                ticket.fail(_other_content(order_id))

    def refuse(self, order_id: str, error: EngineError) -> None:
        """This order cannot be taken; its own fault, the others go on."""
        for ticket in self.open.pop(order_id):
            ticket.fail(error)

    def expire(self, now: float, error: EngineError) -> None:
        """Give up on those whose deadline has passed."""
        for order_id in [key for key, tickets in self.open.items() if tickets[0].deadline <= now]:
            self.refuse(order_id, error)

    def fail(self, error: EngineError) -> None:
        """Give up on all that are still open."""
        for order_id in list(self.open):
            self.refuse(order_id, error)


def _other_content(order_id: str) -> OrderConflictError:
    return OrderConflictError(f"order {order_id!r} was decided with other content; use a new order id")


def _key_used(order_id: str) -> KeyConflictError:
    return KeyConflictError(f"the Idempotency-Key of order {order_id!r} was used before")
