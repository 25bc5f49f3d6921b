"""Many orders in one request: read whole with bounded memory, then decided side by side and answered in order.

`Prefer: stream` answers while the client is still sending; that client must read while it writes.
A client that leaves stops the intake; what was committed stays.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from tempfile import SpooledTemporaryFile
from typing import IO, NamedTuple

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.bodies import order_of
from api.door import REQUEST_ID
from api.endpoint import JSON, NDJSON, Body, Endpoint, Parameter, Reply, client_left
from api.orders import check
from api.partition import partition_of, prefers_stream
from api.problems import MalformedBodyError, Problem, TooLargeError, problem_of, translate
from api.records import Record, records
from engine.assembly import Engine
from engine.decisions import Decision
from engine.domain import Order
from engine.errors import EngineError, OverloadedError
from engine.gate import Ticket

ORDERS_MAX = 100_000
SPOOL_BYTES = 8 * 2**20
"""Above this an upload waits on disk."""
IN_FLIGHT_MAX = 1_000
"""Orders of one upload that are in the engine at once."""
UPLOADS_MAX = 8
"""Uploads at once; one more is refused with a time to retry."""
CHUNK_BYTES = 64 * 1024
BREATH_RECORDS = 16
"""After so many orders let in others get their turn: a millisecond or so."""

_HEAD = struct.Struct("<IQI?")


class _Named(Struct):
    order_id: str | None = None


class BulkDesk:
    """The handler, and how many uploads are under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._uploads = 0

    async def decide(self, request: Request) -> Response:
        """Decide many orders."""
        partition = partition_of(request)
        settings = self._engine.settings
        if self._uploads >= UPLOADS_MAX:
            raise OverloadedError(f"{UPLOADS_MAX} bulk uploads are under way, which is the limit", retry_after_s=5)
        self._uploads += 1
        spool: IO[bytes] = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 -- closed by the answer
        try:
            incoming = records(request, settings.bulk_bytes_max, settings.body_bytes_max)
            if prefers_stream(request):
                source = _guarded(incoming)
            else:
                async with aclosing(incoming):
                    await _fill(spool, incoming)
                source = _stored(spool)
        except BaseException:
            self._leave(spool)
            raise
        return _BulkAnswer(self, partition, request.scope[REQUEST_ID], source, spool, prefers_stream(request))

    def _leave(self, spool: IO[bytes]) -> None:
        self._uploads -= 1
        spool.close()

    async def begin(self, partition: str, request_id: str, index: int, record: Record) -> _Flying:
        """Let one order in. Never raises an Exception."""
        try:
            if record.fault is not None:
                raise MalformedBodyError(record.fault, 0)
            order = await order_of(record.data)
            check(order)
            ticket = await self._engine.gate.enter(partition, order, patient=True)
        except Exception as raised:
            return _Flying(index, record, None, _line_of(translate(raised), request_id, index, record))
        return _Flying(index, record, ticket)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        line = {"anyOf": [Decision, Problem]}
        return [
            Endpoint(
                "POST", "/v1/orders/bulk", self.decide, "decide_orders", "Decide many orders",
                (Reply(200, "One line for each order, in order: its decision, or a problem with `index` (from 0) and "
                       "`order_id`", line, NDJSON),),
                "An array or an order a line, at most 100,000. The body is read whole before the answer begins. One "
                "bad order stops no other. Orders decided before get their first decision again, so sending all again "
                "is safe. A record without an order_id that can be read is answered with `order_id` null. An "
                "Idempotency-Key is ignored here: each order has its own id.",
                "orders", Body({JSON: list[Order], NDJSON: Order}, "Orders"),
                (Parameter("Prefer", "header", {"type": "string"}, "`stream`: answer while the body still arrives"),),
                (MalformedBodyError, TooLargeError, OverloadedError),
            )
        ]  # fmt: skip


class _Flying(NamedTuple):
    """An order of an upload that has a ticket, or its line of the answer already."""

    index: int
    record: Record
    ticket: Ticket | None
    line: bytes = b""

    @property
    def done(self) -> bool:
        """Whether its line can be had without waiting."""
        return self.ticket is None or self.ticket.answer.done()

    async def answer(self, request_id: str) -> bytes:
        """Its line of the answer. Never raises an Exception."""
        if self.ticket is None:
            return self.line
        try:
            return (await self.ticket.answer).decision
        except Exception as raised:
            return _line_of(translate(raised), request_id, self.index, self.record)

    def leave(self) -> None:
        """Nobody waits for it any more."""
        if self.ticket is not None:
            self.ticket.answer.cancel()


