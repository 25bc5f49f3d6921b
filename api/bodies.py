"""Request bodies: read under a limit, decoded straight into domain types, refused with the place of the fault.

Starlette's own limit answers text/plain, hence the few lines here. The Content-Type is not judged: what is sent is read
as JSON. Content-Encoding must be absent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request

from api.partition import header
from api.problems import CrossSiteError, MalformedBodyError, TooLargeError, UnsupportedEncodingError
from engine.domain import LINES_MAX, Order, OrderLine
from engine.errors import EngineError, Fault, InvalidInputError

Decoded = TypeVar("Decoded")

SLICED_BYTES = 48 * 1024
"""Orders longer than this are decoded line by line, with a breath for the event loop in between."""
LINES_PER_SLICE = 500

_SYNTAX = msgspec.json.Decoder(Raw)
_FIELD = re.compile(r"(?:required|unknown) field `(.+)`$")
_BYTE = re.compile(r" \(byte (\d+)\)$")


def check_head(request: Request, limit: int) -> None:
    """Refuse by its head a body that cannot be taken."""
    if header(request, b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise CrossSiteError("a browser sent this from a page of another site")
    if header(request, b"content-encoding") not in (None, b"identity", b""):
        raise UnsupportedEncodingError("compressed bodies are not read; send it without Content-Encoding")
    length = header(request, b"content-length")
    if length is not None and length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the body may have at most {limit} bytes")


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives; refused as soon as it passes the limit."""
    check_head(request, limit)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


async def whole(request: Request, limit: int) -> bytes:
    """The whole body of a single document."""
    parts = [chunk async for chunk in chunks(request, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def document(request: Request, limit: int) -> bytes:
    """The body of a document that a person writes, if it is JSON at all; what it says is judged elsewhere."""
    body = await whole(request, limit)
    decode(_SYNTAX, body)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise MalformedBodyError("not UTF-8", fault.start) from None
    return body


def decode(decoder: msgspec.json.Decoder[Decoded], body: bytes) -> Decoded:
    """Decode, or say what is wrong and where."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise refusal(fault, body) from None


def refusal(fault: Exception, body: bytes, root: str = "$") -> EngineError:
    """A decoding fault as an error with its JSON path (below `root`) or its byte."""
    if isinstance(fault, msgspec.ValidationError):
        reason, _, path = str(fault).partition(" - at `")
        place = root + path.rstrip("`")[1:]
        named = _FIELD.search(reason)
        if named is not None:
            place = f"{place}.{named.group(1)}"
        return InvalidInputError(f"{place}: {reason}", [Fault(place, reason)])
    if isinstance(fault, RecursionError):
        return MalformedBodyError("nested too deeply", 0)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as place_of_byte:
        return MalformedBodyError("not UTF-8", place_of_byte.start)
    if not body.strip():
        return MalformedBodyError("the body is empty; JSON was expected", 0)
    found = _BYTE.search(str(fault))
    byte = int(found.group(1)) if found is not None else len(body)
    byte -= "trailing" in str(fault)  # counted from 1, unlike the others
    return MalformedBodyError(_BYTE.sub("", str(fault)), byte)


class _LongOrder(Struct, forbid_unknown_fields=True):
    """An order whose lines are not decoded yet; the other fields are checked when it is put together."""

    order_id: Raw
    ship_to: Raw
    lines: list[Raw]
    placed_at: Raw = Raw(b"null")
    channel: Raw = Raw(b'"web"')
    policy_id: Raw = Raw(b'"default"')
    level: Raw = Raw(b'"standard"')
    deliver_by: Raw = Raw(b"null")
    priority: Raw = Raw(b"0")
    limits: Raw = Raw(b"{}")
    pickup_node: Raw = Raw(b"null")
    backorder: Raw = Raw(b"false")
    hold_seconds: Raw = Raw(b"null")


_ORDER = msgspec.json.Decoder(Order)
_LONG_ORDER = msgspec.json.Decoder(_LongOrder)
_LINE = msgspec.json.Decoder(OrderLine)
_STAND_IN = Raw(b'[{"line_id":"1","sku":"1","quantity":1}]')
HEAD_BYTES_MAX = 256 * 1024
"""All of an order but its lines."""


async def order_of(body: bytes) -> Order:
    """An order; a long one without holding up the event loop."""
    if len(body) <= SLICED_BYTES:
        return decode(_ORDER, body)
    long = decode(_LONG_ORDER, body)
    if not 1 <= len(long.lines) <= LINES_MAX:
        reason = f"Expected `array` of length >= 1 and <= {LINES_MAX}"
        raise InvalidInputError(f"$.lines: {reason}", [Fault("$.lines", reason)])
    head = msgspec.json.encode(msgspec.structs.replace(long, lines=_STAND_IN))
    if len(head) > HEAD_BYTES_MAX:
        raise TooLargeError(f"an order without its lines may have at most {HEAD_BYTES_MAX} bytes")
    order = decode(_ORDER, head)
    lines: list[OrderLine] = []
    for number, raw in enumerate(long.lines):
        if number % LINES_PER_SLICE == 0:
            await asyncio.sleep(0)
        try:
            lines.append(_LINE.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            raise _of_line(fault, bytes(raw), number, body) from None
    return msgspec.structs.replace(order, lines=lines)


def _of_line(fault: Exception, raw: bytes, number: int, body: bytes) -> EngineError:
    error = refusal(fault, raw, root=f"$.lines[{number}]")
    if isinstance(error, MalformedBodyError):
        error.byte += max(0, body.find(raw))
    return error
