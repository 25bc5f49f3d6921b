"""Uploads of many records, split while they arrive: a JSON array, one record a line (NDJSON), or a single object.

Memory holds one chunk and one record. A record that is not JSON harms no other, unless its quotes or brackets tear the
array apart: then the rest cannot be read, and the last record says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import NamedTuple

from starlette.requests import Request

from api.bodies import chunks
from api.partition import header
from api.problems import MalformedBodyError

PIECE_BYTES = 16 * 1024
"""Split at most this much at once, so that the event loop is never held up."""

BREATH_RECORDS = 100
"""After so many records others get their turn, however short the records are."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'\{[^{}"\[\]]*+(?:' + _STRING + rb'[^{}"\[\]]*+)*+\}'
_TOKEN = re.compile(_FLAT + rb"|" + _STRING + rb'|["\[\]{},]', re.DOTALL)
_QUOTE, _COMMA = ord('"'), ord(",")


class Record(NamedTuple):
    """One record. `number` counts lines (NDJSON) or elements from 1; `start` is its first byte in the body.

    `fault` instead of data: it could not be cut out, and why.
    """

    number: int
    start: int
    data: bytes
    fault: str | None = None


def _bounded(record: Record, limit: int) -> Record:
    return record if len(record.data) <= limit else _too_long(record.number, record.start, limit)


def _too_long(number: int, start: int, limit: int) -> Record:
    return Record(number, start, b"", f"a record may have at most {limit} bytes")


class Lines:
    """NDJSON: a record a line; blank lines count but are none."""

    def __init__(self, record_bytes_max: int) -> None:
        self._limit = record_bytes_max
        self._rest = b""
        self._at = 0
        self._number = 0
        self._skipping = False

    def feed(self, piece: bytes) -> list[Record]:
        """Records that end in this piece."""
        *complete, self._rest = (self._rest + piece).split(b"\n")
        found: list[Record] = []
        for line in complete:
            self._end(line, 1, found)
        if len(self._rest) > self._limit and not self._skipping:
            self._skipping = True
            found.append(_too_long(self._number + 1, self._at, self._limit))
        if self._skipping:
            self._at += len(self._rest)
            self._rest = b""
        return found

    def finish(self) -> list[Record]:
        """The last line, if nothing ends it."""
        found: list[Record] = []
        self._end(self._rest, 0, found)
        return found

    def _end(self, line: bytes, ending: int, found: list[Record]) -> None:
        self._number += 1
        if not self._skipping and line.strip():
            found.append(_bounded(Record(self._number, self._at, line), self._limit))
        self._skipping = False
        self._at += len(line) + ending


class Elements:
    """The elements of an array after its opening bracket, or objects one after the other (`array` False)."""

    def __init__(self, record_bytes_max: int, array: bool, at: int) -> None:
        self._limit = record_bytes_max
        self._array = array
        self._at = at
        self._buffer = b""
        self._scanned = 0
        self._depth = 0
        self._number = 0
        self._closed = False
        self._given_up = False

    def feed(self, piece: bytes) -> list[Record]:
        """Elements that end in this piece."""
        if self._given_up:
            return []
        found: list[Record] = []
        self._buffer += piece
        if not self._closed:
            self._scan(found)
        if self._closed and self._buffer.strip():
            found.append(self._give_up("characters after the end of the array"))
        elif len(self._buffer) > self._limit:
            found.append(self._give_up(f"a record may have at most {self._limit} bytes; the rest was not read"))
        return found

    def finish(self) -> list[Record]:
        """What is left when the body ends."""
        if self._given_up or self._closed:
            return []
        if self._array:
            return [self._give_up("the array does not end")]
        return [self._cut(len(self._buffer))] if self._buffer.strip() else []

    def _scan(self, found: list[Record]) -> None:
        """Walk over the tokens that are complete; cut off each element that ends."""
        buffer, begin = self._buffer, 0
        for token in _TOKEN.finditer(buffer, self._scanned):
            kind, start, end = buffer[token.start()], token.start(), token.end()
            if kind == _QUOTE and end == start + 1:
                self._scanned = start
                break
            self._scanned = end
            stop = self._step(kind, start, end)
            if stop >= 0:
                empty_array = self._closed and self._number == 0 and not buffer[begin:stop].strip()
                if not empty_array:
                    self._number += 1
                    found.append(_bounded(Record(self._number, self._at + begin, buffer[begin:stop]), self._limit))
                begin = end
                if self._closed:
                    break
        else:
            self._scanned = len(buffer)
        self._buffer = buffer[begin:]
        self._scanned -= begin
        self._at += begin

    def _step(self, kind: int, start: int, end: int) -> int:
        """Follow one token; where the element under way ends if it ends here, else -1."""
        if kind in b"{[":
            if end > start + 1:  # a flat object, whole
                return -1 if self._array or self._depth else end
            self._depth += 1
        elif kind in b"}]":
            if self._array and self._depth == 0 and kind == ord("]"):
                self._closed = True
                return start
            self._depth = max(0, self._depth - 1)
            return end if not self._array and self._depth == 0 else -1
        elif kind == _COMMA and self._array and self._depth == 0:
            return start
        return -1

    def _cut(self, end: int) -> Record:
        self._number += 1
        return Record(self._number, self._at, self._buffer[:end])

    def _give_up(self, reason: str) -> Record:
        self._given_up = True
        self._number += 1
        at, self._buffer = self._at, b""
        return Record(self._number, at, b"", reason)


def _splitter(request: Request, head: bytes, record_bytes_max: int) -> tuple[Lines | Elements, int]:
    """How to split a body that begins with `head`, and how many of its bytes to leave out."""
    kind = (header(request, b"content-type") or b"").lower()
    if b"ndjson" in kind or b"jsonl" in kind or b"json-lines" in kind:
        return Lines(record_bytes_max), 0
    blank = len(head) - len(head.lstrip(b" \t\r\n"))
    if head[blank : blank + 1] == b"[":
        return Elements(record_bytes_max, array=True, at=blank + 1), blank + 1
    if head[blank : blank + 1] != b"{":
        raise MalformedBodyError("expected a JSON object, an array of them, or one on each line", blank)
    first_line = head[blank:].partition(b"\n")[0]
    if first_line.rstrip().endswith(b"}"):
        return Lines(record_bytes_max), 0
    return Elements(record_bytes_max, array=False, at=0), 0


async def records(request: Request, body_bytes_max: int, record_bytes_max: int) -> AsyncGenerator[Record, None]:
    """The records of a body, in order. Raises MalformedBodyError if there are none to be had, TooLargeError."""
    splitter: Lines | Elements | None = None
    head = b""
    async for chunk in chunks(request, body_bytes_max):
        for offset in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[offset : offset + PIECE_BYTES]
            if splitter is None:
                head += piece
                if b"\n" not in head.lstrip() and len(head) < PIECE_BYTES and not head.lstrip().startswith(b"["):
                    continue
                splitter, skip = _splitter(request, head, record_bytes_max)
                piece = head[skip:]
            for count, record in enumerate(splitter.feed(piece), 1):
                yield record
                if count % BREATH_RECORDS == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
    if splitter is None:
        if not head.strip():
            raise MalformedBodyError("the body is empty; JSON was expected", len(head))
        splitter, skip = _splitter(request, head, record_bytes_max)
        for record in splitter.feed(head[skip:]):
            yield record
    for record in splitter.finish():
        yield record
