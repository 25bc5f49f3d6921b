"""What no client may ever see, whatever the load: the judge of every answer under load."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

import msgspec
from msgspec import Struct


class Said(Enum):
    """What an answer to an order means for whoever sent it."""

    DECIDED = "decided"
    LATER = "later"
    """Nothing was taken; the same order may be sent again after `after_s`."""
    FAULT = "fault"
    """The contract does not allow this answer."""


class Verdict(NamedTuple):
    """On one answer. `text`: what is wrong with it."""

    said: Said
    text: str = ""
    after_s: float = 0.0


class _Decided(Struct):
    order_id: str
    status: str


_decode = msgspec.json.Decoder(_Decided).decode

DECIDED = Verdict(Said.DECIDED)


def judge(order_id: str, status: int, headers: Mapping[str, str], body: bytes, first: bytes | None = None) -> Verdict:
    """Judge the answer to a valid order. `first`: the decision that it got before. Header names are lower case.

    Faults: a 5xx other than 503, 429 and 503 without Retry-After, an answer that is not the decision of this order,
    and a repeat that differs from the first decision by a byte.
    """
    if status in (429, 503):
        return backing_off(status, headers)
    if status not in (200, 201):
        return Verdict(Said.FAULT, f"{order_id}: {status} {body[:200]!r} instead of a decision")
    if first is not None and (status, body) != (200, first):
        return Verdict(Said.FAULT, f"{order_id}: repeated, answered {status} with other bytes than the first decision")
    return decision_of(order_id, body)


def decision_of(order_id: str, body: bytes) -> Verdict:
    """Whether a body is the decision of an order."""
    try:
        decided = _decode(body)
    except msgspec.MsgspecError:
        return Verdict(Said.FAULT, f"{order_id}: {body[:200]!r} is no decision")
    if decided.order_id != order_id:
        return Verdict(Said.FAULT, f"{order_id}: answered with the decision of {decided.order_id}")
    return DECIDED


def backing_off(status: int, headers: Mapping[str, str]) -> Verdict:
    """A 429 or 503: allowed if it says when to come again."""
    try:
        return Verdict(Said.LATER, f"{status}", float(headers["retry-after"]))
    except (KeyError, ValueError):
        return Verdict(Said.FAULT, f"{status} without a Retry-After in seconds")


def fault_of(status: int, headers: Mapping[str, str], body: bytes, allowed: tuple[int, ...] = (200, 201)) -> str:
    """What is wrong with the answer to any other request; "" if nothing is."""
    if status in allowed:
        return ""
    if status in (429, 503):
        verdict = backing_off(status, headers)
        return verdict.text if verdict.said is Said.FAULT else ""
    return f"{status} {body[:200]!r}"
