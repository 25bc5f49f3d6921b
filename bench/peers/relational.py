"""(c) A peer on PostgreSQL: each order locks all stock rows of its SKUs, is routed by rule outside, and is written.

Rows are locked in one order everywhere, so orders wait for each other and never deadlock. Statements are prepared and
sent in pipelines: one round trip to lock and read, one to write and commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import processor
from bench.peers import postgres
from bench.peers.route import document, route
from bench.peers.routed import WIDTHS
from bench.peers.system import Answer, Cpu, Outcome, PeerError, Standing, take_turns
from bench.peers.world import Posted, World

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_TABLES = """
CREATE TABLE stock (sku int, node int, units int NOT NULL CHECK (units >= 0), PRIMARY KEY (sku, node));
CREATE TABLE decisions (order_id text PRIMARY KEY, content bytea NOT NULL, body text NOT NULL);
CREATE TABLE events (id bigserial PRIMARY KEY, type text NOT NULL, body text NOT NULL)
"""
_KNOWN = "SELECT content, body FROM decisions WHERE order_id = %s"
_LOCK = "SELECT sku, node, units FROM stock WHERE sku = ANY(%s) AND units > 0 ORDER BY sku, node FOR UPDATE"
_TAKE = """UPDATE stock SET units = stock.units - taken.units
FROM unnest(%s::int[], %s::int[], %s::int[]) AS taken (sku, node, units)
WHERE stock.sku = taken.sku AND stock.node = taken.node"""
_DECIDE = "INSERT INTO decisions VALUES (%s, %s, %s)"
_TELL = "INSERT INTO events (type, body) VALUES ('order.decided', %s)"


class Relational:
    """The system."""

    key = "c"
    name = "rule routing, SELECT ... FOR UPDATE (PostgreSQL)"
    widths: tuple[int, ...] = WIDTHS

    def missing(self) -> str | None:
        return postgres.missing()

    @asynccontextmanager
    async def standing(self, world: World, directory: Path, width: int) -> AsyncIterator[Standing]:  # noqa: ARG002
        from psycopg import AsyncConnection  # An optional dependency.

        async with postgres.server() as (conninfo, pid), AsyncExitStack() as stack:
            links = []
            for _ in range(width):
                link = await AsyncConnection.connect(conninfo, prepare_threshold=0)
                stack.push_async_callback(link.close)
                links.append(link)
            standing = _Relational(pid, links, world)
            await standing.load()
            yield standing


class _Relational:
    def __init__(self, pid: int, links: Sequence[AsyncConnection[Any]], world: World) -> None:
        self._pid = pid
        self._links = links
        self._world = world
        self._number = {sku.sku: k for k, sku in enumerate(world.skus)}

    async def load(self) -> None:
        """Tables and stock, and statistics of it."""
        link = self._links[0]
        for statement in _TABLES.split(";"):
            await link.execute(statement)
        node = {node_id: k for k, node_id in enumerate(self._world.node_ids)}
        async with link.cursor() as cursor, cursor.copy("COPY stock FROM STDIN") as copy:
            for row in self._world.rows:
                await copy.write_row((self._number[row.sku], node[row.node_id], row.on_hand))
        await link.execute("ANALYZE")
        await link.commit()

    async def run(self, until: float) -> list[Answer]:
        """As `Standing.run`."""
        return await take_turns(self._world.orders, self._links, until, self.decide)

    async def decide(self, link: AsyncConnection[Any], posted: Posted) -> bytes:
        """One order, one transaction."""
        lines = posted.order.lines
        skus = [self._number[line.sku] for line in lines]
        async with link.pipeline():
            decided = await link.execute(_KNOWN, (posted.order.order_id,))
            locked = await link.execute(_LOCK, (skus,), binary=True)
            known = await decided.fetchone()
            rows = await locked.fetchall()
        if known is not None:
            await link.rollback()
            if known[0] != posted.content:
                raise PeerError(f"{posted.order.order_id} was decided with other content")
            return bytes(known[1].encode())
        free: dict[int, dict[int, int]] = {sku: {} for sku in skus}
        for sku, node, units in rows:
            free[sku][node] = units
        takes = route([line.quantity for line in lines], posted.near, [free[sku] for sku in skus])
        body = document(posted, takes, self._world.node_ids)
        async with link.pipeline():
            taken = [skus[line] for line, _, _ in takes], [node for _, node, _ in takes], [units for *_, units in takes]
            await link.execute(_TAKE, taken)
            await link.execute(_DECIDE, (posted.order.order_id, posted.content, body.decode()))
            await link.execute(_TELL, (posted.body.decode(),))
            await link.commit()
        return body

    def cpu(self) -> Cpu:
        """As `Standing.cpu`: the store is all processes of the server."""
        family = [self._pid, *processor.descendants(self._pid)]
        return Cpu(store=sum(map(processor.of, family)), service=processor.own())

    async def outcome(self, answers: Sequence[Answer]) -> Outcome:
        """As `Standing.outcome`."""
        link = self._links[0]
        stock = await (await link.execute("SELECT sku, node, units FROM stock")).fetchall()
        decided = await (await link.execute("SELECT order_id, body FROM decisions")).fetchall()
        told = await (await link.execute("SELECT count(*) FROM events")).fetchone()
        await link.rollback()
        names, skus = self._world.node_ids, self._world.skus
        left = {(skus[sku].sku, names[node]): units for sku, node, units in stock}
        faults = () if told == (len(answers),) else (f"{told} events for {len(answers)} orders",)
        return Outcome(left, {order_id: body.encode() for order_id, body in decided}, faults)
