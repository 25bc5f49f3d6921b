"""The price sheet: what stock and room of days are worth to orders still to come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, Endpoint, Parameter, Reply
from api.partition import IDENTIFIER_PATTERN, partition_of, path_id, query_of
from engine.assembly import Engine
from engine.domain import decimal
from engine.errors import InvalidInputError, NotFoundError
from engine.network import Network
from engine.pricing.sheet import PriceSheet
from engine.promise import to_date


class DayPrice(Struct, frozen=True, kw_only=True):
    """What the room that a box takes at a node on a ship date, in the node's calendar, is expected to save."""

    node_id: str
    date: str
    price: str


class Prices(Struct, frozen=True, kw_only=True):
    """The sheet as a whole; version 0, and no more, while there is none, and the version, and no more, of one that
    another version of the program made.

    `source`: "lp", from sampled futures of `horizon_orders` orders each, or "adaptive", moved since by what was taken.
    `orders_seen`: that the demand was learned from, old ones counting less. `skus`, `cells`: that have a price.
    `room`: the days of nodes with a capacity that are scarce, by node and date.
    """

    version: int
    as_of: datetime | None = None
    source: Literal["lp", "adaptive"] | None = None
    horizon_orders: float = 0.0
    futures: int = 0
    orders_seen: float = 0.0
    skus: int = 0
    cells: int = 0
    room: list[DayPrice] = []


class NodePrice(Struct, frozen=True, kw_only=True):
    """What a unit kept at a node is expected to save later. `kept_for`: the zone to which most of what is kept goes."""

    node_id: str
    price: str
    kept_for: str | None


class SkuPrices(Struct, frozen=True, kw_only=True):
    """The nodes where the SKU is scarce, by the sheet of a version."""

    sku: str
    version: int
    nodes: list[NodePrice]


class PriceDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def show(self, request: Request) -> Response:
        """The sheet as a whole."""
        query_of(request, ())
        partition = partition_of(request)
        sheet = await self._engine.registry.price_sheet(partition)
        if sheet is None:
            return _json(Prices(version=0))
        if not sheet.at_ms:  # see `Registry.price_sheet`
            return _json(Prices(version=sheet.version))
        return _json(_whole(sheet, await self._network(partition)))

    async def of_sku(self, request: Request) -> Response:
        """The prices of one SKU."""
        query_of(request, ())
        partition, sku = partition_of(request), path_id(request, "sku")
        sheet = await self._engine.registry.price_sheet(partition)
        if sheet is None:
            raise NotFoundError(f"partition {partition!r} has no prices")
        network = await self._network(partition)
        nodes = [
            NodePrice(node_id=node_id, price=decimal(keep.mills), kept_for=keep.for_zone or None)
            for keep in sheet.keeps(sku)
            if (node_id := network.node_id_of(keep.node)) is not None
        ]
        return _json(SkuPrices(sku=sku, version=sheet.version, nodes=nodes))

    async def _network(self, partition: str) -> Network:
        """The newest one: a sheet may speak of a node that has just come."""
        versions = await self._engine.ledger.versions(partition)
        return (await self._engine.registry.books(partition, versions)).network

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
        return [
            Endpoint(
                "GET", "/v1/prices", self.show, "get_prices", "What stock and room are worth to orders to come",
                (Reply(200, "Version, age and counts, and the prices of room", Prices),),
                "Prices are made from observed demand every few seconds, beside the orders and never in their way. "
                "They move the choice between nodes (`objective.stock_price`), and are no part of a cost.",
                "prices", problems=(InvalidInputError,),
            ),
            Endpoint(
                "GET", "/v1/prices/{sku}", self.of_sku, "get_sku_prices", "What a SKU's stock is worth, by node",
                (Reply(200, "Nodes that have a price", SkuPrices),), tag="prices",
                parameters=(Parameter("sku", "path", schema, "A SKU, known or not", required=True),),
                problems=(InvalidInputError, NotFoundError),
            ),
        ]  # fmt: skip


def _whole(sheet: PriceSheet, network: Network) -> Prices:
    return Prices(
        version=sheet.version,
        as_of=datetime.fromtimestamp(sheet.at_ms / 1000, UTC),
        source=sheet.source,
        horizon_orders=sheet.horizon,
        futures=sheet.futures,
        orders_seen=sheet.seen,
        skus=len(sheet.stock),
        cells=sheet.cells(),
        room=[
            DayPrice(node_id=node_id, date=to_date(each.day).isoformat(), price=decimal(each.mills))
            for each in sheet.room
            if (node_id := network.node_id_of(each.node)) is not None
        ],
    )


def _json(answer: Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type=JSON)
