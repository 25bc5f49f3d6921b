"""How stock rows and day loads lie in bytes: little-endian, a gain counter and then fixed-width slots.

Row: gain uint32, then 18 bytes per stocked node (`SLOT`). Load: gain uint32, then 8 bytes per node number (`LOAD`).
The same bytes are the store's strings, the memory twin's buffers and, without a copy, the engine's arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import numpy as np

from engine.ledger.port import LOAD, SLOT, DayLoad, LoadTake, Proposal, Row, StockKind, StockWrite

GAIN = Struct("<I")
CELL = Struct("<Hiiii")
"""node, on_hand, held, safety, blocked: one slot of a row."""
DAY = Struct("<II")
"""parcels, units: one node of a day."""

CELL_UNITS_MAX = 2**31 - 1
LOAD_UNITS_MAX = 2**32 - 1
NODES_MAX = 2**16

STOCK_CHUNK = 400
"""Stock writes applied in one step: one script call, one log entry."""
SKUS_CHUNK = 400
"""Catalogue entries written in one step; each step is one catalogue version."""
EDITIONS_KEPT = 100
"""Versions kept of each policy."""
SKUS_PAGE = 2_000
"""About how many catalogue entries one reading returns."""
PARTITIONS_ASKED = 250
"""Partitions of which one round trip asks: about a millisecond for the store, and for the event loop."""
TAIL_ENTRIES_MAX = 64
"""The most log entries that one reading of the log returns."""
DAY_MS = 86_400_000
DEADLINE_GRID_MS = 10
SWEEP_PLACES, SWEEP_ORDERS = 400, 500
"""Lapsed units of about so many places, or so many orders, are written down in one step of the sweeper."""
FREE_PLACES = 1_000
"""Lapsed units of about so many places are freed in one step for those who need them now."""

assert SLOT.itemsize == CELL.size == 18
assert LOAD.itemsize == DAY.size == 8

_NO_SLOTS = np.empty(0, SLOT)
_NO_SLOTS.flags.writeable = False
_NO_LOAD = np.empty(0, LOAD)
_NO_LOAD.flags.writeable = False
NO_ROW = Row(0, _NO_SLOTS)
NO_DAY = DayLoad(0, _NO_LOAD)


def row(packed: bytes | None) -> Row:
    """A packed row as the engine sees it: read-only, on these very bytes. None: never stocked."""
    if not packed:
        return NO_ROW
    assert (len(packed) - GAIN.size) % CELL.size == 0, "a row is torn"
    return Row(GAIN.unpack_from(packed)[0], np.frombuffer(packed, SLOT, offset=GAIN.size))


def day_load(packed: bytes | None) -> DayLoad:
    """A packed day as the engine sees it: read-only, as long as the highest node number that ever had load."""
    if not packed:
        return NO_DAY
    assert (len(packed) - GAIN.size) % DAY.size == 0, "a day is torn"
    return DayLoad(GAIN.unpack_from(packed)[0], np.frombuffer(packed, LOAD, offset=GAIN.size))


def freed_row(packed: bytes, freed: Sequence[tuple[int, int]], gain: int) -> Row:
    """A packed row as if units (slot, units) were not held, and its gain that much greater."""
    slots = np.frombuffer(packed, SLOT, offset=GAIN.size).copy()
    for slot, units in freed:
        slots["held"][slot] -= units
    slots.flags.writeable = False
    return Row((GAIN.unpack_from(packed)[0] + gain) % 2**32, slots)


def freed_day(packed: bytes, freed: Sequence[tuple[int, int, int]], gain: int) -> DayLoad:
    """A packed day as if (node, units, parcels) were not taken, and its gain that much greater."""
    nodes = np.frombuffer(packed, LOAD, offset=GAIN.size).copy()
    for node, units, parcels in freed:
        nodes["units"][node] -= units
        nodes["parcels"][node] -= parcels
    nodes.flags.writeable = False
    return DayLoad((GAIN.unpack_from(packed)[0] + gain) % 2**32, nodes)


def seen_row(packed: bytes | None, lapsed: Sequence[Sequence[int]], own: Sequence[tuple[int, int]]) -> Row:
    """A row as a window sees it: without the `lapsed` members of soft holds, and without its `own` (slot, units)."""
    if not packed or not (lapsed or own):
        return row(packed)
    freed = [(member[at], member[at + 1]) for member in lapsed for at in range(1, len(member), 3)]
    return freed_row(packed, [*freed, *own], sum(units for _, units in freed))


def seen_day(packed: bytes | None, lapsed: Sequence[Sequence[int]], own: Sequence[tuple[int, int, int]]) -> DayLoad:
    """A day as a window sees it: without lapsed members, and without its `own` (node, units, parcels)."""
    if not packed or not (lapsed or own):
        return day_load(packed)
    freed = [(member[at], member[at + 1], member[at + 2]) for member in lapsed for at in range(1, len(member), 3)]
    return freed_day(packed, [*freed, *own], sum(units + parcels for _, units, parcels in freed))


def deadline_ms(now_ms: int, hold_ms: int) -> int:
    """When a soft hold lapses that is taken now: on a grid, so that holds of one instant lapse as one."""
    return -(-(now_ms + hold_ms) // DEADLINE_GRID_MS) * DEADLINE_GRID_MS


def require_proposals(proposals: Sequence[Proposal], skus: int) -> None:
    """Assert what every implementation relies on; what breaks it is a fault of the engine, not of a caller."""
    for proposal in proposals:
        for sku, slot, _, units, safety in proposal.takes:
            assert 0 <= sku < skus, "a take names a SKU of the batch"
            assert 0 < units <= CELL_UNITS_MAX, "a take is of at least one unit"
            assert 0 <= safety <= CELL_UNITS_MAX, "safety is never negative"
            assert slot >= 0, "slots count from 0"
        for load in proposal.loads:
            _require_load(load)


def _require_load(load: LoadTake) -> None:
    assert 0 <= load.node < NODES_MAX, "node numbers are 16 bits"
    assert 0 <= load.parcels <= LOAD_UNITS_MAX, "parcels are counted, not returned"
    assert 0 <= load.units <= LOAD_UNITS_MAX, "units are counted, not returned"


def require_writes(writes: Sequence[StockWrite]) -> None:
    """Raise ValueError for a write that no cell could ever take: negative where the kind has no sign, or too large."""
    for write in writes:
        signed = write.kind is StockKind.ADJUST
        if abs(write.quantity) > CELL_UNITS_MAX or (write.quantity < 0 and not signed):
            raise ValueError(f"{write.kind.value} of {write.quantity} units of {write.sku}")
        if write.safety is not None and (write.kind is not StockKind.SNAPSHOT or write.safety < 0):
            raise ValueError(f"safety {write.safety} with {write.kind.value} of {write.sku}")
        if write.safety is not None and write.safety > CELL_UNITS_MAX:
            raise ValueError(f"safety {write.safety} of {write.sku}")
        if not 0 <= write.node < NODES_MAX:
            raise ValueError(f"node number {write.node}")
