"""What leaves the store, and what the archive reads of it: the `Retaining` part of the ledger in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from engine.ledger import scripts
from engine.ledger.journal import Body, Logged
from engine.ledger.port import LedgerUnavailableError
from engine.ledger.retention import START, ForeignArchiveError, Leaving, LogTrimmedError, Retention, place

_pack = msgspec.msgpack.Encoder().encode
_body = msgspec.msgpack.Decoder(Body).decode

TRIM_MAX = 200
"""Log entries that one call lets go: a few ms. The store drops whole blocks, at most 100 entries each."""
_PARTITIONS = "{}:partitions"
_SCAN = 1_000


def logged(entry_id: bytes, fields: Sequence[bytes]) -> Logged:
    """An entry of the stream as the journal knows it."""
    names = tuple(fields[0:6:2])
    assert names == (b"k", b"b", b"r"), f"an entry of another make: {names!r}"
    return Logged(entry_id.decode(), fields[1].decode(), _body(fields[3]), fields[6:], fields[5])


class RedisRetention:
    """Mixed into `RedisLedger`, whose connections and scripts it uses."""

    _client: scripts.PromptRedis
    _scripts: dict[str, scripts.Script]
    _enrolled: set[str]

    _run: Callable[..., Awaitable[Any]]
    _read: Callable[..., Awaitable[list[Any]]]

    async def _enrol(self, partition: str) -> None:
        """Put a partition on the list before anything is written to it."""
        if partition not in self._enrolled:
            await scripts.send(self._client, "SADD", _PARTITIONS, partition)
            self._enrolled.add(partition)

    async def partitions(self) -> list[str]:
        """As `Retaining.partitions`; the first call finds those that were written before there was a list."""
        if "" not in self._enrolled:
            self._enrolled.update(name.decode() for name in await scripts.send(self._client, "SMEMBERS", _PARTITIONS))
            cursor = b"0"
            while True:
                cursor, keys = await scripts.send(
                    self._client, "SCAN", cursor, "MATCH", "{*}:meta", "COUNT", _SCAN, "TYPE", "hash"
                )
                for key in keys:
                    await self._enrol(key.decode()[1:-6])
                if int(cursor) == 0:
                    break
            self._enrolled.add("")
        return sorted(name.decode() for name in await scripts.send(self._client, "SMEMBERS", _PARTITIONS))

    async def lease(self, task: str, holder: str, ttl_ms: int) -> bool:
        """As `Retaining.lease`."""
        return bool(await scripts.run(self._client, self._scripts["lease"], (f"{{}}:{task}",), (holder, ttl_ms)))

    async def journal(self, partition: str, after: str, count: int) -> list[Logged]:
        """As `Retaining.journal`."""
        [applied] = await self._read(partition, ("HGET", "meta", "applied"))
        if applied is None:
            return []
        found, trimmed = await self._read(
            partition,
            ("XRANGE", "log", f"({after}", applied.decode(), "COUNT", count),
            ("HGET", "meta", "trimmed"),
        )
        if trimmed is not None and place(trimmed.decode()) > place(after):
            raise LogTrimmedError(f"entries after {after} have left the log of {partition!r}")
        return [logged(*entry) for entry in found]

    async def record(self, partition: str, entry_id: str) -> bytes | None:
        """As `Retaining.record`."""
        [found] = await self._read(partition, ("XRANGE", "log", entry_id, entry_id))
        return logged(*found[0]).record if found else None

    async def retention(self, partition: str) -> Retention:
        """As `Retaining.retention`."""
        found, length = await self._read(
            partition,
            ("HMGET", "meta", "archive", "archived", "trimmed", "evicted", "applied", "trimmed_entries"),
            ("XLEN", "log"),
        )
        archive, archived, trimmed, evicted, applied, gone = (value.decode() if value else "" for value in found)
        return Retention(
            archive, archived or START, trimmed or START, int(evicted or 0), applied or START, length + int(gone or 0)
        )

    async def archived(self, partition: str, archive: str, entry_id: str, trim_to: str) -> int:
        """As `Retaining.archived`."""
        gone: int = await self._run("archived", partition, archive, entry_id, trim_to, TRIM_MAX)
        if gone == -1:
            raise ForeignArchiveError(f"what left partition {partition!r} is in another archive")
        if gone == -2:
            raise ValueError(f"the log must not go beyond what is archived: {trim_to}")
        return gone

    async def evict(
        self, partition: str, archive: str, orders: Sequence[Leaving], movement_ids: Sequence[str]
    ) -> list[bool]:
        """As `Retaining.evict`."""
        flat: list[str | int] = []
        for order in orders:
            flat += (order.order_id, order.state, order.revision, order.idempotency_key or "")
        answer: list[int] = await self._run("evict", partition, archive, _pack((flat, list(movement_ids))))
        if answer[:1] == [-1]:
            raise ForeignArchiveError(f"another archive follows partition {partition!r}")
        if len(answer) != len(orders):
            raise LedgerUnavailableError("the store's answer is torn")
        return [bool(gone) for gone in answer]
