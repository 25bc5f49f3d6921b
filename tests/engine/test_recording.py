"""A window's record: deciding what it restores gives the same decisions again (R14)."""

from __future__ import annotations

import random
import time
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest

from engine import recording
from engine.crew import ProcessCrew
from engine.deciding import decide
from engine.domain import Sku
from engine.ledger.backlog import Expected, Incoming
from engine.ledger.journal import summary
from engine.ledger.port import Again, Proposal
from engine.lowering import WindowInput
from engine.metrics import Metrics
from engine.recording import Documents, UnreadableRecordError
from tests.engine.making import card, compiled, document, node, order, window
from tests.engine.test_whole_domain import random_window

BYTES_PER_ORDER = 600


def frozen() -> float:
    """A clock that stands still."""
    return 0.0


def large(orders: int = 200, nodes: int = 50, skus: int = 2_000, units: int = 400) -> WindowInput:
    """Orders of three lines, each SKU stocked at every node."""
    rng = np.random.default_rng(1)

    def place() -> dict[str, float]:
        return {"lat": round(30 + rng.random() * 15, 4), "lon": round(-120 + rng.random() * 45, 4)}

    network = compiled(document([node(f"N{i}", **place()) for i in range(nodes)], [card(), card(service="air")]))
    chosen = [rng.choice(skus, 3, replace=False) for _ in range(orders)]
    asked = [
        order(f"O-{k:07d}", *((f"SKU-{sku:06d}", int(rng.integers(1, 3))) for sku in lines), ship_to=place())
        for k, lines in enumerate(chosen)
    ]
    names = sorted({f"SKU-{sku:06d}" for lines in chosen for sku in lines})
    stock = {
        sku: {f"N{i}": {"on_hand": int(rng.integers(units)), "held": int(rng.integers(20))} for i in range(nodes)}
        for sku in names
    }
    items = [Sku(sku=sku, weight_g=int(rng.integers(50, 2_000)), length_mm=200) for sku in names]
    return window(network, asked, stock, skus=items)


def again(asked: WindowInput, record: bytes) -> WindowInput:
    """The window of a record, its documents at hand."""
    named = recording.documents(record)
    assert named == Documents(asked.network.version, asked.orders[0].policy_id, asked.policy_version)
    return recording.restore(record, asked.network, asked.policy)


def untimed(proposal: Proposal) -> Proposal:
    """A proposal without how long deciding took."""
    decision = msgspec.json.decode(proposal.decision)
    decision["window"]["solve_ms"] = 0
    return msgspec.structs.replace(proposal, decision=msgspec.json.encode(decision))


@pytest.mark.parametrize("seed", range(60))
def test_any_window_is_decided_again_from_its_record(seed: int):
    """R14 over kits, substitutes, docks, limits, modes, rules and capacity: every proposal is the same, takes too."""
    asked = random_window(random.Random(seed))
    decided = decide(asked, now=frozen)
    assert decide(again(asked, decided.record), now=frozen) == decided


@pytest.mark.parametrize("mode", ["optimise", "sequence", "nearest", "most_stock"])
@pytest.mark.parametrize("work", [20_000_000, 1_000, 1])
def test_each_way_to_decide_is_taken_again(mode: str, work: int):
    """R14 over methods: rules, joint search, one by one, and what an empty purse leaves, all scarce."""
    asked = large(orders=12, nodes=5, skus=8, units=25)
    policy = msgspec.structs.replace(asked.policy, mode=mode)
    policy = msgspec.structs.replace(policy, solver=msgspec.structs.replace(policy.solver, work=work))
    asked = replace(asked, policy=policy)
    decided = decide(asked, now=frozen)
    assert decide(again(asked, decided.record), now=frozen) == decided


def test_a_window_that_a_worker_gave_up_on_is_decided_on_the_same_rung():
    """The record tells that the cheapest rung decided; else its explanation would show another plan."""
    asked = replace(large(orders=6, nodes=3, skus=5, units=25), floor=True)
    decided = decide(asked, now=frozen)
    restored = again(asked, decided.record)
    assert restored.floor
    assert decide(restored, now=frozen) == decided


def test_all_that_a_window_holds_is_recorded():
    """A field of `WindowInput` that the record forgets would change decisions one day; here each is compared."""
    asked = replace(
        large(orders=2, nodes=3, skus=4), again=Again("reroute", 3, "T", "d", "why", ("N1",)), strict_skus=True,
        as_placed=True, floor=True, in_turn=True, waited_ms=(1.25, 0.5), idempotency_keys=("k", None), policy_version=5,
    )  # fmt: skip
    days = window(asked.network, asked.orders, {}, loads={20_780: {"N1": (3, 4)}}).snapshot.days
    expected = {asked.skus[0]: Expected(4, (Incoming("i", asked.skus[0], 3, 9, 1_795_600_000_000),))}
    asked = replace(asked, snapshot=replace(asked.snapshot, days=days, expected=expected))
    restored = again(asked, decide(asked, now=frozen).record)
    for field in fields(WindowInput):
        if field.name != "snapshot":
            assert getattr(restored, field.name) == getattr(asked, field.name), field.name
    seen, kept = asked.snapshot, restored.snapshot
    assert (kept.at_ms, kept.versions, kept.expected) == (seen.at_ms, seen.versions, expected)
    assert [(row.gain, row.slots.tolist()) for row in kept.rows] == [(r.gain, r.slots.tolist()) for r in seen.rows]
    assert {day: (load.gain, load.nodes.tolist()) for day, load in kept.days.items()} == {
        day: (load.gain, load.nodes.tolist()) for day, load in seen.days.items()
    }


async def test_another_process_decides_the_same():
    """R14 with other solver workers: two processes of their own, on the window as recorded."""
    asked = large(orders=30, nodes=6, skus=20, units=25)
    decided = decide(asked, now=time.monotonic)
    restored = again(asked, decided.record)
    for _ in range(2):
        crew = ProcessCrew(Metrics())
        try:
            found = await crew.decide(restored)
        finally:
            await crew.stop()
        assert list(map(untimed, found.proposals)) == list(map(untimed, decided.proposals))
        assert recording.restore(found.record, asked.network, asked.policy).orders == asked.orders


def test_a_record_is_small():
    """The log and the archive pay for it with every order: a fraction of the order's own kilobytes."""
    asked = large()
    assert len(recording.pack(asked, {})) < BYTES_PER_ORDER * len(asked.orders)


def test_the_first_line_is_what_subscribers_see():
    """`window.decided` shows JSON, whatever bytes follow it."""
    record = recording.pack(large(orders=1, nodes=2, skus=4), {"window_id": "w"})
    assert summary(record) == b'{"window_id":"w"}'


@pytest.mark.parametrize("record", [b"", b"{}", b'{"network_version":1,"policy_id":"p","policy_version":1}\nxyz'])
def test_a_record_of_another_make_says_so(record: bytes):
    """A later program must tell "not readable any more" from a fault of its own."""
    asked = large(orders=1, nodes=2, skus=4)
    with pytest.raises(UnreadableRecordError):
        recording.restore(record, asked.network, asked.policy)
