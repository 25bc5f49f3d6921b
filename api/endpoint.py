"""One route, said once: what is served, and what the OpenAPI document says of it. Both are made from this record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from engine.errors import EngineError

JSON = "application/json"
NDJSON = "application/x-ndjson"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in path, query or header. `schema` is JSON Schema."""

    name: str
    place: str
    schema: dict[str, Any]
    text: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """A request body: for each media type the Python type that decodes it, or a JSON Schema."""

    content: dict[str, Any]
    text: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no problem: media type, and the Python type or JSON Schema of its content."""

    status: int
    text: str
    content: Any
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a path. `problems` are the errors it may answer with beside those that every route may."""

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    replies: tuple[Reply, ...]
    text: str = ""
    tag: str = "operations"
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[type[EngineError], ...] = ()
    partitioned: bool = True
    streams: bool = field(default=False)
    """Answers without end: HEAD is not served."""


async def client_left(receive: Receive) -> None:
    """Return when the client has left; what it still sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
