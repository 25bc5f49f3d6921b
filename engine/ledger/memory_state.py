"""What the memory ledger keeps of one partition, and the few ways in which it changes."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from engine.ledger import layout, states
from engine.ledger.backlog import ROOM, Incoming, Wait
from engine.ledger.journal import Body, Logged
from engine.ledger.port import Change, DayLoad, Document, OrderRecord, Row, Versions
from engine.ledger.retention import START, place

Cell = tuple[int, int, int, int, int]
"""node, on_hand, held, safety, blocked"""
Places = dict[int, tuple[int, int]]
"""(units, parcels) by slot or node."""


class Stocked:
    """One SKU's row, packed; `seen` is what readers got, until the next change."""

    __slots__ = ("_seen", "gain", "packed", "slots")

    def __init__(self) -> None:
        self.gain = 0
        self.packed = bytearray(layout.GAIN.size)
        self.slots: dict[int, int] = {}
        """Slot by node number."""
        self._seen: Row | None = None

    def cell(self, slot: int) -> Cell | None:
        """The cell at a slot, or None beyond the row's end."""
        at = layout.GAIN.size + slot * layout.CELL.size
        return layout.CELL.unpack_from(self.packed, at) if at < len(self.packed) else None

    def put(self, slot: int, cell: Cell) -> None:
        """Write a cell; the slot after the last one makes the row longer."""
        at = layout.GAIN.size + slot * layout.CELL.size
        assert cell[1] >= 0 and cell[2] >= 0 and cell[4] >= 0, "no quantity is negative"  # noqa: PT018
        if at < len(self.packed):
            layout.CELL.pack_into(self.packed, at, *cell)
        else:
            self.packed += layout.CELL.pack(*cell)
            self.slots[cell[0]] = slot
        self._seen = None

    def gained(self, times: int = 1) -> None:
        """Count that availability may have risen."""
        self.gain = (self.gain + times) % 2**32
        layout.GAIN.pack_into(self.packed, 0, self.gain)
        self._seen = None

    def row(self) -> Row:
        """The row for readers, who keep it while this one changes."""
        if self._seen is None:
            self._seen = layout.row(bytes(self.packed))
        return self._seen


class Day:
    """The load of all nodes on one day, packed by node number."""

    __slots__ = ("gain", "packed")

    def __init__(self) -> None:
        self.gain = 0
        self.packed = bytearray(layout.GAIN.size)

    def load(self, node: int) -> tuple[int, int]:
        """(parcels, units) of a node."""
        at = layout.GAIN.size + node * layout.DAY.size
        return layout.DAY.unpack_from(self.packed, at) if at < len(self.packed) else (0, 0)

    def put(self, node: int, parcels: int, units: int) -> None:
        """Write a node's load."""
        at = layout.GAIN.size + node * layout.DAY.size
        assert parcels >= 0 <= units, "load is never negative"
        self.packed.extend(bytes(max(0, at + layout.DAY.size - len(self.packed))))
        layout.DAY.pack_into(self.packed, at, parcels, units)

    def gained(self, times: int = 1) -> None:
        """Count that load was given back."""
        self.gain = (self.gain + times) % 2**32
        layout.GAIN.pack_into(self.packed, 0, self.gain)

    def day_load(self) -> DayLoad:
        """The day for readers."""
        return layout.day_load(bytes(self.packed))


class Kept(Struct, gc=False):
    """An order as kept. `takes` are (sku, slot, node, units) still held."""

    content: bytes
    order: bytes
    decision: bytes
    state: str
    history: list[Change]
    takes: tuple[tuple[str, int, int, int], ...]
    loads: tuple[tuple[int, int, int, int], ...]

    current: bytes = b""
    deadline: int = 0
    firm: str = ""
    revision: int = 1
    excluded: tuple[str, ...] = ()
    token: str = ""
    recorded: str = ""
    waits: tuple[Wait, ...] = ()
    rank: int = 0
    closes_ms: int = 0
    commands: dict[str, tuple[str, bytes]] = {}
    """What each command id asked and led to."""

    def judged(self, now_ms: int) -> str:
        """The state by the clock."""
        return states.judged(self.state, self.deadline, now_ms)

    def give_back(self, rows: dict[str, list[tuple[int, int]]], days: dict[int, list[tuple[int, int, int]]]) -> None:
        """Add what is held: (slot, units) by SKU and (node, units, parcels) by day."""
        for sku, slot, _, units in self.takes:
            rows.setdefault(sku, []).append((slot, units))
        for day, node, parcels, units in self.loads:
            days.setdefault(day, []).append((node, units, parcels))


