"""What an archive asks of a ledger, and what it may take away from it: log entries, old orders, old movement ids.

Nothing leaves the ledger before the archive that follows its log holds it. What left is remembered by a filter of fixed
size (`evicted`, and "may have left" in snapshots): it never forgets an id, and rarely takes a new one for an old one.
Entry ids are "ms-number"; "0-0" is before the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from engine.ledger.journal import Logged

START = "0-0"
"""The place before the first log entry."""


class ForeignArchiveError(Exception):
    """The store's history is in another archive; what left the store can be answered only from there."""


class LogTrimmedError(Exception):
    """Entries after the place asked for have left the log; the archive has them."""


class Retention(NamedTuple):
    """What left the store, and what may. `archive`: id of the archive that follows the log, "" for none yet.

    `archived`: the last entry it holds; `trimmed`: entries before this one may be gone; `evicted`: how many orders
    and movement ids left; it never falls. `newest`: the last entry of the log; `entries`: how many there ever were.
    """

    archive: str
    archived: str
    trimmed: str
    evicted: int
    newest: str
    entries: int


class Leaving(NamedTuple):
    """An order as the archive knows it: it leaves only if it is so in the store, and holds nothing."""

    order_id: str
    state: str
    revision: int
    idempotency_key: str | None


class Retaining(Protocol):
    """The part of the ledger's port that archives use. Errors as in `Ledger`."""

    async def partitions(self) -> list[str]:
        """All partitions that were ever written, in order of name."""

    async def lease(self, task: str, holder: str, ttl_ms: int) -> bool:
        """Whether `holder` is the one to do a task now, for `ttl_ms` by the store's clock; who has it renews it so."""

    async def journal(self, partition: str, after: str, count: int) -> list[Logged]:
        """At most `count` entries after an entry, as they are stored. Raises LogTrimmedError."""

    async def record(self, partition: str, entry_id: str) -> bytes | None:
        """The window's record in a log entry; None once the entry has left the log."""

    async def retention(self, partition: str) -> Retention:
        """What left, and what may."""

    async def archived(self, partition: str, archive: str, entry_id: str, trim_to: str) -> int:
        """Say that `archive` holds all entries up to one, and let entries before `trim_to` go; returns how many went.

        A call takes a bounded number; call again until none goes. `trim_to` behind the archived entry is refused with
        ValueError. Raises ForeignArchiveError if entries or orders left for another archive.
        """

    async def evict(
        self, partition: str, archive: str, orders: Sequence[Leaving], movement_ids: Sequence[str]
    ) -> list[bool]:
        """Let orders with their keys, and movement ids, go; says which orders are gone. Raises ForeignArchiveError."""


def place(entry_id: str) -> tuple[int, int]:
    """An entry id as numbers that compare."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


def entry_id(ms: int, number: int) -> str:
    """The entry id of a place."""
    return f"{ms}-{number}"


def before(entry_id: str) -> str:
    """The greatest entry id below one."""
    ms, number = place(entry_id)
    return f"{ms}-{number - 1}" if number else f"{ms - 1}-{2**64 - 1}"
