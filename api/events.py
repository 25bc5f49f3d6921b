"""The event stream (SSE): every change of a partition, resumable by Last-Event-ID.

Each subscriber reads the log at its own pace: a slow one holds nothing but its place, and one that takes nothing for
half a minute is let go.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.endpoint import Endpoint, Parameter, Reply, client_left
from api.partition import header, invalid, partition_of
from engine.assembly import Engine
from engine.errors import InvalidInputError, OverloadedError, StoppingError, StoreUnavailableError
from engine.ledger.port import Entry, LedgerRefusedError, LedgerUnavailableError
from engine.ledger.retention import LogTrimmedError

SUBSCRIBERS_MAX = 256
WAIT_MS = 5_000
"""How long one look at the log waits for news; after it a comment keeps the connection alive."""
SEND_SECONDS_MAX = 30.0
RETRY_MS = 1_000
"""When a client shall come back after the stream has ended."""
EVENT_ID_PATTERN = r"^[0-9]{1,15}-[0-9]{1,15}(:[0-9]{1,6})?$"
_EVENT_ID = re.compile(rb"([0-9]{1,15})-([0-9]{1,15})(?::([0-9]{1,6}))?")
_NUMBER_MAX = 2**63 - 1


class EventDesk:
    """The handler. `closing` ends all streams."""

    def __init__(self, engine: Engine, closing: asyncio.Event) -> None:
        self._engine = engine
        self._closing = closing
        self._streams = Streams(closing)

    async def stream(self, request: Request) -> Response:
        """Open a stream."""
        partition = partition_of(request)
        resume = header(request, b"last-event-id")
        self._streams.require_room(SUBSCRIBERS_MAX)
        if resume:
            after, seen = _place(resume)
        else:
            now = await self._engine.ledger.snapshot(partition, (), (), ())
            after, seen = f"{now.at_ms}-0", ""
        return EventStream(self._streams, lambda send: self.feed(partition, after, seen, send))

    async def feed(self, partition: str, after: str, seen: str, send: Send) -> None:
        """Send what happens after an entry until the process stops; `seen` is the last event the client has."""
        while not self._closing.is_set():
            try:
                entries = await self._engine.past.tail(partition, after, WAIT_MS)
            except (LedgerUnavailableError, LedgerRefusedError, LogTrimmedError, StoreUnavailableError):
                return
            await push(send, _render(entries, seen) if entries else KEEPALIVE_COMMENT)
            if entries:
                after = entries[-1].entry_id

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        schema = {"type": "string", "pattern": EVENT_ID_PATTERN}
        return [
            Endpoint(
                "GET", "/v1/events", self.stream, "stream_events", "What happens, as it happens",
                (Reply(200, "Server-sent events: `id`, `event` (the type), `data` (JSON)", {"type": "string"},
                       "text/event-stream"),),
                "Every change of the partition from now on, or after `Last-Event-ID`. A comment keeps a quiet stream "
                "alive; the stream ends when the process stops, and resumes at another.",
                parameters=(Parameter("Last-Event-ID", "header", schema, "The `id` of the last event received"),),
                problems=(InvalidInputError, OverloadedError, StoppingError),
                streams=True,
            )
        ]  # fmt: skip


class Streams:
    """The open streams of one kind: how many there are. `closing` ends them all."""

    def __init__(self, closing: asyncio.Event) -> None:
        self.closing = closing
        self.subscribers = 0

    def require_room(self, most: int) -> None:
        """Raise StoppingError or OverloadedError if one more cannot be opened."""
        if self.closing.is_set():
            raise StoppingError("this process is shutting down")
        if self.subscribers >= most:
            raise OverloadedError(f"{most} subscribers listen, which is the limit", retry_after_s=10)


class EventStream(Response):
    """The answer: `feed(send)` until it returns, the client leaves, or all streams end."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, feed: Callable[[Send], Coroutine[None, None, None]]) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"retry: %d\n\n" % RETRY_MS, "more_body": True})
        self._streams.subscribers += 1
        feeding = asyncio.create_task(self._feed(send))
        tasks = [feeding, asyncio.create_task(self._streams.closing.wait()), asyncio.create_task(client_left(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.subscribers -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def push(send: Send, body: bytes) -> None:
    """Some more of a stream. Raises TimeoutError where the client takes nothing."""
    message = {"type": "http.response.body", "body": body, "more_body": True}
    await asyncio.wait_for(send(message), SEND_SECONDS_MAX)


def _render(entries: Sequence[Entry], seen: str) -> bytes:
    """Events as SSE, without those of the resumed entry that the client has."""
    parts: list[bytes] = []
    for entry in entries:
        ids = [event.event_id for event in entry.events]
        skip = ids.index(seen) + 1 if seen in ids else 0
        parts += (
            format_sse_event(data_str=event.data.decode(), event=event.type, id=event.event_id)
            for event in entry.events[skip:]
        )
    return b"".join(parts)


def _place(resume: bytes) -> tuple[str, str]:
    """Where to read on: just before the entry of the last event seen, of which others may be unseen."""
    found = _EVENT_ID.fullmatch(resume)
    if found is None:
        raise invalid("header Last-Event-ID", f"must match {EVENT_ID_PATTERN}")
    ms, number = int(found.group(1)), int(found.group(2))
    if found.group(3) is None:
        return f"{ms}-{number}", ""
    before = f"{ms}-{number - 1}" if number else f"{max(0, ms - 1)}-{_NUMBER_MAX}"
    return before, resume.decode("ascii")
