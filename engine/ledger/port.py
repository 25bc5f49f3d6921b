"""What the engine asks of a ledger: live stock, node load, decisions and the log of every change, per partition.

Two implementations keep one contract: `memory` (tests, simulation, baselines) and `redis` (production).
Nodes are *numbers* here (0..65535), given once per node id by the ledger and never reused; SKUs are their ids.
Days are days since 1970-01-01 in the node's own calendar. Instants are milliseconds since the epoch, ledger's clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.ledger.backlog import Backlogging, Expected, Incoming, Wait
from engine.ledger.moving import Moving
from engine.ledger.orders import Again as Again
from engine.ledger.orders import Answer as Answer
from engine.ledger.orders import Cancelled as Cancelled
from engine.ledger.orders import Change as Change
from engine.ledger.orders import Commanded as Commanded
from engine.ledger.orders import OrderRecord as OrderRecord
from engine.ledger.orders import Standing as Standing
from engine.ledger.retention import Retaining
from engine.ledger.writes import StockKind as StockKind
from engine.ledger.writes import StockOutcome as StockOutcome
from engine.ledger.writes import StockWrite as StockWrite

SLOT = np.dtype([("node", "<u2"), ("on_hand", "<i4"), ("held", "<i4"), ("safety", "<i4"), ("blocked", "<i4")])
"""One stocked cell of a SKU's row; safety -1 means that the node's default applies."""

LOAD = np.dtype([("parcels", "<u4"), ("units", "<u4")])
"""What one node already ships on one day, indexed by node number."""

Slots = NDArray[np.void]


class LedgerUnavailableError(Exception):
    """The store cannot be reached or does not answer; the same call may be made again without harm."""


class LedgerRefusedError(Exception):
    """The store refuses writes for good reason (memory or disk watermark, read only); the text says which."""


class Versions(NamedTuple):
    """The documents that a decision rests on. Network 0: there is none yet.

    `policy` counts the changes of the whole set of policies; 1: only the built-in default.
    """

    network: int
    policy: int
    catalog: int
    prices: int = 0
    """Of the price sheet; 0: there is none. Advice, so a decision may rest on an earlier one."""


class Row(NamedTuple):
    """The stock of one SKU. `gain` counts the times that anything became available here; it never falls."""

    gain: int
    slots: Slots


class DayLoad(NamedTuple):
    """The load of all nodes on one day. `gain` counts the times that load was given back."""

    gain: int
    nodes: NDArray[np.void]


class Decided(NamedTuple):
    """An order id that has been decided before: hash of its content, and its first decision byte for byte."""

    content: bytes
    decision: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a window needs of the store, read at one instant. `rows` and `days` parallel to what was asked for.

    Holds that have lapsed count as free, and so does what the `standing` order and those in `moving` hold.
    """

    at_ms: int
    versions: Versions
    rows: tuple[Row, ...]
    days: Mapping[int, DayLoad]
    decided: Mapping[str, Decided]
    standing: Standing | None = None
    evicted: int = 0
    """How many orders and movement ids had left the store; it never falls."""
    perhaps_gone: tuple[str, ...] = ()
    """Orders unknown here that may have been decided and have left: only the archive can say."""
    keys_perhaps_gone: tuple[str, ...] = ()
    """The same for idempotency keys."""
    key_conflicts: tuple[str, ...] = ()
    """New orders whose idempotency key was used for another order; the archive says so, never the store."""
    ripe: tuple[str, ...] = ()
    """Those of the SKUs asked for (and "", room) that orders wait for and of which something became available."""
    expected: Mapping[str, Expected] = field(default_factory=dict)
    """By SKU, of those for which it was asked: units waited for, and what is to come in."""
    moving: Mapping[str, int] = field(default_factory=dict)
    """The revisions of those of the orders asked for that may be decided again."""


class Take(NamedTuple):
    """Units to hold in one cell. `sku` indexes `Batch.skus`; `slot` is the cell's place in the row as it was seen.

    `safety` is the node's default, for cells without their own.
    """

    sku: int
    slot: int
    node: int
    units: int
    safety: int


class LoadTake(NamedTuple):
    """Capacity to take at a node on a day; maxima of the node's network entry, -1 for unlimited."""

    day: int
    node: int
    parcels: int
    units: int
    parcels_max: int
    units_max: int


