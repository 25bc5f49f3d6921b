"""Questions over HTTP: a quote for an order that is not placed, an explanation of one that is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.bodies import order_of, whole
from api.endpoint import JSON, Body, Endpoint, Reply
from api.orders import ORDER_ID, check
from api.partition import partition_of, path_id
from api.problems import MalformedBodyError, TooLargeError
from engine.assembly import Engine
from engine.domain import Order
from engine.errors import GoneError, InvalidInputError, NoNetworkError, NotFoundError, OverloadedError
from engine.explaining.document import Explanation, Quote


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

    async def explain(self, request: Request) -> Response:
        """Why an order goes where it goes."""
        partition, order_id = partition_of(request), path_id(request, "order_id")
        return Response(await self._engine.inquiries.explain(partition, order_id), media_type=JSON)

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
            Endpoint(
                "GET", "/v1/orders/{order_id}/explanation", self.explain, "explain_order",
                "Why an order goes where it goes",
                (Reply(200, "Every node: eligible or why not, its plan, and what would have to change", Explanation),),
                "The current decision, computed again from the record of its window, as of then; also of orders in the "
                "archive. Records are kept for `record_days` (30), then it is 410.",
                "orders", parameters=(ORDER_ID,),
                problems=(InvalidInputError, NotFoundError, GoneError, OverloadedError),
            ),
        ]  # fmt: skip
