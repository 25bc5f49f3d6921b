"""An order that stands, asked again, and what it costs to stay."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import pytest

from engine.deciding import decide
from engine.decisions import Decision
from engine.domain import Sku
from engine.ledger.port import OrderRecord
from engine.lowering import lower
from engine.reoptimising.standing import Standing
from engine.reoptimising.staying import staying
from tests.engine.making import card, compiled, document, node, order, window

NODES = [node("N1"), node("N2", lat=45.0)]


def standing(asked, stock, *, state="allocated", excluded=(), **more):
    """The order as this window decides it."""
    made = window(compiled(document(NODES)), [asked], stock, **more)
    [proposal] = decide(made, now=time.monotonic).proposals
    record = OrderRecord(
        asked.order_id, b"", proposal.order, proposal.decision, state, (), current=proposal.decision, excluded=excluded
    )
    found = Standing.of(record)
    return made, proposal, found


def test_only_what_may_move_stands():
    """Protects nodes: an order handed over, held softly or over is none to decide again."""
    asked = order("O", ("A", 1))
    for state in ("allocated", "partially_allocated", "ready", "held", "cancelled", "backordered", "released"):
        _, _, found = standing(asked, {"A": {"N1": 5}}, state=state)
        assert (found is not None) == (state in ("allocated", "partially_allocated")), state


def test_the_promise_becomes_a_limit():
    """Protects promises: what was promised in time must arrive by then; what is late already is only charged for it."""
    _, proposal, found = standing(order("O", ("A", 1)), {"A": {"N1": 5}})
    promised = msgspec.json.decode(proposal.decision)["parcels"][0]["deliver_by"]
    again = found.asked_again()
    assert (again.deliver_by.isoformat(), again.limits.allow_late) == (promised, False)
    early = order("O", ("A", 1), deliver_by="2026-11-23T12:00:00Z")
    again = standing(early, {"A": {"N2": 5}})[2].asked_again()
    assert (again.deliver_by, again.limits.allow_late) == (early.deliver_by, True)
    far = order("O", ("A", 1), deliver_by="2027-01-01T12:00:00Z")
    assert standing(far, {"A": {"N1": 5}})[2].asked_again().deliver_by.isoformat() == promised


def test_only_what_ships_is_asked_again():
    """Protects quantities: no unit more than ships now and none less, and what was excluded stays so."""
    asked = order("O", ("A", 5), ("B", 2), ("C", 1))
    _, proposal, found = standing(
        asked, {"A": {"N1": 3}, "C": {"N2": 4}}, state="partially_allocated", excluded=("N2",)
    )
    again = found.asked_again()
    assert [(line.sku, line.quantity) for line in again.lines] == [("A", 3), ("C", 1)]
    assert again.limits.except_nodes == ["N2"]
    other = msgspec.json.decode(proposal.decision, type=Decision)
    parcels = tuple(msgspec.structs.replace(parcel, node_id="X") for parcel in other.parcels)
    moved = found.moved(
        msgspec.structs.replace(
            proposal, decision=msgspec.json.encode(msgspec.structs.replace(other, parcels=parcels, unallocated=()))
        ),
        100,
        window(compiled(document(NODES)), [asked], {}).policy.objective,
    )
    decision = msgspec.json.decode(moved.decision, type=Decision)
    assert (decision.status, decision.unallocated, decision.cost) == (other.status, other.unallocated, other.cost)
    assert (moved.again.saving, moved.again.before, moved.state) == (100, found.nodes(), "partially_allocated")


@pytest.mark.parametrize("lines", [[("A", 1)], [("A", 7), ("B", 3)], [("HEAVY", 5)], [("KIT", 2)], [("GONE", 2)]])
def test_staying_costs_what_it_did(lines):
    """Protects savings: on an unchanged world a standing plan costs what its decision says, boxes and kits included."""
    asked = order("O", *lines, limits={"allow_substitutes": True})
    entries = [
        {"sku": "HEAVY", "weight_g": 2_000},
        {"sku": "KIT", "components": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]},
        {"sku": "GONE", "substitutes": [{"sku": "A", "ratio": 3}]},
    ]
    stock = {"A": {"N1": 4, "N2": 9}, "B": {"N2": 9}, "HEAVY": {"N1": 9}}
    skus = msgspec.convert(entries, list[Sku])
    made, proposal, found = standing(asked, stock, skus=skus)
    assert proposal.state == "allocated"
    total = round(float(msgspec.json.decode(proposal.decision)["cost"]["total"]) * 1000)
    again = replace(made, orders=(found.asked_again(),))
    assert staying(lower(again), [proposal.decision]) == (total,)


def test_staying_is_priced_as_things_are():
    """Protects savings: after a change of rates staying costs the new price, and a way that is gone has none."""
    made, proposal, _ = standing(order("O", ("A", 1)), {"A": {"N1": 5}})
    dearer = card(rates=[{"up_to_g": 1000, "by_zone": ["8.00", "9.00", "9.50"]}])
    [cost] = staying(lower(replace(made, network=compiled(document(NODES, [dearer])))), [proposal.decision])
    assert cost == 8_000
    gone = compiled(document([{**NODES[0], "active": False}, NODES[1]]))
    assert staying(lower(replace(made, network=gone)), [proposal.decision]) == (None,)
    other = compiled(document(NODES, [card(service="express")]))
    assert staying(lower(replace(made, network=other)), [proposal.decision]) == (None,)
