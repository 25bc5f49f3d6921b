"""What the demo shows: a table redrawn in place on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rich.live import Live
from rich.table import Table

from api.cli.terminal import Terminal
from api.demo.stream import State

REDRAW_S = 0.25
LINE_EVERY_S = 5.0


async def watch(terminal: Terminal, state: State, done: asyncio.Event) -> None:
    """Show the state until `done`."""
    if terminal.live:
        with Live(table(state), console=terminal.out, refresh_per_second=4, transient=True) as live:
            while not done.is_set():
                state.mark()
                live.update(table(state))
                await _pause(done, REDRAW_S)
        return
    while not done.is_set():
        await _pause(done, LINE_EVERY_S)
        state.mark()
        if not done.is_set():
            terminal.say(line(state))


async def _pause(done: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)


def saving(state: State) -> float | None:
    """By how much the joint decisions are cheaper per order than the nearest-node rule, as a fraction."""
    shadow = state.shadow.figures if state.shadow is not None else None
    if shadow is None or not shadow.orders or not state.tally.orders or not shadow.cost:
        return None
    return 1 - state.tally.cost_per_order / (shadow.cost / 1000 / shadow.orders)


def line(state: State) -> str:
    """The figures in one line."""
    tally = state.tally
    p50, p99 = tally.percentiles(recent=True)
    shadow = state.shadow.figures if state.shadow is not None else None
    parts = [
        f"{tally.orders:,} orders",
        f"{state.rate:,.0f}/s",
        f"p50 {p50:.1f} ms p99 {p99:.1f} ms",
        f"cost/order {tally.cost_per_order:.2f}",
    ]
    if shadow is not None and shadow.orders:
        parts[-1] += f" (nearest rule {shadow.cost / 1000 / shadow.orders:.2f})"
    parts += [
        f"parcels/order {tally.parcels_per_order:.2f}",
        f"unallocated {tally.unallocated:,} units",
        f"oversold {state.seen.oversold if state.seen else 0}",
    ]
    return "  ".join(parts)


def table(state: State) -> Table:
    """The figures side by side with the shadow's."""
    tally, shadow = state.tally, state.shadow.figures if state.shadow is not None else None
    p50, p99 = tally.percentiles(recent=True)
    grid = Table(
        title="Apportion: the same sample orders, decided jointly and by rule", title_justify="left", min_width=72
    )
    grid.add_column("")
    grid.add_column("joint decisions", justify="right")
    grid.add_column("nearest-node rule", justify="right")
    orders = max(1, shadow.orders) if shadow else 1
    theirs = shadow is not None and shadow.orders > 0
    grid.add_row("orders", f"{tally.orders:,}", f"{shadow.orders:,}" if shadow else "-")
    grid.add_row("orders per second", f"{state.rate:,.0f}", "")
    grid.add_row("latency p50 / p99", f"{p50:.1f} / {p99:.1f} ms", "")
    cost = f"{tally.cost_per_order:.2f} USD"
    gain = saving(state)
    if gain is not None:
        cost = f"{cost} ({-gain:+.1%})"
    grid.add_row("cost per order", cost, f"{shadow.cost / 1000 / orders:.2f} USD" if theirs and shadow else "-")
    rule_parcels = f"{shadow.parcels / max(1, shadow.shipped_orders):.3f}" if theirs and shadow else "-"
    grid.add_row("parcels per order", f"{tally.parcels_per_order:.3f}", rule_parcels)
    grid.add_row("unallocated units", f"{tally.unallocated:,}", f"{shadow.unallocated:,}" if shadow else "-")
    if state.seen is not None:
        grid.add_row("oversold (in the store)", f"{state.seen.oversold}", "")
        grid.add_row("units on hand / held", f"{state.seen.on_hand:,} / {state.seen.held:,}", "")
    grid.add_row("units delivered meanwhile", f"{state.delivered:,}", "")
    return grid
