"""Our own store as a system's outcome: the world put into a partition, and what a run left there read back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.peers.system import Answer, Outcome, PeerError
from bench.peers.world import World
from engine.assembly import Engine
from engine.clock import SystemClock
from engine.crew import InlineCrew
from engine.ledger.port import Ledger
from engine.metrics import Metrics
from engine.settings import Settings

PARTITION = "default"
_PAGE = 200


def engine_on(ledger: Ledger) -> Engine:
    """An engine on a ledger, not started: for its registry and its stock room."""
    return Engine(Settings(), ledger, InlineCrew(time.monotonic), SystemClock(), Metrics())


async def put(engine: Engine, world: World, partition: str = PARTITION) -> None:
    """Network, catalogue and stock into an empty partition. Raises PeerError."""
    await engine.registry.put_network(partition, world.network)
    await engine.registry.put_skus(partition, world.skus)
    tally = await engine.stock.write(partition, list(enumerate(world.rows, start=1)))
    if tally.faults:
        raise PeerError(f"stock was refused: {tally.faults[0]}")


async def left_in(ledger: Ledger, answers: Sequence[Answer]) -> Outcome:
    """Stock that is not held, and the decisions that are stored of these orders and of nobody else."""
    stored_network = await ledger.network(PARTITION)
    assert stored_network is not None, "the world was put"
    names = {number: node_id for node_id, number in stored_network[1].items()}
    left, stored, cursor = {}, {}, ""
    while True:
        cursor, rows = await ledger.stock_page(PARTITION, cursor, _PAGE)
        for sku, row in rows:
            for cell in row.slots:
                left[sku, names[int(cell["node"])]] = int(cell["on_hand"]) - int(cell["held"])
        if not cursor:
            break
    for at in range(0, len(answers), _PAGE):
        some = [answer.order_id for answer in answers[at : at + _PAGE]]
        for order_id, record in zip(some, await ledger.orders(PARTITION, some), strict=True):
            if record is not None:
                stored[order_id] = record.decision
    return Outcome(left, stored)
