"""The versioned documents of every partition: network, policy, SKU catalogue.

The store owns them; this is each process's copy. A write answers once its version is in the store, and the commit
refuses windows decided on an older network or policy, so a copy may be late but never wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import msgspec
import structlog

from engine.catalogue import Catalogue, Intake
from engine.documents import FAULTS_MAX
from engine.domain import Order, Sku
from engine.errors import Fault, InvalidInputError, NodeInUseError, NoNetworkError, NotFoundError
from engine.geography import centroids
from engine.ledger import port
from engine.ledger.port import Ledger, Snapshot, Versions
from engine.matrices import Matrices
from engine.network import Network, NetworkDocument, parse_network, patch_node
from engine.policy import Policy
from engine.policy.faults import parse_policy
from engine.pricing.sheet import PriceSheet, unpacked

log = structlog.get_logger("apportion.registry")

DEFAULT = "default"
"""The policy that exists from the start."""

POLICIES_MAX = 100
"""The most policies of one partition."""


class Edition(NamedTuple):
    """One version of a policy."""

    version: int
    policy: Policy


BUILT_IN = Edition(1, Policy())


@dataclass(slots=True)
class Books:
    """What a decision needs to know of one partition, at the versions it states.

    Written only by `Registry`; `items` grows in place, the rest is replaced whole.
    """

    versions: Versions
    network: Network
    policies: Mapping[str, Edition]
    strict_skus: bool = False
    """A SKU that `items` does not have does not ship."""
    items: dict[str, Sku] = field(default_factory=dict)
    prices: PriceSheet | None = None
    """The last sheet that was read: perhaps not the newest, for nothing waits for it."""
    prices_max_age_s: float = inf
    """See `Settings.price_max_age_seconds`."""

    def covers(self, versions: Versions | None) -> bool:
        """Whether each document is at least as new."""
        return versions is None or all(mine >= asked for mine, asked in zip(self.versions[:3], versions, strict=False))

    def prices_of(self, skus: Sequence[str], snapshot: Snapshot) -> PriceSheet | None:
        """What the sheet at hand says of these SKUs and the snapshot's days; None if it says nothing, or is too old."""
        if self.prices is None or snapshot.at_ms - self.prices.at_ms > 1000 * self.prices_max_age_s:
            return None
        some = self.prices.only(skus, snapshot.days)
        return some if some.stock or some.room else None


