"""The ledger in Redis (>= 6.2) or Valkey (>= 7.2): packed rows, one script call per change, a log that is the truth.

Every key of a partition begins with its hash tag, so that a change is atomic on a cluster too. All reading and writing
goes through scripts, each of which first finishes what an earlier one may have left half-made.

    {p}:meta      versions, and the id of the last log entry that is wholly applied
    {p}:log       the log: a stream of entries (kind, body, record, opaque parts; see `journal`)
    {p}:stock:<sku>  {p}:load:<day>     packed rows and days (see `layout`);  {p}:days  the days
    {p}:stocked  {p}:stocked:<sku>      the SKUs that have a row, in runs (see lua/stocked.lua)
    {p}:order:<id>   content, order, decision, what it holds, its commands;  {p}:idem:<key>  its order
    {p}:soft:<field> units of soft holds (see lua/soft.lua);  {p}:due  fields, {p}:holds  orders, by deadline
    {p}:move:<id>    digest of a movement that was applied
    {p}:nodes     number by node id;  {p}:use  per node number: in the network or not, cells in use
    {p}:waits:<name>  orders that wait, by rank;  {p}:waited  {p}:ripe  their names (see lua/waits.lua)
    {p}:incoming  {p}:coming:<sku>  units to come in, by id and by SKU
    {p}:movable   orders that may be decided again, by when that ends;  {p}:reports  what was last found of them
    {p}:network  {p}:skus  documents;  {p}:changed  SKUs by catalogue version
    {p}:policies  current version by policy id;  {p}:policy:<id>  its last versions
    {p}:forecast  a document;  {p}:prices  the price sheet, which is not in the log
    {p}:matrices  zone matrices;  {p}:matrix_versions  theirs
    {p}:gone:<n>  a filter of the ids that left (see lua/bloom.lua)
    {}:partitions  their names;  {}:waiting  those where orders ever waited
    {}:<task>     the lease of the one that does it: projector (feeds the archive), pricer, reoptimise:<partition>
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.ledger import journal, layout, redis_orders, scripts, states
from engine.ledger.cuts import cuts
from engine.ledger.port import (
    Batch,
    Cancelled,
    Commanded,
    DayLoad,
    Document,
    Entry,
    LedgerRefusedError,
    LedgerUnavailableError,
    NodeInUseError,
    OrderRecord,
    Outcome,
    Row,
    Snapshot,
    StockOutcome,
    StockWrite,
    SupersededError,
    Versions,
)
from engine.ledger.redis_backlog import OUTCOMES, RedisBacklog
from engine.ledger.redis_commit import Committing
from engine.ledger.redis_holds import RedisHolds
from engine.ledger.redis_moving import RedisMoving
from engine.ledger.redis_prices import RedisPrices
from engine.ledger.redis_retention import RedisRetention, logged
from engine.ledger.retention import before

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.decode

_ALWAYS = frozenset({"read", "page", "snapshot", "archived", "evict", "queue", "order", "movable"})
"""Scripts that run whatever `refusal` says: they read, or make room."""
_LOG_PAGE = 16
"""Log entries per reading; one may be half a megabyte."""
_WAIT_GRACE_S = 5


class RedisLedger(RedisHolds, RedisRetention, RedisBacklog, RedisMoving, RedisPrices):
    """Implements `Ledger` on the store at a URL (`redis://`, `rediss://` or `unix://`).

    A call waits at most `timeout_s`, for a free connection and for its answer together. Nothing is tried twice here:
    the caller knows for how long its own client waits. `refusal` is asked before every write and may say why not.
    """

    def __init__(
        self,
        url: str,
        *,
        refusal: Callable[[], str | None] = lambda: None,
        timeout_s: float = 5.0,
        connections_max: int = 32,
    ) -> None:
        self._refusal = refusal
        self._client = scripts.PromptRedis(
            BlockingConnectionPool.from_url(
                url,
                max_connections=connections_max,
                timeout=None,
                socket_timeout=None,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            ),
            timeout_s,
        )
        self._waiting = Redis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._scripts = dict(scripts.load())
        self._enrolled = set()
        self._waiting_in = set()

    async def _run(self, name: str, partition: str, *arguments: scripts.Argument) -> Any:
        # One tag is one slot: these two keys lead to its server. Naming the thousands of others would take longer
        # than the call; should a slot be moving, the store refuses a script's access to what is gone already.
        keys = (f"{{{partition}}}:meta", f"{{{partition}}}:log")
        if name not in _ALWAYS and (reason := self._refusal()) is not None:
            raise LedgerRefusedError(reason)
        return await scripts.run(self._client, self._scripts[name], keys, arguments)

    async def _read(self, partition: str, *commands: tuple[str | int, ...]) -> list[Any]:
        """Replies of commands that only read, all of one instant. Each is a verb, a key in the partition, and more."""
        named = [(command[0], f"{{{partition}}}:{command[1]}", *command[2:]) for command in commands]
        replies: list[Any] = await self._run("read", partition, _pack(named))
        return replies

    async def snapshot(
        self,
        partition: str,
        skus: Sequence[str],
        days: Sequence[int],
        order_ids: Sequence[str],
        again: tuple[str, str] | None = None,
        idempotency_keys: Sequence[str] = (),
        expected: Sequence[str] = (),
        moving: Sequence[str] = (),
    ) -> Snapshot:
        """As `Ledger.snapshot`; about 2 ms for 800 SKUs at 50 nodes each."""
        asked = redis_orders.Asked(skus, days, order_ids, again, idempotency_keys, expected, moving)
        while True:
            told = skus, days, order_ids, *(again or ("", "")), idempotency_keys, expected, moving
            reply = await self._run("snapshot", partition, _pack(told))
            if not reply[8]:
                return redis_orders.snapshot(asked, reply)
            # More has lapsed here than one reading tells: write some of it down, and look again.
            fields = [*(f"s{sku}" for sku in skus), *(f"d{day}" for day in days)]
            await self._run("free", partition, _pack(fields), layout.FREE_PLACES)

    async def commit(self, partition: str, batch: Batch) -> list[Outcome]:
        """As `Ledger.commit`; a large batch takes several script calls."""
        layout.require_proposals(batch.proposals, len(batch.skus))
        if any(proposal.waits for proposal in batch.proposals):
            await self._enrol_waiting(partition)
        committing = Committing(batch)
        for cut in cuts(batch):
            told = committing.call(cut)
            while not (answer := await self._run("commit", partition, *told)):
                pass  # the call freed much that had lapsed, and has left deciding to the next
            committing.answered(cut, answer)
        return committing.outcomes()

    async def order(self, partition: str, order_id: str) -> OrderRecord | None:
        """As `Ledger.order`."""
        [found] = await self.orders(partition, [order_id])
        return found

    async def orders(self, partition: str, order_ids: Sequence[str]) -> list[OrderRecord | None]:
        """As `Ledger.orders`."""
        at_ms, told = await self._run("order", partition, _pack(list(order_ids)))
        return [redis_orders.record(each, parts, at_ms) for each, parts in zip(order_ids, told, strict=True)]

    async def command(self, partition: str, order_id: str, command: str, command_id: str = "") -> Commanded:
        """As `Ledger.command`."""
        answer, state = await self._run("command", partition, order_id, command, command_id)
        return Commanded(redis_orders.ANSWERS[answer], state.decode())

    async def cancel(self, partition: str, order_id: str) -> Cancelled:
        """As `Ledger.cancel`."""
        return Cancelled((await self.command(partition, order_id, states.CANCEL)).answer.value)

    async def write_stock(self, partition: str, writes: Sequence[StockWrite]) -> list[StockOutcome]:
        """As `Ledger.write_stock`; raises ValueError for a write no cell could take."""
        layout.require_writes(writes)
        outcomes: list[StockOutcome] = []
        for start in range(0, len(writes), layout.STOCK_CHUNK):
            outcomes += await self._write_chunk(partition, writes[start : start + layout.STOCK_CHUNK])
            if outcomes[-1] is StockOutcome.ASK:
                break
        return outcomes + [StockOutcome.ASK] * (len(writes) - len(outcomes))

    async def _write_chunk(self, partition: str, writes: Sequence[StockWrite]) -> list[StockOutcome]:
        """Two round trips: slots never move, so the writer finds them and the script only checks."""
        skus = list(dict.fromkeys(write.sku for write in writes))
        index = {sku: k for k, sku in enumerate(skus)}
        rows = (await self.snapshot(partition, skus, (), ())).rows
        flat: list[int | str] = []
        for write in writes:
            row = index[write.sku]
            found = np.flatnonzero(rows[row].slots["node"] == write.node)
            flat += (row, write.node, int(found[0]) if len(found) else -1, write.kind.value, write.quantity)
            flat += (-1 if write.safety is None else write.safety, write.movement_id or "")
            flat += ("" if write.movement_id is None else journal.movement_digest(write), write.vetted)
            flat.append(write.incoming_id or "")
        seen = [len(row.slots) for row in rows]
        answer: list[int] = await self._run("stock", partition, _pack((skus, seen, flat)))
        assert len(answer) == len(writes), "every write has its outcome"
        return [OUTCOMES[code] for code in answer]

    async def stock(self, partition: str, sku: str, *, as_logged: bool = False) -> Row:
        """As `Ledger.stock`."""
        return (await self._rows(partition, [sku], as_logged))[0]

    async def _rows(self, partition: str, skus: Sequence[str], as_logged: bool) -> Sequence[Row]:
        if not as_logged:
            return (await self.snapshot(partition, skus, (), ())).rows
        found = await self._read(partition, *(("GET", f"stock:{sku}") for sku in skus))
        return [layout.row(packed) for packed in found]

    async def stock_page(
        self, partition: str, cursor: str, limit: int, *, as_logged: bool = False
    ) -> tuple[str, list[tuple[str, Row]]]:
        """As `Ledger.stock_page`, in order of SKU."""
        skus = [sku.decode() for sku in await self._run("page", partition, cursor, limit)]
        rows = await self._rows(partition, skus, as_logged)
        return skus[-1] if len(skus) == limit else "", list(zip(skus, rows, strict=True))

    async def load(self, partition: str, day: int, *, as_logged: bool = False) -> DayLoad:
        """As `Ledger.load`."""
        if not as_logged:
            return (await self.snapshot(partition, (), (day,), ())).days[day]
        [packed] = await self._read(partition, ("GET", f"load:{day}"))
        return layout.day_load(packed)

    async def versions(self, partition: str) -> Versions:
        """As `Ledger.versions`."""
        documents = ("HMGET", "meta", "network", "policy", "catalog")
        (network, policy, catalog), prices = await self._read(partition, documents, ("HGET", "prices", "version"))
        return Versions(int(network or 0), int(policy or 1), int(catalog or 0), int(prices or 0))

    async def put_network(
        self,
        partition: str,
        body: bytes,
        node_ids: Sequence[str],
        replaces: int | None = None,
        matrices: int | None = None,
    ) -> int:
        """As `Ledger.put_network`."""
        await self._enrol(partition)
        nodes = _pack(list(dict.fromkeys(node_ids)))
        checked = [-1 if version is None else version for version in (replaces, matrices)]
        answer = await self._run("network", partition, body, nodes, *checked)
        if answer[0] < 0:
            raise SupersededError(f"version {replaces} of the network or {matrices} of the matrices is not current")
        if answer[0] == 0:
            raise NodeInUseError(sorted(node.decode() for node in answer[1:]))
        version: int = answer[0]
        return version

    async def network(self, partition: str) -> tuple[Document, dict[str, int]] | None:
        """As `Ledger.network`."""
        version, body, nodes = await self._read(
            partition, ("HGET", "meta", "network"), ("GET", "network"), ("HGETALL", "nodes")
        )
        if version is None:
            return None
        numbers = {node.decode(): int(number) for node, number in _strides(nodes, 2)}
        return Document(int(version), body), dict(sorted(numbers.items(), key=lambda item: item[1]))

    async def put_matrix(
        self, partition: str, matrix: str, body: bytes, network: int, *, used: bool
    ) -> tuple[int, int]:
        """As `Ledger.put_matrix`."""
        await self._enrol(partition)
        answer = await self._run("matrix", partition, matrix, body, network, int(used))
        if answer[0] < 0:
            raise SupersededError(f"version {network} of the network is not current")
        return answer[0], answer[1]

    async def matrices(self, partition: str) -> tuple[int, dict[str, int]]:
        """As `Ledger.matrices`."""
        version, found = await self._read(partition, ("HGET", "meta", "matrices"), ("HGETALL", "matrix_versions"))
        return int(version or 0), {matrix.decode(): int(number) for matrix, number in sorted(_strides(found, 2))}

    async def matrix(self, partition: str, matrix: str) -> Document | None:
        """As `Ledger.matrix`."""
        version, body = await self._read(partition, ("HGET", "matrix_versions", matrix), ("HGET", "matrices", matrix))
        return None if version is None else Document(int(version), body)

    async def put_policy(self, partition: str, policy_id: str, body: bytes) -> int:
        """As `Ledger.put_policy`."""
        await self._enrol(partition)
        version: int = await self._run("policy", partition, policy_id, body)
        return version

    async def policies(self, partition: str) -> tuple[int, Mapping[str, Document]]:
        """As `Ledger.policies`; what a version says never changes, so a second look may read it."""
        while True:
            version, flat = await self._read(partition, ("HGET", "meta", "policy"), ("HGETALL", "policies"))
            current = {policy_id.decode(): int(edition) for policy_id, edition in _strides(flat, 2)}
            bodies = await self._read(partition, *(("HGET", f"policy:{each}", n) for each, n in current.items()))
            if None not in bodies:
                stored = {each: Document(n, body) for (each, n), body in zip(current.items(), bodies, strict=True)}
                return int(version or 1), stored

    async def policy(self, partition: str, policy_id: str, version: int) -> bytes | None:
        """As `Ledger.policy`."""
        [body] = await self._read(partition, ("HGET", f"policy:{policy_id}", version))
        return body  # type: ignore[no-any-return]

    async def put_skus(self, partition: str, entries: Mapping[str, bytes], replaces: int | None = None) -> int:
        """As `Ledger.put_skus`; each chunk is one version."""
        await self._enrol(partition)
        items = list(entries.items())
        version = -1 if replaces is None else replaces
        for start in range(0, len(items), layout.SKUS_CHUNK):
            flat = [part for item in items[start : start + layout.SKUS_CHUNK] for part in item]
            answer = await self._run("skus", partition, -1 if replaces is None else version, *flat)
            if answer < 0:
                raise SupersededError(f"version {version} of the catalogue is not current")
            version = answer
        return version if items else (await self.versions(partition)).catalog

    async def skus_since(self, partition: str, version: int) -> tuple[int, dict[str, bytes]]:
        """As `Ledger.skus_since`; whole versions, at most a page and one chunk."""
        changed = ("ZRANGEBYSCORE", "changed", f"({version}")
        current, found = await self._read(
            partition,
            ("HGET", "meta", "catalog"),
            (*changed, "+inf", "WITHSCORES", "LIMIT", 0, layout.SKUS_PAGE),
        )
        if not found:
            return int(current or 0), {}
        reached = int(found[-1]) if len(found) == 2 * layout.SKUS_PAGE else int(current)
        [skus] = await self._read(partition, (*changed, reached))
        if not skus:  # all of them changed again in between, and come with a later version
            return reached, {}
        bodies = await self._read(partition, *(("HGET", "skus", sku.decode()) for sku in skus))
        return reached, {sku.decode(): body for sku, body in zip(skus, bodies, strict=True)}

    async def sku(self, partition: str, sku: str) -> bytes | None:
        """As `Ledger.sku`."""
        body: bytes | None
        [body] = await self._read(partition, ("HGET", "skus", sku))
        return body

    async def entries(self, partition: str, after: str = "0") -> AsyncIterator[Entry]:
        """As `Ledger.entries`."""
        [end] = await self._read(partition, ("HGET", "meta", "applied"))
        while end is not None and after != end.decode():
            page = await self._log(partition, after, end.decode(), _LOG_PAGE)
            if not page:
                return
            for entry in page:
                yield entry
            after = page[-1].entry_id

    async def _log(self, partition: str, after: str, end: str, count: int) -> list[Entry]:
        [found] = await self._read(partition, ("XRANGE", "log", f"({after}", end, "COUNT", count))
        return [journal.entry(logged(*entry)) for entry in found]

    async def tail(self, partition: str, after: str, wait_ms: int) -> list[Entry]:
        """As `Ledger.tail`; a waiting call has a connection of its own."""
        if after != "$":
            page = await self._log(partition, after, "+", layout.TAIL_ENTRIES_MAX)
            if page:
                return page
        if wait_ms <= 0:
            return []
        # BLOCK 0 would wait for ever, and the server's answer is only the call to look: dicts would lose fields.
        command: tuple[str | int, ...] = (
            "XREAD",
            "COUNT",
            1,
            "BLOCK",
            wait_ms,
            "STREAMS",
            f"{{{partition}}}:log",
            after,
        )
        try:
            async with asyncio.timeout(wait_ms / 1000 + _WAIT_GRACE_S):
                answer = await scripts.send(self._waiting, *command)
        except TimeoutError as error:
            raise LedgerUnavailableError("the store does not answer") from error
        if not answer:
            return []
        first = answer[0][1][0][0].decode()
        return await self._log(partition, before(first), "+", layout.TAIL_ENTRIES_MAX)

    async def ping(self) -> None:
        """As `Ledger.ping`."""
        await scripts.send(self._client, "PING")

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()
        await self._waiting.aclose()


def _strides(flat: Sequence[Any], width: int) -> list[tuple[Any, ...]]:
    assert len(flat) % width == 0, "a flat list is torn"
    return [tuple(flat[at : at + width]) for at in range(0, len(flat), width)]
