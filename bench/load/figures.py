"""What a load amounts to: speed at a stated latency beside the quality of the decisions, so that neither is bought with
the other unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from api.cli.tally import Tally
from bench.load.loops import Times
from bench.load.saturation import Saturation
from engine.domain import mills


class _Window(Struct):
    window_id: str
    orders: int
    waited_ms: float
    solve_ms: float
    gap: float | None
    cut: bool


class _Cost(Struct):
    total: str


class _Decided(Struct):
    cost: _Cost
    window: _Window


_decode = msgspec.json.Decoder(_Decided).decode


class Quality(Struct, frozen=True, kw_only=True):
    """How good decisions are. Money per order in units of the currency, everything included.

    `gap`: how far the proven windows together may be above the optimum, as a share of their cost; null if none is
    proven. `proven`: share of the orders in such windows; `cut`: of those in windows that ran out of work.
    """

    cost_per_order: float
    gap: float | None
    proven: float
    cut: float
    parcels_per_order: float
    orders_per_window: float
    statuses: dict[str, int]


class Latency(Struct, frozen=True, kw_only=True):
    """Milliseconds from the instant that was intended to the decision, and what of it was waiting for the window and
    deciding it.

    `late_p99`: how late the sender itself was, which is in the others.
    """

    p50: float
    p99: float
    worst: float
    window_wait_p50: float
    window_wait_p99: float
    solve_p50: float
    solve_p99: float
    late_p99: float


class Figures(Struct, frozen=True, kw_only=True):
    """One load. `machine`: its cores, and how many processes wanted them before and after (the load average).
    `cpu_ms_per_order`: processor time by role of the process; empty where it cannot be known.
    `clean`: nothing oversold and the store as its log says; null if it could not be asked.
    """

    world: dict[str, Any]
    machine: dict[str, float]
    saturation: Saturation | None
    wrk: Saturation | None
    asked_per_s: float
    decided_per_s: float
    orders: int
    seconds: float
    latency_ms: Latency
    quality: Quality
    cpu_ms_per_order: dict[str, float]
    loop_lag_p999_s: float
    loop_lag_samples: int
    later: int
    repeats: int
    faults: int
    first_faults: list[str]
    clean: bool | None

    @property
    def sound(self) -> bool:
        """Whether every promise held."""
        return not self.faults and self.clean is not False


def latency(times: Times, decisions: Sequence[bytes]) -> Latency:
    """Percentiles over all requests of a run."""
    p50, p99, worst = _percentiles(times.latency, 50, 99, 100)
    windows = [_decode(body).window for body in decisions]
    wait_p50, wait_p99 = _percentiles([window.waited_ms / 1000 for window in windows], 50, 99)
    solve_p50, solve_p99 = _percentiles([window.solve_ms / 1000 for window in windows], 50, 99)
    (late,) = _percentiles(times.late, 99)
    return Latency(
        p50=p50,
        p99=p99,
        worst=worst,
        window_wait_p50=wait_p50,
        window_wait_p99=wait_p99,
        solve_p50=solve_p50,
        solve_p99=solve_p99,
        late_p99=late,
    )


def _percentiles(seconds: Sequence[float], *which: float) -> list[float]:
    """In milliseconds; zeros of nothing."""
    return [round(1000 * float(each), 3) for each in np.percentile(seconds or [0.0], which)]


def quality(decisions: Sequence[bytes]) -> Quality:
    """What the decisions say of themselves."""
    tally = Tally()
    windows: set[str] = set()
    cost = excess = 0.0
    proven = cut = 0
    for body in decisions:
        tally.add(body, 0.0)
        decided = _decode(body)
        windows.add(decided.window.window_id)
        cut += decided.window.cut
        if decided.window.gap is not None:
            proven += 1
            cost += mills(decided.cost.total)
            excess += decided.window.gap * mills(decided.cost.total)
    orders = max(1, tally.orders)
    return Quality(
        cost_per_order=round(tally.cost_per_order, 4),
        gap=round(excess / cost, 6) if cost else None,
        proven=round(proven / orders, 4),
        cut=round(cut / orders, 4),
        parcels_per_order=round(tally.parcels_per_order, 3),
        orders_per_window=round(tally.orders / max(1, len(windows)), 1),
        statuses=dict(sorted(tally.statuses.items())),
    )


def lines(figures: Figures) -> list[str]:
    """For people: the two numbers first."""
    good, late = figures.quality, figures.latency_ms
    gap = "unproven" if good.gap is None else f"gap {good.gap:.3%} over the {good.proven:.0%} of orders with a bound"
    told = [
        f"speed:    {figures.decided_per_s:,.0f} decisions/s at p99 {late.p99:,.1f} ms",
        f"quality:  {good.cost_per_order:.3f} per order, {gap}",
        "",
        f"asked for {figures.asked_per_s:,.0f}/s over {figures.seconds:.0f} s, open loop: {figures.orders:,} orders "
        f"({', '.join(f'{count:,} {status}' for status, count in good.statuses.items())})",
        f"single order: p50 {late.p50:,.1f} ms, p99 {late.p99:,.1f} ms, worst {late.worst:,.1f} ms from the intended "
        f"instant (sender late by p99 {late.late_p99:,.1f} ms)",
        f"of it waiting for the window: p50 {late.window_wait_p50:,.1f} ms, p99 {late.window_wait_p99:,.1f} ms; "
        f"deciding it: p50 {late.solve_p50:,.1f} ms, p99 {late.solve_p99:,.1f} ms",
        f"windows: {good.orders_per_window:,.1f} orders a window, {good.parcels_per_order:.2f} parcels an order, "
        f"{good.cut:.1%} in windows that ran out of work",
        f"processor time: {_processor(figures.cpu_ms_per_order)}",
        f"beyond the window's wait: p50 {late.p50 - late.window_wait_p50:,.1f} ms, "
        f"p99 {late.p99 - late.window_wait_p99:,.1f} ms",
        f"event loop: p99.9 of {figures.loop_lag_samples} lags at most {1000 * figures.loop_lag_p999_s:,.0f} ms",
    ]
    told += [
        _saturation(name, one) for name, one in (("saturation", figures.saturation), ("by wrk", figures.wrk)) if one
    ]
    audit = {True: "0 oversold, the store is as its log says", False: "NOT CLEAN", None: "not asked (--data-dir)"}
    told.append(
        f"contract: {figures.faults} faults, {figures.repeats} repeats byte for byte, {figures.later} answers with "
        f"Retry-After; reconcile: {audit[figures.clean]}"
    )
    machine = figures.machine
    told.append(
        f"machine: {machine['cores']:.0f} cores for service, store and sender; load average "
        f"{machine['busy_before']:.1f} before, {machine['busy_after']:.1f} after"
    )
    return [*told, *figures.first_faults]


def _processor(by_role: dict[str, float]) -> str:
    if not by_role:
        return "unknown"
    parts = ", ".join(f"{role} {ms:.2f}" for role, ms in by_role.items())
    return f"{sum(by_role.values()):.2f} ms an order ({parts})"


def _saturation(name: str, one: Saturation) -> str:
    return (
        f"{name}: {one.per_s:,.0f} decisions/s in a closed loop, p50 {one.p50_ms:,.1f} ms, p99 {one.p99_ms:,.1f} ms, "
        f"{one.later} answers with Retry-After, {one.faults} faults, {one.broken} broken connections"
    )
