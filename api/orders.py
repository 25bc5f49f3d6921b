"""One order at a time: decide, cancel, look at. The hot path: bytes, decoder, admission, gate, bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import decode, order_of, whole
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, KEY_PATTERN, idempotency_key_of, partition_of, path_id, wait_ms_of
from api.problems import MalformedBodyError, TooLargeError
from engine.admission import unsupported
from engine.assembly import Engine
from engine.decisions import Decision
from engine.domain import Identifier, Order, Record
from engine.errors import (
    ConflictError,
    DeadlineError,
    InvalidInputError,
    KeyConflictError,
    NoNetworkError,
    NotFoundError,
    OrderConflictError,
    OverloadedError,
    StoppingError,
    StoreUnavailableError,
)
from engine.ledger.port import Cancelled


class CancelCommand(Record, frozen=True, kw_only=True):
    """The body of a cancel command, which may be left out: cancelling is idempotent by state."""

    command_id: Identifier | None = None


class OrderState(Struct, frozen=True, kw_only=True):
    """An order's state after a command."""

    order_id: str
    state: str


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened to an order."""

    at: datetime
    event: str


class OrderView(Struct, frozen=True, kw_only=True):
    """What `GET` answers, made of stored bytes; `OrderDocument` describes it."""

    order_id: str
    state: str
    order: Raw
    decision: Raw
    history: list[HistoryEntry]


class OrderDocument(Struct, frozen=True, kw_only=True):
    """An order as it stands: as it was sent, its current decision, and what happened to it."""

    order_id: str
    state: str
    order: Order
    decision: Decision
    history: list[HistoryEntry]


def check(order: Order) -> None:
    """Refuse what can be decoded but not decided. Raises InvalidInputError."""
    fault = unsupported(order)
    if fault is not None:
        raise InvalidInputError(f"{fault.path}: {fault.reason}", [fault])


class OrderDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cancel = msgspec.json.Decoder(CancelCommand)

    async def decide(self, request: Request) -> Response:
        """Decide one order."""
        partition = partition_of(request)
        key = idempotency_key_of(request)
        if reasons := self._engine.unready():
            raise StoreUnavailableError("orders are not taken now: " + "; ".join(reasons))
        settings = self._engine.settings
        wait_ms = wait_ms_of(request)
        order = await order_of(await whole(request, settings.body_bytes_max))
        check(order)
        deadline_ms = min(wait_ms, settings.order_timeout_ms) if wait_ms is not None else None
        answer = await self._engine.gate.submit(partition, order, key, deadline_ms=deadline_ms)
        return Response(answer.decision, 200 if answer.repeat else 201, media_type=JSON)

    async def cancel(self, request: Request) -> Response:
        """Give back all that an order holds."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        body = await whole(request, self._engine.settings.body_bytes_max)
        if body:
            decode(self._cancel, body)
        if await self._engine.ledger.cancel(partition, order_id) is Cancelled.UNKNOWN:
            left = await self._engine.past.order(partition, order_id)
            if left is None:
                raise _no_order(partition, order_id)
            if left.state != "cancelled":
                raise ConflictError(f"order {order_id!r} ended long ago, is {left.state} and holds nothing")
        return Response(msgspec.json.encode(OrderState(order_id=order_id, state="cancelled")), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """An order as it stands."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        record = await self._engine.past.order(partition, order_id)
        if record is None:
            raise _no_order(partition, order_id)
        view = OrderView(
            order_id=record.order_id,
            state=record.state,
            order=Raw(record.order),
            decision=Raw(record.decision),
            history=[
                HistoryEntry(at=datetime.fromtimestamp(change.at_ms / 1000, UTC), event=change.event)
                for change in record.history
            ],
        )
        return Response(msgspec.json.encode(view), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        order_id = Parameter("order_id", "path", schema, "The caller's order id", required=True)
        head = (
            Parameter(
                "Idempotency-Key", "header", {"type": "string", "pattern": KEY_PATTERN}, "Honoured beside the order id"
            ),
            Parameter("Prefer", "header", {"type": "string"}, "`wait=N`: decide within N seconds or answer 503"),
        )
        return [
            Endpoint(
                "POST", "/v1/orders", self.decide, "decide_order", "Decide an order",
                (Reply(201, "Decided and durable", Decision), Reply(200, "Decided before: the same body", Decision)),
                "Answers when the commit of the order's window is durable. The same order again gets the first "
                "decision, byte for byte, refusals included; the same id with other content is 409.",
                "orders", Body({JSON: Order}, "An order"), head,
                (InvalidInputError, MalformedBodyError, TooLargeError, OrderConflictError, KeyConflictError,
                 NoNetworkError, OverloadedError, DeadlineError, StoppingError),
            ),
            Endpoint(
                "POST", "/v1/orders/{order_id}/cancel", self.cancel, "cancel_order", "Cancel an order",
                (Reply(200, "Cancelled, now or before", OrderState),),
                "Gives back all stock and capacity that the order holds. Idempotent by state.",
                "orders", Body({JSON: CancelCommand}, "May be left out", required=False), (order_id,),
                (InvalidInputError, MalformedBodyError, NotFoundError, ConflictError, TooLargeError),
            ),
            Endpoint(
                "GET", "/v1/orders/{order_id}", self.show, "get_order", "An order as it stands",
                (Reply(200, "Order, current decision, state, history", OrderDocument),),
                tag="orders", parameters=(order_id,), problems=(InvalidInputError, NotFoundError),
            ),
        ]  # fmt: skip


def _no_order(partition: str, order_id: str) -> NotFoundError:
    return NotFoundError(f"partition {partition!r} has no order {order_id!r}")
