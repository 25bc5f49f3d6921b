"""The table of states, every pair of it, on every implementation."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from engine.ledger import scripts, states
from engine.ledger.backlog import Wait
from engine.ledger.port import Again, Answer, Ledger, Verdict
from engine.ledger.reconcile import reconcile
from tests.engine.ledger.shop import Shop, load

ANEW = (states.REPLACE, states.REROUTE, states.FILL, states.REOPTIMISE)
"""Commands that come with a decision."""

LAPSED_BEFORE_MS = -5_000
"""A duration that has lapsed when it is committed."""

WAYS = {
    states.NEW: (),
    states.HELD: ("hold",),
    states.ALLOCATED: ("take",),
    states.PARTIAL: ("part",),
    states.BACKORDERED: ("wait",),
    states.READY: ("take", states.TO_NODE),
    states.REFUSED: ("refuse",),
    states.LAPSED: ("lapsed",),
    states.RELEASED: ("take", states.RELEASE),
    states.CANCELLED: ("take", states.CANCEL),
}
"""How an order gets into each state."""


async def _bring(shop: Shop, state: str) -> None:
    for step in WAYS[state]:
        if step in states.COMMANDS:
            assert (await shop.ledger.command(shop.partition, "O", step)).answer is Answer.DONE
        elif step == "wait":
            waits = shop.order("O", {}, state="backordered", waits=(Wait("A", 2),), rank=7)
            assert await waits is Verdict.COMMITTED
        elif step == "refuse":
            assert await shop.order("O", {}, state="refused") is Verdict.COMMITTED
        else:
            hold_ms = {"hold": 3_600_000, "lapsed": LAPSED_BEFORE_MS}.get(step)
            firm = "partially_allocated" if step == "part" else "allocated"
            took = await shop.order("O", {("A", 0): 2}, loads=(load(0, 1, 2),), hold_ms=hold_ms, state=firm)
            assert took is Verdict.COMMITTED


async def _again(shop: Shop, command: str) -> Verdict:
    """Replace, re-route, fill or re-optimise whatever stands."""
    seen = await shop.ledger.snapshot(shop.partition, ["A"], [], [], ("O", "C"))
    shop.skus = ["A"]
    revision = 1 if seen.standing is None else seen.standing.record.revision
    proposal = shop.proposal(seen, "O", {("A", 0): 3})
    again = Again(command, revision, "C", "digest", "", ("N2",) if command == states.REROUTE else ())
    if command == states.REOPTIMISE:
        state = states.ALLOCATED if seen.standing is None else seen.standing.record.state
        batch = shop.batch(seen, msgspec.structs.replace(proposal, again=again, state=state))
        [swapped] = await shop.ledger.swap(shop.partition, batch, [[0]])
        return Verdict.COMMITTED if swapped else Verdict.LOST
    [verdict] = await shop.commit(seen, msgspec.structs.replace(proposal, again=again, hold_ms=3_600_000))
    return verdict


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("command", [c for c in states.COMMANDS if c not in (states.DECIDE, states.LAPSE)])
async def test_every_pair(ledger: Ledger, partition: str, state: str, command: str):
    """Protects the state table: what it has leads where it says, what it has not changes nothing and is refused."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    await _bring(shop, state)
    before = await ledger.order(partition, "O")
    assert (states.NEW if before is None else before.state) == state
    entries = len(await shop.log())
    target = states.TABLE.get((state, command))
    if command in ANEW:
        verdict = await _again(shop, command)
        assert (verdict is Verdict.COMMITTED) == (target is not None)
    else:
        answer = await ledger.command(partition, "O", command, "C")
        expected = Answer.ALREADY if target == states.SAME else Answer.DONE if target else Answer.REFUSED
        assert answer.answer is (Answer.UNKNOWN if state == states.NEW else expected)
        assert target is None or states.admits(state, command, answer.state)
    after = await ledger.order(partition, "O")
    if target is None and state == states.LAPSED:  # which may have been written down on the way
        assert after is not None
        assert after.state == states.LAPSED
    elif target in (None, states.SAME):
        assert after is None or replace(after, at_ms=0) == replace(before, at_ms=0)
        assert len(await shop.log()) == entries
    else:
        assert after is not None
        assert states.admits(state, command, after.state)
        assert after.revision > before.revision
        past = states.PAST[command]
        assert f"order.{past}" in [change.event for change in after.history[len(before.history) :]]
        added = sum(units for _, _, units in before.takes) if command == states.FILL else 0
        held = 3 + added if command in ANEW else 2 if after.takes else 0
        assert (await shop.cell("A", 0))[1] == held
    report = await reconcile(ledger, partition)
    assert report.clean, report.differences


async def test_a_refused_command_says_why(ledger: Ledger, partition: str):
    """Protects callers: every pair that is not in the table has a reason a person understands."""
    for state in states.STATES:
        for command in states.COMMANDS:
            if (state, command) not in states.TABLE:
                assert states.why(state, command).startswith(f"{command} is not possible in state '{state}': ")
    assert not states.admits(states.NEW, states.CONFIRM, states.ALLOCATED)
    assert not states.admits(states.REFUSED, states.LAPSE, states.LAPSED)
    assert (await ledger.command(partition, "O", states.CONFIRM)).answer is Answer.UNKNOWN


def test_the_scripts_have_the_same_table():
    """Protects the one table: the store's scripts are made of it, each pair of it and no other."""
    text = scripts.load()["command"].text
    block = text[text.index("local NEXT = {") : text.index("local PAST")]
    found = {
        (row.group(1), pair.group(1)): pair.group(2)
        for row in re.finditer(r"^  (\w+) = \{(.*)\},$", block, re.MULTILINE)
        for pair in re.finditer(r"(\w+) = '(\w+)'", row.group(2))
    }
    assert found == states.TABLE


async def test_command_ids_apply_once(ledger: Ledger, partition: str):
    """Protects retries: a command id answers what it led to, whatever came after, and serves no other command."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    await shop.order("O", {("A", 0): 2}, hold_ms=3_600_000)
    assert (await ledger.command(partition, "O", "confirm", "C1")) == (Answer.DONE, "allocated")
    assert (await ledger.command(partition, "O", "release", "C2")) == (Answer.DONE, "released")
    assert (await ledger.command(partition, "O", "confirm", "C1")) == (Answer.ALREADY, "allocated")
    assert (await ledger.command(partition, "O", "cancel", "C2")).answer is Answer.OTHER
    assert (await ledger.command(partition, "O", "release")) == (Answer.ALREADY, "released")
    assert (await ledger.command(partition, "O", "confirm", "C3")) == (Answer.REFUSED, "released")
    assert (await shop.cell("A", 0))[1] == 0


async def test_a_reroute_applies_once(ledger: Ledger, partition: str):
    """Protects re-routes: the same command id answers its own decision, other content under it is refused."""
    shop = await Shop(ledger, partition).open(stock={("A", 0): 9})
    await shop.order("O", {("A", 0): 2})
    assert await _again(shop, "reroute") is Verdict.COMMITTED
    assert await _again(shop, "reroute") is Verdict.REPEAT
    kept = await ledger.order(partition, "O")
    assert kept is not None
    assert kept.excluded == ("N2",)
    seen = await ledger.snapshot(partition, ["A"], [], [], ("O", "C"))
    assert seen.standing is not None
    assert seen.standing.applied == ("digest", kept.current)
    other = msgspec.structs.replace(shop.proposal(seen, "O", {}), again=Again("reroute", kept.revision, "C", "another"))
    assert await shop.commit(seen, other) == [Verdict.KEY_CONFLICT]
