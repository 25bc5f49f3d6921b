"""What a run begins with: one partition's documents and stock, as plain values that can be sent to another process."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from engine.domain import IncomingRow, Sku, StockRow
from engine.network_document import NetworkDocument
from engine.policy import Policy
from engine.registry import DEFAULT


class World(Struct, frozen=True, kw_only=True):
    """A partition without its orders. What orders hold already is not in `stock`: `on_hand` is what is left for others.

    `matrices`: zone matrices as CSV, by id. `policies`: by id, the built-in `default` included.
    """

    network: NetworkDocument
    skus: tuple[Sku, ...]
    stock: tuple[StockRow, ...]
    policies: dict[str, Policy] = field(default_factory=lambda: {DEFAULT: Policy()})
    matrices: dict[str, bytes] = {}
    incoming: tuple[IncomingRow, ...] = ()
    strict_skus: bool = False

    def node_ids(self) -> set[str]:
        """All nodes of the network."""
        return {node.node_id for node in self.network.nodes}

    def known_skus(self) -> set[str]:
        """Those of the catalogue and those that are stocked."""
        return {sku.sku for sku in self.skus} | {row.sku for row in self.stock}


def with_skus(world: World, skus: Iterable[Sku]) -> World:
    """With other catalogue entries, which are sound."""
    entries = {sku.sku: sku for sku in (*world.skus, *skus)}
    return msgspec.structs.replace(world, skus=tuple(entries.values()))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(World).decode


def packed(world: World) -> bytes:
    """The world as bytes, for a worker process."""
    return _encode(world)


def unpacked(body: bytes) -> World:
    """What `packed` packed."""
    return _decode(body)