@dataclass(slots=True)
class Partition:
    """Everything of one partition. Only `MemoryLedger` and its commit write here, never across an await."""

    rows: dict[str, Stocked] = field(default_factory=dict)
    days: dict[int, Day] = field(default_factory=dict)
    orders: dict[str, Kept] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """Order id by idempotency key."""
    moves: dict[str, str] = field(default_factory=dict)
    """Digest by movement id."""
    numbers: dict[str, int] = field(default_factory=dict)
    present: set[int] = field(default_factory=set)
    """Numbers of the nodes that are in the network now."""
    soft: dict[str, dict[int, Places]] = field(default_factory=dict)
    """Units of soft holds by field and deadline (see `journal.Body.chunks`)."""
    holds: dict[str, int] = field(default_factory=dict)
    """Deadlines of the orders that are held softly."""
    waits: dict[str, dict[str, int]] = field(default_factory=dict)
    """Ranks of the orders that wait, by name and order id."""
    waited: dict[str, int] = field(default_factory=dict)
    """Units waited for, by name."""
    ripe: dict[str, int] = field(default_factory=dict)
    """Names of which something became available since all that wait were tried: an ascending number."""
    _ripened: int = 0
    movable: dict[str, int] = field(default_factory=dict)
    """Until when, of the orders that may be decided again in the background."""
    received: str = ""
    """The last entry by which more stock came."""
    reports: dict[str, bytes] = field(default_factory=dict)
    incoming: dict[str, Incoming] = field(default_factory=dict)
    """Units to come in, by id."""
    use: dict[int, int] = field(default_factory=dict)
    """Cells per node that are not all zero."""
    network: Document | None = None
    matrices: dict[str, Document] = field(default_factory=dict)
    policies: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """The last versions of each."""
    policy_set: int = 1
    catalog: int = 0
    prices: Document | None = None
    forecast: Document | None = None
    skus: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    changed: list[tuple[int, str]] = field(default_factory=list)
    """(catalogue version, sku), ascending; an entry whose version is not the SKU's own any more is stale."""
    log: list[Logged] = field(default_factory=list)
    _ids: list[tuple[int, int]] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    archive: str = ""
    archived: str = START
    trimmed: str = START
    evicted: int = 0
    gone: set[str] = field(default_factory=set)
    """Ids that left: "o:" order, "k:" idempotency key, "m:" movement."""
    _first: int = 0
    """Entries that left the log."""

    def versions(self) -> Versions:
        """The current versions."""
        network, prices = (document.version if document else 0 for document in (self.network, self.prices))
        return Versions(network, self.policy_set, self.catalog, prices)

    def matrices_version(self) -> int:
        """The version of all zone matrices together."""
        return max((matrix.version for matrix in self.matrices.values()), default=0)

    def next_id(self, at_ms: int) -> tuple[int, int]:
        """The id that an entry made now gets: it never falls, even if the clock does."""
        last_ms, last = self._ids[-1] if self._ids else (0, 0)
        return (at_ms, 0) if at_ms > last_ms else (last_ms, last + 1)

    def append(self, at_ms: int, kind: str, body: Body, raw: tuple[bytes, ...], record: bytes = b"") -> int:
        """Log one change and return its instant."""
        entry_id = self.next_id(at_ms)
        self._ids.append(entry_id)
        self.log.append(Logged(f"{entry_id[0]}-{entry_id[1]}", kind, body, raw, record))
        self.grown.set()
        self.grown = asyncio.Event()
        if kind == "stock" and any(gain >= 0 for gain in body.rows[1::2]):
            self.received = self.log[-1].entry_id
        if self.waited:
            self._ripen(kind, body, raw)
        return entry_id[0]

    def _ripen(self, kind: str, body: Body, raw: tuple[bytes, ...]) -> None:
        """Note the names of which an entry makes something available."""
        names = [body.rows[at] for at in range(0, len(body.rows), 2) if body.rows[at + 1] >= 0]
        if any(body.days[at + 1] >= 0 for at in range(0, len(body.days), 2)):
            names.append(ROOM)
        if kind == states.CONFIRM:  # what became available while the hold was soft was nobody's to wait for
            names += body.waited[::2]
        elif kind == "skus":
            names += [sku.decode() for sku in raw[::2]]
        elif kind in ("network", "policy"):
            names += self.waited
        for name in names:
            if name in self.waited:
                self._ripened += 1
                self.ripe[name] = self._ripened

    def members(self, field_name: str, now_ms: int) -> list[list[int]]:
        """What has lapsed of a field, as the store's members: deadline, then (place, units, parcels)."""
        if field_name not in self.soft:
            return []
        return [
            [deadline, *(value for place, amounts in places.items() for value in (place, *amounts))]
            for deadline, places in sorted(self.soft.get(field_name, {}).items())
            if deadline <= now_ms
        ]

    def seen_gain(self, field_name: str, gain: int, now_ms: int) -> int:
        """A row's or day's gain as readers see it: with what has lapsed and was not freed yet."""
        if field_name not in self.soft:
            return gain
        return (
            gain + sum(sum(member[2::3]) + sum(member[3::3]) for member in self.members(field_name, now_ms))
        ) % 2**32

    def lapsed(self, fields: Iterable[str], now_ms: int) -> list[tuple[str, int]]:
        """The fields with their deadlines that have passed, in order."""
        found = ((name, sorted(self.soft[name])) for name in fields if name in self.soft)
        return [(name, deadline) for name, deadlines in found for deadline in deadlines if deadline <= now_ms]

    def record(self, order_id: str, now_ms: int) -> OrderRecord | None:
        """An order for readers; of a hold that has lapsed only what still counts as held."""
        order = self.orders.get(order_id)
        if order is None:
            return None
        state = order.judged(now_ms)
        takes = [
            take
            for take in order.takes
            if state == order.state or self._is_soft(f"s{take[0]}", take[1], order.deadline)
        ]
        loads = [
            load
            for load in order.loads
            if state == order.state or self._is_soft(f"d{load[0]}", load[1], order.deadline)
        ]
        return OrderRecord(
            order_id=order_id,
            content=order.content,
            order=order.order,
            decision=order.decision,
            state=state,
            history=tuple(order.history),
            takes=tuple((sku, node, units) for sku, _, node, units in takes),
            loads=tuple(loads),
            current=order.current or order.decision,
            stored_state=order.state,
            deadline_ms=order.deadline,
            revision=order.revision,
            excluded=order.excluded,
            token=order.token,
            at_ms=now_ms,
            recorded=order.recorded,
            waits=order.waits,
            rank=order.rank,
            closes_ms=order.closes_ms,
        )

    def keep(self, order_id: str, order: Kept) -> None:
        """Keep an order as it stands now, on the lists that its state puts it on."""
        self.orders[order_id] = order
        self.holds.pop(order_id, None)
        self.movable.pop(order_id, None)
        if order.state == states.HELD:
            self.holds[order_id] = order.deadline
        if order.closes_ms > 0 and order.state in states.MOVABLE:
            self.movable[order_id] = order.closes_ms

    def _is_soft(self, field_name: str, place: int, deadline: int) -> bool:
        return place in self.soft.get(field_name, {}).get(deadline, ())

    def place_after(self, after: str) -> int:
        """Index of the first entry after an entry id."""
        if after == "$":
            return len(self.log)
        return max(0, bisect_right(self._ids, place(after)) - self._first)

    def newest(self) -> str:
        """Id of the last entry, or the place before the first."""
        return "{}-{}".format(*self._ids[-1]) if self._ids else START

    def entries(self) -> int:
        """How many entries there ever were."""
        return len(self._ids)

    def trim(self, before: str) -> int:
        """Let the entries before one go; the last id is kept, so that ids never fall. Returns how many went."""
        going = bisect_left(self._ids, place(before))
        del self.log[: max(0, going - self._first)]
        gone, self._first = max(0, going - self._first), max(self._first, going)
        return gone

    def leave(self, name: str) -> None:
        """Remember an id that left."""
        self.gone.add(name)
        self.evicted += 1

    def put_cell(self, sku: str, slot: int, cell: Cell) -> None:
        """Write a cell and keep count of the cells in use at its node."""
        row = self.rows[sku]
        before = row.cell(slot)
        assert before is None or before[0] == cell[0], "a slot keeps its node"
        row.put(slot, cell)
        self.count_use(before, cell)

    def count_use(self, before: Cell | None, now: Cell) -> None:
        """Keep count of the cells in use at a node, one of which changed."""
        was_used = before is not None and (before[1] or before[2] or before[4]) > 0
        is_used = (now[1] or now[2] or now[4]) > 0
        if was_used != is_used:
            self.use[now[0]] = self.use.get(now[0], 0) + is_used - was_used
