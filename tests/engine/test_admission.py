"""What may be queued: nothing that this version would silently ignore."""

from __future__ import annotations

import msgspec
import pytest

from engine.admission import unsupported
from tests.engine.making import order


def test_a_plain_order_is_taken():
    """Defaults, spelled out or not, are no reason to refuse."""
    assert unsupported(order("O", ("A", 1))) is None
    spelled = {"limits": {"max_parcels": None, "split_lines": True}, "backorder": False, "policy_id": "default"}
    assert unsupported(order("O", ("A", 1), ("A", 2), deliver_by="2026-12-01T00:00:00Z", **spelled)) is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"ship_to": {"timezone": "Mars/Olympus"}}, "$.ship_to.timezone"),
        ({"ship_to": {"lat": None}}, "$.ship_to.lat"),
        ({"ship_to": {"lon": None}}, "$.ship_to.lon"),
        ({"placed_at": "9999-12-31T23:59:59Z"}, "$.placed_at"),
        ({"deliver_by": "0001-01-01T00:00:00Z"}, "$.deliver_by"),
    ],
)
def test_what_contradicts_itself_is_refused(fields, path):
    """These pass the form of an order, and would fail in the middle of a window."""
    fault = unsupported(order("O", ("A", 1), **fields))
    assert fault is not None
    assert fault.path == path


def test_a_line_id_used_twice_is_refused_where_it_stands():
    """Handling is charged by distinct lines, and commands name lines."""
    twice = order("O", ("A", 1), ("B", 1))
    body = {"line_id": "1", "sku": "A", "quantity": 1}
    broken = msgspec.structs.replace(
        twice, lines=[twice.lines[0], twice.lines[1], msgspec.convert(body, type(twice.lines[0]))]
    )
    fault = unsupported(broken)
    assert fault is not None
    assert fault.path == "$.lines[2].line_id"


def test_an_order_has_an_end_in_units():
    """Each line within its bound, together beyond it: sums of one order must fit the arithmetic."""
    most = 2**31 - 1
    assert unsupported(order("O", ("A", most))) is None
    fault = unsupported(order("O", ("A", most), ("B", 1)))
    assert fault is not None
    assert fault.path == "$.lines"


@pytest.mark.parametrize(
    "fields",
    [
        {"limits": {"max_parcels": 1, "ship_complete": True, "split_lines": False, "min_split_value": "1.00"}},
        {"limits": {"nodes": ["A", "B"], "except_nodes": ["A"], "allow_late": False, "allow_substitutes": True}},
        {"pickup_node": "A"},
        {"pickup_node": "A", "limits": {"nodes": ["A"], "except_nodes": ["B"]}},
    ],
)
def test_every_limit_is_taken(fields):
    """All limits of the contract are honoured, alone and together."""
    assert unsupported(order("O", ("A", 1), **fields)) is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"limits": {"nodes": ["A", "B"], "except_nodes": ["B", "A"]}}, "$.limits.except_nodes"),
        ({"pickup_node": "A", "limits": {"nodes": ["B"]}}, "$.pickup_node"),
        ({"pickup_node": "A", "limits": {"except_nodes": ["A"]}}, "$.pickup_node"),
    ],
)
def test_limits_that_leave_no_node_are_a_slip(fields, path):
    """No node could ever ship it, whatever the network: better said at once than as a refusal."""
    fault = unsupported(order("O", ("A", 1), **fields))
    assert fault is not None
    assert fault.path == path


def test_a_group_is_taken():
    """Lines that go together, on some lines and not on others."""
    body = order("O", ("A", 1), ("B", 1))
    grouped = msgspec.structs.replace(body.lines[0], group="g")
    assert unsupported(msgspec.structs.replace(body, lines=[grouped, body.lines[1]])) is None
