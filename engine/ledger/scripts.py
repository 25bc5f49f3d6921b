"""The store's scripts, and the one place where a vendor's exceptions become ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from redis import exceptions as vendor
from redis.asyncio import ConnectionPool, Redis

from engine.ledger import states
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError

Argument = str | bytes | int

_BEGINNING = ("prelude", "stocked", "rows", "states", "waits", "soft", "orders", "apply")
_GIVING = (*_BEGINNING, "overlay", "giving")
_PARTS = {
    "commit": (*_GIVING, "bloom", "commit"),
    "command": (*_GIVING, "command"),
    "sweep": (*_GIVING, "sweep"),
    "free": (*_GIVING, "free"),
    "snapshot": (*_GIVING, "bloom", "snapshot"),
    "order": (*_BEGINNING, "order"),
    "stock": (*_BEGINNING, "overlay", "bloom", "stock"),
    "network": (*_BEGINNING, "network"),
    "incoming": (*_BEGINNING, "incoming"),
    "queue": (*_BEGINNING, "queue"),
    "tried": (*_BEGINNING, "tried"),
    "movable": (*_BEGINNING, "movable"),
    "report": (*_BEGINNING, "report"),
    "matrix": (*_BEGINNING, "matrix"),
    "policy": (*_BEGINNING, "policy"),
    "skus": (*_BEGINNING, "skus"),
    "forecast": (*_BEGINNING, "forecast"),
    "prices": (*_BEGINNING, "prices"),
    "read": (*_BEGINNING, "read"),
    "page": (*_BEGINNING, "page"),
    "archived": (*_BEGINNING, "archived"),
    "evict": (*_BEGINNING, "bloom", "evict"),
    "lease": ("lease",),
}
"""Which files make which script; the part `states` is rendered from the table of states."""

_REFUSALS = ("OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM", "NODES")
"""Error codes of a store that answers, but does not take writes; all others may pass by themselves."""


class _UnknownScriptError(Exception):
    """The store does not know a script by this hash."""


class Script(NamedTuple):
    """A script's text and the name the store knows it by."""

    text: str
    sha: str


def script(text: str) -> Script:
    """A script of this text."""
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def load() -> dict[str, Script]:
    """All scripts by name, from the files of this package."""
    folder = files("engine.ledger") / "lua"
    names = {part for parts in _PARTS.values() for part in parts} - {"states"}
    texts = {name: (folder / f"{name}.lua").read_text("utf-8") for name in names} | {"states": states.rendered()}
    return {name: script("".join(texts[part] for part in parts)) for name, parts in _PARTS.items()}


class PromptRedis(Redis):
    """A client whose calls end within a time, a cancelled one at once.

    The driver's own limit is `asyncio.wait_for` around every send, which before Python 3.12 forgets a cancellation that
    comes as the send ends: a loop that is to stop would go on for ever. So its pool must have no `socket_timeout`.
    """

    def __init__(self, pool: ConnectionPool, timeout_s: float) -> None:
        super().__init__(connection_pool=pool)
        self._timeout_s = timeout_s

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As the driver's; raises TimeoutError, an OSError, when the time is over."""
        execute: Callable[..., Awaitable[Any]] = super().execute_command
        async with asyncio.timeout(self._timeout_s):
            return await execute(*args, **options)

    async def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Many commands in one round trip, each on its own; the reply of one that fails is its exception.

        Raises as `execute_command` for the whole.
        """
        pipeline = self.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with asyncio.timeout(self._timeout_s):
            return await pipeline.execute(raise_on_error=False)


async def run(client: Redis, called: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """Run a script by its hash; send its text only where the store does not know it (any more)."""
    try:
        return await send(client, "EVALSHA", called.sha, len(keys), *keys, *arguments)
    except _UnknownScriptError:
        return await send(client, "EVAL", called.text, len(keys), *keys, *arguments)


async def send(client: Redis, *command: Argument) -> Any:
    """Send one command. Raises LedgerUnavailableError or LedgerRefusedError."""
    execute: Callable[..., Awaitable[Any]] = client.execute_command
    try:
        return await execute(*command)
    except vendor.NoScriptError as error:
        raise _UnknownScriptError from error
    except (vendor.RedisError, OSError) as error:
        raise _wrapped(error) from error


async def send_all(client: PromptRedis, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Send commands in one round trip; the reply of one that fails is its exception. Raises LedgerUnavailableError."""
    try:
        return await client.execute_all(commands)
    except (vendor.RedisError, OSError) as error:
        raise _wrapped(error) from error


def _wrapped(error: Exception) -> Exception:
    """The port's exception for a vendor's."""
    text = str(error) or type(error).__name__
    if isinstance(error, vendor.OutOfMemoryError | vendor.ReadOnlyError | vendor.NoPermissionError):
        return LedgerRefusedError(text)
    if isinstance(error, vendor.ResponseError) and text.startswith(_REFUSALS):
        return LedgerRefusedError(text)
    return LedgerUnavailableError(text)
