"""Stock: snapshot rows, movements, and what there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, NDJSON, Body, Endpoint, Parameter, Reply
from api.paging import cursor_of, limit_of, sealed
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id, query_of
from api.problems import MalformedBodyError, TooLargeError
from api.rows import LineFault, Upload
from engine.assembly import Engine
from engine.domain import IncomingRow, Movement, StockRow
from engine.errors import ConflictError, InvalidInputError, NoNetworkError, NotFoundError
from engine.stock import SkuStock, Tally

LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000

Row = TypeVar("Row", StockRow, Movement, IncomingRow)

IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}


class StockWritten(Struct, frozen=True, kw_only=True):
    """What became of an upload. `errors` names at most 1,000 of the `faulty` rows."""

    rows: int
    applied: int
    repeated: int
    faulty: int
    errors: list[LineFault]


class StockPage(Struct, frozen=True, kw_only=True):
    """A page of SKUs with stock. `next_cursor` is null at the end."""

    items: list[SkuStock]
    next_cursor: str | None


class StockDesk:
    """The handlers. Decoders are built once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._snapshots = msgspec.json.Decoder(StockRow)
        self._movements = msgspec.json.Decoder(Movement)
        self._incoming = msgspec.json.Decoder(IncomingRow)

    async def put(self, request: Request) -> Response:
        """Snapshot rows."""
        return await self._upload(request, self._snapshots, self._engine.stock.write)

    async def move(self, request: Request) -> Response:
        """Movements."""
        return await self._upload(request, self._movements, self._engine.stock.write)

    async def expect(self, request: Request) -> Response:
        """Incoming units."""
        return await self._upload(request, self._incoming, self._engine.stock.write_incoming)

    async def _upload(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[Row],
        write: Callable[[str, Sequence[tuple[int, Row]]], Awaitable[Tally]],
    ) -> Response:
        partition = partition_of(request)

        async def apply(rows: Sequence[tuple[int, Row]]) -> Tally:
            return await write(partition, rows)

        upload = Upload(decoder, apply)
        await upload.run(request, self._engine.settings.bulk_bytes_max)
        written = StockWritten(
            rows=upload.rows,
            applied=upload.applied,
            repeated=upload.repeated,
            faulty=upload.faulty,
            errors=upload.listed(),
        )
        return Response(msgspec.json.encode(written), media_type=JSON)

    async def show(self, request: Request) -> Response:
        """One SKU."""
        stock = await self._engine.stock.view(partition_of(request), path_id(request, "sku"))
        return Response(msgspec.json.encode(stock), media_type=JSON)

    async def page(self, request: Request) -> Response:
        """All stock, a page at a time."""
        partition = partition_of(request)
        query = query_of(request, ("node_id", "cursor", "limit"))
        following, items = await self._engine.stock.page(
            partition,
            query.get("node_id"),
            cursor_of(query.get("cursor")),
            limit_of(query.get("limit"), LIMIT_DEFAULT, LIMIT_MAX),
        )
        parts = []
        for item in items:
            parts.append(msgspec.json.encode(item))
            await asyncio.sleep(0)
        cursor = msgspec.json.encode(sealed(following) if following else None)
        return Response(b'{"items":[%b],"next_cursor":%b}' % (b",".join(parts), cursor), media_type=JSON)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        refused = (InvalidInputError, NoNetworkError, ConflictError, MalformedBodyError, TooLargeError)
        written = (Reply(200, "Rows applied, rows repeated, and rows refused with their line", StockWritten),)
        sku = Parameter("sku", "path", IDENTIFIER, "A SKU", required=True)
        query = (
            Parameter("node_id", "query", {"type": "string", "maxLength": 128}, "Only stock at this node"),
            Parameter("cursor", "query", {"type": "string", "maxLength": 512}, "`next_cursor` of the page before"),
            Parameter(
                "limit",
                "query",
                {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
                "About how many SKUs a page has",
            ),
        )
        return [
            Endpoint(
                "PUT", "/v1/stock", self.put, "put_stock", "Set counted stock levels", written,
                "One row, an array or one row a line, up to a million. Good rows apply whatever the others do; a row "
                "without `safety` keeps the cell's own. Rows apply in order and as they arrive: what was applied "
                "before a broken connection stays, and sending all again is safe.",
                "stock", Body(_rows(StockRow), "Counted levels"), problems=refused,
            ),
            Endpoint(
                "POST", "/v1/stock/movements", self.move, "move_stock", "Change stock", written,
                "receive: quantity above 0 arrives; adjust: signed; count: the new on_hand; damage: moves units to "
                "blocked; write_off: units leave, blocked ones first. The same `movement_id` applies once. A receive "
                "may name the `incoming_id` that it brings: so many fewer units are on their way then.",
                "stock", Body(_rows(Movement), "Movements"), problems=refused,
            ),
            Endpoint(
                "PUT", "/v1/stock/incoming", self.expect, "put_incoming", "Say what is to come in", written,
                "Units on their way to a node, by `incoming_id`: a row replaces what its id said before, a quantity of "
                "0 cancels. They give orders that wait for them a date; only a receive makes them stock.",
                "stock", Body(_rows(IncomingRow), "Incoming units"), problems=refused,
            ),
            Endpoint(
                "GET", "/v1/stock/{sku}", self.show, "get_stock", "The stock of one SKU at all nodes",
                (Reply(200, "Its cells", SkuStock),), tag="stock", parameters=(sku,),
                problems=(InvalidInputError, NotFoundError),
            ),
            Endpoint(
                "GET", "/v1/stock", self.page, "list_stock", "All stock, a page at a time",
                (Reply(200, "A page", StockPage),), tag="stock", parameters=query,
                problems=(InvalidInputError, NotFoundError),
            ),
        ]  # fmt: skip


def _rows(kind: type) -> dict[str, object]:
    """A body of one row, an array of rows, or a row a line."""
    return {JSON: kind | list[kind], NDJSON: kind}  # type: ignore[valid-type]
