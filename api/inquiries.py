"""Questions over HTTP: a quote for an order that is not placed, an explanation of one that is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.bodies import order_of, whole
from api.endpoint import JSON, Body, Endpoint, Reply
from api.orders import check
from api.partition import partition_of
from api.problems import MalformedBodyError, TooLargeError
from engine.assembly import Engine
from engine.domain import Order
from engine.errors import InvalidInputError, NoNetworkError, OverloadedError
from engine.explaining.document import Quote


class InquiryDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def quote(self, request: Request) -> Response:
        """What an order would get now."""
        partition = partition_of(request)
        order = await order_of(await whole(request, self._engine.settings.body_bytes_max))
        check(order)
        return Response(await self._engine.inquiries.quote(partition, order), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "POST", "/v1/quotes", self.quote, "quote_order", "What an order would get now",
                (Reply(200, "The plan, its cost and dates, and the next best plans", Quote),),
                "An order's body; decided on live stock by the code that decides orders. Nothing is held, nothing "
                "changes, and the order id may be used afterwards.",
                "orders", Body({JSON: Order}, "An order"),
                problems=(InvalidInputError, MalformedBodyError, TooLargeError, NoNetworkError, OverloadedError),
            ),
        ]  # fmt: skip
