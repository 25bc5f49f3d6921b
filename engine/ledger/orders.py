"""What the port says of orders that stand: their record, commands on them, and that one is decided again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from engine.ledger.backlog import Wait


class Change(NamedTuple):
    """One order command or event in an order's history."""

    at_ms: int
    event: str


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as it stands. `takes` are (sku, node number, units) still held; `loads` (day, node, parcels, units).

    `decision`: the first one for this content, which repeats get; `current`: the one that holds, after a re-route
    another. `state`: by the clock at `at_ms`; `stored_state` before anybody wrote down that a hold has lapsed.
    `deadline_ms`: of a soft hold, lapsed or not, else 0. `revision` counts the changes; `excluded` are the ids of nodes
    never offered again; `token` is that of the last replacement. `waits`: what it waits for, `rank` its place among
    those that wait. `recorded`: the log entry that has the record of the window of the current decision. `closes_ms`:
    until when it may be decided again in the background, 0 for never.
    """

    order_id: str
    content: bytes
    order: bytes
    decision: bytes
    state: str
    history: tuple[Change, ...]
    takes: tuple[tuple[str, int, int], ...] = ()
    loads: tuple[tuple[int, int, int, int], ...] = ()
    current: bytes = b""
    stored_state: str = ""
    deadline_ms: int = 0
    revision: int = 1
    excluded: tuple[str, ...] = ()
    token: str = ""
    at_ms: int = 0
    recorded: str = ""
    waits: tuple[Wait, ...] = ()
    rank: int = 0
    closes_ms: int = 0


class Standing(NamedTuple):
    """An order that a command is for. `applied`: what this command's id asked before, and what it led to.

    `left`: the order ended, left the store and is only in the archive; nothing changes it any more.
    """

    record: OrderRecord
    applied: tuple[str, bytes] | None = None
    left: bool = False


class Again(NamedTuple):
    """That a proposal decides an order again.

    `command` is replace, reroute, reoptimise, or fill (which adds to what the order has: the proposal takes what is
    new, its decision is the whole); `revision` that of the record it rests on; `token` tells one command from another
    (re-route: the caller's command id, applied once; `digest` is of what it asks). `excluded`: all nodes never offered
    again, earlier ones included; a fill and a re-optimisation have neither. The latter tells its `saving` in mills
    and the ids of the nodes that shipped `before`.
    """

    command: str
    revision: int
    token: str
    digest: str = ""
    reason: str = ""
    excluded: tuple[str, ...] = ()
    saving: int = 0
    before: tuple[str, ...] = ()


class Answer(Enum):
    """What became of a command."""

    UNKNOWN = "unknown"
    """There is no such order."""
    ALREADY = "already"
    """It was applied before, or the order is where it leads."""
    DONE = "done"
    REFUSED = "refused"
    """The table of states does not have it for the order's state."""
    OTHER = "other"
    """The command id was used for another command of this order."""
    LEFT = "left"
    """The table has it, but the order left the store. Said by the archive, never by the store."""


class Commanded(NamedTuple):
    """Answer to a command, and the state that it led to or was refused in."""

    answer: Answer
    state: str


class Cancelled(Enum):
    """Answer to a cancel command."""

    DONE = "done"
    ALREADY = "already"
    UNKNOWN = "unknown"
