"""What the head of a request says: partition, path ids, query, preferences. Everything bounded, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.requests import Request

from api.problems import BadRequestError
from engine.errors import Fault, InvalidInputError

PARTITION_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
IDENTIFIER_PATTERN = r"^[^\s\x00-\x1f{}]+( [^\s\x00-\x1f{}]+)*$"
KEY_PATTERN = r"^[!-z|~]{1,128}$"
"""An idempotency key: visible ASCII without braces."""

_PARTITION = re.compile(PARTITION_PATTERN[1:-1].encode())
_IDENTIFIER = re.compile(IDENTIFIER_PATTERN[1:-1])
_KEY = re.compile(KEY_PATTERN[1:-1].encode())
_WAIT = re.compile(rb'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,6})"?\s*(?=$|[,;])', re.IGNORECASE)
_STREAM = re.compile(rb"(?:^|[,;])\s*stream\s*(?=$|[,;])", re.IGNORECASE)


def invalid(path: str, reason: str) -> InvalidInputError:
    """An error that names one place."""
    return InvalidInputError(f"{path}: {reason}", [Fault(path, reason)])


def header(request: Request, name: bytes) -> bytes | None:
    """A header that may be given at most once, as it was sent."""
    found = None
    for key, value in request.scope["headers"]:
        if key == name:
            if found is not None:
                raise BadRequestError(f"the header {name.decode()} is given twice")
            found = value
    return found


def partition_of(request: Request) -> str:
    """The stock partition that the request acts in."""
    value = header(request, b"apportion-partition")
    if value is None:
        return "default"
    if _PARTITION.fullmatch(value) is None:
        raise invalid("header Apportion-Partition", f"must match {PARTITION_PATTERN}")
    return value.decode("ascii")


def idempotency_key_of(request: Request) -> str | None:
    """The Idempotency-Key, if there is one."""
    value = header(request, b"idempotency-key")
    if value is None:
        return None
    if _KEY.fullmatch(value) is None:
        raise invalid("header Idempotency-Key", f"must match {KEY_PATTERN}")
    return value.decode("ascii")


def wait_ms_of(request: Request) -> int | None:
    """How long the client waits at most (`Prefer: wait=seconds`); other preferences are ignored (RFC 7240)."""
    value = header(request, b"prefer")
    wanted = _WAIT.search(value) if value is not None else None
    return max(1, int(wanted.group(1)) * 1000) if wanted is not None else None


def prefers_stream(request: Request) -> bool:
    """Whether the client wants answers while it is still sending (`Prefer: stream`)."""
    value = header(request, b"prefer")
    return value is not None and _STREAM.search(value) is not None


def path_id(request: Request, name: str) -> str:
    """An id in the path. Paths are matched as they were sent, so an id may contain an encoded slash."""
    try:
        value = unquote_to_bytes(request.path_params[name]).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequestError("the path is not UTF-8", [Fault(f"path {name}", "not UTF-8")]) from None
    if len(value) > 128 or _IDENTIFIER.fullmatch(value) is None:
        raise invalid(f"path {name}", f"must have at most 128 characters and match {IDENTIFIER_PATTERN}")
    return value


def query_of(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query's parameters; an unknown or repeated one is refused, an empty one counts as absent."""
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
        )
    except UnicodeDecodeError:
        raise BadRequestError("the query is not UTF-8") from None
    except ValueError:
        raise BadRequestError("the query has too many parameters") from None
    query: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise invalid(f"query {name}", f"unknown; known are {', '.join(sorted(known))}")
        if name in query:
            raise invalid(f"query {name}", "given twice")
        query[name] = value
    return {name: value for name, value in query.items() if value}
