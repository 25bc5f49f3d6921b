"""Everything that can go wrong for a caller, as one tree.

`api.problems` maps each class to a status; a test keeps it complete.

EngineError
├── InvalidInputError        the content is wrong: where and why
├── NotFoundError            no such thing in this partition
├── GoneError                it was there, and was let go of
├── ConflictError            it contradicts what is stored
│   ├── OrderConflictError       the order id was decided with other content
│   ├── StateConflictError       the order's state does not admit the command
│   ├── CommandConflictError     the command id was used for something else
│   ├── KeyConflictError         the idempotency key was used for something else
│   ├── NodeInUseError           the node still has stock or holds
│   └── NoNetworkError           orders need a network first
└── UnavailableError         not now; `retry_after_s` says when
    ├── OverloadedError          the queue is full
    ├── TooManyError             the caller has as much under way as one may have
    ├── DeadlineError            it was not decided in time; the same order may be sent again
    ├── StoppingError            this process is shutting down
    └── StoreUnavailableError    the store does not answer or refuses writes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Fault(NamedTuple):
    """One thing wrong at one place. `path` is a JSON path ("$.lines[0].quantity") or a line ("line 12")."""

    path: str
    reason: str


class EngineError(Exception):
    """Base of the tree. `slug` names the kind for ever; the text is for people."""

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "The request could not be served"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class InvalidInputError(EngineError):
    slug = "invalid-input"
    title = "The content is not valid"

    @classmethod
    def at(cls, path: str, reason: str) -> InvalidInputError:
        """One fault at one place, which the text tells, too."""
        return cls(f"{path}: {reason}", [Fault(path, reason)])


class NotFoundError(EngineError):
    slug = "not-found"
    title = "There is no such thing"


class GoneError(EngineError):
    slug = "gone"
    title = "This was there, and is kept no longer"


class ConflictError(EngineError):
    slug = "conflict"
    title = "The request contradicts what is stored"


class OrderConflictError(ConflictError):
    slug = "order-conflict"
    title = "This order id was decided with other content"


class StateConflictError(ConflictError):
    slug = "state-conflict"
    title = "The order's state does not admit this command"


class CommandConflictError(ConflictError):
    slug = "command-id-conflict"
    title = "This command id was used for something else"


class KeyConflictError(ConflictError):
    slug = "idempotency-key-conflict"
    title = "This idempotency key was used for something else"


class NodeInUseError(ConflictError):
    slug = "node-in-use"
    title = "A node with stock or holds cannot be removed"


class NoNetworkError(ConflictError):
    slug = "no-network"
    title = "Orders need a network first"


class UnavailableError(EngineError):
    slug = "unavailable"
    title = "Not now, please retry"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class OverloadedError(UnavailableError):
    slug = "overloaded"
    title = "The queue is full"


class TooManyError(UnavailableError):
    slug = "too-many"
    title = "As much is under way as one caller may have"


class DeadlineError(UnavailableError):
    slug = "deadline"
    title = "The order was not decided in time"


class StoppingError(UnavailableError):
    slug = "stopping"
    title = "This process is shutting down"


class StoreUnavailableError(UnavailableError):
    slug = "store-unavailable"
    title = "The store does not answer"
