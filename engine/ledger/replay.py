"""A log replayed: what its entries say, one after the other, and what an entry should never have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.ledger import states
from engine.ledger.backlog import Incoming
from engine.ledger.port import Entry

Cell = tuple[int, int, int, int]
"""on_hand, held, safety, blocked"""
NEW: Cell = (0, 0, -1, 0)


class Difference(NamedTuple):
    """One thing that is not as it must be. `place` reads like "stock A at node 3" or "order O-1"."""

    place: str
    expected: str
    found: str


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


@dataclass(slots=True)
class Replay:
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
    forecast: int = 0
    """Version of the forecast that the replayed entries wrote last; 0: none."""
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
            on_hand, held, safety, blocked = row.get(change.node, NEW)
            on_hand, held, blocked = on_hand + change.on_hand, held + change.held, blocked + change.blocked
            safety = safety if change.safety is None else change.safety
            row[change.node] = on_hand, held, safety, blocked
            place = f"entry {entry.entry_id}, {stock_at(change.sku, change.node)}"
            if min(on_hand, held, blocked) < 0:
                wrong.append(Difference(place, "nothing below 0", cell_text((on_hand, held, safety, blocked))))
            if change.held > 0 and held > on_hand - blocked:
                wrong.append(Difference(place, f"held at most {on_hand - blocked}", f"oversold: held {held}"))
        for day, node, parcels, units in entry.loads:
            before = self.loads.get((day, node), (0, 0))
            after = before[0] + parcels, before[1] + units
            self.loads[day, node] = after
            if min(after) < 0:
                wrong.append(Difference(f"entry {entry.entry_id}, {day_at(day, node)}", "nothing below 0", str(after)))
        self.waited.update(entry.waited)
        self.forecast = entry.forecast or self.forecast
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
class Touched:
    """What changed since the log was last followed."""

    skus: set[str] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    incoming: set[str] = field(default_factory=set)


def stock_at(sku: str, node: int) -> str:
    return f"stock {sku} at node {node}"


def day_at(day: int, node: int) -> str:
    return f"load of day {day} at node {node}"


def cell_text(cell: Cell | None) -> str:
    if cell is None:
        return "none"
    return "on_hand {}, held {}, safety {}, blocked {}".format(*cell)
