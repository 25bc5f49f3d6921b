"""The memory ledger's stock writes: each on its own merits, one log entry per chunk."""

from __future__ import annotations

from collections.abc import Sequence

from engine.ledger.journal import Body, movement_digest
from engine.ledger.layout import CELL_UNITS_MAX
from engine.ledger.memory_backlog import put_incoming
from engine.ledger.memory_state import Cell, Partition, Stocked
from engine.ledger.port import StockKind, StockOutcome, StockWrite


def write_stock(partition: Partition, writes: Sequence[StockWrite], at_ms: int) -> list[StockOutcome]:
    """Apply one chunk of writes in sequence and log what changed."""
    body = Body()
    index: dict[str, int] = {}
    gains = {write.sku: partition.rows[write.sku].gain for write in writes if write.sku in partition.rows}
    outcomes: list[StockOutcome] = []
    for write in writes:
        asked = bool(outcomes) and outcomes[-1] is StockOutcome.ASK
        outcomes.append(StockOutcome.ASK if asked else _write(partition, write, body, index))
    if body.cells:
        now = {sku: partition.rows[sku].gain for sku in index}
        body.rows = [value for sku in index for value in (sku, -1 if gains.get(sku) == now[sku] else now[sku])]
        partition.append(at_ms, "stock", body, ())
    return outcomes


def _write(partition: Partition, write: StockWrite, body: Body, index: dict[str, int]) -> StockOutcome:
    digest = movement_digest(write) if write.movement_id is not None else ""
    if write.movement_id is not None and (applied := partition.moves.get(write.movement_id)) is not None:
        return StockOutcome.REPEATED if applied == digest else StockOutcome.CONFLICT
    if (
        write.movement_id is not None
        and write.vetted != partition.evicted
        and "m:" + write.movement_id in partition.gone
    ):
        return StockOutcome.ASK
    if write.node not in partition.present:
        return StockOutcome.NODE_REMOVED
    expected = partition.incoming.get(write.incoming_id or "")
    if expected is not None and (expected.sku, expected.node) != (write.sku, write.node):
        return StockOutcome.OTHER_INCOMING
    row = partition.rows.get(write.sku)
    slot = row.slots.get(write.node) if row is not None else None
    before: Cell = (write.node, 0, 0, -1, 0)
    if row is not None and slot is not None:
        before = row.cell(slot) or before
    after = changed(before, write)
    if isinstance(after, StockOutcome):
        return after
    if slot is not None and after == before and write.movement_id is None:
        return StockOutcome.APPLIED
    if row is None:
        row = partition.rows[write.sku] = Stocked()
    gains = slot is None or may_rise(before, after)
    slot = len(row.slots) if slot is None else slot
    partition.put_cell(write.sku, slot, after)
    if gains:
        row.gained()
    if write.movement_id is not None:
        partition.moves[write.movement_id] = digest
    deltas = after[1] - before[1], 0, after[4] - before[4], int(after[3] != before[3])
    body.cells += (index.setdefault(write.sku, len(index)), slot, *after, *deltas)
    body.moves += (write.kind.value, write.movement_id or "", digest)
    if expected is not None:
        put_incoming(partition, expected._replace(quantity=max(0, expected.quantity - write.quantity)), body)
    return StockOutcome.APPLIED


def changed(cell: Cell, write: StockWrite) -> Cell | StockOutcome:
    """The cell after one write, or why it cannot be."""
    node, on_hand, held, safety, blocked = cell
    quantity = write.quantity
    if write.kind in (StockKind.SNAPSHOT, StockKind.COUNT):
        on_hand = quantity
        safety = safety if write.safety is None else write.safety
    elif write.kind in (StockKind.RECEIVE, StockKind.ADJUST):
        on_hand += quantity
    elif write.kind is StockKind.DAMAGE:
        blocked += quantity
    else:
        assert write.kind is StockKind.WRITE_OFF, f"unknown kind {write.kind}"
        on_hand -= quantity
        blocked -= min(blocked, quantity)
    if on_hand < 0 or blocked < 0:
        return StockOutcome.BELOW_ZERO
    if on_hand > CELL_UNITS_MAX or blocked > CELL_UNITS_MAX:
        return StockOutcome.TOO_LARGE
    return node, on_hand, held, safety, blocked


def may_rise(before: Cell, after: Cell) -> bool:
    """Whether availability may have risen; a cell that leaves its node's default safety may have any."""
    stock = after[1] - after[4] > before[1] - before[4]
    return stock or (after[3] != before[3] and (before[3] < 0 or after[3] < before[3]))
