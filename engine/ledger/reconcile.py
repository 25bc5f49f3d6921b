"""Audit of a ledger: its log replayed from empty must give what it holds, and no commit may ever have oversold.

Works over the port alone, on a live ledger. Where the log was trimmed, the replay starts from a checkpoint: the sums of
what left it, kept by the archive. Memory is bounded by cells, days and the orders of what is left of the log, never by
what is archived. What changes while it is looked at is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.ledger import states
from engine.ledger.backlog import Incoming, QueueAsked
from engine.ledger.port import DayLoad, Entry, Ledger, OrderRecord, Row
from engine.ledger.retention import LogTrimmedError, place

_PAGE = 200
_ALL = 2**31 - 1
_ORDERS_AT_ONCE = 50
_LOOKS_MAX = 50
"""How often a place that keeps changing is looked at before it is reported as unsettled."""

_STARTS_MAX = 5
"""How often an audit that the trimming of the log overtook begins again."""

Cell = tuple[int, int, int, int]
"""on_hand, held, safety, blocked"""
_NEW: Cell = (0, 0, -1, 0)


class Difference(NamedTuple):
    """One thing that is not as it must be. `place` reads like "stock A at node 3" or "order O-1"."""

    place: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was audited, and every difference (the first `differences_max`; `wrong` counts all)."""

    entries: int
    cells: int
    loads: int
    orders: int
    moving: int
    """Cells whose holds could not be summed over orders, because they changed meanwhile."""
    wrong: int
    differences: tuple[Difference, ...]

    @property
    def clean(self) -> bool:
        """Whether all is as it must be."""
        return self.wrong == 0


class Checkpoint(Protocol):
    """The sum of all entries up to `entry_id`. `kinds`: documents written; `oversold`: commits that should not be."""

    entry_id: str
    entries: int
    kinds: Mapping[str, int]
    oversold: int
    cells: Sequence[tuple[str, int, int, int, int, int]]
    """sku, node, on_hand, held, safety, blocked"""
    loads: Sequence[tuple[int, int, int, int]]
    """day, node, parcels, units"""


class Past(Protocol):
    """What an archive can tell an audit."""

    async def checkpoint(self, partition: str) -> Checkpoint | None:
        """The sums of all that is archived; None for nothing."""

    async def states(self, partition: str, upto: str, after: str, limit: int) -> list[tuple[str, str]]:
        """(order id, state) of orders not known to have left the store, decided up to an entry; by id, after an id."""


async def reconcile(ledger: Ledger, partition: str, *, past: Past | None = None, differences_max: int = 100) -> Report:
    """Audit one partition; changes nothing.

    Raises LedgerUnavailableError; LogTrimmedError if the log is not whole and `past` does not have what is missing.
    """
    for left in reversed(range(_STARTS_MAX)):
        start = await past.checkpoint(partition) if past is not None else None
        try:
            return await _audit(_Audit(ledger, partition, differences_max, past, start))
        except LogTrimmedError:
            if start is None or not left:
                raise
    raise AssertionError("the last start returns or raises")


async def _audit(audit: _Audit) -> Report:
    await audit.catch_up()
    await audit.rows()
    await audit.loads()
    moving = await audit.holds()
    orders = audit.orders
    await audit.waits()
    await audit.incoming()
    await audit.versions()
    model, cells = audit.model, sum(map(len, audit.model.cells.values()))
    return Report(model.entries, cells, len(model.loads), orders, moving, audit.wrong, tuple(audit.found))


