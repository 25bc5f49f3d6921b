"""The figures as markdown tables and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np

from bench.windows.run import Window

HEAD = (
    "| scarcity | orders | windows | lines | touched | ms p50/p99 | check ms | gap mean/p99 | unproven | cut | solver "
    "| one by one: ms, above | re-proved |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|"
)
CURVE = "| scarcity | orders | work | ms p50/p99 | above the bound mean/worst | units short |\n|---|---:|---:|---:|---:|---:|"


def markdown(windows: Sequence[Window]) -> str:
    """A row for every scarcity and size, and the anytime curve where it was looked at."""
    rows, curve = [HEAD], [CURVE]
    for (scarcity, orders), every in groupby(windows, key=lambda one: (one.shape.scarcity, one.shape.orders)):
        some = list(every)
        rows.append(_row(scarcity, orders, some))
        curve += _curve(scarcity, orders, some)
    return "\n".join(rows) + "\n" + ("\n" + "\n".join(curve) + "\n" if len(curve) > 1 else "")


def _row(scarcity: str, orders: int, some: list[Window]) -> str:
    gaps = [one.gap for one in some if one.gap is not None]
    proven = [one.proven for one in some if one.proven is not None]
    solvers = sorted({one.solver for one in some})
    above = [one.floor_total / one.total - 1 for one in some if one.floor_units == one.units and one.total]
    return (
        f"| {scarcity} | {orders} | {len(some)} | {np.mean([one.lines for one in some]):.0f} "
        f"| {np.mean([one.touched for one in some]):.0%} | {_both([one.ms for one in some])} "
        f"| {np.median([one.check_ms for one in some]):.1f} | {_gaps(gaps)} | {len(some) - len(gaps)} "
        f"| {sum(one.cut for one in some)} | {', '.join(solvers)} "
        f"| {np.median([one.floor_ms for one in some]):.0f}, {np.mean(above) if above else 0:.2%} "
        f"| {f'{len(proven)}, at most {max(proven):.4%} off' if proven else ''} |"
    )


def _curve(scarcity: str, orders: int, some: list[Window]) -> list[str]:
    found = []
    for at, (work, *_) in enumerate(some[0].early):
        early = [one.early[at] for one in some]
        above = [
            total / one.bound - 1
            for one, (_, _, units, total) in zip(some, early, strict=True)
            if one.bound and units == one.units
        ]
        short = sum(one.units - units for one, (_, _, units, _) in zip(some, early, strict=True))
        worst = f"{np.mean(above):.3%} / {max(above):.3%}" if above else ""
        found.append(
            f"| {scarcity} | {orders} | {work or 'one by one'} | {_both([ms for _, ms, _, _ in early])} "
            f"| {worst} | {short} |"
        )
    return found


def _both(ms: list[float]) -> str:
    return f"{np.median(ms):.0f} / {np.percentile(ms, 99):.0f}"


def _gaps(gaps: list[float]) -> str:
    return f"{np.mean(gaps):.4%} / {np.percentile(gaps, 99):.4%}" if gaps else ""


def document(windows: Sequence[Window], command: str) -> bytes:
    """Everything, as JSON."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "numpy": np.__version__}
    return msgspec.json.encode({"command": command, **machine, "windows": windows}) + b"\n"


def findings(windows: Sequence[Window]) -> list[str]:
    """What must hold and does not; empty when all is well."""
    return [
        f"{one.shape.scarcity}, {one.shape.orders} orders, seed {one.seed}: {fault}"
        for one in windows
        for fault in one.wrong
    ]
