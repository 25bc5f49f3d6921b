"""Decisions of the past with all that they depended on: an order's window as it was, its documents included."""

from __future__ import annotations

import asyncio

import msgspec

from engine import recording
from engine.archive.recall import Recall
from engine.errors import GoneError, NotFoundError
from engine.ledger.port import Ledger, Versions
from engine.lowering import WindowInput
from engine.network import Network, NetworkDocument
from engine.policy import Policy
from engine.recording import UnreadableRecordError
from engine.registry import BUILT_IN, DEFAULT, Registry
from engine.zones import parse_matrix

NETWORKS_KEPT = 4
"""Compiled networks of the past at hand, over all partitions; one of 2,000 nodes is some megabytes."""


class Records:
    """Finds what decided an order, in the store or in the archive."""

    def __init__(self, past: Recall, registry: Registry) -> None:
        self._past = past
        self._ledger: Ledger = past.ledger
        self._registry = registry
        self._networks: dict[tuple[str, int], Network] = {}

    async def recorded(self, partition: str, order_id: str) -> tuple[WindowInput, bytes]:
        """The window that made an order's current decision, and that decision.

        Raises NotFoundError, GoneError if the record was let go of, StoreUnavailableError.
        """
        order = await self._past.order(partition, order_id)
        if order is None:
            raise NotFoundError(f"there is no order {order_id!r}")
        record = await self._past.record(partition, order.recorded) if order.recorded else None
        if record is None:
            raise GoneError(f"the record of the window that decided order {order_id!r} is kept no longer")
        try:
            named = recording.documents(record)
            network = await self._network(partition, named.network, order.recorded)
            policy = await self._policy(partition, named.policy_id, named.policy, order.recorded)
            window = await asyncio.to_thread(recording.restore, record, network, policy)
        except (UnreadableRecordError, msgspec.DecodeError) as error:
            raise GoneError(
                f"the record of the window that decided order {order_id!r} is of another version of this program"
            ) from error
        return window, order.current

    async def _network(self, partition: str, version: int, since: str) -> Network:
        """The network at a version, compiled; half a second for the largest, unless it is at hand."""
        books = await self._registry.books(partition, Versions(version, 0, 0))
        if books.network.version == version:
            return books.network
        found = self._networks.pop((partition, version), None)
        if found is None:
            source = await self._past.network(partition, version, since)
            if source is None:
                raise GoneError(f"version {version} of the network is not in the archive")
            stored = await self._ledger.network(partition)
            assert stored is not None, "a network that has versions is there"
            document = msgspec.json.decode(source.body, type=NetworkDocument)
            matrices = {
                name: await asyncio.to_thread(parse_matrix, source.matrices[name]) for name in document.matrices
            }
            found = await asyncio.to_thread(Network.compile, document, stored[1], version, matrices)
        self._networks[partition, version] = found
        if len(self._networks) > NETWORKS_KEPT:
            del self._networks[next(iter(self._networks))]
        return found

    async def _policy(self, partition: str, policy_id: str, version: int, since: str) -> Policy:
        """A policy at a version."""
        if (policy_id, version) == (DEFAULT, BUILT_IN.version):
            return BUILT_IN.policy
        body = await self._past.policy(partition, policy_id, version, since)
        if body is None:
            raise GoneError(f"version {version} of policy {policy_id!r} is not in the archive")
        return msgspec.json.decode(body, type=Policy)
