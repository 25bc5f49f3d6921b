"""The versioned documents of every partition: network, policy, SKU catalogue.

The store owns them; this is each process's copy. A write answers once its version is in the store, and the commit
refuses windows decided on an older network or policy, so a copy may be late but never wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from engine.catalogue import Catalogue, Intake
from engine.documents import FAULTS_MAX
from engine.domain import Sku
from engine.errors import Fault, InvalidInputError, NodeInUseError, NoNetworkError, NotFoundError
from engine.geography import centroids
from engine.ledger import port
from engine.ledger.port import Ledger, Versions
from engine.network import Network, NetworkDocument, parse_network, patch_node
from engine.policy import Policy

DEFAULT_POLICY = Policy()


@dataclass(slots=True)
class Books:
    """What a decision needs to know of one partition, at the versions it states.

    Written only by `Registry`; `items` grows in place, the rest is replaced whole.
    """

    versions: Versions
    network: Network
    policy: Policy
    items: dict[str, Sku] = field(default_factory=dict)

    def covers(self, versions: Versions | None) -> bool:
        """Whether each document is at least as new."""
        return versions is None or all(mine >= asked for mine, asked in zip(self.versions, versions, strict=True))


class Registry:
    """Reads documents through a cache, writes them through the store."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.catalogue = Catalogue(ledger)
        self._books: dict[str, Books] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._sku_decoder = msgspec.json.Decoder(Sku)
        self._policy_decoder = msgspec.json.Decoder(Policy)

    async def books(self, partition: str, versions: Versions | None = None) -> Books:
        """The partition's documents, at least as new as `versions` if given. Raises NoNetworkError."""
        known = self._books.get(partition)
        if known is not None and known.covers(versions):
            return known
        async with self._loading.setdefault(partition, asyncio.Lock()):
            known = self._books.get(partition)
            if known is None or not known.covers(versions):
                self._books[partition] = known = await self._load(partition, known)
        return known

    async def _load(self, partition: str, known: Books | None) -> Books:
        stored = await self._ledger.network(partition)
        if stored is None:
            self._loading.pop(partition, None)
            raise NoNetworkError(f"partition {partition!r} has no network yet: PUT /v1/network first")
        document, numbers = stored
        if known is not None and known.versions.network == document.version:
            network = known.network
        else:
            network = await asyncio.to_thread(_compile, document, numbers)
        policy = await self._ledger.policy(partition)
        items, catalog = (known.items, known.versions.catalog) if known is not None else ({}, 0)
        while True:
            reached, changed = await self._ledger.skus_since(partition, catalog)
            items.update((sku, self._sku_decoder.decode(body)) for sku, body in changed.items())
            if reached == catalog:
                break
            catalog = reached
        return Books(
            versions=Versions(document.version, policy.version if policy else 1, catalog),
            network=network,
            policy=self._policy_decoder.decode(policy.body) if policy else DEFAULT_POLICY,
            items=items,
        )

    async def network(self, partition: str) -> tuple[int, bytes, str]:
        """Version and JSON of the stored network, and the version of the centroid table. Raises NotFoundError."""
        stored = await self._ledger.network(partition)
        if stored is None:
            raise NotFoundError(f"partition {partition!r} has no network yet: PUT /v1/network first")
        return stored[0].version, stored[0].body, centroids().version

    async def put_network(self, partition: str, body: bytes) -> int:
        """Replace the network; returns its version. Raises InvalidInputError, NodeInUseError."""
        return await self._store_network(partition, await asyncio.to_thread(parse_network, body))

    async def patch_node(self, partition: str, node_id: str, body: bytes) -> int:
        """Change fields of one node; returns the new version. Raises InvalidInputError, NotFoundError."""
        while True:
            version, stored, _ = await self.network(partition)
            document = await asyncio.to_thread(parse_network, stored)
            try:
                return await self._store_network(partition, patch_node(document, node_id, body), version)
            except port.SupersededError:
                continue  # another write came first: patch what it left, so that neither is lost

    async def _store_network(self, partition: str, document: NetworkDocument, replaces: int | None = None) -> int:
        node_ids = [node.node_id for node in document.nodes]
        try:
            return await self._ledger.put_network(partition, msgspec.json.encode(document), node_ids, replaces)
        except port.NodeInUseError as error:
            raise NodeInUseError(
                f"these nodes still have stock or holds: {error}; move their stock away, or set them inactive instead"
            ) from error

    async def put_policy(self, partition: str, policy: Policy) -> int:
        """Replace the policy `default`; returns its version."""
        return await self._ledger.put_policy(partition, msgspec.json.encode(policy))

    async def put_skus(self, partition: str, skus: Sequence[Sku]) -> int:
        """Insert or replace catalogue entries; returns the catalogue version. Raises InvalidInputError for the rest."""
        intake = Intake(self.catalogue, partition)
        faults = await intake.take(rows := list(enumerate(skus, 1))) | await intake.finish()
        if faults:
            detail = f"{len(faults)} of {len(rows)} entries were refused; the others are in the catalogue"
            named = [Fault(f"entry {n}: {fault.path}", fault.reason) for n in sorted(faults) for fault in faults[n]]
            raise InvalidInputError(detail, named[:FAULTS_MAX])
        return intake.version or (await self._ledger.versions(partition)).catalog

    async def sku(self, partition: str, sku: str) -> Sku:
        """One catalogue entry. Raises NotFoundError."""
        body = await self._ledger.sku(partition, sku)
        if body is None:
            raise NotFoundError(f"SKU {sku!r} is not in the catalogue of partition {partition!r}")
        return self._sku_decoder.decode(body)


def _compile(document: port.Document, numbers: Mapping[str, int]) -> Network:
    """Half a second for the largest networks: never on the event loop."""
    return Network.compile(parse_network(document.body), numbers, document.version)
