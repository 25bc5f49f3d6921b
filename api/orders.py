"""One order at a time: decide, cancel, look at. The hot path: bytes, decoder, admission, gate, bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import order_of, whole
from api.endpoint import JSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, KEY_PATTERN, idempotency_key_of, partition_of, path_id, wait_ms_of
from api.problems import MalformedBodyError, TooLargeError
from engine.admission import unsupported
from engine.assembly import Engine
from engine.decisions import Decision
from engine.domain import Order
from engine.errors import (
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
from engine.ledger.port import OrderRecord

ORDER_ID = Parameter(
    "order_id",
    "path",
    {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN},
    "The caller's order id",
    required=True,
)


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened to an order."""

    at: datetime
    event: str


class OrderView(Struct, frozen=True, kw_only=True):
    """What `GET` answers, made of stored bytes; `OrderDocument` describes it."""

    order_id: str
    state: str
    hold_until: datetime | None
    except_nodes: list[str]
    order: Raw
    decision: Raw
    history: list[HistoryEntry]


class OrderDocument(Struct, frozen=True, kw_only=True):
    """An order as it stands: as it was sent, its current decision, and what happened to it.

    `hold_until`: when its soft hold lapses or has lapsed, by the store's clock; null without one. `except_nodes`: never
    offered again for this order, by re-routes.
    """

    order_id: str
    state: str
    hold_until: datetime | None
    except_nodes: list[str]
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

    async def show(self, request: Request) -> Response:
        """An order as it stands."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        record = await self._engine.past.order(partition, order_id)
        if record is None:
            raise no_order(partition, order_id)
        return Response(msgspec.json.encode(_view(record)), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
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
                "GET", "/v1/orders/{order_id}", self.show, "get_order", "An order as it stands",
                (Reply(200, "Order, current decision, state, history", OrderDocument),),
                tag="orders", parameters=(ORDER_ID,), problems=(InvalidInputError, NotFoundError),
            ),
        ]  # fmt: skip


def _view(record: OrderRecord) -> OrderView:
    return OrderView(
        order_id=record.order_id,
        state=record.state,
        hold_until=_instant(record.deadline_ms) if record.deadline_ms else None,
        except_nodes=list(record.excluded),
        order=Raw(record.order),
        decision=Raw(record.current),
        history=[HistoryEntry(at=_instant(change.at_ms), event=change.event) for change in record.history],
    )


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def no_order(partition: str, order_id: str) -> NotFoundError:
    """There is no such order."""
    return NotFoundError(f"partition {partition!r} has no order {order_id!r}")
