"""Cost against size: the worlds differ in size alone, and the figures are of the work that they are said to be of."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bench.scale.__main__ import app
from bench.scale.deciding import PARTS, WHOLE
from bench.scale.loading import Loaded
from bench.scale.run import Measured, wrong
from bench.scale.world import FAMILY, LINES, STOCKED, Size, World

SMALL, LARGE = Size(12, 300), Size(40, 700)


def nodes_of(size: Size) -> dict[str, set[str]]:
    """Where each SKU lies."""
    found: dict[str, set[str]] = {}
    for row in (row for rows in World(size).stock() for row in rows):
        found.setdefault(row.sku, set()).add(row.node_id)
    return found


def test_every_sku_lies_at_ten_nodes_whatever_the_size() -> None:
    """What an order may choose from must not grow with the world, or cost would grow for another reason."""
    for size in (SMALL, LARGE):
        found = nodes_of(size)
        assert len(found) == size.skus
        assert {len(nodes) for nodes in found.values()} == {STOCKED}
        assert sum(map(len, found.values())) == size.cells


def test_lines_of_an_order_lie_together_unless_scattered() -> None:
    """A family is at the same nodes; scattered SKUs are not."""
    orders = next(World(LARGE).windows(1, 50))
    assert all(len({line.sku for line in order.lines}) == LINES for order in orders)
    for scattered in (False, True):
        found = nodes_of(Size(LARGE.nodes, LARGE.skus, scattered))
        together = [len({frozenset(found[line.sku]) for line in order.lines}) == 1 for order in orders]
        assert all(together) is not scattered


def test_the_same_people_order_in_every_world() -> None:
    """Destinations are the same, and the SKUs that a window touches about as many."""
    small, large = (next(World(size).windows(1, 3 * 300 // FAMILY)) for size in (SMALL, LARGE))
    assert [order.ship_to for order in small] == [order.ship_to for order in large]
    assert [order.order_id for order in small] == [order.order_id for order in large]


def measured(cell_bytes: float, us: float) -> Measured:
    """A world with these figures."""
    loaded = Loaded(1.0, 1.0, 1.0, cell_bytes, 20.0, 5.0, 30.0, 0.1, 10.0, 100.0)
    phases = dict.fromkeys((*WHOLE, *PARTS), 0.0) | {"decide": us, "lower": us}
    return Measured(SMALL, loaded, 10.0, phases, [])


def test_what_does_not_hold_is_told() -> None:
    """Flat within a quarter and 32 bytes a cell hold; beyond them the phase that grew is named."""
    assert wrong([measured(32.0, 100.0), measured(24.0, 125.0)]) == []
    found = wrong([measured(24.0, 100.0), measured(32.5, 126.0)])
    assert len(found) == 2
    assert "32.5 bytes" in found[0]
    assert "1.26 times" in found[1]
    assert found[1].endswith("by lower")


@pytest.mark.timeout(120)
def test_the_command_tells_what_was_decided_and_weighed() -> None:
    """Two small worlds on a real store: everything committed, every phase and every weight told."""
    asked = ["--size", "10x200", "--size", "30x200", "--windows", "2", "--orders", "20", "--json"]
    ran = CliRunner().invoke(app, asked)
    told = json.loads(ran.stdout)["worlds"]
    assert [one["faults"] for one in told] == [[], []]
    assert [one["options"] for one in told] == [10.0, 10.0]
    for one in told:
        assert set(one["us"]) == {*WHOLE, *PARTS}
        assert all(one["us"][phase] > 0 for phase in (*WHOLE, *PARTS) if phase != "store")
        assert one["loaded"]["row_bytes"] > 18, "a slot has 18 bytes, and a row a name"
        assert one["loaded"]["log_bytes"] > 0
    assert CliRunner().invoke(app, ["--size", "10"]).exit_code == 2
