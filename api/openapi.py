"""The OpenAPI document, made from the endpoints and from the very types that decode and encode.

Version 3.0.3, which the bundled Swagger UI reads: null is `nullable`, and a reference stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from api.endpoint import Endpoint, Parameter, Reply
from api.partition import PARTITION_PATTERN
from api.problems import (
    MEDIA_TYPE,
    STATUS,
    BadRequestError,
    CrossSiteError,
    HeadTooLargeError,
    Problem,
    UnexpectedError,
    UnsupportedEncodingError,
)
from engine.errors import EngineError, InvalidInputError, StoreUnavailableError

PARTITION = Parameter(
    "Apportion-Partition",
    "header",
    {"type": "string", "pattern": PARTITION_PATTERN, "default": "default"},
    "The stock partition that the request acts in",
)

DESCRIPTION = """Decides which nodes ship which lines of which orders: jointly per micro-window, committed atomically.

Units: money in decimal strings, weights in grams, lengths in mm, instants RFC 3339. Unknown fields are refused.
Errors are `application/problem+json`; each `type` is described at its own path. 503 comes with `Retry-After`.
A quantity is a JSON integer: `1.0` is refused. The Content-Type of a body is not judged, except that
`application/x-ndjson` means one record a line; compressed bodies are refused."""

REQUEST_ID_HEADER = {"schema": {"type": "string"}, "description": "Also in the log; yours if you sent a decent one"}


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The whole document."""
    kinds = list(dict.fromkeys([Problem, *_kinds_of(endpoints)]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    known = {kind: _as_30(schema) for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, known)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Apportion", "version": version, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {name: _as_30(schema) for name, schema in components.items()}},
    }


def _kinds_of(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    for endpoint in endpoints:
        contents = [reply.content for reply in endpoint.replies]
        if endpoint.body is not None:
            contents += endpoint.body.content.values()
        for content in contents:
            yield from _types_in(content)


def _types_in(content: Any) -> Iterator[Any]:
    """The Python types in a content: itself, or those inside a JSON Schema that mentions some."""
    if isinstance(content, dict):
        for value in content.values():
            yield from _types_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from _types_in(value)
    elif not isinstance(content, str | int | float | bool | None):
        yield content


def _resolved(content: Any, known: dict[Any, Any]) -> Any:
    if isinstance(content, dict):
        return {key: _resolved(value, known) for key, value in content.items()}
    if isinstance(content, list):
        return [_resolved(value, known) for value in content]
    return content if isinstance(content, str | int | float | bool | None) else known[content]


def _operation(endpoint: Endpoint, known: dict[Any, Any]) -> dict[str, Any]:
    parameters = [*endpoint.parameters, *([PARTITION] if endpoint.partitioned else [])]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": endpoint.text or endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [_parameter(parameter) for parameter in parameters],
        "responses": {
            **_replies(endpoint.replies, known),
            **_problems(endpoint, known),
        },
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.body.required,
            "description": endpoint.body.text,
            "content": {
                media_type: {"schema": _resolved(content, known)}
                for media_type, content in endpoint.body.content.items()
            },
        }
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.text,
        "schema": _as_30(parameter.schema),
    }


def _replies(replies: Iterable[Reply], known: dict[Any, Any]) -> dict[str, Any]:
    """Answers by status; several of one status differ in media type."""
    answers: dict[str, Any] = {}
    for reply in replies:
        fresh = {"description": reply.text, "headers": {"X-Request-Id": REQUEST_ID_HEADER}, "content": {}}
        answer = answers.setdefault(str(reply.status), fresh)
        answer["content"][reply.media_type] = {"schema": _resolved(reply.content, known)}
    return answers


def _problems(endpoint: Endpoint, known: dict[Any, Any]) -> dict[str, Any]:
    """The problems of a route by status, those of every route included."""
    kinds: list[type[EngineError]] = [*endpoint.problems, BadRequestError, HeadTooLargeError, UnexpectedError]
    if endpoint.partitioned:
        kinds += [InvalidInputError, StoreUnavailableError]
    if endpoint.body is not None:
        kinds += [CrossSiteError, UnsupportedEncodingError]
    by_status: dict[int, list[type[EngineError]]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(STATUS[kind], []).append(kind)
    answers: dict[str, Any] = {}
    for status, members in sorted(by_status.items()):
        if any(reply.status == status for reply in endpoint.replies):
            continue
        answers[str(status)] = {
            "description": "; ".join(f"{kind.title} (`/problems/{kind.slug}`)" for kind in members),
            "headers": {"X-Request-Id": REQUEST_ID_HEADER},
            "content": {MEDIA_TYPE: {"schema": known[Problem]}},
        }
        if status in (429, 503):
            answers[str(status)]["headers"] = {
                "X-Request-Id": REQUEST_ID_HEADER,
                "Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds"},
            }
    return answers


def _as_30(schema: Any) -> Any:
    """JSON Schema 2020-12 as msgspec writes it, in the dialect of OpenAPI 3.0."""
    if isinstance(schema, list):
        return [_as_30(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key in ("default", "enum") else _as_30(value) for key, value in schema.items()}
    if "const" in inner:
        inner["enum"] = [inner.pop("const")]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in inner:
            inner[bound.lower()] = inner[f"exclusive{bound}"]
            inner[f"exclusive{bound}"] = True
    if "anyOf" in inner:
        choices = [choice for choice in inner.pop("anyOf") if choice != {"type": "null"}]
        if len(choices) < len(schema["anyOf"]):
            inner["nullable"] = True
        if len(choices) == 1 and "$ref" not in choices[0]:
            inner = {**choices[0], **inner}
        else:
            inner["anyOf"] = choices
    if "$ref" in inner and len(inner) > 1:
        inner["allOf"] = [{"$ref": inner.pop("$ref")}]
    return inner
