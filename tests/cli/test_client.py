"""The commands' HTTP client: files go out block by block."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.cli.client import Client, ServiceUnreachableError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MB = 1_000_000


@asynccontextmanager
async def client_of(serve: Serve) -> AsyncIterator[Client]:
    """A client of a server that does this with each connection."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 2)
    try:
        yield client
    finally:
        client.close()
        server.close()


async def test_a_large_file_is_sent_as_it_is_and_never_whole_in_memory(tmp_path: Path):
    """An upload of gigabytes needs a few blocks of memory; two go one after the other on one connection."""
    file = tmp_path / "orders"
    file.write_bytes(b"0123456789" * (4 * MB))
    got: list[tuple[int, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            left, sample = length, b""
            while left:
                block = await reader.read(65_536)
                sample, left = block[-3:], left - len(block)
            got.append((length, sample))
            writer.write(OK)

    async with client_of(serve) as client:
        tracemalloc.start()
        for _ in range(2):
            assert (await client.put("/x", file)).body == b"ok"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert got == [(40 * MB, b"789")] * 2
    assert peak < 5 * MB


async def test_an_answer_before_the_end_stops_the_upload(tmp_path: Path):
    """A service that refuses the file says so at once: the rest is not sent, and the connection is not used again."""
    file = tmp_path / "orders"
    file.write_bytes(bytes(40 * MB))
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK.replace(b"200 OK", b"413 Too Large"))
        await writer.drain()
        await asyncio.sleep(0.5)

    async with client_of(serve) as client:
        for _ in range(2):
            assert (await client.put("/x", file)).status == 413
    assert len(seen) == 2


async def test_a_connection_that_dies_under_an_upload_is_told(tmp_path: Path):
    """Nobody waits for an answer that cannot come."""
    file = tmp_path / "orders"
    file.write_bytes(bytes(40 * MB))

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with client_of(serve) as client:
        with pytest.raises(ServiceUnreachableError):
            await client.put("/x", file)
