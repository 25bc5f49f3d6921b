"""The shadow: the same orders on the same stock, routed to the nearest node by rule, in a process of its own.

It runs the very engine on the memory twin with the policy mode `nearest`. Messages come as JSON lines on standard
input, figures go as JSON lines to standard output; it ends when its input does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import msgspec
from msgspec import Struct

from api.cli.tally import Tally
from engine.assembly import Engine, build_memory
from engine.domain import Movement, Order, Sku, StockRow
from engine.errors import EngineError
from engine.settings import Settings

PARTITION = "default"
LINE_BYTES_MAX = 64 * 2**20
REPORT_S = 0.5


class Start(Struct, tag="start"):
    """The world as it stands when the stream begins."""

    network: msgspec.Raw
    skus: list[Sku]
    stock: list[StockRow]


class Ask(Struct, tag="order"):
    """An order to route."""

    order: Order


class Deliver(Struct, tag="deliver"):
    """Stock that arrived."""

    movements: list[Movement]


Message = Start | Ask | Deliver


class Figures(Struct):
    """What the shadow has done so far."""

    orders: int
    cost: int
    unfilled_cost: int
    parcels: int
    shipped_orders: int
    unallocated: int
    failed: int


async def _main() -> None:
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    settings = Settings(queue_orders_max=1_000_000, queue_lines_max=100_000_000, order_timeout_ms=3_600_000)
    engine = build_memory(settings)
    await engine.start()
    run = _Run(engine)
    reporter = asyncio.create_task(run.report())
    decoder = msgspec.json.Decoder(Message)
    while line := await reader.readline():
        await run.take(decoder.decode(line))
    reporter.cancel()
    await run.finish()
    await engine.stop()


class _Run:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tally = Tally()
        self._failed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, message: Any) -> None:
        """One message; orders are decided in windows of their own making, the rest at once."""
        match message:
            case Start(network, skus, stock):
                await self._engine.registry.put_network(PARTITION, bytes(network))
                await self._engine.registry.put_policy(PARTITION, "default", b'{"mode": "nearest"}')
                await self._engine.registry.put_skus(PARTITION, skus)
                await self._engine.stock.write(PARTITION, list(enumerate(stock, start=1)))
            case Ask(order):
                task = asyncio.create_task(self._order(order))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Deliver(movements):
                await self._engine.stock.write(PARTITION, list(enumerate(movements, start=1)))

    async def _order(self, order: Order) -> None:
        try:
            answer = await self._engine.gate.submit(PARTITION, order, patient=True)
        except EngineError:
            self._failed += 1
        else:
            self._tally.add(answer.decision, 0.0)

    async def report(self) -> None:
        """Figures every half second."""
        while True:
            self._say()
            await asyncio.sleep(REPORT_S)

    def _say(self) -> None:
        tally = self._tally
        figures = Figures(
            orders=tally.orders,
            cost=tally.cost,
            unfilled_cost=tally.unfilled_cost,
            parcels=tally.parcels,
            shipped_orders=tally.shipped_orders,
            unallocated=tally.unallocated,
            failed=self._failed,
        )
        sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")
        sys.stdout.buffer.flush()

    async def finish(self) -> None:
        """Decide what is left and say the last figures."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        self._say()


def main() -> None:
    """Run until standard input ends; Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_main())


if __name__ == "__main__":
    main()
