"""Every error a client can see, as application/problem+json (RFC 9457): one class, one status, one stable `type`.

The errors of the engine are in `engine.errors`; those that only HTTP knows are here. Nothing answers with another
5xx than 503, and every 429 and 503 says when to come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.responses import Response

from engine import errors
from engine.errors import EngineError, Fault, UnavailableError
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError

log = structlog.get_logger("apportion.api")

MEDIA_TYPE = "application/problem+json"
FAULTS_MAX = 100
"""The most faults that one problem names."""
REASON_CHARS_MAX = 500
"""A reason quotes what was sent; this bounds the echo."""


class BadRequestError(EngineError):
    slug = "bad-request"
    title = "The request itself is not valid"


class MalformedBodyError(EngineError):
    """`byte` counts from 0 in the body as it was sent."""

    slug = "malformed-body"
    title = "The body cannot be read"

    def __init__(self, detail: str, byte: int, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail, faults or (Fault("$", detail),))
        self.byte = byte


class CrossSiteError(EngineError):
    slug = "cross-site"
    title = "A page of another site may not write here"


class NoRouteError(EngineError):
    slug = "no-route"
    title = "There is no such path"


class MethodNotAllowedError(EngineError):
    slug = "method-not-allowed"
    title = "This path does not know the method"

    def __init__(self, detail: str, allow: str) -> None:
        super().__init__(detail)
        self.allow = allow


class HeadTooLargeError(EngineError):
    slug = "head-too-large"
    title = "The headers are too large"


class TooLargeError(EngineError):
    slug = "too-large"
    title = "The body is too large"


class UnsupportedEncodingError(EngineError):
    slug = "unsupported-encoding"
    title = "The body must be sent as it is"


class UnexpectedError(UnavailableError):
    slug = "unexpected"
    title = "Something went wrong here; it has been logged"


STATUS: dict[type[EngineError], int] = {
    EngineError: 503,
    errors.InvalidInputError: 422,
    errors.NotFoundError: 404,
    errors.GoneError: 410,
    errors.ConflictError: 409,
    errors.OrderConflictError: 409,
    errors.KeyConflictError: 409,
    errors.StateConflictError: 409,
    errors.CommandConflictError: 409,
    errors.NodeInUseError: 409,
    errors.NoNetworkError: 409,
    errors.UnavailableError: 503,
    errors.OverloadedError: 503,
    errors.TooManyError: 429,
    errors.DeadlineError: 503,
    errors.StoppingError: 503,
    errors.StoreUnavailableError: 503,
    BadRequestError: 400,
    MalformedBodyError: 400,
    CrossSiteError: 403,
    NoRouteError: 404,
    MethodNotAllowedError: 405,
    TooLargeError: 413,
    HeadTooLargeError: 431,
    UnsupportedEncodingError: 415,
    UnexpectedError: 503,
}
"""The status of every class. A test walks the tree and fails for a class that is missing here."""


class FaultView(Struct, frozen=True):
    """One thing wrong at one place: a JSON path, a line, a header or a path parameter."""

    path: str
    reason: str


class Problem(Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem. `byte` only where a body cannot be read; `index` and `order_id` only in bulk answers."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultView]
    request_id: str
    byte: int | UnsetType = UNSET
    index: int | UnsetType = UNSET
    order_id: str | UnsetType | None = UNSET


def translate(raised: Exception) -> EngineError:
    """Any exception as an error of the tree. What nobody expected is logged with its traceback."""
    if isinstance(raised, EngineError):
        return raised
    if isinstance(raised, LedgerRefusedError):
        return errors.StoreUnavailableError(f"the store refuses writes: {raised}", retry_after_s=5)
    if isinstance(raised, LedgerUnavailableError):
        return errors.StoreUnavailableError("the store does not answer")
    if isinstance(raised, HTTPException):
        return _of_framework(raised)
    log.error("unexpected", exc_info=raised)
    return UnexpectedError("the request failed for a reason nobody foresaw; repeating it is safe", retry_after_s=5)


def _of_framework(raised: HTTPException) -> EngineError:
    if raised.status_code == 404:
        return NoRouteError("there is no such path; /docs shows all of them")
    if raised.status_code == 405:
        return MethodNotAllowedError("this path does not know the method", (raised.headers or {}).get("Allow", ""))
    if raised.status_code == 413:
        return TooLargeError(raised.detail)
    return BadRequestError(raised.detail) if raised.status_code < 500 else UnexpectedError("please retry")


def status_of(error: EngineError) -> int:
    """The HTTP status of an error; a class without an entry counts as its nearest parent."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: EngineError, request_id: str, byte_offset: int = 0) -> Problem:
    """The problem document of an error. `byte_offset`: where the faulty record starts in the body."""
    return Problem(
        type=f"/problems/{error.slug}",
        title=error.title,
        status=status_of(error),
        detail=_bounded(error.detail),
        errors=[FaultView(_bounded(fault.path), _bounded(fault.reason)) for fault in error.faults[:FAULTS_MAX]],
        request_id=request_id,
        byte=error.byte + byte_offset if isinstance(error, MalformedBodyError) else UNSET,
    )


def respond(error: EngineError, request_id: str) -> Response:
    """The HTTP answer to an error."""
    headers = {}
    status = status_of(error)
    if status in (429, 503):
        headers["retry-after"] = str(getattr(error, "retry_after_s", 1))
    if isinstance(error, MethodNotAllowedError):
        headers["allow"] = error.allow
    return Response(msgspec.json.encode(problem_of(error, request_id)), status, headers, MEDIA_TYPE)


def _bounded(text: str) -> str:
    return text if len(text) <= REASON_CHARS_MAX else text[:REASON_CHARS_MAX] + "…"
