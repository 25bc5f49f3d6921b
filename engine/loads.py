"""What a node ships on a day, and what room is left of its capacity."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from engine.clock import Clock
from engine.errors import NoNetworkError, NotFoundError
from engine.ledger.port import Ledger
from engine.network_document import Capacity
from engine.promise import local_day, to_date, to_day
from engine.registry import Registry


class Room(Struct, frozen=True, kw_only=True):
    """What still fits on the day, never below 0; null for no limit."""

    parcels: int | None
    units: int | None


class NodeLoad(Struct, frozen=True, kw_only=True):
    """One day of one node, in its own calendar. Of a dock, parcels count at the first node, units where stock is."""

    node_id: str
    date: str
    parcels: int
    units: int
    capacity: Capacity
    room: Room


async def node_load(
    ledger: Ledger, registry: Registry, clock: Clock, partition: str, node_id: str, day: date | None
) -> NodeLoad:
    """The load of a node on a day, today at the node if None. Raises NotFoundError."""
    versions = await ledger.versions(partition)
    try:
        network = (await registry.books(partition, versions)).network
    except NoNetworkError as error:
        raise NotFoundError(error.detail) from None
    if node_id not in network.numbers:
        raise NotFoundError(f"There is no node {node_id!r} in the network.")
    n = network.node_ids.index(node_id)
    number = to_day(day) if day is not None else local_day(clock.epoch_ms(), network.calendars.nodes[n].timezone)
    nodes = (await ledger.load(partition, number)).nodes
    at = network.numbers[node_id]
    parcels, units = (int(nodes[at]["parcels"]), int(nodes[at]["units"])) if at < len(nodes) else (0, 0)
    capacity = next(node.capacity for node in network.document.nodes if node.node_id == node_id)
    return NodeLoad(
        node_id=node_id,
        date=to_date(number).isoformat(),
        parcels=parcels,
        units=units,
        capacity=capacity,
        room=Room(parcels=_room(capacity.parcels_per_day, parcels), units=_room(capacity.units_per_day, units)),
    )


def _room(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