@dataclass(slots=True)
class _Model:
    """What the log says so far."""

    last: str = "0"
    entries: int = 0
    cells: dict[str, dict[int, Cell]] = field(default_factory=dict)
    """By SKU and node number."""
    loads: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """Of orders that the replayed entries named."""
    born: set[str] = field(default_factory=set)
    """Those of them that were decided there."""
    kinds: dict[str, int] = field(default_factory=dict)
    waited: dict[str, int] = field(default_factory=dict)
    """Units waited for under the names that the replayed entries touched."""
    incoming: dict[str, Incoming] = field(default_factory=dict)
    """Incoming units that the replayed entries touched; a quantity of 0: no more."""
    resumed: bool = False
    """Whether this began with a checkpoint: then an order may have been decided before, its state not known."""

    def begin(self, start: Checkpoint) -> None:
        """Start from the sums of what is not replayed."""
        self.last, self.entries, self.kinds, self.resumed = start.entry_id, start.entries, dict(start.kinds), True
        for sku, node, *cell in start.cells:
            on_hand, held, safety, blocked = cell
            self.cells.setdefault(sku, {})[node] = on_hand, held, safety, blocked
        self.loads = {(day, node): (parcels, units) for day, node, parcels, units in start.loads}

    def apply(self, entry: Entry) -> list[Difference]:
        """Follow one entry; returns what it should never have done."""
        wrong: list[Difference] = []
        self.last, self.entries = entry.entry_id, self.entries + 1
        self.kinds[entry.kind] = self.kinds.get(entry.kind, 0) + 1
        for change in entry.cells:
            row = self.cells.setdefault(change.sku, {})
            on_hand, held, safety, blocked = row.get(change.node, _NEW)
            on_hand, held, blocked = on_hand + change.on_hand, held + change.held, blocked + change.blocked
            safety = safety if change.safety is None else change.safety
            row[change.node] = on_hand, held, safety, blocked
            place = f"entry {entry.entry_id}, {_stock(change.sku, change.node)}"
            if min(on_hand, held, blocked) < 0:
                wrong.append(Difference(place, "nothing below 0", _cell((on_hand, held, safety, blocked))))
            if change.held > 0 and held > on_hand - blocked:
                wrong.append(Difference(place, f"held at most {on_hand - blocked}", f"oversold: held {held}"))
        for day, node, parcels, units in entry.loads:
            before = self.loads.get((day, node), (0, 0))
            after = before[0] + parcels, before[1] + units
            self.loads[day, node] = after
            if min(after) < 0:
                wrong.append(Difference(f"entry {entry.entry_id}, {_day(day, node)}", "nothing below 0", str(after)))
        self.waited.update(entry.waited)
        self.incoming.update({row.incoming_id: row for row in entry.incoming})
        for (order_id, state), command in zip(entry.orders, entry.commands, strict=True):
            was = self.states.get(order_id, states.NEW if command == states.DECIDE or not self.resumed else "")
            if was and not states.admits(was, command, state):
                found = f"{command} to {state} in entry {entry.entry_id}"
                wrong.append(Difference(f"order {order_id}", f"what may follow {was}", found))
            if command == states.DECIDE:
                self.born.add(order_id)
            self.states[order_id] = state
        return wrong


@dataclass(slots=True)
class _Touched:
    """What changed since the log was last followed."""

    skus: set[str] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    incoming: set[str] = field(default_factory=set)


