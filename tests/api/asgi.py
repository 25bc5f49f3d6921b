"""One HTTP exchange by hand, for answers that do not end and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Exchange:
    """Runs the application as a server would; the test sees each chunk and may leave at any time."""

    def __init__(
        self, app: Any, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.status = 0
        self.body = b""
        self.done = False
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        self.task = asyncio.create_task(app(scope, self._incoming.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message["body"]
            self.done = not message.get("more_body", False)

    def leave(self) -> None:
        """Close the connection."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 -- any condition, not an event
                await asyncio.sleep(0.005)
