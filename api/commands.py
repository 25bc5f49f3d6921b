"""Commands on an order that stands: confirm, release, cancel, hand over, replace, re-route."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import decode, order_of, whole
from api.endpoint import JSON, Body, Endpoint, Handler, Reply
from api.orders import ORDER_ID, check, no_order
from api.partition import invalid, partition_of, path_id
from api.problems import MalformedBodyError, TooLargeError
from engine.assembly import Engine
from engine.decisions import Decision
from engine.domain import Identifier, Order, Record
from engine.errors import (
    CommandConflictError,
    DeadlineError,
    InvalidInputError,
    NoNetworkError,
    NotFoundError,
    OverloadedError,
    StateConflictError,
    StoppingError,
    StoreUnavailableError,
)
from engine.gate import Anew
from engine.ledger import states
from engine.ledger.port import Answer

EXCEPT_NODES_MAX = 2_000


class OrderCommand(Record, frozen=True, kw_only=True):
    """The body of a command, which may be left out. A `command_id` is applied once, whatever comes after it."""

    command_id: Identifier | None = None


class RerouteCommand(Record, frozen=True, kw_only=True):
    """What a re-route asks: nodes never to offer again for this order, and why; `dry_run` only shows the decision."""

    command_id: Identifier
    except_nodes: Annotated[tuple[Identifier, ...], Meta(max_length=EXCEPT_NODES_MAX)] = ()
    reason: Annotated[str, Meta(max_length=1_024)] = ""
    dry_run: bool = False


class OrderState(Struct, frozen=True, kw_only=True):
    """An order's state after a command."""

    order_id: str
    state: str


class CommandDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._command = msgspec.json.Decoder(OrderCommand)
        self._reroute = msgspec.json.Decoder(RerouteCommand)
        self._order = msgspec.json.Decoder(Order)

    async def _give(self, request: Request, command: str) -> Response:
        """Give a command to the ledger, which knows the table of states."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        body = await whole(request, self._engine.settings.body_bytes_max)
        command_id = (decode(self._command, body).command_id if body else None) or ""
        answer, state = await self._engine.past.command(partition, order_id, command, command_id)
        if answer is Answer.UNKNOWN:
            raise no_order(partition, order_id)
        if answer is Answer.OTHER:
            raise CommandConflictError(f"the command id {command_id!r} was used for another command of this order")
        if answer is Answer.REFUSED:
            raise StateConflictError(states.why(state, command))
        if answer is Answer.LEFT:
            raise StateConflictError(states.left(state, command))
        return Response(msgspec.json.encode(OrderState(order_id=order_id, state=state)), media_type=JSON)

    async def confirm(self, request: Request) -> Response:
        """Make a soft hold firm."""
        return await self._give(request, states.CONFIRM)

    async def release(self, request: Request) -> Response:
        """Give back all that an order holds; it stays as it was asked."""
        return await self._give(request, states.RELEASE)

    async def cancel(self, request: Request) -> Response:
        """Give back all that an order holds; it is over."""
        return await self._give(request, states.CANCEL)

    async def ready(self, request: Request) -> Response:
        """Hand an order over to its nodes."""
        return await self._give(request, states.TO_NODE)

    async def replace(self, request: Request) -> Response:
        """Decide an order again with other content, its own hold counted as free."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        order = await order_of(await whole(request, self._engine.settings.body_bytes_max))
        if order.order_id != order_id:
            raise invalid("$.order_id", "not the id of the path")
        check(order)
        return await self._decide(partition, order, Anew(states.REPLACE, secrets.token_hex(8)))

    async def reroute(self, request: Request) -> Response:
        """Decide an order again without some nodes."""
        partition = partition_of(request)
        order_id = path_id(request, "order_id")
        asked = decode(self._reroute, await whole(request, self._engine.settings.body_bytes_max))
        record = await self._engine.past.order(partition, order_id)
        if record is None:
            raise no_order(partition, order_id)
        digest = blake2b(msgspec.msgpack.encode((sorted(asked.except_nodes), asked.reason)), digest_size=8).hexdigest()
        anew = Anew(states.REROUTE, asked.command_id, digest, asked.reason, asked.except_nodes, asked.dry_run)
        return await self._decide(partition, self._order.decode(record.order), anew)

    async def _decide(self, partition: str, order: Order, anew: Anew) -> Response:
        if reasons := self._engine.unready():
            raise StoreUnavailableError("orders are not decided now: " + "; ".join(reasons))
        answer = await self._engine.gate.submit(partition, order, anew=anew)
        return Response(answer.decision, media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        deciding = (
            InvalidInputError, MalformedBodyError, TooLargeError, NotFoundError, StateConflictError, NoNetworkError,
            OverloadedError, DeadlineError, StoppingError,
        )  # fmt: skip
        return [
            self._simple(
                "confirm", self.confirm, "Make a soft hold firm",
                "Moves no units. A hold that has lapsed cannot be confirmed: replace the order instead.",
            ),
            self._simple(
                "release", self.release, "Release an order's hold", "Gives back all stock and capacity it holds.",
            ),
            self._simple(
                "cancel", self.cancel, "Cancel an order",
                "Gives back all stock and capacity that the order holds. Idempotent by state.",
            ),
            self._simple(
                "ready", self.ready, "Hand an order over to its nodes", "It is not decided again after this.",
            ),
            Endpoint(
                "PUT", "/v1/orders/{order_id}", self.replace, "replace_order", "Replace an order",
                (Reply(200, "Decided again and durable", Decision),),
                "Replaces content and hold in one step while the order is softly held, refused or lapsed. What it "
                "holds counts as free for it. Repeats of the new content get the new decision.",
                "orders", Body({JSON: Order}, "The whole order"), (ORDER_ID,), deciding,
            ),
            Endpoint(
                "POST", "/v1/orders/{order_id}/reroute", self.reroute, "reroute_order", "Decide an order again",
                (Reply(200, "The decision that now holds, or with `dry_run` would", Decision),),
                "The excluded nodes are never offered again for this order. What it holds counts as free for it; a "
                "soft hold keeps its deadline. The same command_id is applied once and answers its own decision.",
                "orders", Body({JSON: RerouteCommand}, "Which nodes to leave out, and why"), (ORDER_ID,),
                (*deciding, CommandConflictError),
            ),
        ]  # fmt: skip

    def _simple(self, command: str, handler: Handler, summary: str, text: str) -> Endpoint:
        """A command that needs no decision."""
        return Endpoint(
            "POST", f"/v1/orders/{{order_id}}/{command}", handler, f"{command}_order", summary,
            (Reply(200, "Done, now or before", OrderState),), text,
            "orders", Body({JSON: OrderCommand}, "May be left out", required=False), (ORDER_ID,),
            (InvalidInputError, MalformedBodyError, NotFoundError, TooLargeError, StateConflictError,
             CommandConflictError),
        )  # fmt: skip
