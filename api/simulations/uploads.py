"""Files of orders and stock that simulations may name."""

from __future__ import annotations

import asyncio
import secrets

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import check_head, chunks
from api.endpoint import JSON, NDJSON, Body, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id
from api.problems import TooLargeError
from engine.assembly import Engine
from engine.domain import Order, StockRow
from engine.errors import InvalidInputError, NotFoundError, OverloadedError, TooManyError, UnavailableError

TEXT = """A record a line: orders as `POST /v1/orders` takes them, each with `placed_at`, or stock as `PUT /v1/stock`
does. The lines are read, and their faults told, when a simulation names the file as `demand.upload` or `stock.upload`.
It then has a copy: the file may be replaced or removed at any time, and is removed in the end."""


class SimulationUpload(Struct, frozen=True, kw_only=True):
    """A file that is there."""

    file: str
    bytes: int


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
        uploads = self._engine.simulations.uploads(partition)
        await asyncio.to_thread(uploads.directory.mkdir, parents=True, exist_ok=True)
        fresh, size = uploads.file(name).with_suffix("." + secrets.token_hex(4)), 0
        try:
            with fresh.open("wb") as file:
                async for chunk in chunks(request, limit):
                    await asyncio.to_thread(file.write, chunk)
                    size += len(chunk)
            fresh.replace(uploads.file(name))
        finally:
            fresh.unlink(missing_ok=True)
        return Response(msgspec.json.encode(SimulationUpload(file=name, bytes=size)), media_type=JSON)

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
        return [
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
