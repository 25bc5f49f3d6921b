"""The crew: runs the pure part of a window (`deciding`) off the event loop and inside a time limit.

`ProcessCrew` keeps one worker process: OR-Tools holds the interpreter lock for whole solves, so a thread would stall
every request. Frames go over pipes; a worker ends by itself when its parent is gone. A worker that crashes or passes
the safety cut is replaced, and the window is decided again on the cheapest rung.
`InlineCrew` decides in place: for tests, baselines and simulation.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
import structlog

from engine import child
from engine.deciding import DecidedWindow, decide
from engine.domain import Order, Sku
from engine.explaining import Inquiry, answer
from engine.ledger.port import Proposal, Row
from engine.lowering import WindowInput
from engine.metrics import Metrics
from engine.network import Network, NetworkDocument
from engine.policy import Policy
from engine.recording import joined_slots, split_slots

log = structlog.get_logger("apportion.crew")

GRACE_SECONDS = 5.0
"""What a worker may take beyond the window's own budget before it counts as hung."""

CONSULT_SECONDS = 30.0
"""For one question about a window."""

STOP_SECONDS = 0.5

UNPACK_BYTES = 64 * 1024
"""Unpacked at a time on the event loop."""

_HEADER = struct.Struct("<Q")
_PICKLE = 5


class CrewError(Exception):
    """A window could not be decided even on the cheapest rung."""


class Crew(Protocol):
    """Decides windows."""

    async def start(self) -> None:
        """Be ready to decide."""

    async def decide(self, window: WindowInput) -> DecidedWindow:
        """Decide one window. Raises CrewError."""

    async def consult(self, window: WindowInput, inquiry: Inquiry) -> bytes:
        """Answer a question about a window, as JSON. Raises CrewError."""

    async def stop(self) -> None:
        """End what was started."""


class Crews:
    """Who decides windows: `line`, one after another, and `aside` those that no other waits for; without it none is."""

    def __init__(self, line: Crew, aside: Crew | None = None) -> None:
        self._line = line
        self._aside = aside

    @asynccontextmanager
    async def turn(self, lock: asyncio.Lock, aside: bool) -> AsyncIterator[Crew]:
        """The crew for one window; of those in line one has its turn at a time, by `lock`."""
        if aside and self._aside is not None:
            yield self._aside
            return
        async with lock:
            yield self._line


class InlineCrew:
    """Decides on the caller's thread. Not `recorded`: windows leave no record that could be explained or replayed."""

    def __init__(self, now: Callable[[], float], *, recorded: bool = True) -> None:
        self._now = now
        self._recorded = recorded

    async def start(self) -> None:
        """Nothing to start."""

    async def decide(self, window: WindowInput) -> DecidedWindow:
        return decide(window, now=self._now, recorded=self._recorded)

    async def consult(self, window: WindowInput, inquiry: Inquiry) -> bytes:
        return answer(window, inquiry, now=self._now)

    async def stop(self) -> None:
        """Nothing to stop."""


