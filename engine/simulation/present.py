"""The world as it is now, and orders of the past: read from a partition of a running engine, and nothing written.

Documents are of one version each; stock is read page by page, so it is that of the seconds in which it was read.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.archive.history import History
from engine.domain import IncomingRow, Order, Sku, StockRow, epoch_ms, instant_of
from engine.errors import NoNetworkError
from engine.ledger.port import Ledger
from engine.network_document import NetworkDocument
from engine.policy import Policy
from engine.registry import BUILT_IN, DEFAULT
from engine.simulation.recorded import Spooling
from engine.simulation.world import World

PAGE = 1_000

_network = msgspec.json.Decoder(NetworkDocument).decode
_policy = msgspec.json.Decoder(Policy).decode
_order = msgspec.json.Decoder(Order).decode
_sku = msgspec.json.Decoder(Sku).decode


async def present(ledger: Ledger, partition: str, *, strict_skus: bool = False) -> World:
    """Network, matrices, policies, catalogue, free stock and what is to come in. Raises NoNetworkError."""
    stored = await ledger.network(partition)
    if stored is None:
        raise NoNetworkError(f"partition {partition!r} has no network yet: PUT /v1/network first")
    network = _network(stored[0].body)
    matrices: dict[str, bytes] = {}
    for name in network.matrices:
        matrix = await ledger.matrix(partition, name)
        if matrix is not None:
            matrices[name] = matrix.body
    _, policies = await ledger.policies(partition)
    staying = {node.node_id for node in network.nodes}
    names = {number: node_id for node_id, number in stored[1].items() if node_id in staying}
    stock, incoming = await _stock(ledger, partition, names)
    return World(
        network=network,
        matrices=matrices,
        policies={DEFAULT: BUILT_IN.policy} | {name: _policy(document.body) for name, document in policies.items()},
        skus=await _catalogue(ledger, partition),
        stock=stock,
        incoming=incoming,
        strict_skus=strict_skus,
    )


async def _catalogue(ledger: Ledger, partition: str) -> tuple[Sku, ...]:
    found: dict[str, Sku] = {}
    version = 0
    while True:
        reached, changed = await ledger.skus_since(partition, version)
        found.update((sku, _sku(body)) for sku, body in changed.items())
        if reached == version:
            return tuple(found.values())
        version = reached


async def _stock(
    ledger: Ledger, partition: str, names: dict[int, str]
) -> tuple[tuple[StockRow, ...], tuple[IncomingRow, ...]]:
    """What orders hold and what is blocked is not on hand here: nobody can have it. Sorted by SKU."""
    rows: dict[tuple[str, str], StockRow] = {}
    coming: dict[str, IncomingRow] = {}
    cursor = ""
    while True:
        cursor, page = await ledger.stock_page(partition, cursor, PAGE)
        for sku, row in page:
            for node, on_hand, held, safety, blocked in row.slots.tolist():
                if node in names:
                    rows[sku, names[node]] = StockRow(
                        node_id=names[node],
                        sku=sku,
                        on_hand=max(0, on_hand - held - blocked),
                        safety=safety if safety >= 0 else None,
                    )
        for expected in await ledger.incoming(partition, [sku for sku, _ in page]):
            for each in expected:
                if each.node in names:
                    coming[each.incoming_id] = IncomingRow(
                        incoming_id=each.incoming_id,
                        node_id=names[each.node],
                        sku=each.sku,
                        quantity=each.quantity,
                        expected_at=instant_of(each.expected_ms),
                    )
        if not cursor:
            return tuple(row for _, row in sorted(rows.items())), tuple(coming.values())


async def history_of(history: History, partition: str, since: datetime, until: datetime, spooling: Spooling) -> None:
    """Write down the orders that were first decided in a period; one without an instant came when it was decided.

    Raises UnavailableError without an archive, and as `Spooling.add` does.
    """
    async for decided_ms, document in history.documents(partition, epoch_ms(since), epoch_ms(until)):
        order = _order(document)
        if order.placed_at is None:
            order = msgspec.structs.replace(order, placed_at=instant_of(decided_ms))
        spooling.add(order)
