"""`python -m bench.peers.ticking`: the service's server, routes, decoding and encoding, without store and solver.

An order waits for the next tick of a clock and then gets a decision as long as ours. Says where it listens as a line of
JSON, like `apportion serve --json`; ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import uvloop

from api.app import create_app
from api.cli.listening import listen, stop_signals
from api.cli.service import http_server
from engine import decisions
from engine.assembly import build_memory
from engine.decisions import Cost, Decision, Guidance, Parcel, ParcelCost, ParcelLine, WindowFacts
from engine.domain import Order, content_hash
from engine.gate import Answer, Gate, Ticket
from engine.settings import Settings

TICK_S = 0.010


class Ticker:
    """In the place of the gate: orders wait for the tick, and all that waited are answered."""

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []

    async def submit(self, partition: str, order: Order, *_: Any, **__: Any) -> Answer:
        """As `Gate.submit`."""
        return await (await self.enter(partition, order)).answer

    async def enter(self, partition: str, order: Order, *_: Any, **__: Any) -> Ticket:  # noqa: ARG002
        """As `Gate.enter`."""
        ticket = Ticket(order, content_hash(order), None, 0.0, 0.0)
        self._waiting.append(ticket)
        return ticket

    async def tick(self) -> None:
        """Answer for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            waiting, self._waiting = self._waiting, []
            for number, ticket in enumerate(waiting):
                decision = decisions.encode(_decision(ticket.order, 1 + number % 2))
                ticket.resolve(Answer(repeat=False, decision=decision))


def _decision(order: Order, parcels: int) -> Decision:
    """The order in so many parcels; ours takes one or two."""
    lines = tuple(ParcelLine(line.line_id, line.sku, line.quantity) for line in order.lines)
    boxes = tuple(
        Parcel(
            f"{order.order_id}-{k}", "FC-00-NY", "usps", "ground", "2026-11-23T23:59:59-05:00",
            "2026-11-26T23:59:59-06:00", 700, lines[k::parcels], ParcelCost("9.10", "1.25"),
        )
        for k in range(parcels)
    )  # fmt: skip
    facts = WindowFacts("0badcafe-1", 64, 5.0, 5.0, "simple", 0.0, False, 1, 1, 0)
    cost = Cost("9.10", "1.25", "0", "0", "0", "10.35")
    return Decision(order.order_id, "allocated", boxes, (), (), cost, Guidance(), facts)


async def _main() -> None:
    engine = build_memory(Settings())
    # Not started: nothing may run beside the server. Ready all the same, and its gate is the ticker.
    engine.unready = lambda: []  # type: ignore[method-assign]
    ticker = Ticker()
    engine.gate = cast(Gate, ticker)
    with stop_signals() as stop:
        listener = listen("127.0.0.1", 0)
        server = http_server(create_app(engine), engine.settings)
        ticking = asyncio.create_task(ticker.tick())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url = "http://{}:{}".format(*listener.getsockname()[:2])
        print(msgspec.json.encode({"url": url, "ready": True}).decode(), flush=True)
        await stop.wait()
        server.should_exit = True
        await serving
        ticking.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
