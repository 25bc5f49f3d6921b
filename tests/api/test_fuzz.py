"""S4 at smoke count: whatever is sent, over a real socket, no 5xx, and every answer is as the document says."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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
from tests.chaos.trust import FULL, SEED, count

CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
_DIRECTORY = TemporaryDirectory(prefix="apportion-fuzz-")
APPLICATION = create_app(
    build_memory(Settings(order_timeout_ms=5_000), archive_url="sqlite://", simulations=Path(_DIRECTORY.name))
)
DOCUMENT = schemathesis.openapi.from_dict(APPLICATION.openapi()).exclude(path="/v1/events")
DOCUMENT.config.phases.update(phases=["coverage", "fuzzing"] if FULL else ["fuzzing"])


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


@schemathesis.serializer("application/x-ndjson")
def as_lines(_, value):
    """A record a line; only one is drawn."""
    return json.dumps(value).encode()


@DOCUMENT.parametrize()
@settings(max_examples=count(5, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_conform(case, address):
    """Generated requests, good and bad, for every operation of the document."""
    case.call_and_validate(base_url=address, checks=CHECKS)


def _mangled(body: bytes, chance: random.Random) -> bytes:
    """A body with a few bytes changed, doubled, dropped or cut off."""
    mangled = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(mangled) or 1)
        match chance.randrange(5):
            case 0:
                mangled[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del mangled[at : at + chance.randint(1, 8)]
            case 2:
                mangled[at:at] = mangled[at : at + chance.randint(1, 40)]
            case 3:
                mangled[at:at] = chance.choice(
                    [b"{", b"[" * 2_000, b'"', b"\\u", b"1e999", b"NaN", b"\xff", b"\n", b"-0", b"]"]
                )
            case _:
                del mangled[at:]
    return bytes(mangled)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/orders", order(quantity=2, placed_at="2026-11-23T10:00:00Z", channel="web")),
        ("POST", "/v1/orders/bulk", [order("M-1"), order("M-2")]),
        ("PUT", "/v1/stock", STOCK),
        (
            "POST",
            "/v1/stock/movements",
            {"movement_id": "m", "node_id": "NYC", "sku": "A", "kind": "receive", "quantity": 1},
        ),
        ("PUT", "/v1/skus", [{"sku": "A", "weight_g": 3, "value": "1.00", "requires": ["x"]}]),
        ("PUT", "/v1/forecast", [{"sku": "A", "country": "US", "region": "NY", "units_per_day": 2.5}]),
        ("PUT", "/v1/network", NETWORK),
        (
            "PUT",
            "/v1/policies/mangled",
            {
                "objective": {"fill": "economic", "shipping": 1.5, "balance": "0.10"},
                "limits": {"except_nodes": ["LAX"]},
                "rules": [{"name": "r", "when": {"value": {"min": "1"}}, "then": {"money": {"NYC": "1.00"}}}],
            },
        ),
        ("PATCH", "/v1/nodes/NYC", {"costs": {"per_parcel": "1.00"}, "holidays": ["2026-12-25"]}),
        ("POST", "/v1/orders/O-1/cancel", {"command_id": "c"}),
        (
            "POST",
            "/v1/simulations",
            {
                "demand": {"generator": {"since": "2026-11-23T00:00:00Z", "days": 1, "orders_per_day": 5}},
                "skus": [{"sku": "A"}],
                "scenarios": [{"name": "s", "patches": [{"close_node": {"node_id": "LAX"}}]}],
                "seeds": [1, 1],
            },
        ),
    ],
)
def test_mangled_bodies_harm_nobody(method, path, body, address):
    """Bytes that were nearly right: never a 5xx, and every refusal is a problem document."""
    chance = random.Random(SEED)
    good = json.dumps(body).encode()
    with httpx.Client(base_url=address) as http:
        for _ in range(count(80, 12_500)):
            answer = http.request(method, path, content=_mangled(good, chance))
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["errors"] or answer.status_code in (404, 409)
        assert http.get("/readyz").status_code == 200


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
