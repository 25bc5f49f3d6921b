"""How far a simulation is, as server-sent events; the stream ends with it."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from api.endpoint import Endpoint, Reply
from api.events import EventStream, Streams, push
from api.partition import partition_of, path_id
from api.simulations.desk import SIMULATION_ID
from api.simulations.views import entry_of
from engine.assembly import Engine
from engine.errors import NotFoundError, OverloadedError, StoppingError

SUBSCRIBERS_MAX = 64
LOOK_SECONDS = 0.5
"""Between two looks at how far it is."""
QUIET_LOOKS_MAX = 10
"""After so many looks without news a comment keeps the connection alive."""


class ProgressDesk:
    """The handler. `closing` ends all streams."""

    def __init__(self, engine: Engine, closing: asyncio.Event) -> None:
        self._engine = engine
        self._closing = closing
        self._streams = Streams(closing)

    async def stream(self, request: Request) -> Response:
        """Open a stream."""
        partition, job_id = partition_of(request), path_id(request, "simulation_id")
        await self._engine.simulations.look(partition, job_id)
        self._streams.require_room(SUBSCRIBERS_MAX)
        return EventStream(self._streams, lambda send: self._feed(partition, job_id, send))

    async def _feed(self, partition: str, job_id: str, send: Send) -> None:
        """Send what is new until it has ended, which is the last event."""
        before, quiet = b"", 0
        while not self._closing.is_set():
            try:
                standing = await self._engine.simulations.look(partition, job_id)
            except NotFoundError:
                return
            entry = msgspec.json.encode(entry_of(standing, self._engine.clock.epoch_ms()))
            ended = standing.progress.ended()
            quiet = 0 if entry != before else quiet + 1
            if entry != before:
                event = format_sse_event(data_str=entry.decode(), event="ended" if ended else "progress")
                await push(send, event)
            elif quiet % QUIET_LOOKS_MAX == 0:
                await push(send, KEEPALIVE_COMMENT)
            if ended:
                return
            before = entry
            await asyncio.sleep(LOOK_SECONDS)

    def endpoints(self) -> list[Endpoint]:
        """The route."""
        return [
            Endpoint(
                "GET", "/v1/simulations/{simulation_id}/events", self.stream, "stream_simulation", "How far it is",
                (Reply(200, "Server-sent events `progress` and at last `ended`; `data` is an entry of the list",
                       {"type": "string"}, "text/event-stream"),),
                "Where it stands now, and every change, until it has ended.", "simulations",
                parameters=(SIMULATION_ID,), problems=(NotFoundError, OverloadedError, StoppingError), streams=True,
            )
        ]  # fmt: skip