class Proposal(Struct, frozen=True, array_like=True, gc=False):
    """One order's outcome as decided, to be committed whole or not at all.

    `order` and `decision` are JSON bytes, kept as they are. `state` is the order's state after commit, once its hold is
    firm; with `hold_ms` it is held softly until so long after the commit (a re-route keeps the deadline there is).
    `short_skus` (indexes into `Batch.skus`) and `short_days`: what this decision claims to have run out of; if any of
    them gained since the snapshot, or a proposal of the batch that was to take from it did not commit, the claim may be
    wrong and the proposal is LOST. `waits`: what its missing units wait for once the hold is firm, at their `rank`.
    `closes_ms`: until when the order may be decided again in the background, 0 for never.
    """

    order_id: str
    content: bytes
    order: bytes
    decision: bytes
    state: str
    takes: tuple[Take, ...] = ()
    loads: tuple[LoadTake, ...] = ()
    short_skus: tuple[int, ...] = ()
    short_days: tuple[int, ...] = ()
    idempotency_key: str | None = None
    hold_ms: int | None = None
    again: Again | None = None
    waits: tuple[Wait, ...] = ()
    rank: int = 0
    closes_ms: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The proposals of one window. `gains`, parallel to `skus`, and `day_gains` are those of the snapshot."""

    window_id: str
    versions: Versions
    skus: tuple[str, ...]
    gains: tuple[int, ...]
    day_gains: Mapping[int, int]
    proposals: tuple[Proposal, ...]
    record: bytes = b"{}"
    """What is needed to explain and replay the window (`engine.recording`): a line of JSON, then opaque bytes.
    Kept once per window."""
    evicted: int = 0
    """As in the snapshot: an order that may have left the store since then is STALE, never decided again."""


class Verdict(Enum):
    """What became of a proposal. Only LOST and STALE are worth solving again."""

    COMMITTED = "committed"
    REPEAT = "repeat"
    """The same order was decided before: `decision` is the first one."""
    CONFLICT = "conflict"
    """The order id was decided before with other content."""
    KEY_CONFLICT = "key_conflict"
    """The idempotency key was used before for another order or other content."""
    LOST = "lost"
    """Another commit came first; nothing of this proposal was written."""
    STALE = "stale"
    """Network or policy changed since the snapshot, or the order may have left the store; nothing was written."""


class Outcome(NamedTuple):
    """Verdict on one proposal, with the decision that now stands, if any."""

    verdict: Verdict
    decision: bytes | None = None


class Document(NamedTuple):
    """A stored JSON document and its version."""

    version: int
    body: bytes


class NodeInUseError(Exception):
    """Nodes cannot leave the network while they have stock or holds; `.node_ids` lists them."""

    def __init__(self, node_ids: Sequence[str]) -> None:
        super().__init__(", ".join(node_ids))
        self.node_ids = tuple(node_ids)


class SupersededError(Exception):
    """A document was changed by somebody else since it was read; nothing was written."""


class Event(NamedTuple):
    """One change as subscribers see it. `event_id` is resumable and ascending; `data` is JSON."""

    event_id: str
    at_ms: int
    type: str
    subject: str
    data: bytes


class CellChange(NamedTuple):
    """Deltas of one cell; `safety` is the new value or None for unchanged."""

    sku: str
    node: int
    on_hand: int
    held: int
    blocked: int
    safety: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One atomic change in the log: replaying all entries from empty gives the live state."""

    entry_id: str
    at_ms: int
    kind: str
    events: tuple[Event, ...]
    cells: tuple[CellChange, ...] = ()
    loads: tuple[tuple[int, int, int, int], ...] = ()
    """(day, node, parcels, units) deltas."""
    orders: tuple[tuple[str, str], ...] = ()
    """(order_id, new state)."""
    commands: tuple[str, ...] = ()
    """What led there, parallel to `orders`: `decide` or another command of the table of states."""
    excluded: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(order_id, ids of all nodes never offered again) of the orders of which that changed."""
    waited: tuple[Wait, ...] = ()
    """Units of a name that all orders wait for now."""
    incoming: tuple[Incoming, ...] = ()
    """Incoming units as they stand now; a quantity of 0: no more."""
    forecast: int = 0
    """Version of the forecast that it wrote; 0: none."""
    record: bytes = field(default=b"")


class Ledger(Retaining, Backlogging, Moving, Protocol):
    """The port. Every method may raise LedgerUnavailableError; every write may raise LedgerRefusedError."""

    async def snapshot(
        self,
        partition: str,
        skus: Sequence[str],
        days: Sequence[int],
        order_ids: Sequence[str],
        again: tuple[str, str] | None = None,
        idempotency_keys: Sequence[str] = (),
        expected: Sequence[str] = (),
        moving: Sequence[str] = (),
    ) -> Snapshot:
        """Stock of these SKUs, load of these days, which of these orders are decided: at one instant, in one call.

        `again`: the order to be decided again, and its command's id or ''. `expected`: SKUs of which to tell what is to
        come in. `moving`: orders whose holds are to count as free, as far as they may be decided again.
        """

    async def commit(self, partition: str, batch: Batch) -> list[Outcome]:
        """Decide proposals in sequence and write those that stand, each whole or not at all; durable on return.

        Calling it again with the same batch is safe: what was committed answers REPEAT with its own decision.
        """

    async def order(self, partition: str, order_id: str) -> OrderRecord | None:
        """An order as it stands, or None."""

    async def orders(self, partition: str, order_ids: Sequence[str]) -> list[OrderRecord | None]:
        """Some orders as they stand at one instant, in one call: a hundred are a few milliseconds."""

    async def command(self, partition: str, order_id: str, command: str, command_id: str = "") -> Commanded:
        """Confirm, release, cancel or hand over (`ready`) an order, as the table of states says; durable on return.

        With a command id it is applied once; without one it is idempotent by state.
        """

    async def cancel(self, partition: str, order_id: str) -> Cancelled:
        """Give back all that the order holds. Idempotent by state."""

    async def sweep(self, partition: str) -> int:
        """Write down some of what has lapsed, in one short step; returns how much, 0 when nothing is left."""

    async def overdue(self, partitions: Sequence[str]) -> dict[str, bool]:
        """Those of the partitions in which anything is held softly, and whether some of that has lapsed already."""

    async def partitions_with_holds(self) -> set[str]:
        """The partitions in which anything is held softly. Walks over all there is: not for every day."""

    async def write_stock(self, partition: str, writes: Sequence[StockWrite]) -> list[StockOutcome]:
        """Apply writes in sequence, each on its own merits."""

    async def stock(self, partition: str, sku: str, *, as_logged: bool = False) -> Row:
        """The stock of one SKU; no slots if it was never stocked.

        `as_logged`: as the log says, with holds that have lapsed and are not swept yet.
        """

    async def stock_page(
        self, partition: str, cursor: str, limit: int, *, as_logged: bool = False
    ) -> tuple[str, list[tuple[str, Row]]]:
        """About `limit` stocked SKUs, and the next cursor ("" at both ends); a SKU that stays appears at least once."""

    async def load(self, partition: str, day: int, *, as_logged: bool = False) -> DayLoad:
        """The load of all nodes on one day."""

    async def versions(self, partition: str) -> Versions:
        """The current versions."""

    async def put_network(
        self,
        partition: str,
        body: bytes,
        node_ids: Sequence[str],
        replaces: int | None = None,
        matrices: int | None = None,
    ) -> int:
        """Replace the network, number its new nodes, return the new version.

        `replaces`, `matrices`: the versions of the network and of all zone matrices that must still be current. Raises
        NodeInUseError, SupersededError.
        """

    async def network(self, partition: str) -> tuple[Document, dict[str, int]] | None:
        """The network document and the numbers of all nodes it ever had; None if there is none."""

    async def put_matrix(
        self, partition: str, matrix: str, body: bytes, network: int, *, used: bool
    ) -> tuple[int, int]:
        """Insert or replace a zone matrix; returns its version and that of the network.

        `network`: the version (0: none) that it was checked against and that must still be current; it gets a new
        version in the same step if it uses the matrix. Raises SupersededError.
        """

    async def matrices(self, partition: str) -> tuple[int, dict[str, int]]:
        """The version of all zone matrices together, which is the highest, and that of each, by id."""

    async def matrix(self, partition: str, matrix: str) -> Document | None:
        """A zone matrix."""

    async def put_policy(self, partition: str, policy_id: str, body: bytes) -> int:
        """Add or replace a policy; returns its own new version. The built-in `default` is its version 1."""

    async def policies(self, partition: str) -> tuple[int, Mapping[str, Document]]:
        """Version of the set, and every stored policy by id; the built-in default is not among them."""

    async def policy(self, partition: str, policy_id: str, version: int) -> bytes | None:
        """One stored version of a policy; the last 100 are kept."""

    async def put_skus(self, partition: str, entries: Mapping[str, bytes], replaces: int | None = None) -> int:
        """Upsert catalogue entries (JSON by SKU); returns the new catalogue version.

        `replaces`: the catalogue version that must still be current. Raises SupersededError; of many entries the first
        may then be written already.
        """

    async def skus_since(self, partition: str, version: int) -> tuple[int, dict[str, bytes]]:
        """Catalogue entries changed after `version`, and the version they bring it to (call until it is current)."""

    async def sku(self, partition: str, sku: str) -> bytes | None:
        """One catalogue entry."""

    async def put_prices(self, partition: str, body: bytes) -> int:
        """Replace the price sheet; returns its version. It is derived, so the log does not tell of it."""

    async def prices(self, partition: str) -> Document | None:
        """The price sheet; None if none was made."""

    async def put_forecast(self, partition: str, body: bytes) -> int:
        """Replace the forecast; returns its version, the first is 1. No decision rests on it by itself."""

    async def forecast(self, partition: str) -> Document | None:
        """The forecast; None if there was never one."""

    def entries(self, partition: str, after: str = "0") -> AsyncIterator[Entry]:
        """The log after an entry id, oldest first, to its present end. What was trimmed is left out ("0": from where
        the log begins now)."""

    async def tail(self, partition: str, after: str, wait_ms: int) -> list[Entry]:
        """Entries after an entry id ("$": from now on), waiting up to `wait_ms` for the first."""

    async def ping(self) -> None:
        """Raise LedgerUnavailableError unless the store answers."""

    async def close(self) -> None:
        """Release connections."""
