"""The past, from the archive: orders by state, the ledger of a SKU. Each answer says its lag."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.endpoint import JSON, Endpoint, Parameter, Reply
from api.paging import cursor_of, foreign_cursor, limit_of, sealed
from api.partition import IDENTIFIER_PATTERN, invalid, partition_of, path_id, query_of
from engine.archive.stock_history import StockChange
from engine.assembly import Engine
from engine.errors import InvalidInputError, UnavailableError
from engine.ledger import states

LIMIT_DEFAULT, LIMIT_MAX = 100, 500
IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": IDENTIFIER_PATTERN}
STATES = sorted({*states.STATES} - {states.NEW})


class ArchiveLag(Struct, frozen=True, kw_only=True):
    """The answer knows all changes up to `as_of`; `entries` later ones of the log are not in yet."""

    as_of: datetime
    entries: int


class OrderEntry(Struct, frozen=True, kw_only=True):
    """One order of a list; `GET /v1/orders/{order_id}` has all of it."""

    order_id: str
    state: str
    placed_at: datetime
    decided_at: datetime
    changed_at: datetime


class OrderList(Struct, frozen=True, kw_only=True):
    """A page of orders, oldest decision first. `next_cursor` is null at the end."""

    items: list[OrderEntry]
    next_cursor: str | None
    archive: ArchiveLag


class StockEntry(Struct, frozen=True, kw_only=True):
    """One change of one SKU at one node, in units: deltas, and what was there after it.

    `kind` is that of the movement, or what else changed it (commit, release, cancel; free: soft holds that lapsed).
    `safety` null: the node's default.
    """

    at: datetime
    node_id: str
    kind: str
    movement_id: str | None
    on_hand_delta: int
    held_delta: int
    blocked_delta: int
    on_hand: int
    held: int
    blocked: int
    safety: int | None


class StockLedger(Struct, frozen=True, kw_only=True):
    """A page of a SKU's changes, oldest first. `next_cursor` is null at the end."""

    sku: str
    items: list[StockEntry]
    next_cursor: str | None
    archive: ArchiveLag


class HistoryDesk:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._history = engine.history

    async def _lag(self, partition: str) -> ArchiveLag:
        lag = await self._history.lag(partition)
        return ArchiveLag(as_of=_instant(lag.as_of_ms), entries=lag.entries)

    async def orders(self, request: Request) -> Response:
        """A page of orders."""
        partition = partition_of(request)
        query = query_of(request, ("state", "cursor", "limit"))
        state = query.get("state")
        if state is not None and state not in STATES:
            raise invalid("query state", "must be one of " + ", ".join(STATES))
        limit = limit_of(query.get("limit"), LIMIT_DEFAULT, LIMIT_MAX)
        ms, number, order_id = _place(query.get("cursor"))
        lag = await self._lag(partition)
        rows = await self._history.orders(partition, state, (ms, number, order_id), limit)
        items = [
            OrderEntry(
                order_id=row.order_id,
                state=row.state,
                placed_at=_instant(row.placed_ms),
                decided_at=_instant(row.decided_ms),
                changed_at=_instant(row.changed_ms),
            )
            for row in rows
        ]
        last = sealed(f"{rows[-1].decided_ms} {rows[-1].number} {rows[-1].order_id}") if len(rows) == limit else None
        return _answer(OrderList(items=items, next_cursor=last, archive=lag))

    async def ledger(self, request: Request) -> Response:
        """A page of one SKU's changes."""
        partition = partition_of(request)
        sku = path_id(request, "sku")
        query = query_of(request, ("cursor", "limit"))
        limit = limit_of(query.get("limit"), LIMIT_DEFAULT, LIMIT_MAX)
        ms, number, k = _place(query.get("cursor"))
        if k and not (k.isascii() and k.isdigit()):
            raise foreign_cursor()
        lag = await self._lag(partition)
        rows = await self._history.stock_ledger(partition, sku, (ms, number, int(k or -1)), limit)
        last = sealed(f"{rows[-1].ms} {rows[-1].number} {rows[-1].k}") if len(rows) == limit else None
        return _answer(StockLedger(sku=sku, items=[_entry(row) for row in rows], next_cursor=last, archive=lag))

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        sku = Parameter("sku", "path", IDENTIFIER, "A SKU", required=True)
        limits = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
        page = (
            Parameter("cursor", "query", {"type": "string", "maxLength": 512}, "`next_cursor` of the page before"),
            Parameter("limit", "query", limits, "How many a page has at most"),
        )
        state = Parameter("state", "query", {"type": "string", "enum": STATES}, "Only orders in this state")
        text = "Read from the archive, which follows the store by a fraction of a second; `archive` says how far it is."
        refused = (InvalidInputError, UnavailableError)
        return [
            Endpoint(
                "GET", "/v1/orders", self.orders, "list_orders", "Orders by time of decision",
                (Reply(200, "A page", OrderList),), text, "orders", parameters=(state, *page), problems=refused,
            ),
            Endpoint(
                "GET", "/v1/stock/{sku}/ledger", self.ledger, "stock_ledger", "Every change of a SKU's stock",
                (Reply(200, "A page", StockLedger),), text, "stock", parameters=(sku, *page), problems=refused,
            ),
        ]  # fmt: skip


def _answer(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _place(cursor: str | None) -> tuple[int, int, str]:
    """Where a list goes on; before everything without a cursor."""
    text = cursor_of(cursor)
    if not text:
        return 0, -1, ""
    ms, _, rest = text.partition(" ")
    number, _, last = rest.partition(" ")
    if not (ms.isdigit() and number.isdigit() and last and len(ms) < 16 and len(number) < 16):
        raise foreign_cursor()
    return int(ms), int(number), last


def _entry(change: StockChange) -> StockEntry:
    return StockEntry(
        at=_instant(change.ms),
        node_id=change.node_id,
        kind=change.kind,
        movement_id=change.movement_id,
        on_hand_delta=change.on_hand_delta,
        held_delta=change.held_delta,
        blocked_delta=change.blocked_delta,
        on_hand=change.on_hand,
        held=change.held,
        blocked=change.blocked,
        safety=None if change.safety < 0 else change.safety,
    )