class _Audit:
    def __init__(
        self, ledger: Ledger, partition: str, differences_max: int, past: Past | None, start: Checkpoint | None
    ) -> None:
        self._ledger = ledger
        self._partition = partition
        self._differences_max = differences_max
        self.model = _Model()
        self.wrong = 0
        self.orders = 0
        self.found: list[Difference] = []
        self._past = past
        self._start = start
        self._moving: set[tuple[str, int]] = set()
        """Cells whose holds changed since this was last emptied."""
        self._stirred: set[str] = set()
        """Names whose waiting orders changed since this was last emptied."""
        self._waiting: dict[str, dict[str, int]] = {}
        """Units that each order waits for, by name."""
        if start is not None:
            self.model.begin(start)
            if start.oversold:
                self._report([Difference("archived entries", "nothing oversold", f"{start.oversold} oversold")])

    def _report(self, differences: Sequence[Difference]) -> None:
        self.wrong += len(differences)
        self.found += differences[: max(0, self._differences_max - len(self.found))]

    async def catch_up(self) -> _Touched:
        """Follow the log to its end."""
        touched, before = _Touched(), self.model.last
        async for entry in self._ledger.entries(self._partition, self.model.last):
            self._report(self.model.apply(entry))
            touched.skus.update(change.sku for change in entry.cells)
            touched.days.update(load[0] for load in entry.loads)
            touched.orders.update(order[0] for order in entry.orders)
            touched.incoming.update(row.incoming_id for row in entry.incoming)
            self._stirred.update(wait.name for wait in entry.waited)
            self._moving.update((change.sku, change.node) for change in entry.cells if change.held)
        if place((await self._ledger.retention(self._partition)).trimmed) > place(before):
            raise LogTrimmedError(f"entries after {before} have left the log of {self._partition!r}")
        return touched

    async def rows(self) -> None:
        """Every cell as the log says."""
        cursor, seen, first = "", set[str](), True
        while first or cursor:
            first = False
            await self.catch_up()
            cursor, page = await self._ledger.stock_page(self._partition, cursor, _PAGE, as_logged=True)
            for sku, row in page:
                seen.add(sku)
                if _row_differences(sku, row, self.model.cells.get(sku, {})):
                    await self._row_again(sku)
        for sku in self.model.cells.keys() - seen:
            await self._row_again(sku)

    async def _row_again(self, sku: str) -> None:
        """Look at a row between two readings of the log, until nothing touched it in between."""
        differences: list[Difference] = []
        for _ in range(_LOOKS_MAX):
            await self.catch_up()
            row = await self._ledger.stock(self._partition, sku, as_logged=True)
            differences = _row_differences(sku, row, self.model.cells.get(sku, {}))
            if not differences or sku not in (await self.catch_up()).skus:
                break
        self._report(differences)

    async def loads(self) -> None:
        """Every day as the log says."""
        for day in sorted({day for day, _ in self.model.loads}):
            differences: list[Difference] = []
            for _ in range(_LOOKS_MAX):
                await self.catch_up()
                load = await self._ledger.load(self._partition, day, as_logged=True)
                differences = _day_differences(day, load, self.model.loads)
                if not differences or day not in (await self.catch_up()).days:
                    break
            self._report(differences)

    async def holds(self) -> int:
        """Every order's state as the log says, and held units as the sum over orders. Returns cells left out."""
        await self.catch_up()
        held: dict[tuple[str, int], int] = {}
        self._moving.clear()
        self._stirred.clear()
        born = [(order_id, self.model.states[order_id]) for order_id in self.model.born]
        for at in range(0, len(born), _PAGE):
            await self._orders(born[at : at + _PAGE], held)
        after = ""
        while self._past is not None and self._start is not None:
            page = await self._past.states(self._partition, self._start.entry_id, after, _PAGE)
            if not page:
                break
            await self._orders(page, held)
            after = page[-1][0]
        await self.catch_up()
        for sku, row in self.model.cells.items():
            for node, cell in row.items():
                units = held.pop((sku, node), 0)
                if (sku, node) not in self._moving and units != cell[1]:
                    self._report([Difference(_stock(sku, node), f"held {cell[1]}", f"orders hold {units}")])
        for cell_of, units in held.items():
            self._report([Difference(_stock(*cell_of), "no cell", f"orders hold {units}")])
        return len(self._moving)

    async def _orders(self, expected: Sequence[tuple[str, str]], held: dict[tuple[str, int], int]) -> None:
        """Compare orders with their states, and add what they hold to `held`."""
        self.orders += len(expected)
        await self.catch_up()
        for at in range(0, len(expected), _ORDERS_AT_ONCE):
            some = expected[at : at + _ORDERS_AT_ONCE]
            records = await self._ledger.orders(self._partition, [order_id for order_id, _ in some])
            for (order_id, state), record in zip(some, records, strict=True):
                if record is None or record.stored_state != self.model.states.get(order_id, state):
                    await self._order_again(order_id, state)
                for sku, node, units in record.takes if record is not None else ():
                    held[sku, node] = held.get((sku, node), 0) + units
                for name, units in record.waits if record and record.stored_state in states.WAITING else ():
                    self._waiting.setdefault(name, {})[order_id] = units

    async def _order_again(self, order_id: str, archived: str) -> None:
        """Look at an order again; one that left the store held nothing, and the archive has it."""
        record: OrderRecord | None = None
        for _ in range(_LOOKS_MAX):
            await self.catch_up()
            record = await self._ledger.order(self._partition, order_id)
            if order_id not in (await self.catch_up()).orders:
                break
        if record is None and (await self._ledger.snapshot(self._partition, (), (), (order_id,))).perhaps_gone:
            return
        found = "none" if record is None else record.stored_state
        expected = self.model.states.get(order_id, archived)
        if found != expected:
            self._report([Difference(f"order {order_id}", expected, found)])

    async def waits(self) -> None:
        """Every name as the log and the orders say, its queue of just these orders; after `holds`."""
        live = await self._ledger.waited(self._partition)
        queues: dict[str, set[str]] = {}
        for name in live:
            [queue] = await self._ledger.queues(self._partition, [QueueAsked(name, None, _ALL)])
            queues[name] = {order_id for order_id, _ in queue.orders}
        await self.catch_up()
        names = live.keys() | self._waiting.keys() | self.model.waited.keys()
        for name in sorted(names - self._stirred):
            orders, there = self._waiting.get(name, {}), live.get(name, 0)
            logged = self.model.waited.get(name, there if self.model.resumed else 0)
            if queues.get(name, set()) != orders.keys() or not there == sum(orders.values()) == logged:
                expected = f"{len(orders)} orders for {sum(orders.values())} units, {logged} logged"
                found = f"{len(queues.get(name, ()))} orders for {there} units"
                self._report([Difference(f"orders that wait for {name!r}", expected, found)])

    async def incoming(self) -> None:
        """All incoming units as the log says; where it does not begin at the beginning, those it tells of."""
        for sku in sorted({row.sku for row in self.model.incoming.values()}):
            differences: list[Difference] = []
            for _ in range(_LOOKS_MAX):
                await self.catch_up()
                [rows] = await self._ledger.incoming(self._partition, [sku])
                differences = self._incoming_differences(sku, rows)
                if not differences or not (await self.catch_up()).incoming:
                    break
            self._report(differences)

    def _incoming_differences(self, sku: str, rows: Sequence[Incoming]) -> list[Difference]:
        told = self.model.incoming
        live = {row.incoming_id: row for row in rows if row.incoming_id in told or not self.model.resumed}
        logged = {each: row for each, row in told.items() if row.sku == sku and row.quantity}
        return [
            Difference(f"incoming {each}", str(logged.get(each)), str(live.get(each)))
            for each in sorted(live.keys() | logged.keys())
            if live.get(each) != logged.get(each)
        ]

    async def versions(self) -> None:
        """Every version as many as there were changes."""
        for _ in range(_LOOKS_MAX):
            await self.catch_up()
            found = await self._ledger.versions(self._partition)
            kinds = self.model.kinds
            expected = kinds.get("network", 0), kinds.get("policy", 0) + 1, kinds.get("skus", 0)
            if tuple(found) == expected:
                return
            before = self.model.entries
            await self.catch_up()
            if self.model.entries == before:
                self._report([Difference("versions", str(expected), str(tuple(found)))])
                return


