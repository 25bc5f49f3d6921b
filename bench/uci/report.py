"""The figures as a markdown table and as JSON, with what the joint decisions save against each rule."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import msgspec

from bench.uci.run import Figures

HEAD = (
    "| cut | k days | mode | cost/order | spent/order | parcels/order | fill | unallocated | saved | saved on parcels "
    "| orders/s | lines/s | window p50/p99 ms | order p50/p99 ms | oversold | faults |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def markdown(results: Sequence[Figures]) -> str:
    """One row per run. `saved`: by how much `optimise` is cheaper than this row's mode on the same orders, with the
    penalties for unfilled units; `saved on parcels`: the same per shipped unit, without penalties.
    """
    lines = [HEAD]
    for each in sorted(results, key=lambda figures: (figures.cut, figures.days, figures.mode != "optimise")):
        saved = saving(each, results)
        gain = "" if saved is None else f"{saved:.2%}"
        cheaper = "" if saved is None else f"{spend_saving(each, results):.2%}"
        latency = f"{each.order_p50_ms:.0f} / {each.order_p99_ms:.0f}"
        lines.append(
            f"| {each.cut} | {each.days} | {each.mode} | {each.cost_per_order:.2f} | {each.spent_per_order:.3f} "
            f"| {each.parcels_per_order:.3f} | {each.fill:.3%} | {each.unallocated_units:,} "
            f"| {gain} | {cheaper} | {each.orders_per_s:,.0f} | {each.lines_per_s:,.0f} "
            f"| {each.window_p50_ms:.0f} / {each.window_p99_ms:.0f} | {latency} "
            f"| {each.oversold} | {each.faults + each.stock_differs} |"
        )
    return "\n".join(lines) + "\n"


def saving(rule: Figures, results: Sequence[Figures]) -> float | None:
    """1 - cost of `optimise` / cost of this mode, totals with the penalty for what was left; None for itself."""
    best = joint(rule, results)
    return None if best is None or best is rule or not rule.cost else 1 - best.cost / rule.cost


def spend_saving(rule: Figures, results: Sequence[Figures]) -> float:
    """1 - money spent per shipped unit by `optimise` / by this mode; 0 where nothing can be compared."""
    best = joint(rule, results)
    return 1 - best.spent_per_unit / rule.spent_per_unit if best is not None and rule.spent_per_unit else 0.0


def joint(rule: Figures, results: Sequence[Figures]) -> Figures | None:
    """The `optimise` run on the same orders and stock."""
    wanted = (rule.cut, rule.days, "optimise", rule.orders)
    return next((each for each in results if (each.cut, each.days, each.mode, each.orders) == wanted), None)


def findings(results: Sequence[Figures]) -> list[str]:
    """What must hold and does not; empty when all is well."""
    wrong = []
    for each in results:
        name = f"{each.cut}, k = {each.days}, {each.mode}"
        if each.oversold or each.faults or each.stock_differs:
            wrong.append(
                f"{name}: oversold {each.oversold}, {each.faults} faults {each.first_faults[:2]}, "
                f"{each.stock_differs} cells differ from the auditor's book"
            )
        saved = saving(each, results)
        if saved is not None and saved <= 0:
            wrong.append(f"{name}: optimise costs {-saved:.2%} more")
        best = joint(each, results)
        if best is not None and best.units < each.units:
            wrong.append(f"{name}: ships {each.units - best.units:,} units more than optimise")
    return wrong


def document(results: Sequence[Figures], where: str) -> bytes:
    """Everything, with the machine it was measured on."""
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    body = {"machine": machine, "where": where, "runs": results, "findings": findings(results)}
    return msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n"
