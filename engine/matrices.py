"""The zone matrices of every partition: written against the network that uses them, read through a cache.

A matrix and a network hold each other: the store takes a matrix only against the network it was checked with, and a
network that names matrices only against the matrices it was checked with. Replacing a matrix that the network uses
makes a new version of the network, so that no commit rests on the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from engine.documents import refuse
from engine.errors import InvalidInputError, NotFoundError
from engine.ledger.port import Document, Ledger, SupersededError
from engine.network_document import NetworkDocument, parse_network
from engine.zones import ZoneMatrix, chart_faults, limit_of, parse_matrix

MATRICES_MAX = 100
"""The most zone matrices of one partition."""

MATRICES_KEPT = 64
"""Parsed matrices at hand, over all partitions."""


class Matrices:
    """Reads and writes zone matrices. Parsing 100,000 rows takes a quarter of a second: never on the event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._parsed: dict[tuple[str, str], tuple[int, ZoneMatrix]] = {}

    async def put(self, partition: str, name: str, body: bytes) -> tuple[int, int, ZoneMatrix]:
        """Insert or replace a matrix; returns its version, that of the network (0: none), and the matrix.

        Raises InvalidInputError with every fault by line, at most 100.
        """
        await self._require_room(partition, name)
        while True:
            stored = await self._ledger.network(partition)
            network, limit = 0, None
            if stored is not None:
                network = stored[0].version
                limit = limit_of(await asyncio.to_thread(parse_network, stored[0].body), name)
            matrix = await asyncio.to_thread(parse_matrix, body, limit)
            plain = await asyncio.to_thread(matrix.csv)
            try:
                version, network = await self._ledger.put_matrix(
                    partition, name, plain, network, used=limit is not None
                )
            except SupersededError:
                continue  # the network changed: check again what the matrix must cover
            return version, network, matrix

    async def _require_room(self, partition: str, name: str) -> None:
        versions = await self.versions(partition)
        if name not in versions and len(versions) >= MATRICES_MAX:
            raise InvalidInputError(f"a partition has at most {MATRICES_MAX} zone matrices")

    async def document(self, partition: str, name: str) -> Document:
        """A matrix as CSV, and its version. Raises NotFoundError."""
        found = await self._ledger.matrix(partition, name)
        if found is None:
            raise NotFoundError(f"partition {partition!r} has no zone matrix {name!r}")
        return found

    async def versions(self, partition: str) -> dict[str, int]:
        """The version of each matrix."""
        return (await self._ledger.matrices(partition))[1]

    async def require(self, partition: str, document: NetworkDocument) -> int | None:
        """Raise InvalidInputError unless the matrices that a network names are there and its cards price their zones.

        Returns the version of all matrices at which this is so; None for a network that names none.
        """
        if not document.matrices:
            return None
        while True:
            version, known = await self._ledger.matrices(partition)
            matrices = await self.load(partition, [name for name in document.matrices if name in known])
            if (await self._ledger.matrices(partition))[0] == version:
                break
        if faults := chart_faults(document, matrices):
            refuse("The network names zone matrices that do not exist or do not fit.", faults)
        return version

    async def load(self, partition: str, names: Iterable[str]) -> dict[str, ZoneMatrix]:
        """Matrices as they are now. Raises NotFoundError."""
        found: dict[str, ZoneMatrix] = {}
        known = await self.versions(partition)
        for name in names:
            version, matrix = self._parsed.get((partition, name), (0, None))
            if matrix is None or version != known.get(name):
                document = await self.document(partition, name)
                version, matrix = document.version, await asyncio.to_thread(parse_matrix, document.body)
                if len(self._parsed) >= MATRICES_KEPT:
                    self._parsed.clear()
                self._parsed[partition, name] = version, matrix
            found[name] = matrix
        return found
