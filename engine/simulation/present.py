"""The world as it is now, and orders of the past: read from a partition of a running engine, and nothing written.

Documents are of one version each; stock is read page by page, so it is that of the seconds in which it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from engine.archive.history import History
from engine.domain import IncomingRow, Order, Sku, StockRow, epoch_ms, instant_of
from engine.errors import NoNetworkError
from engine.ledger.port import Ledger, Row
from engine.network_document import NetworkDocument
from engine.policy import Policy
from engine.registry import BUILT_IN, DEFAULT
from engine.simulation.recorded import Spooling
from engine.simulation.world import World

PAGE = 1_000

_network = msgspec.json.Decoder(NetworkDocument).decode
_policy = msgspec.json.Decoder(Policy).decode
_order = msgspec.json.Decoder(Order).decode
decoded_sku = msgspec.json.Decoder(Sku).decode


class Documents(NamedTuple):
    """A partition's documents. `nodes`: the id of each node by its number in stock rows; nodes that left have none."""

    network: NetworkDocument
    policies: dict[str, Policy]
    nodes: dict[int, str]


async def present(ledger: Ledger, partition: str, *, strict_skus: bool = False) -> World:
    """Network, matrices, policies, catalogue, free stock and what is to come in. Raises NoNetworkError."""
    found = await documents(ledger, partition)
    assert found is not None, "any size will do"
    network, policies, names = found
    matrices: dict[str, bytes] = {}
    for name in network.matrices:
        matrix = await ledger.matrix(partition, name)
        if matrix is not None:
            matrices[name] = matrix.body
    stock, incoming = await _stock(ledger, partition, names)
    return World(
        network=network,
        matrices=matrices,
        policies=policies,
        skus=await _catalogue(ledger, partition),
        stock=stock,
        incoming=incoming,
        strict_skus=strict_skus,
    )


async def documents(ledger: Ledger, partition: str, network_bytes_max: int | None = None) -> Documents | None:
    """Network and policies; None if the network is larger than that. Raises NoNetworkError."""
    stored = await ledger.network(partition)
    if stored is None:
        raise NoNetworkError(f"partition {partition!r} has no network yet: PUT /v1/network first")
    document, numbers = stored
    if network_bytes_max is not None and len(document.body) > network_bytes_max:
        return None
    network = _network(document.body)
    _, policies = await ledger.policies(partition)
    staying = {node.node_id for node in network.nodes}
    return Documents(
        network,
        {DEFAULT: BUILT_IN.policy} | {name: _policy(policy.body) for name, policy in policies.items()},
        {number: node_id for node_id, number in numbers.items() if node_id in staying},
    )


async def _catalogue(ledger: Ledger, partition: str) -> tuple[Sku, ...]:
    found: dict[str, Sku] = {}
    version = 0
    while True:
        reached, changed = await ledger.skus_since(partition, version)
        found.update((sku, decoded_sku(body)) for sku, body in changed.items())
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
            rows.update({(sku, each.node_id): each for each in rows_of(sku, row, names)})
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


def rows_of(sku: str, row: Row, nodes: Mapping[int, str]) -> list[StockRow]:
    """What anybody could have of a SKU, node by node."""
    return [
        StockRow(
            node_id=nodes[node],
            sku=sku,
            on_hand=max(0, on_hand - held - blocked),
            safety=safety if safety >= 0 else None,
        )
        for node, on_hand, held, safety, blocked in row.slots.tolist()
        if node in nodes
    ]


async def history_of(history: History, partition: str, since: datetime, until: datetime, spooling: Spooling) -> None:
    """Write down the orders that were first decided in a period; one without an instant came when it was decided.

    Raises UnavailableError without an archive, and as `Spooling.add` does.
    """
    async for decided_ms, document in history.documents(partition, epoch_ms(since), epoch_ms(until)):
        order = _order(document)
        if order.placed_at is None:
            order = msgspec.structs.replace(order, placed_at=instant_of(decided_ms))
        spooling.add(order)
