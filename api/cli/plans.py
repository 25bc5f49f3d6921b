"""Plans, nodes and obstacles as tables that a person understands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from engine.explaining.document import Explanation, NodeView, PlanView, Quote

NODES_SHOWN = 20


def plan_table(title: str, plan: PlanView) -> Table:
    """The parcels of a plan, a row each."""
    table = _table(title, ("node", "service", "ships", "arrives", "contents", "shipping", "handling"))
    for parcel in plan.parcels:
        contents = ", ".join(f"{line.quantity} x {line.sku}" for line in parcel.lines)
        service = parcel.service if parcel.carrier is None else f"{parcel.carrier} {parcel.service}"
        dates = (parcel.ship_by[:10], parcel.deliver_by[:10])
        table.add_row(parcel.node_id, service, *dates, contents, parcel.cost.shipping, parcel.cost.handling)
    return table


def cost_line(plan: PlanView) -> str:
    """The cost of a plan by term."""
    cost = plan.cost
    terms = [
        f"{name} {money}"
        for name, money in (
            ("shipping", cost.shipping), ("handling", cost.handling), ("split", cost.split), ("late", cost.late),
            ("unfilled", cost.unfilled),
        )
        if money != "0"
    ]  # fmt: skip
    steered = (
        "" if plan.guidance.stock_price == "0" else f", and stock worth {plan.guidance.stock_price} to orders to come"
    )
    return f"cost {cost.total}" + (f" = {' + '.join(terms)}" if terms else "") + steered


def missing_lines(plan: PlanView) -> list[str]:
    """What a plan leaves: what waits, and what does not ship and why."""
    waiting = [
        f"waits for stock: {each.quantity} x {each.sku}, "
        + (f"expected {each.expected_at[:10]}" if each.expected_at else "no date")
        for each in plan.backordered
    ]
    return waiting + [
        f"not shipped: {short.quantity} x {short.sku} ({short.reason.value}; free {short.free}, held {short.held})"
        for short in plan.unallocated
    ]


def node_table(nodes: Sequence[NodeView]) -> Table:
    """What each node would have meant: chosen ones first, then by what the order would cost from there."""
    priced = any(node.kept for node in nodes)
    columns = ("node", "units", "cost alone", "difference", *(["stock price"] if priced else []))
    table = _table("Nodes", (*columns, "what would have to change"))
    for node in sorted(nodes, key=_worth)[:NODES_SHOWN]:
        plan = node.plan
        told = [""] * 3 if plan is None else [str(plan.units), plan.cost.total, _signed(plan.difference)]
        if priced:
            told.append("" if plan is None else plan.guidance.stock_price)
        table.add_row(
            node.node_id, *told, "chosen" if node.chosen else node.change, style="bold" if node.chosen else ""
        )
    return table


def kept_lines(nodes: Sequence[NodeView]) -> list[str]:
    """Of each node shown, what is kept there and for whom."""
    shown = sorted(nodes, key=_worth)[:NODES_SHOWN]
    return [f"{node.node_id}: {kept.sku or 'room for a box'} is {kept.text}" for node in shown for kept in node.kept]


def alternatives_table(quote: Quote) -> Table:
    """The other plans of a quote, the best first."""
    priced = any(
        plan.guidance.stock_price != "0" for plan in (quote.chosen, *(other.plan for other in quote.alternatives))
    )
    columns = ("from", "units", "parcels", "arrives", "cost", "difference")
    table = _table("Alternatives", (*columns, "stock price") if priced else columns)
    for other in quote.alternatives:
        nodes = ", ".join(dict.fromkeys(parcel.node_id for parcel in other.plan.parcels))
        last = max(parcel.deliver_by[:10] for parcel in other.plan.parcels)
        plan = other.plan
        row = (nodes, str(plan.units), str(len(plan.parcels)), last, plan.cost.total, _signed(plan.difference))
        table.add_row(*row, *([plan.guidance.stock_price] if priced else []))
    return table


def hidden(explanation: Explanation) -> int:
    """Nodes that the table leaves out."""
    return max(0, len(explanation.nodes) - NODES_SHOWN)


def _worth(node: NodeView) -> tuple[bool, bool, int, float]:
    plan = node.plan
    units, money = (0, 0.0) if plan is None else (plan.units, float(plan.cost.total))
    return (not node.chosen, not node.eligible, -units, money)


def _signed(money: str) -> str:
    return money if money.startswith("-") or money == "0" else f"+{money}"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        right = column in (
            "units",
            "parcels",
            "cost",
            "cost alone",
            "difference",
            "stock price",
            "shipping",
            "handling",
        )
        table.add_column(column, justify="right" if right else "left")
    return table
