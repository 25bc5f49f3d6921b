"""S4 at smoke count: whatever is sent, over a real socket, no 5xx, and every answer is as the document says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from engine.assembly import build_memory
from engine.settings import Settings
from tests.api.conftest import NETWORK, STOCK, ndjson, order

CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
APPLICATION = create_app(build_memory(Settings(order_timeout_ms=5_000)))
DOCUMENT = schemathesis.openapi.from_dict(APPLICATION.openapi).exclude(path="/v1/events")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The service on a real socket, with a network and some stock."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(APPLICATION, log_level="warning", http="httptools", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    httpx.put(f"{url}/v1/network", json=NETWORK).raise_for_status()
    httpx.put(f"{url}/v1/stock", json=STOCK).raise_for_status()
    yield url
    server.should_exit = True
    thread.join(10)


@DOCUMENT.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_conform(case, address):
    """Generated requests, good and bad, for every operation of the document."""
    case.call_and_validate(base_url=address, checks=CHECKS)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/orders/%ff HTTP/1.1\r\n",
        b"GET /v1/orders/\xff HTTP/1.1\r\n",
        b"GET /v1/stock?cursor=\xff HTTP/1.1\r\n",
        b"GET /v1/stock HTTP/1.1\r\napportion-partition: \xff\xfe\r\n",
        b"POST /v1/orders HTTP/1.1\r\nidempotency-key: \xc3\xa4\r\ncontent-length: 0\r\n",
        b"POST /v1/orders HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n",
        b"POST /v1/orders HTTP/1.1\r\ncontent-length: -1\r\n",
        b"GET /v1/stock HTTP/1.1\r\nx: " + b"y" * 200_000 + b"\r\n",
        b"BREW /v1/orders HTTP/1.1\r\n",
    ],
)
def test_bytes_that_no_client_sends(head, address):
    """Invalid UTF-8 in path, query and headers, and broken framing: a 4xx, or the connection is closed."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head + b"host: test\r\nconnection: close\r\n\r\n")
        answer = connection.recv(65_536)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_large_bulk_over_a_socket(address):
    """Thousands of orders in one request, each answered in its place."""
    body = ndjson(*(order(f"BULK-{k}", quantity=1 + k % 3) for k in range(2_000)))
    answer = httpx.post(f"{address}/v1/orders/bulk", content=body, timeout=60)
    assert answer.status_code == 200
    assert [line.split('"')[3] for line in answer.text.splitlines()] == [f"BULK-{k}" for k in range(2_000)]


def test_upload_and_answer_may_overlap(address):
    """`Prefer: stream`: the first answer comes before the last order is sent."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"POST /v1/orders/bulk HTTP/1.1\r\nhost: t\r\nprefer: stream\r\ncontent-type: application/x-ndjson\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        line = ndjson(order("STREAM-1")) + b"\n"
        connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
        answer = b""
        while b"STREAM-1" not in answer:
            answer += connection.recv(65_536)
        line = ndjson(order("STREAM-2")) + b"\n"
        connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(line), line))
        while b"\r\n0\r\n\r\n" not in answer:
            answer += connection.recv(65_536)
    assert b"STREAM-2" in answer
