"""What late re-optimisation found."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, Endpoint, Reply
from api.partition import partition_of, query_of
from engine.assembly import Engine
from engine.errors import InvalidInputError
from engine.reoptimising.report import Report


class Reports(Struct, frozen=True, kw_only=True):
    """The last walk over the standing orders of each policy, by policy id."""

    policies: list[Report]


class ReoptimisationDesk:
    """The handler."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._report = msgspec.json.Decoder(Report)

    async def show(self, request: Request) -> Response:
        """The reports as they were left."""
        query_of(request, ())
        found = await self._engine.ledger.reports(partition_of(request))
        reports = [self._report.decode(body) for _, body in sorted(found.items())]
        return Response(msgspec.json.encode(Reports(policies=reports)), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The route."""
        return [
            Endpoint(
                "GET", "/v1/reoptimisation", self.show, "get_reoptimisation", "What late re-optimisation found last",
                (Reply(200, "By policy; none that never had a walk", Reports),),
                "Orders that are not with their nodes yet are decided again together if their policy says so "
                "(`reoptimise`). Each order that moves is an event, `order.reoptimised`, with its saving and its nodes "
                "before and after; in a dry run nothing moves, and only this report tells what would.",
                "operations", problems=(InvalidInputError,),
            ),
        ]  # fmt: skip
