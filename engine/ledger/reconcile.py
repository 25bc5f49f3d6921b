"""Audit of a ledger: its log replayed from empty must give what it holds, and no commit may ever have oversold.

Works over the port alone, on a live ledger. Where the log was trimmed, the replay starts from a checkpoint: the sums of
what left it, kept by the archive. Memory is bounded by cells, days and the orders of what is left of the log, never by
what is archived. What changes while it is looked at is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.ledger import states
from engine.ledger.backlog import Incoming, QueueAsked
from engine.ledger.moving import Place
from engine.ledger.port import DayLoad, Ledger, OrderRecord, Row
from engine.ledger.replay import Cell, Difference, Replay, Touched, cell_text, day_at, stock_at
from engine.ledger.replay import Checkpoint as Checkpoint
from engine.ledger.retention import LogTrimmedError, place

_PAGE = 200
_ALL = 2**31 - 1
_ORDERS_AT_ONCE = 50
_LOOKS_MAX = 50
"""How often a place that keeps changing is looked at before it is reported as unsettled."""

_STARTS_MAX = 5
"""How often an audit that the trimming of the log overtook begins again."""


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
    await audit.movable()
    await audit.incoming()
    await audit.versions()
    await audit.forecast()
    model, cells = audit.model, sum(map(len, audit.model.cells.values()))
    return Report(model.entries, cells, len(model.loads), orders, moving, audit.wrong, tuple(audit.found))


class _Audit:
    def __init__(
        self, ledger: Ledger, partition: str, differences_max: int, past: Past | None, start: Checkpoint | None
    ) -> None:
        self._ledger = ledger
        self._partition = partition
        self._differences_max = differences_max
        self.model = Replay()
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
        self._movable: dict[str, int] = {}
        """Until when, of the orders that may be decided again."""
        self._changed: set[str] = set()
        """Orders that changed since this was last emptied."""
        if start is not None:
            self.model.begin(start)
            if start.oversold:
                self._report([Difference("archived entries", "nothing oversold", f"{start.oversold} oversold")])

    def _report(self, differences: Sequence[Difference]) -> None:
        self.wrong += len(differences)
        self.found += differences[: max(0, self._differences_max - len(self.found))]

    async def catch_up(self) -> Touched:
        """Follow the log to its end."""
        touched, before = Touched(), self.model.last
        async for entry in self._ledger.entries(self._partition, self.model.last):
            self._report(self.model.apply(entry))
            touched.skus.update(change.sku for change in entry.cells)
            touched.days.update(load[0] for load in entry.loads)
            touched.orders.update(order[0] for order in entry.orders)
            touched.incoming.update(row.incoming_id for row in entry.incoming)
            self._stirred.update(wait.name for wait in entry.waited)
            self._changed.update(order[0] for order in entry.orders)
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
        self._changed.clear()
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
                    self._report([Difference(stock_at(sku, node), f"held {cell[1]}", f"orders hold {units}")])
        for cell_of, units in held.items():
            self._report([Difference(stock_at(*cell_of), "no cell", f"orders hold {units}")])
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
                if record is not None and record.stored_state in states.MOVABLE and record.closes_ms:
                    self._movable[order_id] = record.closes_ms

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

    async def movable(self) -> None:
        """The list of orders that may be decided again as these orders say; after `holds`."""
        listed: dict[str, int] = {}
        at = Place(0)
        while page := await self._ledger.movable(self._partition, at, _PAGE):
            listed.update((record.order_id, record.closes_ms) for record in page)
            at = at.past(page)
        await self.catch_up()
        for order_id in sorted((listed.keys() | self._movable.keys()) - self._changed):
            expected, found = (str(orders.get(order_id, "not")) for orders in (self._movable, listed))
            if expected != found:
                self._report([Difference(f"order {order_id} may be decided again", expected, found)])

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
            if found[:3] == expected:
                return
            before = self.model.entries
            await self.catch_up()
            if self.model.entries == before:
                self._report([Difference("versions", str(expected), str(found[:3]))])
                return

    async def forecast(self) -> None:
        """The forecast at the version that the log says; where it does not begin at the beginning, if it says any."""
        for _ in range(_LOOKS_MAX):
            await self.catch_up()
            found, expected = await self._ledger.forecast(self._partition), self.model.forecast
            version = 0 if found is None else found.version
            if version == expected or (not expected and self.model.resumed):
                return
            before = self.model.entries
            await self.catch_up()
            if self.model.entries == before:
                self._report([Difference("forecast", str(expected), str(version))])
                return


def _row_differences(sku: str, row: Row, expected: dict[int, Cell]) -> list[Difference]:
    live: dict[int, Cell] = {}
    wrong: list[Difference] = []
    for node, on_hand, held, safety, blocked in row.slots.tolist():
        if node in live:
            wrong.append(Difference(stock_at(sku, node), "one slot", "two slots"))
        live[node] = on_hand, held, safety, blocked
    return wrong + [
        Difference(stock_at(sku, node), cell_text(expected.get(node)), cell_text(live.get(node)))
        for node in sorted(live.keys() | expected.keys())
        if live.get(node) != expected.get(node)
    ]


def _day_differences(day: int, load: DayLoad, expected: dict[tuple[int, int], tuple[int, int]]) -> list[Difference]:
    live = {node: pair for node, pair in enumerate(load.nodes.tolist()) if pair != (0, 0)}
    logged = {node: pair for (at, node), pair in expected.items() if at == day and pair != (0, 0)}
    return [
        Difference(day_at(day, node), str(logged.get(node, (0, 0))), str(live.get(node, (0, 0))))
        for node in sorted(live.keys() | logged.keys())
        if live.get(node) != logged.get(node)
    ]
