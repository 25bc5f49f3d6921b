"""Which missing units wait, under which names, and until when."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from engine.decisions import Parcel, ParcelCost, ParcelLine, Reason
from engine.domain import Limits, Sku
from engine.ledger.backlog import Expected, Incoming, Wait
from engine.lowering import lower
from engine.lowering.dues import Due
from engine.waiting import Missing, backordered, joined, waiting, waits_of, without
from tests.engine.making import compiled, document, node, order, window


def parcel(sku: str, quantity: int, line_id: str = "1") -> Parcel:
    """A parcel of one line."""
    line = ParcelLine(line_id, sku, quantity)
    return Parcel("P", "N", None, "ground", "2026-11-23", "2026-11-24", 0, (line,), ParcelCost("0", "0"))


def told(reasons: list[Reason], shipped: int = 0, **limits: object) -> list[bool]:
    """Whether lines of three units, short by all or some for these reasons, wait."""
    one = order("O", *((f"S{k}", 3) for k in range(len(reasons))), backorder=True)
    missing = [Missing(line, 3 - shipped, reason) for line, reason in zip(one.lines, reasons, strict=True)]
    parcels = [parcel("S0", shipped)] if shipped else []
    return waiting(one, Limits(**limits), {}, parcels, missing)


@pytest.mark.parametrize("reason", Reason)
def test_reasons_of_supply_wait(reason):
    """Protects callers: supply and room may come, what network, catalogue and limits stop stays unallocated."""
    of_supply = {Reason.OUT_OF_STOCK, Reason.HELD, Reason.CAPACITY, Reason.UNDECIDED}
    assert told([reason]) == [reason in of_supply]


def test_limits_bind_the_rest():
    """Protects limits: no parcel left, a line that must not be divided, or a poor parcel mean that nothing waits."""
    short = [Reason.OUT_OF_STOCK]
    assert told(short, 1) == [True]
    assert told(short, 1, max_parcels=1) == [False]
    assert told(short, 1, max_parcels=2) == [True]
    assert told(short, 1, split_lines=False) == [False]
    assert told(short, 1, min_split_value="1.00") == [False]
    assert told(short, 0, min_split_value="1.00") == [True]


def test_what_ships_together_waits_together():
    """Protects whole orders: the rest waits with the line that is short, and does not if that line never can."""
    complete = {"ship_complete": True}
    assert told([Reason.OUT_OF_STOCK, Reason.SHIP_COMPLETE], **complete) == [True, True]
    assert told([Reason.NO_LANE, Reason.SHIP_COMPLETE], **complete) == [False, False]
    assert told([Reason.NO_LANE, Reason.OUT_OF_STOCK], **complete) == [False, False]
    assert told([Reason.NO_LANE, Reason.OUT_OF_STOCK]) == [False, True]


def test_names():
    """Protects the index: an order stands under what would help it: parts of kits, substitutes if allowed, and room."""
    items = {
        "K": msgspec.convert({"sku": "K", "components": [{"sku": "P", "quantity": 2}]}, Sku),
        "S0": msgspec.convert({"sku": "S0", "substitutes": [{"sku": "K", "ratio": 1}]}, Sku),
    }
    lines = order("O", ("S0", 3), ("K", 2)).lines
    missing = [Missing(lines[0], 3, Reason.CAPACITY), Missing(lines[1], 2, Reason.HELD)]
    assert waits_of(missing, items, Limits()) == (Wait("S0", 3), Wait("", 0), Wait("P", 4))
    allowed = waits_of(missing, items, Limits(allow_substitutes=True))
    assert allowed == (Wait("S0", 3), Wait("P", 4), Wait("", 0))
    assert joined(allowed, (Wait("P", 1),)) == (Wait("S0", 3), Wait("P", 5), Wait("", 0))
    assert without({"P": Expected(5, ())}, allowed) == {"P": Expected(1, ())}


def test_dates_are_those_of_the_unit_that_completes():
    """Protects promises: all dated units of a line are there by its date, the others have none."""
    [line] = order("O", ("A", 9)).lines
    dues = (Due(2, 1_000), Due(3, 90_061_000))
    assert [(entry.quantity, entry.expected_at) for entry in backordered(line, 2, dues)] == [
        (2, "1970-01-01T00:00:01Z")
    ]
    assert [(entry.quantity, entry.expected_at) for entry in backordered(line, 6, dues)] == [
        (5, "1970-01-02T01:01:01Z"), (1, None),
    ]  # fmt: skip


def test_incoming_units_are_counted_on_once():
    """Protects promises: units that others wait for, or an order before, and those at other nodes date nothing."""
    network = compiled(document([node("N1"), node("N2", serves={"countries": ["CA"]})]))
    first, second = network.number_of.tolist()
    coming = (Incoming("J", "A", second, 9, 5), Incoming("I", "A", first, 6, 10), Incoming("K", "A", first, 2, 20))
    orders = [order("O1", ("A", 3), backorder=True), order("O2", ("A", 4), backorder=True, priority=1)]
    made = window(network, orders, {"A": {"N1": 1}})
    expected = {"A": Expected(10, coming)}
    lowered = lower(replace(made, snapshot=replace(made.snapshot, expected=expected)))
    # Of 17 units 10 are waited for, the earliest; 5 and 2 are left, of which the higher priority counts on 3.
    assert lowered.problem.lines.dated.tolist() == [3, 3]
    assert lowered.dues == {0: (Due(2, 10), Due(1, 20)), 1: (Due(3, 10),)}
