"""Pages of a list: how many, and from where. A cursor shows when it has been changed."""

from __future__ import annotations

import base64
import binascii
import zlib

from api.partition import invalid


def limit_of(text: str | None, default: int, most: int) -> int:
    """The query's limit. Raises InvalidInputError."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise invalid("query limit", f"must be a whole number from 1 to {most}")
    return int(text)


def sealed(cursor: str) -> str:
    """A place in a list, as callers see it."""
    body = cursor.encode()
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode().rstrip("=")


def cursor_of(text: str | None) -> str:
    """The place that `sealed` made a cursor of; "" for none. Raises InvalidInputError."""
    if text is None:
        return ""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = raw[4:].decode("utf-8")
    except (binascii.Error, ValueError):
        raise foreign_cursor() from None
    if zlib.crc32(raw[4:]).to_bytes(4, "big") != raw[:4] or sealed(body) != text:
        raise foreign_cursor()
    return body


def foreign_cursor() -> Exception:
    """The error of a cursor that this list did not make."""
    return invalid("query cursor", "not a cursor of this list")
