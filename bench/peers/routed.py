"""Peers that route by rule on the same store: optimistically from outside (WATCH, MULTI), or by a script in the store.

Each connection has at most one order under way. What one step needs goes in one message, so an order routed from
outside is two round trips, and a retry two more; in a script it is one. Stock is a hash by SKU, beside it the
idempotency key, the decision document and a stream of events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from importlib.resources import files
from pathlib import Path
from typing import Any

from redis.asyncio import UnixDomainSocketConnection

from bench import processor
from bench.peers.route import TERMS, document, route
from bench.peers.system import Answer, Cpu, Outcome, PeerError, Standing, take_turns
from bench.peers.world import Posted, World
from engine.ledger.server.files import socket_of
from engine.ledger.server.supervisor import EmbeddedServer

Argument = str | bytes | int
Command = Sequence[Argument]
WIDTHS = (1, 4, 16, 64)
_PAGE = 500


async def ask(link: UnixDomainSocketConnection, commands: Sequence[Command]) -> list[Any]:
    """Send commands in one message and read all replies. Raises ResponseError for the first that failed."""
    await link.send_packed_command(link.pack_commands(commands))
    return [await link.read_response() for _ in commands]


@asynccontextmanager
async def store(directory: Path) -> AsyncIterator[EmbeddedServer]:
    """A fresh store under the supervisor's own rules: every answered write is on disk."""
    async with EmbeddedServer(directory / "store") as server:
        yield server


class Routed:
    """The system, routing in one of these ways."""

    widths: tuple[int, ...] = WIDTHS

    def __init__(self, key: str, name: str, way: type[RoutedStanding]) -> None:
        self.key = key
        self.name = name
        self._way = way

    def missing(self) -> str | None:
        """Nothing: the store comes with the package."""
        return None

    @asynccontextmanager
    async def standing(self, world: World, directory: Path, width: int) -> AsyncIterator[Standing]:
        """A fresh store, its connections open, the stock loaded."""
        async with store(directory) as server:
            links = [UnixDomainSocketConnection(path=str(socket_of(server.url)), protocol=2) for _ in range(width)]
            try:
                for link in links:
                    await link.connect()  # type: ignore[no-untyped-call]
                standing = self._way(server, links, world)
                await standing.load()
                yield standing
            finally:
                for link in links:
                    await link.disconnect()


class RoutedStanding(ABC):
    """Connections to a store that holds the stock as hashes."""

    def __init__(self, server: EmbeddedServer, links: list[UnixDomainSocketConnection], world: World) -> None:
        self._server = server
        self._links = links
        self._world = world

    async def load(self) -> None:
        """Put the stock in, and whatever else the store must know."""
        rows: dict[str, list[Argument]] = {}
        number = {node_id: k for k, node_id in enumerate(self._world.node_ids)}
        for row in self._world.rows:
            rows.setdefault(row.sku, []).extend((number[row.node_id], row.on_hand))
        commands: list[Command] = [("HSET", f"stock:{sku}", *flat) for sku, flat in rows.items()]
        for at in range(0, len(commands), _PAGE):
            await ask(self._links[0], commands[at : at + _PAGE])

    async def run(self, until: float) -> list[Answer]:
        """As `Standing.run`."""
        return await take_turns(self._world.orders, self._links, until, self.decide)

    @abstractmethod
    async def decide(self, link: UnixDomainSocketConnection, posted: Posted) -> bytes:
        """Decide one order over a connection."""

    def cpu(self) -> Cpu:
        """As `Standing.cpu`: the router is this process."""
        return Cpu(store=processor.of(self._server.status.pid or 0), service=processor.own())

    async def outcome(self, answers: Sequence[Answer]) -> Outcome:
        """As `Standing.outcome`."""
        link, names = self._links[0], self._world.node_ids
        left, stored = {}, {}
        skus = [sku.sku for sku in self._world.skus]
        for at in range(0, len(skus), _PAGE):
            some = skus[at : at + _PAGE]
            for sku, flat in zip(some, await ask(link, [("HGETALL", f"stock:{sku}") for sku in some]), strict=True):
                left.update({(sku, names[int(node)]): int(units) for node, units in _pairs(flat)})
        [events] = await ask(link, [("XLEN", "events")])
        [keys] = await ask(link, [("KEYS", "decision:*")])
        for at in range(0, len(keys), _PAGE):
            some = keys[at : at + _PAGE]
            for key, body in zip(some, await ask(link, [("GET", key) for key in some]), strict=True):
                stored[key.decode().partition(":")[2]] = body
        faults = () if events == len(answers) else (f"{events} events for {len(answers)} orders",)
        return Outcome(left, stored, faults)


def _pairs(flat: Sequence[bytes]) -> Any:
    return zip(flat[::2], flat[1::2], strict=True)


class Watching(RoutedStanding):
    """(a) Read what an order may touch under WATCH, route, write it in a MULTI; again if anything of it changed."""

    async def decide(self, link: UnixDomainSocketConnection, posted: Posted) -> bytes:
        order = posted.order
        idempotency, decision = f"idem:{order.order_id}", f"decision:{order.order_id}"
        stock = [f"stock:{line.sku}" for line in order.lines]
        look: list[Command] = [("WATCH", idempotency, *stock), ("GET", idempotency)]
        look += [("HGETALL", key) for key in stock]
        while True:
            _, known, *rows = await ask(link, look)
            if known is not None:
                _, decided = await ask(link, [("UNWATCH",), ("GET", decision)])
                if known != posted.content:
                    raise PeerError(f"{order.order_id} was decided with other content")
                return bytes(decided)
            free = [{int(node): int(units) for node, units in _pairs(flat)} for flat in rows]
            takes = route([line.quantity for line in order.lines], posted.near, free)
            body = document(posted, takes, self._world.node_ids)
            write: list[Command] = [("HINCRBY", stock[line], node, -units) for line, node, units in takes]
            write += [("SET", decision, body), ("SET", idempotency, posted.content)]
            write.append(("XADD", "events", "*", "type", "order.decided", "order", posted.body))
            if (await ask(link, [("MULTI",), *write, ("EXEC",)]))[-1] is not None:
                return body


class Scripted(RoutedStanding):
    """(b) The same rule inside the store: one EVALSHA for each order."""

    async def load(self) -> None:
        await super().load()
        names = ",".join(f'"{node_id}"' for node_id in self._world.node_ids)
        text = f"local NAMES = {{{names}}}\n" + (files("bench.peers") / "route.lua").read_text("utf-8")
        await ask(self._links[0], [("SCRIPT", "LOAD", text)])
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def decide(self, link: UnixDomainSocketConnection, posted: Posted) -> bytes:
        order = posted.order
        keys = [f"idem:{order.order_id}", f"decision:{order.order_id}", "events"]
        keys += [f"stock:{line.sku}" for line in order.lines]
        arguments: list[Argument] = [order.order_id, posted.content, posted.near, posted.body, TERMS]
        for line in order.lines:
            arguments += (line.line_id, line.sku, line.quantity)
        [decision] = await ask(link, [("EVALSHA", self._sha, len(keys), *keys, *arguments)])
        return bytes(decision)
