"""A small HTTP/1.1 client over asyncio and httptools: keep-alive connections, JSON in and out, one host.

The commands send many small requests to one service that they can repeat without harm (every write carries an id), so
this needs neither redirects nor cookies, and a request whose connection died before its answer is sent once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools
import msgspec

BLOCK_BYTES = 256 * 1024
"""Of a file that is sent, at once."""


class ServiceUnreachableError(Exception):
    """Nobody answers at that address; the text says where."""


class Response(NamedTuple):
    """An answer, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body decoded."""
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        """What the service says is wrong, in one line."""
        try:
            document = self.json()
            faults = "; ".join(f"{fault['path']}: {fault['reason']}" for fault in document.get("errors") or ())
            return f"{self.status} {document.get('title', '')}: {document.get('detail', '')} {faults}".strip()
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
            return f"{self.status} {self.body[:200].decode(errors='replace')}"


class Client:
    """Up to `connections` requests at once to one service; more wait their turn."""

    def __init__(
        self, url: str, connections: int = 16, headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// address")
        self._host, self._port = parts.hostname, parts.port or 80
        self.url = f"http://{parts.netloc}"
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | Path | None = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> Response:
        """Send one request and read its answer; of a file as body a block at a time is in memory.

        Raises ServiceUnreachableError.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{self._headers}"
        if body is not None:
            length = _length(body)
            head += f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n"
        message = head.encode() + b"\r\n" + (body if isinstance(body, bytes) else b"")
        file = body if isinstance(body, Path) else None
        async with self._turn:
            while True:
                fresh = not self._idle
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    response = await asyncio.wait_for(connection.exchange(message, file), timeout_s or self._timeout_s)
                except TimeoutError as error:
                    connection.close()
                    raise ServiceUnreachableError(f"{self.url}{path} gave no answer in time") from error
                except _DroppedError as error:
                    connection.close()
                    if fresh:
                        raise ServiceUnreachableError(f"{self.url}{path} dropped the connection") from error
                    continue  # an idle connection that had been closed meanwhile: take another
                except BaseException:
                    connection.close()
                    raise
                if connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()
                return response

    async def _connect(self) -> _Connection:
        try:
            _, connection = await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(_Connection, self._host, self._port), self._timeout_s
            )
        except (OSError, TimeoutError) as error:
            raise ServiceUnreachableError(f"no service answers at {self.url} ({error})") from error
        return connection

    async def get(self, path: str) -> Response:
        return await self.request("GET", path)

    async def put(self, path: str, body: bytes | Path, content_type: str = "application/json") -> Response:
        return await self.request("PUT", path, body, content_type, timeout_s=max(self._timeout_s, 120.0))

    async def post(self, path: str, body: bytes, content_type: str = "application/json") -> Response:
        return await self.request("POST", path, body, content_type)

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()


def _length(body: bytes | Path) -> int:
    return body.stat().st_size if isinstance(body, Path) else len(body)


class _DroppedError(Exception):
    """The connection ended before the answer was complete."""


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way; called back by the transport and the parser."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._start()
        self.reusable = True

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer_headers: dict[str, str] = {}
        self._chunks: list[bytes] = []

    async def exchange(self, message: bytes, file: Path | None = None) -> Response:
        """Write one request, which goes on with a file's bytes, and wait for its whole answer. Raises _DroppedError."""
        if self._transport is None or self._transport.is_closing():
            raise _DroppedError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        if file is not None:
            await self._write(self._transport, file, self._answer)
        return await self._answer

    async def _write(self, transport: asyncio.Transport, file: Path, answer: asyncio.Future[Response]) -> None:
        """The file's bytes as fast as they go, until an answer comes: then nobody reads the rest."""
        with file.open("rb") as blocks:
            while not answer.done() and (block := blocks.read(BLOCK_BYTES)):
                transport.write(block)
                await self._room.wait()
            if blocks.read(1):
                self.reusable = False  # the request is not whole

    def pause_writing(self) -> None:
        """The other end reads more slowly than we write."""
        self._room.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._room.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._drop(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop(exc)

    def _drop(self, cause: Exception | None) -> None:
        self.reusable = False
        self._room.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(_DroppedError(str(cause or "closed")))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer_headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._start()
            return
        self.reusable = self._parser.should_keep_alive()
        response = Response(status, self._answer_headers, b"".join(self._chunks))
        self._start()
        self._room.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)
