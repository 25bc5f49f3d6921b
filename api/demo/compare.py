"""The parent's end of the shadow process: what it is told, and its latest figures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from api.demo.scan import Scan
from api.demo.shadow import Ask, Deliver, Figures, Start
from engine import child
from engine.domain import Movement, Order, StockRow
from engine.ledger.port import Ledger
from engine.sample.world import World

_ENCODER = msgspec.json.Encoder()
LINE_BYTES_MAX = 1 << 20
DAYS_AHEAD = range(-1, 8)
"""The ship dates whose load counts as taken, around today."""


class Shadow:
    """One shadow process. `figures` is None until it has said something."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.create_task(self._read())
        self.figures: Figures | None = None

    @classmethod
    async def spawn(cls) -> Shadow:
        """Start the process."""
        return cls(await child.spawn("api.demo.shadow", line_bytes_max=LINE_BYTES_MAX))

    async def _read(self) -> None:
        assert self._process.stdout is not None
        decoder = msgspec.json.Decoder(Figures)
        while line := await self._process.stdout.readline():
            self.figures = decoder.decode(line)

    def start(self, network: bytes, world: World, seen: Scan, names: dict[int, str]) -> None:
        """The stock that is free now, as the shadow's own."""
        stock = [
            StockRow(node_id=names[node], sku=sku, on_hand=free)
            for sku, cells in seen.free.items()
            for node, free in cells.items()
        ]
        self._send(Start(network=msgspec.Raw(network), skus=list(world.skus), stock=stock))

    def order(self, order: Order) -> None:
        """The order that was sent to the service."""
        self._send(Ask(order=order))

    def deliver(self, movements: Sequence[Movement]) -> None:
        """The deliveries that the service got."""
        self._send(Deliver(movements=list(movements)))

    def _send(self, message: Start | Ask | Deliver) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(_ENCODER.encode(message) + b"\n")

    async def finish(self, wait_s: float) -> None:
        """Let it catch up for so long, then end it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), wait_s)
            await self._reading
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it now."""
        await child.kill(self._process)
        self._reading.cancel()


async def network_with_load_taken(ledger: Ledger, partition: str, network: bytes, today: int) -> bytes:
    """The network with each node's daily capacity less what earlier runs took: the shadow must not have more room."""
    document = msgspec.json.decode(network)
    stored = await ledger.network(partition)
    numbers = stored[1] if stored is not None else {}
    days = [await ledger.load(partition, today + ahead) for ahead in DAYS_AHEAD]
    for node in document["nodes"]:
        capacity, number = node.get("capacity") or {}, numbers[node["node_id"]]
        for name, field in (("parcels_per_day", "parcels"), ("units_per_day", "units")):
            if capacity.get(name):
                taken = max((int(day.nodes[field][number]) for day in days if number < len(day.nodes)), default=0)
                capacity[name] = max(1, capacity[name] - taken)
    return msgspec.json.encode(document)
