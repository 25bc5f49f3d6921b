"""A process that performs runs, the parent's end: started when it is needed, ended when it crashed or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from engine import child
from engine.errors import Fault, InvalidInputError

MODULE = "engine.simulation.jobs.worker_process"
ANSWER = -1
"""In place of a run's number: make the answer of runs that are all there."""
LINE_BYTES_MAX = 1 << 20
END_SECONDS = 1.0


class Task(Struct, frozen=True):
    """What to do: a job's folder, and the number of a run of it."""

    folder: str
    run: int


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a task is: so many `orders` came; or how it ended: `done`, `refused` (the fault of what was asked, with its
    places) or `broken` (a fault of ours)."""

    run: int
    orders: int = 0
    done: bool = False
    refused: str | None = None
    faults: tuple[Fault, ...] = ()
    broken: str | None = None


class WorkerLostError(Exception):
    """The task did not come to its end: the process died, hung or failed. The text says which."""


class Worker:
    """One process at a time. After an error the next task has a new one."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs; None while there is none."""
        return None if self._process is None else self._process.pid

    async def do(self, folder: Path, run: int, orders: Callable[[int], None] = lambda _: None) -> None:
        """A task to its end; `orders`: told how many came so far. Raises WorkerLostError, InvalidInputError.

        Cancelled, it ends the process.
        """
        try:
            await self._do(Task(str(folder), run), orders)
        except InvalidInputError:
            raise
        except BaseException:
            await self.end()
            raise

    async def _do(self, task: Task, orders: Callable[[int], None]) -> None:
        try:
            if self._process is None:
                self._process = await child.spawn(MODULE, line_bytes_max=LINE_BYTES_MAX)
            process = self._process
            assert process.stdin is not None, "it was asked for"
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            await process.stdin.drain()
            while True:
                told = await self._heard(process)
                if told.refused is not None:
                    raise InvalidInputError(told.refused, told.faults)
                if told.broken is not None:
                    raise WorkerLostError(told.broken)
                if told.done:
                    return
                orders(told.orders)
        except OSError as error:
            raise WorkerLostError(f"its process cannot be spoken to: {error}") from error

    async def _heard(self, process: asyncio.subprocess.Process) -> Told:
        assert process.stdout is not None, "it was asked for"
        try:
            async with asyncio.timeout(self._patience_s):
                line = await process.stdout.readline()
            if line:
                return msgspec.json.decode(line, type=Told)
        except TimeoutError:
            raise WorkerLostError(f"no sign of progress for {self._patience_s:g} s") from None
        except (ValueError, msgspec.DecodeError) as error:
            raise WorkerLostError(f"its process cannot be understood: {error}") from error
        await child.end(process, END_SECONDS)
        raise WorkerLostError(f"its process ended with code {process.returncode}")

    async def end(self) -> None:
        """End the process, if there is one: at once, for what it leaves is there wholly or not at all."""
        if self._process is not None:
            await child.kill(self._process)
            self._process = None  # not sooner: who cancels this may end it again, and wait
