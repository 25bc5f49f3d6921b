"""The orders of one micro-window while they are being decided: who still waits, and who gets which answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from engine.crew import CrewError
from engine.domain import Order
from engine.errors import (
    CommandConflictError,
    EngineError,
    KeyConflictError,
    NotFoundError,
    OrderConflictError,
    StateConflictError,
    StoreUnavailableError,
    UnavailableError,
)
from engine.gate import Anew, Answer, Ticket
from engine.ledger import states
from engine.ledger.backlog import Wait
from engine.ledger.port import Again, LedgerRefusedError, Outcome, Proposal, Snapshot, Standing, Verdict
from engine.lowering import WindowInput, days_of, touched
from engine.registry import Books
from engine.waiting import without

log = structlog.get_logger("apportion.allocator")

GIVE_WAY_TURNS = 10
"""How often one window lets orders that wait go first; those behind them wait a little longer."""


class Window:
    """Tickets by order id. Several tickets with one id are one order: the first leads, the others get its answer.

    `open` holds the undecided orders in order of arrival; owned by the allocator for the window's life.
    """

    def __init__(self, window_id: str, partition: str, tickets: Sequence[Ticket], closed_at: float) -> None:
        self.window_id = window_id
        self.partition = partition
        self._closed_at = closed_at
        self.open: dict[str, list[Ticket]] = {}
        self.policy_id = tickets[0].order.policy_id
        """Of all its orders."""
        self.anew = tickets[0].anew
        """Set in the window of the one order that is decided again."""
        assert self.anew is None or len(tickets) == 1, "an order that is decided again is alone"
        self._again: Again | None = None
        self._gave_way = 0
        self._waits: tuple[Wait, ...] = ()
        """What the order waits for that is decided again."""
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

    def skus(self, books: Books) -> tuple[str, ...]:
        """The distinct SKUs that may ship for the open orders, those of their lines first."""
        return touched(self.orders(), books.items)

    def asked(self, books: Books) -> tuple[dict[str, str | None], tuple[str, str] | None, tuple[str, ...]]:
        """What a snapshot is to tell beside stock and load.

        Which order ids and keys are known; what stands, if an order is decided again; what is to come in.
        """
        return self.keys(), self.standing_of(), self.expected(books)

    def expected(self, books: Books) -> tuple[str, ...]:
        """The SKUs of which it matters what is to come in: those that may ship for orders that may wait."""
        return touched([order for order in self.orders() if order.backorder], books.items)

    def gives_way(self, snapshot: Snapshot) -> bool:
        """Whether orders that wait for what this window is about go first."""
        self._gave_way += bool(snapshot.ripe)
        return bool(snapshot.ripe) and self._gave_way <= GIVE_WAY_TURNS

    def days(self, books: Books, now_ms: int) -> list[int]:
        """The days whose load bears on the open orders, ascending."""
        horizon = books.policies[self.policy_id].policy.capacity_horizon_days
        return sorted(days_of(self.orders(), books.network, now_ms, horizon=horizon))

    def question(self, books: Books, snapshot: Snapshot, skus: tuple[str, ...]) -> WindowInput:
        """All that deciding the open orders needs. `skus`: those of the snapshot, some perhaps only in repeats."""
        edition = books.policies[self.policy_id]
        return WindowInput(
            window_id=self.window_id,
            partition=self.partition,
            orders=self.orders(),
            contents=self.contents(),
            idempotency_keys=self.idempotency_keys(),
            waited_ms=self.waited_ms(),
            skus=skus,
            items={sku: books.items[sku] for sku in skus if sku in books.items},
            snapshot=replace(snapshot, expected=without(snapshot.expected, self._waits)),
            network=books.network,
            policy=edition.policy,
            policy_version=edition.version,
            strict_skus=books.strict_skus,
            prices=books.prices_of(skus, snapshot),
            again=self._again,
        )

    def standing_of(self) -> tuple[str, str] | None:
        """The order to be decided again and the id of its command, if this is such a window."""
        return None if self.anew is None else (next(iter(self.open)), self.anew.token)

    def _stand(self, standing: Standing | None) -> None:
        """Answer a command that was applied before, refuse one that its order's state does not admit, note the rest."""
        anew, order_id = self.anew, next(iter(self.open))
        assert anew is not None, "asked of orders that are decided again"
        if standing is None:
            self._refuse_leader(order_id, NotFoundError(f"there is no order {order_id!r}"))
            return
        record = standing.record
        if standing.applied is not None and standing.applied[0] != anew.digest:
            self._refuse_leader(order_id, _other_command(anew))
        elif standing.applied is not None:
            self._resolve(order_id, Answer(repeat=True, decision=standing.applied[1]))
        elif record.token == anew.token:
            self._resolve(order_id, Answer(repeat=False, decision=record.decision))
        elif anew.command == states.REROUTE and record.content != self.contents()[0]:
            text = f"order {order_id!r} was replaced meanwhile; please retry"
            self._refuse_leader(order_id, StateConflictError(text))
        elif states.TABLE.get((record.state, anew.command)) != states.DECIDED:
            self._refuse_leader(order_id, StateConflictError(states.why(record.state, anew.command)))
        elif standing.left:
            self._refuse_leader(order_id, StateConflictError(states.left(record.state, anew.command)))
        else:
            self._waits = record.waits
            excluded = tuple(dict.fromkeys((*record.excluded, *anew.except_nodes)))
            self._again = Again(anew.command, record.revision, anew.token, anew.digest, anew.reason, excluded)

    def _resolve(self, order_id: str, answer: Answer) -> None:
        for ticket in self.open.pop(order_id):
            ticket.resolve(answer)

    def tell(self, proposals: Sequence[Proposal]) -> bool:
        """Whether this was only a question: then the proposals are its answers, and nothing is committed."""
        if self.anew is None or not self.anew.dry_run:
            return False
        for proposal in proposals:
            self._resolve(proposal.order_id, Answer(repeat=False, decision=proposal.decision))
        return True

    def answer_repeats(self, snapshot: Snapshot) -> int:
        """Answer the orders that had been decided before; returns how many. A used key is its order's own fault."""
        if self.anew is not None:
            self._stand(snapshot.standing)
            return 0
        for order_id, decided in snapshot.decided.items():
            self._answer(order_id, decided.content, decided.decision)
        for order_id in snapshot.key_conflicts:
            self._refuse_leader(order_id, _key_used(order_id))
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
                self._refuse_leader(order_id, _other_content(order_id))
            case Verdict.KEY_CONFLICT:
                used = _key_used(order_id) if self.anew is None else _other_command(self.anew)
                self._refuse_leader(order_id, used)
            case Verdict.LOST | Verdict.STALE:
                pass

    def _answer(self, order_id: str, content: bytes, decision: bytes) -> None:
        for ticket in self.open.pop(order_id):
            if ticket.content == content:
                ticket.resolve(Answer(repeat=True, decision=decision))
            else:
                ticket.fail(_other_content(order_id))

    def _refuse_leader(self, order_id: str, error: EngineError) -> None:
        """The first ticket cannot be taken, by a fault of its own; the next one leads from here."""
        leader, *followers = self.open.pop(order_id)
        leader.fail(error)
        if followers:
            self.open[order_id] = followers

    def expire(self, now: float, error: EngineError) -> None:
        """Give up on the tickets whose deadline has passed."""
        for order_id, tickets in list(self.open.items()):
            for ticket in tickets:
                if ticket.deadline <= now:
                    ticket.fail(error)
            self.open[order_id] = [ticket for ticket in tickets if ticket.deadline > now]
            if not self.open[order_id]:
                del self.open[order_id]

    def give_up(self, error: Exception) -> None:
        """Give up on all that are still open, whatever went wrong."""
        match error:
            case EngineError():
                self.fail(error)
            case LedgerRefusedError():
                self.fail(StoreUnavailableError(f"the store refuses writes: {error}", retry_after_s=5))
            case CrewError():
                self.fail(UnavailableError(f"{error}; nothing was taken"))
            case _:
                log.error("window_failed", window_id=self.window_id, exc_info=error)
                self.fail(UnavailableError("the window could not be decided; please retry the same order"))

    def fail(self, error: EngineError) -> None:
        """Give up on all that are still open."""
        for tickets in self.open.values():
            for ticket in tickets:
                ticket.fail(error)
        self.open.clear()


def _other_content(order_id: str) -> OrderConflictError:
    return OrderConflictError(f"order {order_id!r} was decided with other content; use a new order id")


def _other_command(anew: Anew) -> CommandConflictError:
    return CommandConflictError(f"the command id {anew.token!r} was used for another command of this order")


def _key_used(order_id: str) -> KeyConflictError:
    return KeyConflictError(f"the Idempotency-Key of order {order_id!r} was used for something else")