class ProcessCrew:
    """One worker process, one window at a time, first come first served.

    `niceness`: 0 to 19, how far it stands back behind other processes.
    """

    def __init__(self, metrics: Metrics, niceness: int = 0) -> None:
        self._metrics = metrics
        self._niceness = niceness
        self._turn = asyncio.Lock()
        self._worker: Worker | None = None

    async def start(self) -> None:
        async with self._turn:
            await self._ready()

    async def _ready(self) -> Worker:
        """The worker, started if there is none. Raises OSError, CrewError."""
        if self._worker is None:
            self._worker = await Worker.spawn(self._niceness)
        return self._worker

    async def decide(self, window: WindowInput) -> DecidedWindow:
        limit_s = window.policy.solver.budget_ms / 1000 + GRACE_SECONDS
        async with self._turn:
            for floor in (False, True):
                worker = await self._ready()
                try:
                    return await asyncio.wait_for(worker.decide(replace(window, floor=floor)), limit_s)
                except (TimeoutError, OSError, EOFError, CrewError) as error:
                    self._metrics.abandoned.inc()
                    log.warning("solve_abandoned", window_id=window.window_id, floor=floor, error=repr(error))
                    await self._dismiss()
                except asyncio.CancelledError:
                    await self._dismiss()
                    raise
        raise CrewError(f"window {window.window_id} could not be decided")

    async def consult(self, window: WindowInput, inquiry: Inquiry) -> bytes:
        async with self._turn:
            worker = await self._ready()
            try:
                return await asyncio.wait_for(worker.consult(window, inquiry), CONSULT_SECONDS)
            except (TimeoutError, OSError, EOFError, CrewError) as error:
                log.warning("question_abandoned", window_id=window.window_id, error=repr(error))
                await self._dismiss()
                raise CrewError("the question could not be answered") from error
            except asyncio.CancelledError:
                await self._dismiss()
                raise

    async def _dismiss(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()

    async def stop(self) -> None:
        await self._dismiss()


class Worker:
    """The parent's end of one worker process. `_sent`: the networks and policies that it has."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._sent: dict[Named, object] = {}

    @classmethod
    async def spawn(cls, niceness: int = 0) -> Worker:
        """Start a worker and wait until it has loaded its solvers. Raises CrewError."""
        worker = cls(await child.spawn("engine.crew_worker", str(niceness)))
        try:
            await asyncio.wait_for(worker._receive(), 60)
        except (TimeoutError, EOFError) as error:
            await worker.stop()
            raise CrewError("the solver process did not start; see its output above") from error
        except asyncio.CancelledError:
            await worker.stop()
            raise
        return worker

    async def decide(self, window: WindowInput) -> DecidedWindow:
        """Decide a window. Raises EOFError when the worker died, CrewError when it failed."""
        answered = await self._ask(window, None)
        assert isinstance(answered, PackedAnswer)
        return await answered.unpack()

    async def consult(self, window: WindowInput, inquiry: Inquiry) -> bytes:
        """Answer a question about a window. Raises as `decide` does."""
        answered = await self._ask(window, inquiry)
        assert isinstance(answered, bytes)
        return answered

    async def _ask(self, window: WindowInput, inquiry: Inquiry | None) -> object:
        assert self._process.stdin is not None
        frame = pack(window, inquiry, self._sent)
        self._process.stdin.write(_HEADER.pack(len(frame)))
        self._process.stdin.write(frame)
        await self._process.stdin.drain()
        answered: object = pickle.loads(await self._receive())
        if isinstance(answered, str):
            raise CrewError(answered)
        return answered

    async def _receive(self) -> bytes:
        assert self._process.stdout is not None
        header = await self._process.stdout.readexactly(_HEADER.size)
        return await self._process.stdout.readexactly(_HEADER.unpack(header)[0])

    async def stop(self) -> None:
        """End the process: politely by closing its input, then by force."""
        await child.end(self._process, STOP_SECONDS)


Named = tuple[str, ...]
"""What stays with the worker: the network of a partition, or a policy by partition and id."""


class _Pickler(pickle.Pickler):
    """Sends a network or a policy once, as bytes; as long as it stays the same one, only its name crosses the pipe."""

    def __init__(self, buffer: io.BytesIO, window: WindowInput, sent: dict[Named, object]) -> None:
        super().__init__(buffer, _PICKLE)
        self._window = window
        self._sent = sent

    def persistent_id(self, value: Any) -> Any:
        window = self._window
        if value is window.network:
            name: Named = (window.partition,)
        elif value is window.policy and window.orders:
            name = (window.partition, window.orders[0].policy_id)
        else:
            return None
        known = self._sent.get(name) is value
        self._sent[name] = value
        return (name, None if known else _source(value))


def _source(value: Network | Policy) -> bytes | tuple[Any, ...]:
    if isinstance(value, Policy):
        return msgspec.msgpack.encode(value)
    return msgspec.msgpack.encode(value.document), dict(value.numbers), value.version, value.matrices


class _Unpickler(pickle.Unpickler):
    """The other end: keeps the network and the policies that came last."""

    def __init__(self, buffer: io.BytesIO, kept: dict[Named, Network | Policy]) -> None:
        super().__init__(buffer)
        self._kept = kept

    def persistent_load(self, told: Any) -> Network | Policy:
        name, source = told
        if isinstance(source, bytes):
            self._kept[name] = msgspec.msgpack.decode(source, type=Policy)
        elif source is not None:
            document, numbers, version, matrices = source
            decoded = msgspec.msgpack.decode(document, type=NetworkDocument)
            self._kept[name] = Network.compile(decoded, numbers, version, matrices)
        return self._kept[name]


def pack(window: WindowInput, inquiry: Inquiry | None, sent: dict[Named, object]) -> bytes:
    """A window as bytes, to be decided, or asked about.

    Orders and catalogue entries go as msgpack and stock as one block: this runs on the event loop, and pickling
    thousands of small values would hold it up.
    """
    orders = msgspec.msgpack.encode(window.orders)
    items = msgspec.msgpack.encode(list(window.items.values()))
    rows = window.snapshot.rows
    stock = ([row.gain for row in rows], [len(row.slots) for row in rows], joined_slots(rows))
    buffer = io.BytesIO()
    bare = replace(window, orders=(), items={}, snapshot=replace(window.snapshot, rows=()))
    _Pickler(buffer, window, sent).dump((inquiry, orders, items, stock, bare))
    return buffer.getvalue()


def unpack(frame: bytes, kept: dict[Named, Network | Policy]) -> tuple[WindowInput, Inquiry | None]:
    """The window that `pack` packed, and the question about it, if it is not to be decided."""
    inquiry, orders, items, (gains, sizes, stock), bare = _Unpickler(io.BytesIO(frame), kept).load()
    entries = msgspec.msgpack.decode(items, type=list[Sku])
    window = replace(
        bare,
        orders=msgspec.msgpack.decode(orders, type=tuple[Order, ...]),
        items={entry.sku: entry for entry in entries},
        snapshot=replace(bare.snapshot, rows=tuple(map(Row, gains, split_slots(stock, sizes)))),
    )
    return window, inquiry


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """A decided window on its way back: each proposal by itself, so that the event loop can unpack them in between."""

    proposals: tuple[bytes, ...]
    record: bytes
    solve_seconds: float
    gap: float | None
    staying: tuple[int | None, ...]

    @classmethod
    def pack(cls, decided: DecidedWindow) -> PackedAnswer:
        """What `unpack` gives back."""
        proposals = tuple(map(_proposal_to_bytes, decided.proposals))
        return cls(proposals, decided.record, decided.solve_seconds, decided.gap, decided.staying)

    async def unpack(self) -> DecidedWindow:
        """The window, unpacked in slices of about a millisecond."""
        proposals: list[Proposal] = []
        size = 0
        for packed in self.proposals:
            proposals.append(_proposal_of(packed))
            size += len(packed)
            if size > UNPACK_BYTES:
                size = 0
                await asyncio.sleep(0)
        return DecidedWindow(tuple(proposals), self.record, self.solve_seconds, self.gap, self.staying)


_proposal_to_bytes = msgspec.msgpack.Encoder().encode
_proposal_of = msgspec.msgpack.Decoder(Proposal).decode