class _BulkAnswer(Response):
    """The NDJSON answer; watches whether the client is still there."""

    def __init__(
        self,
        desk: BulkDesk,
        partition: str,
        request_id: str,
        source: AsyncGenerator[Record, None],
        spool: IO[bytes],
        duplex: bool,
    ) -> None:
        super().__init__(media_type=NDJSON)
        del self.headers["content-length"]
        self._desk = desk
        self._partition = partition
        self._request_id = request_id
        self._source = source
        self._spool = spool
        self._duplex = duplex

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        work = asyncio.create_task(self._answer(send))
        # With full duplex the body is still being read: a client that leaves is noticed there.
        watch = None if self._duplex else asyncio.create_task(client_left(receive))
        try:
            await asyncio.wait([task for task in (work, watch) if task is not None], return_when="FIRST_COMPLETED")
            if work.done():
                work.result()
            else:
                raise ClientDisconnect
        finally:
            for task in (work, watch):
                if task is not None:
                    task.cancel()
            await asyncio.wait([work])
            self._desk._leave(self._spool)

    async def _answer(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ready: list[bytes] = []
        size = 0
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                if line is None or size >= CHUNK_BYTES:
                    if ready:
                        await send({"type": "http.response.body", "body": b"".join(ready), "more_body": True})
                        await asyncio.sleep(0)
                    ready, size = [], 0
                if line is not None:
                    ready += (line, b"\n")
                    size += len(line) + 1
        await send({"type": "http.response.body", "body": b"".join(ready), "more_body": False})

    async def _lines(self) -> AsyncGenerator[bytes | None, None]:
        """Answers in the order of the orders; None where the next one is not ready yet."""
        flying: asyncio.Queue[_Flying | None] = asyncio.Queue()
        room = asyncio.Semaphore(IN_FLIGHT_MAX)
        intake = asyncio.create_task(self._take(flying, room))
        one: _Flying | None = None
        try:
            while True:
                if flying.empty():
                    yield None
                one = await flying.get()
                if one is None:
                    break
                if not one.done:
                    yield None
                yield await one.answer(self._request_id)
                room.release()
            await intake
        finally:
            intake.cancel()
            while one is not None:
                one.leave()
                one = None if flying.empty() else flying.get_nowait()

    async def _take(self, flying: asyncio.Queue[_Flying | None], room: asyncio.Semaphore) -> None:
        """Let the orders in as they come, a bounded number at once."""
        index = 0
        try:
            async with aclosing(self._source) as source:
                async for record in source:
                    await room.acquire()
                    flying.put_nowait(await self._desk.begin(self._partition, self._request_id, index, record))
                    index += 1
        finally:
            flying.put_nowait(None)


async def _fill(spool: IO[bytes], incoming: AsyncIterator[Record]) -> None:
    """Store an upload as it arrives; refuse it as soon as it has too many orders."""
    count = 0
    async for record in incoming:
        count += 1
        if count > ORDERS_MAX:
            raise _too_many()
        data = record.data if record.fault is None else record.fault.encode()
        spool.write(_HEAD.pack(record.number, record.start, len(data), record.fault is not None))
        spool.write(data)
    spool.seek(0)


async def _stored(spool: IO[bytes]) -> AsyncGenerator[Record, None]:
    """The stored upload, record by record."""
    count = 0
    while head := spool.read(_HEAD.size):
        number, start, size, faulty = _HEAD.unpack(head)
        data = spool.read(size)
        yield Record(number, start, b"", data.decode()) if faulty else Record(number, start, data)
        count += 1
        if count % BREATH_RECORDS == 0:
            await asyncio.sleep(0)


async def _guarded(incoming: AsyncGenerator[Record, None]) -> AsyncGenerator[Record, None]:
    """The upload as it arrives; what is wrong with it as a whole becomes its last record."""
    count = at = 0
    try:
        async with aclosing(incoming):
            async for record in incoming:
                count, at = count + 1, record.start
                if count > ORDERS_MAX:
                    raise _too_many()
                yield record
    except EngineError as error:
        yield Record(count + 1, at, b"", error.detail)


def _too_many() -> TooLargeError:
    return TooLargeError(f"an upload may have at most {ORDERS_MAX} orders")


def _line_of(error: EngineError, request_id: str, index: int, record: Record) -> bytes:
    """A problem as one line of the answer."""
    problem = problem_of(error, request_id, byte_offset=record.start)
    return msgspec.json.encode(msgspec.structs.replace(problem, index=index, order_id=_order_id(record.data)))


def _order_id(data: bytes) -> str | None:
    """The order id of an order that may be wrong in every other way."""
    try:
        return msgspec.json.decode(data, type=_Named).order_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
