"""Deciding in another process: the same answers, and a worker that dies is replaced."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace

import pytest

import engine.crew as room
from engine.crew import CrewError, InlineCrew, ProcessCrew, pack, unpack
from engine.explaining import Inquiry
from engine.ledger.journal import summary
from engine.lowering import WindowInput
from engine.metrics import Metrics
from engine.policy import Policy
from engine.policy.document import Rule, Then
from tests.engine import making


@pytest.fixture
def question() -> WindowInput:
    network = making.compiled(making.document([making.node("A"), making.node("B")], [making.card()]))
    orders = [making.order(f"O{n}", ("S", 1), ("T", n + 1)) for n in range(3)]
    return making.window(network, orders, {"S": {"A": 2, "B": 1}, "T": {"B": 9}, "U": {}})


def decisions(proposals) -> list:
    return [(proposal.order_id, proposal.state, proposal.takes, proposal.short_skus) for proposal in proposals]


def test_a_window_crosses_the_pipe_unchanged(question):
    """What the worker decides on is what was asked: orders, stock row by row, and the network sent only once."""
    sent, kept = {}, {}
    first, again = pack(question, None, sent), pack(question, Inquiry("O1", b"{}"), sent)
    assert len(again) < len(first)
    for frame, asked in ((first, None), (again, Inquiry("O1", b"{}"))):
        window, inquiry = unpack(frame, kept)
        assert inquiry == asked
        assert window.orders == question.orders
        assert window.items == question.items
        assert [(row.gain, row.slots.tolist()) for row in window.snapshot.rows] == [
            (row.gain, row.slots.tolist()) for row in question.snapshot.rows
        ]
        assert window.network.version == question.network.version
        assert window.network.node_ids == question.network.node_ids


def test_a_policy_crosses_the_pipe_once(question):
    """A policy of hundreds of rules is not packed again for every window, and a new one is."""
    rules = [Rule(name=f"rule {n}", then=Then(except_nodes=[f"N{m}" for m in range(100)])) for n in range(20)]
    strict = replace(question, policy=Policy(rules=rules), policy_version=2)
    sent, kept = {}, {}
    sizes = []
    for asked in (strict, strict, question, strict):
        frame = pack(asked, None, sent)
        sizes.append(len(frame))
        assert unpack(frame, kept)[0].policy == asked.policy
    assert sizes[1] < sizes[0] - 10_000
    assert sizes[3] > sizes[2] + 10_000


async def test_a_question_that_fails_tells_nothing_of_the_inside(question):
    """A caller sees that a question could not be answered, not a traceback; the next question is answered."""
    crew = ProcessCrew(Metrics())
    try:
        with pytest.raises(CrewError) as refused:
            await crew.consult(question, Inquiry("no such order", b"{}"))
        assert "Traceback" not in str(refused.value)
        assert "File" not in str(refused.value)
        single = replace(
            question, orders=question.orders[:1], contents=question.contents[:1], waited_ms=question.waited_ms[:1],
            idempotency_keys=question.idempotency_keys[:1],
        )  # fmt: skip
        assert b'"status"' in await crew.consult(single, Inquiry("O0"))
    finally:
        await crew.stop()


async def test_the_worker_decides_as_we_would_in_place(question):
    """The process boundary changes nothing, and a worker that is killed costs one restart, not a window."""
    inline = decisions((await InlineCrew(time.monotonic).decide(question)).proposals)
    crew = ProcessCrew(Metrics())
    await crew.start()
    try:
        assert decisions((await crew.decide(question)).proposals) == inline
        assert crew._worker is not None
        crew._worker._process.kill()
        again = (await crew.decide(question)).proposals  # on the cheapest rung, as after any abandoned solve
        assert [(proposal.order_id, proposal.state) for proposal in again] == [one[:2] for one in inline]
    finally:
        await crew.stop()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["fails", "hangs"])
async def test_a_solver_that_fails_or_hangs_is_abandoned_counted_and_told(question, monkeypatch, blow):
    """The window is decided one by one within the safety cut; the metric, the record and every decision say so."""
    monkeypatch.setattr(room, "GRACE_SECONDS", 3.0)
    metrics = Metrics()
    crew = ProcessCrew(metrics)
    await crew.start()
    try:
        assert crew._worker is not None
        crew._worker._process.send_signal(blow)
        decided = await crew.decide(question)
    finally:
        await crew.stop()
    assert metrics.registry.get_sample_value("apportion_solves_abandoned_total") == 1
    record = json.loads(summary(decided.record))
    assert (record["abandoned"], record["solver"]) == (True, "greedy")
    assert {json.loads(one.decision)["window"]["solver"] for one in decided.proposals} == {"greedy"}
