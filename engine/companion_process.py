"""A process of its own beside the service, the child's end: told by one line what to work on, it tells by lines.

It ends when its standard input does, which is when its parent is gone, however it went.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeAlias

import msgspec
import structlog

from engine import garbage
from engine.companion import Begin
from engine.standing_back import stand_back

Tell: TypeAlias = Callable[[msgspec.Struct], None]
Serve: TypeAlias = Callable[[Begin, Tell], Coroutine[None, None, None]]


def accompany(serve: Serve, *, niceness: int, idle: bool = False) -> None:
    """The whole of a companion's process: `serve(begin, tell)` until standard input ends.

    `niceness`: 0 to 19, how far it stands back; `idle`: where the system knows idle time, it has only that.
    """
    tell = settle_in(niceness, idle=idle)
    garbage.settle()
    asyncio.run(_main(serve, tell))


def settle_in(niceness: int, *, idle: bool = False) -> Tell:
    """Be a process that its parent speaks to by lines: it stands back as `accompany` says, Ctrl-C is the parent's, and
    standard output has nothing but what is told by what this returns; logs and stray prints go to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stand_back(niceness, idle=idle)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    telling = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not stand between the lines

    def tell(told: msgspec.Struct) -> None:
        telling.write(msgspec.json.encode(told) + b"\n")
        telling.flush()

    return tell


async def _main(serve: Serve, tell: Tell) -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    begin = msgspec.json.decode(await stdin.readline(), type=Begin)
    serving = asyncio.create_task(serve(begin, tell))
    ended = asyncio.create_task(stdin.read())
    await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        ended.cancel()
        await serving
        return
    sys.stderr.flush()
    # The event loop would not end before its threads do, and one may be busy for seconds. Nothing is lost with it:
    # each line was flushed, what is written is one command or one transaction, and a lease runs out or is taken up.
    os._exit(0)