def _row_differences(sku: str, row: Row, expected: dict[int, Cell]) -> list[Difference]:
    live: dict[int, Cell] = {}
    wrong: list[Difference] = []
    for node, on_hand, held, safety, blocked in row.slots.tolist():
        if node in live:
            wrong.append(Difference(_stock(sku, node), "one slot", "two slots"))
        live[node] = on_hand, held, safety, blocked
    return wrong + [
        Difference(_stock(sku, node), _cell(expected.get(node)), _cell(live.get(node)))
        for node in sorted(live.keys() | expected.keys())
        if live.get(node) != expected.get(node)
    ]


def _day_differences(day: int, load: DayLoad, expected: dict[tuple[int, int], tuple[int, int]]) -> list[Difference]:
    live = {node: pair for node, pair in enumerate(load.nodes.tolist()) if pair != (0, 0)}
    logged = {node: pair for (at, node), pair in expected.items() if at == day and pair != (0, 0)}
    return [
        Difference(_day(day, node), str(logged.get(node, (0, 0))), str(live.get(node, (0, 0))))
        for node in sorted(live.keys() | logged.keys())
        if live.get(node) != logged.get(node)
    ]


def _stock(sku: str, node: int) -> str:
    return f"stock {sku} at node {node}"


def _day(day: int, node: int) -> str:
    return f"load of day {day} at node {node}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "none"
    return "on_hand {}, held {}, safety {}, blocked {}".format(*cell)
