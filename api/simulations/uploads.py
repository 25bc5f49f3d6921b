"""Files of orders and stock that simulations may name."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import check_head, chunks
from api.endpoint import JSON, NDJSON, Body, Endpoint, Parameter, Reply
from api.paging import cursor_of, limit_of, sealed
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id, query_of
from api.problems import TooLargeError
from engine.assembly import Engine
from engine.domain import Order, StockRow, instant_of
from engine.errors import InvalidInputError, NotFoundError, OverloadedError, TooManyError, UnavailableError

LIMIT_DEFAULT, LIMIT_MAX = 20, 100

TEXT = """A record a line: orders as `POST /v1/orders` takes them, each with `placed_at`, or stock as `PUT /v1/stock`
does. The lines are read, and their faults told, when a simulation names the file as `demand.upload` or `stock.upload`.
It then has a copy: the file may be replaced or removed at any time, and is removed in the end."""


class SimulationUpload(Struct, frozen=True, kw_only=True):
    """A file that is there."""

    file: str
    bytes: int


class SimulationUploadEntry(Struct, frozen=True, kw_only=True):
    """A file of the list. `orders`: how many it holds, as its lines tell; null if it does not hold orders."""

    file: str
    format: str = "ndjson"
    bytes: int
    orders: int | None
    created_at: datetime
    expires_at: datetime


class SimulationUploadList(Struct, frozen=True, kw_only=True):
    """A page of files, by name. `next_cursor` is null at the end."""

    items: list[SimulationUploadEntry]
    next_cursor: str | None


class UploadDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, request: Request) -> Response:
        """Write a file as it comes: wholly, or not at all."""
        partition, name = partition_of(request), path_id(request, "file")
        limit = self._engine.settings.bulk_bytes_max
        check_head(request, limit)
        self._engine.simulations.require_upload_room(partition, name)
        uploads, size = self._engine.simulations.uploads(partition), 0
        coming = await asyncio.to_thread(uploads.coming, name)
        try:
            with coming.open("wb") as file:
                async for chunk in chunks(request, limit):
                    await asyncio.to_thread(file.write, chunk)
                    size += len(chunk)
            await asyncio.to_thread(uploads.place, name, coming)
        finally:
            coming.unlink(missing_ok=True)
        return Response(msgspec.json.encode(SimulationUpload(file=name, bytes=size)), media_type=JSON)

    async def index(self, request: Request) -> Response:
        """A page of them."""
        partition, query = partition_of(request), query_of(request, ("cursor", "limit"))
        limit, after = limit_of(query.get("limit"), LIMIT_DEFAULT, LIMIT_MAX), cursor_of(query.get("cursor"))
        simulations = self._engine.simulations
        found = await asyncio.to_thread(simulations.uploads(partition).listed)
        rest = [each for each in found if each.name > after]
        items = [
            SimulationUploadEntry(
                file=each.name,
                bytes=each.bytes,
                orders=each.orders,
                created_at=instant_of(int(each.created_ms)),
                expires_at=instant_of(int(simulations.upload_expires_ms(each.created_ms))),
            )
            for each in rest[:limit]
        ]
        cursor = sealed(items[-1].file) if len(rest) > limit else None
        return Response(msgspec.json.encode(SimulationUploadList(items=items, next_cursor=cursor)), media_type=JSON)

    async def remove(self, request: Request) -> Response:
        """Remove a file."""
        partition, name = partition_of(request), path_id(request, "file")
        size = await asyncio.to_thread(self._engine.simulations.uploads(partition).remove, name)
        return Response(msgspec.json.encode(SimulationUpload(file=name, bytes=size)), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        names = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        file = (Parameter("file", "path", names, "Its name, as in the simulation", required=True),)
        path = "/v1/simulation-uploads/{file}"
        limits = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
        pages = (
            Parameter("cursor", "query", {"type": "string", "maxLength": 1024}, "`next_cursor` of the page before"),
            Parameter("limit", "query", limits, "How many a page has at most"),
        )
        return [
            Endpoint(
                "GET", "/v1/simulation-uploads", self.index, "list_simulation_uploads", "Uploads, by name",
                (Reply(200, "A page", SimulationUploadList),), tag="simulations",
                parameters=pages, problems=(InvalidInputError, UnavailableError),
            ),
            Endpoint(
                "PUT", path, self.put, "put_simulation_upload", "Upload orders or stock for simulations",
                (Reply(200, "Kept", SimulationUpload),), TEXT, "simulations",
                Body({NDJSON: {"anyOf": [Order, StockRow]}}, "Records"), file,
                (InvalidInputError, TooLargeError, OverloadedError, TooManyError, UnavailableError),
            ),
            Endpoint(
                "DELETE", path, self.remove, "delete_simulation_upload", "Remove an upload",
                (Reply(200, "It was there", SimulationUpload),), tag="simulations", parameters=file,
                problems=(NotFoundError,),
            ),
        ]  # fmt: skip
