"""Tables of plans: what stock is worth to orders to come stands in them where it is worth anything."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console
from rich.table import Table

from api.cli.plans import alternatives_table, cost_line, kept_lines, node_table
from engine.decisions import Cost, Guidance
from engine.explaining.document import Kept, NodeView, PlanView, Quote


def plan(stock_price: str = "0") -> PlanView:
    """A plan of 5.50 without parcels to show."""
    cost = Cost(shipping="5.50", handling="0", split="0", late="0", unfilled="0", total="5.50")
    return PlanView(
        units=1, parcels=(), unallocated=(), backordered=(), cost=cost, guidance=Guidance(stock_price), difference="0"
    )


def node(stock_price: str, *kept: Kept) -> NodeView:
    """A node that could ship it."""
    return NodeView(
        node_id="BOS", eligible=True, chosen=False, obstacles=(), plan=plan(stock_price), change="more", kept=kept
    )


def shown(table: Table) -> str:
    """The table as a wide terminal shows it."""
    out = StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()


def test_the_price_of_stock_is_a_column_where_something_is_kept() -> None:
    """Beside the cost alone, and in words below; without prices the table is as it was."""
    kept = Kept(sku="S", price="3.10", text="kept for Boston, where it is expected to save 3.10")
    priced = node("3.10", kept)
    assert "stock price" in shown(node_table([priced]))
    assert "3.10" in shown(node_table([priced]))
    assert kept_lines([priced]) == ["BOS: S is kept for Boston, where it is expected to save 3.10"]
    assert "stock price" not in shown(node_table([node("0")]))
    assert cost_line(plan("3.10")) == "cost 5.50 = shipping 5.50, and stock worth 3.10 to orders to come"


def test_a_quote_shows_what_stock_its_alternatives_would_take_from_others() -> None:
    """The column is there as soon as one plan has a price."""
    for price, there in (("3.10", True), ("0", False)):
        found = Quote(
            order_id="Q",
            as_of=datetime(2026, 11, 26, tzinfo=UTC),
            chosen=plan(price),
            status="allocated",
            alternatives=(),
        )
        assert ("stock price" in shown(alternatives_table(found))) is there
