"""The load generator for HTTP: requests made before the clock starts, one under way on each keep-alive connection.

No tasks and no timers per request: an answer's last byte sends the next request, from the parser's own callback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from bench.peers.system import PeerError

_GRACE_S = 60.0
"""How long the last answers may take after no more requests are sent."""


class Answered(NamedTuple):
    """The answer to request number `request`."""

    request: int
    status: int
    body: bytes


def request(
    url: str,
    path: str,
    body: bytes,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """One POST as bytes."""
    named = {"Host": urlsplit(url).netloc, "Content-Type": content_type, **(headers or {})}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send(url: str, requests: Sequence[bytes], connections: int, until: float) -> list[Answered]:
    """Send as many as can be begun before `until` (`time.perf_counter`); all that were begun are answered.

    Raises PeerError where a connection ends early or the answers take too long.
    """
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    answers: list[Answered] = []
    source = enumerate(requests)
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(
            lambda end=end: _Connection(source, until, answers, end),  # type: ignore[misc]
            str(address.hostname),
            address.port or 80,
        )
    try:
        async with asyncio.timeout(max(0.0, until - time.perf_counter()) + _GRACE_S):
            await asyncio.gather(*ends)
    except TimeoutError as error:
        raise PeerError(f"{url} did not answer all requests in time") from error
    return answers


class _Connection(asyncio.Protocol):
    """One connection: called back by the transport and by the parser."""

    def __init__(
        self, source: Iterator[tuple[int, bytes]], until: float, answers: list[Answered], end: asyncio.Future[None]
    ) -> None:
        self._source = source
        self._until = until
        self._answers = answers
        self._end = end
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._request = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        following = next(self._source, None) if time.perf_counter() < self._until else None
        if following is None:
            self._end.set_result(None)
            self._transport.close()
            return
        self._request, message = following
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._answers.append(Answered(self._request, self._parser.get_status_code(), b"".join(self._chunks)))
        self._chunks = []
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            self._end.set_exception(PeerError(f"a connection ended before its answer: {exc or 'closed'}"))
