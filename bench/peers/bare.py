"""(d) The bare commit: our own script and payloads, windows decided and encoded beforehand, one client, nothing else.

The windows are decided in sequence on the memory twin, which keeps rows, slots, gains and versions as the store does,
so each commits as it would have. `width` is how many calls the one client has under way on its one connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import UnixDomainSocketConnection

from bench import processor
from bench.asking import question_of
from bench.peers.ours import PARTITION, engine_on, left_in, put
from bench.peers.routed import WIDTHS, ask, store
from bench.peers.system import Answer, Cpu, Outcome, PeerError, Standing
from bench.peers.world import World
from engine.clock import SystemClock
from engine.deciding import decide
from engine.ledger import scripts
from engine.ledger.cuts import cuts
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Batch, Verdict
from engine.ledger.reconcile import reconcile
from engine.ledger.redis import RedisLedger
from engine.ledger.redis_commit import Committing
from engine.ledger.server.files import socket_of

WINDOW = 64
"""Orders decided together: what one script call commits, so that a window is one call."""
_KEYS = (f"{{{PARTITION}}}:meta", f"{{{PARTITION}}}:log")


class Call(NamedTuple):
    """One call of the commit script, ready to be sent, and who is to read its answer."""

    packed: list[bytes]
    committing: Committing
    batch: Batch


class Bare:
    """The system. Windows are decided once for all its runs of a world."""

    key = "d"
    name = "the bare commit"
    widths: tuple[int, ...] = WIDTHS

    def __init__(self) -> None:
        self._batches: tuple[World, list[Batch]] | None = None

    def missing(self) -> str | None:
        """Nothing."""
        return None

    @asynccontextmanager
    async def standing(self, world: World, directory: Path, width: int) -> AsyncIterator[Standing]:
        if self._batches is None or self._batches[0] is not world:
            self._batches = world, await decided(world)
        async with store(directory) as server:
            ledger = RedisLedger(server.url)
            link = UnixDomainSocketConnection(path=str(socket_of(server.url)), protocol=2)
            try:
                await put(engine_on(ledger), world)
                await link.connect()  # type: ignore[no-untyped-call]
                commit = scripts.load()["commit"]
                await ask(link, [("SCRIPT", "LOAD", commit.text)])
                calls = [_call(link, commit.sha, batch) for batch in self._batches[1]]
                yield _Bare(server.status.pid or 0, ledger, link, calls, width)
            finally:
                await link.disconnect()
                await ledger.close()


async def decided(world: World) -> list[Batch]:
    """The windows of all orders as batches of one script call each, every one on what those before it left."""
    ledger = MemoryLedger(SystemClock())
    engine = engine_on(ledger)
    await put(engine, world)
    batches = []
    for at in range(0, len(world.orders), WINDOW):
        orders = [posted.order for posted in world.orders[at : at + WINDOW]]
        question = await question_of(engine, PARTITION, f"bare-{at // WINDOW}", orders)
        batch = decide(question, now=time.monotonic).batch(question)
        batches += [replace(batch, proposals=tuple(batch.proposals[k] for k in cut)) for cut in cuts(batch)]
        if any(outcome.verdict is not Verdict.COMMITTED for outcome in await ledger.commit(PARTITION, batch)):
            raise PeerError("a window did not commit on the memory twin")
        await asyncio.sleep(0)
    return batches


def _call(link: UnixDomainSocketConnection, sha: str, batch: Batch) -> Call:
    committing = Committing(batch)
    told = committing.call(range(len(batch.proposals)))
    packed = link.pack_command("EVALSHA", sha, len(_KEYS), *_KEYS, *told)
    return Call(packed, committing, batch)


class _Bare:
    def __init__(
        self, pid: int, ledger: RedisLedger, link: UnixDomainSocketConnection, calls: list[Call], width: int
    ) -> None:
        self._pid = pid
        self._ledger = ledger
        self._link = link
        self._calls = calls
        self._width = width

    async def run(self, until: float) -> list[Answer]:
        """As `Standing.run`, whole windows. Raises PeerError if one does not commit."""
        answers: list[Answer] = []
        flying: list[Call] = []
        calls = iter(self._calls)
        while True:
            while len(flying) < self._width and time.perf_counter() < until and (call := next(calls, None)) is not None:
                await self._link.send_packed_command(call.packed)
                flying.append(call)
            if not flying:
                return answers
            answers += _answers(flying.pop(0), await self._link.read_response())

    def cpu(self) -> Cpu:
        """As `Standing.cpu`."""
        return Cpu(store=processor.of(self._pid), service=processor.own())

    async def outcome(self, answers: Sequence[Answer]) -> Outcome:
        """As `Standing.outcome`; what our own audit finds are its faults."""
        report = await reconcile(self._ledger, PARTITION)
        found = await left_in(self._ledger, answers)
        return found._replace(faults=tuple(f"reconcile: {' '.join(each)}" for each in report.differences))


def _answers(call: Call, reply: Any) -> list[Answer]:
    if not reply:
        raise PeerError("the script freed lapsed units instead of deciding; nothing is held softly here")
    proposals = call.batch.proposals
    call.committing.answered(range(len(proposals)), reply)
    outcomes = call.committing.outcomes()
    if any(outcome.verdict is not Verdict.COMMITTED for outcome in outcomes):
        raise PeerError(f"a window did not commit: {sorted({outcome.verdict.value for outcome in outcomes})}")
    return [
        Answer(proposal.order_id, outcome.decision or b"")
        for proposal, outcome in zip(proposals, outcomes, strict=True)
    ]
