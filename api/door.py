"""The outermost layer: request ids, the access log, and a problem document for whatever goes wrong inside.

An access line names the route, never the path, the query or a body: those may hold what belongs to a person.
"""

from __future__ import annotations

import re
import secrets
import time
from itertools import count
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import HeadTooLargeError, respond, translate

ROUTE = "apportion.route"
REQUEST_ID = "apportion.request_id"
HEAD_BYTES_MAX = 32 * 1024
CLIENT_LEFT = 499
"""Logged and counted when nobody is left to answer."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

access = structlog.get_logger("apportion.access")


def check_size(scope: Scope) -> None:
    """Bound what the head of a request may make us read again and again. Raises HeadTooLargeError."""
    size = len(scope["path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > HEAD_BYTES_MAX:
        raise HeadTooLargeError(f"path, query and headers may have at most {HEAD_BYTES_MAX} bytes")


class HttpMetrics:
    """What `/metrics` says of HTTP itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "apportion_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "apportion_http_seconds", "From head to last byte", ["route"], buckets=_SECONDS, registry=self.registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one request."""
        known = method if method in ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS") else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)


class Door:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = scope[REQUEST_ID] = self._request_id(scope)
        raw_path = scope.get("raw_path")
        # Routes match the path as it was sent: an encoded slash belongs to an id, and bad UTF-8 is seen, not replaced.
        scope["path"] = raw_path.decode("latin-1") if raw_path else quote(scope["path"])
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            check_size(scope)
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = status or CLIENT_LEFT
        except Exception as raised:
            error = translate(raised)
            if status:
                raise
            await respond(error, request_id)(scope, receive, answer)
        finally:
            self._note(scope, status or CLIENT_LEFT, time.perf_counter() - started)

    def _request_id(self, scope: Scope) -> str:
        """The caller's own id if it is a decent one, else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return str(value.decode("ascii"))
        return f"{self._prefix}-{next(self._numbers):x}"

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get(ROUTE, "none")
        self._metrics.observe(scope["method"], route, status, seconds)
        access.info(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            request_id=scope[REQUEST_ID],
        )