class Registry:
    """Reads documents through a cache, writes them through the store."""

    def __init__(self, ledger: Ledger, *, strict_skus: bool = False, prices_max_age_s: float = inf) -> None:
        self._ledger = ledger
        self._strict_skus = strict_skus
        self._prices_max_age_s = prices_max_age_s
        self.catalogue = Catalogue(ledger)
        self.matrices = Matrices(ledger)
        self._books: dict[str, Books] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        """Price sheets on their way."""
        self._sku_decoder = msgspec.json.Decoder(Sku)
        self._policy_decoder = msgspec.json.Decoder(Policy)

    async def books(self, partition: str, versions: Versions | None = None) -> Books:
        """The partition's documents, at least as new as `versions` if given. Raises NoNetworkError."""
        known = self._books.get(partition)
        if known is not None and known.covers(versions):
            self._follow_prices(partition, known, versions)
            return known
        async with self._loading.setdefault(partition, asyncio.Lock()):
            known = self._books.get(partition)
            if known is None or not known.covers(versions):
                self._books[partition] = known = await self._load(partition, known)
        self._follow_prices(partition, known, versions)
        return known

    def _follow_prices(self, partition: str, books: Books, versions: Versions | None) -> None:
        """Have the price sheet read if the store has another one; whoever decides meanwhile goes by what there is."""
        at = books.prices.version if books.prices is not None else 0
        if versions is not None and versions.prices not in (at, 0) and partition not in self._reading:
            self._reading[partition] = asyncio.create_task(self._read_prices(partition))

    async def price_sheet(self, partition: str) -> PriceSheet | None:
        """The newest price sheet; None if there is none. One that another version of the program made says nothing."""
        stored = await self._ledger.prices(partition)
        if stored is None:
            return None
        try:
            return unpacked(stored.body, stored.version)
        except msgspec.DecodeError:
            return PriceSheet(0, "adaptive", version=stored.version)

    async def close(self) -> None:
        """End what is read beside the windows."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    async def _read_prices(self, partition: str) -> None:
        try:
            self._books[partition].prices = await self.price_sheet(partition)
        except (port.LedgerUnavailableError, port.LedgerRefusedError) as error:
            log.warning("prices_unread", partition=partition, reason=str(error))
        finally:
            del self._reading[partition]

    async def _load(self, partition: str, known: Books | None) -> Books:
        stored = await self._ledger.network(partition)
        if stored is None:
            self._loading.pop(partition, None)
            raise NoNetworkError(f"partition {partition!r} has no network yet: PUT /v1/network first")
        document, numbers = stored
        if known is not None and known.versions.network == document.version:
            network = known.network
        else:
            network = await self._compile(partition, document, numbers)
        set_version, stored_policies = await self._ledger.policies(partition)
        items, catalog = (known.items, known.versions.catalog) if known is not None else ({}, 0)
        while True:
            reached, changed = await self._ledger.skus_since(partition, catalog)
            items.update((sku, self._sku_decoder.decode(body)) for sku, body in changed.items())
            if reached == catalog:
                break
            catalog = reached
        return Books(
            versions=Versions(document.version, set_version, catalog),
            network=network,
            policies=self._editions(stored_policies, known.policies if known is not None else {}),
            strict_skus=self._strict_skus,
            items=items,
            prices=known.prices if known is not None else None,
            prices_max_age_s=self._prices_max_age_s,
        )

    async def _compile(self, partition: str, stored: port.Document, numbers: Mapping[str, int]) -> Network:
        """Half a second for the largest networks: never on the event loop.

        A matrix may already be newer than the network; then the network is outdated, and no commit on it stands.
        """
        document = await asyncio.to_thread(parse_network, stored.body)
        matrices = await self.matrices.load(partition, document.matrices)
        return await asyncio.to_thread(Network.compile, document, numbers, stored.version, matrices)

    def _editions(self, stored: Mapping[str, port.Document], known: Mapping[str, Edition]) -> dict[str, Edition]:
        """The current policies, those that are known not decoded again."""
        editions = {DEFAULT: BUILT_IN}
        for policy_id, (version, body) in stored.items():
            old = known.get(policy_id)
            if old is None or old.version != version:
                old = Edition(version, self._policy_decoder.decode(body))
            editions[policy_id] = old
        return editions

    async def network(self, partition: str) -> tuple[int, bytes, str]:
        """Version and JSON of the stored network, and the version of the centroid table. Raises NotFoundError."""
        stored = await self._ledger.network(partition)
        if stored is None:
            raise NotFoundError(f"partition {partition!r} has no network yet: PUT /v1/network first")
        return stored[0].version, stored[0].body, centroids().version

    async def put_network(self, partition: str, body: bytes) -> int:
        """Replace the network; returns its version. Raises InvalidInputError, NodeInUseError."""
        document = await asyncio.to_thread(parse_network, body)
        while True:
            checked = await self.matrices.require(partition, document)
            try:
                return await self._store_network(partition, document, matrices=checked)
            except port.SupersededError:
                continue  # a zone matrix changed since it was looked at

    async def patch_node(self, partition: str, node_id: str, body: bytes) -> int:
        """Change fields of one node; returns the new version. Raises InvalidInputError, NotFoundError."""
        while True:
            version, stored, _ = await self.network(partition)
            document = await asyncio.to_thread(parse_network, stored)
            try:
                return await self._store_network(partition, patch_node(document, node_id, body), version)
            except port.SupersededError:
                continue  # another write came first: patch what it left, so that neither is lost

    async def _store_network(
        self, partition: str, document: NetworkDocument, replaces: int | None = None, matrices: int | None = None
    ) -> int:
        node_ids = [node.node_id for node in document.nodes]
        body = msgspec.json.encode(document)
        try:
            return await self._ledger.put_network(partition, body, node_ids, replaces, matrices)
        except port.NodeInUseError as error:
            raise NodeInUseError(
                f"these nodes still have stock or holds: {error}; move their stock away, or set them inactive instead"
            ) from error

    async def put_policy(self, partition: str, policy_id: str, body: bytes) -> int:
        """Add or replace a policy; returns its version. Raises InvalidInputError."""
        versions = await self._ledger.versions(partition)
        network = (await self.books(partition, versions)).network if versions.network else None
        policy = await asyncio.to_thread(parse_policy, body, network)
        _, stored = await self._ledger.policies(partition)
        if policy_id not in stored and len(stored) >= POLICIES_MAX:
            raise InvalidInputError(f"a partition has at most {POLICIES_MAX} policies")
        return await self._ledger.put_policy(partition, policy_id, msgspec.json.encode(policy))

    async def policy_versions(self, partition: str) -> dict[str, int]:
        """The current version of every policy, by id."""
        _, stored = await self._ledger.policies(partition)
        return {DEFAULT: BUILT_IN.version} | {policy_id: each.version for policy_id, each in sorted(stored.items())}

    async def policy(self, partition: str, policy_id: str, version: int | None = None) -> Edition:
        """A policy at a version, the current one unless told. Raises NotFoundError."""
        if version is None:
            _, stored = await self._ledger.policies(partition)
            found = stored.get(policy_id)
        else:
            body = await self._ledger.policy(partition, policy_id, version)
            found = port.Document(version, body) if body is not None else None
        if found is not None:
            return Edition(found.version, self._policy_decoder.decode(found.body))
        if policy_id == DEFAULT and version in (None, BUILT_IN.version):
            return BUILT_IN
        of_version = "" if version is None else f", version {version}"
        raise NotFoundError(f"partition {partition!r} has no policy {policy_id!r}{of_version}")

    async def policy_of(self, partition: str, order: Order) -> Policy:
        """The policy that an order names. Raises NoNetworkError, InvalidInputError."""
        books = await self.books_for(partition, order.policy_id)
        return books.policies[order.policy_id].policy

    async def books_for(self, partition: str, policy_id: str) -> Books:
        """The partition's documents with this policy among them. Raises NoNetworkError, InvalidInputError."""
        books = await self.books(partition)
        if policy_id not in books.policies:
            books = await self.books(partition, await self._ledger.versions(partition))
        if policy_id not in books.policies:
            raise InvalidInputError.at("$.policy_id", f"there is no policy {policy_id!r}")
        return books

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
