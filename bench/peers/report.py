"""The figures as a markdown table and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.peers.run import Measured, Skipped

REFERENCES = ("d", "a", "c")
HEAD = (
    "| | system | best connections | orders/s | to (d) | to (a) | to (c) | store us/order | client + service us/order "
    "| worker us/order | dominated by | cost/order | parcels/order | fill | decision B |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|"
)


def markdown(measured: Sequence[Measured], skipped: Sequence[Skipped]) -> str:
    """A row for each system; ratios of orders/s to the bare commit and to two peers."""
    rows = [HEAD]
    for one in measured:
        ratios = [_ratio(one, key, measured) for key in REFERENCES]
        told = " | ".join("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
        quality = one.quality
        good = f"{quality.cost / 1000:.3f} | {quality.parcels:.3f} | {quality.fill:.2%}" if one.stores else " | | "
        rows.append(
            f"| {one.key} | {one.name} | {one.width} | {one.orders_per_s:,.0f} | {told} | {one.cpu.store:.0f} "
            f"| {one.cpu.service + one.cpu.generator:.0f} | {one.cpu.worker:.0f} | {one.dominant} | {good} "
            f"| {one.bytes:.0f} |"
        )
    notes = [f"({one.key}) {one.name}: skipped, {one.reason}" for one in skipped]
    return "\n".join([*rows, *([""] if notes else []), *notes]) + "\n"


def _ratio(one: Measured, key: str, measured: Sequence[Measured]) -> float | None:
    return next((one.orders_per_s / other.orders_per_s for other in measured if other.key == key), None)


def document(measured: Sequence[Measured], skipped: Sequence[Skipped], command: str) -> bytes:
    """Everything, as JSON. CPU in microseconds per order, money in mills."""
    systems: list[dict[str, Any]] = [
        {
            **one._asdict(),
            "cpu": one.cpu._asdict(),
            "quality": one.quality._asdict() if one.stores else None,
            "sweep": [point._asdict() for point in one.sweep],
            "orders_per_s": one.orders_per_s,
            "waiting": one.waiting,
            "dominant": one.dominant,
            "ratios": {key: _ratio(one, key, measured) for key in REFERENCES},
        }
        for one in measured
    ]
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    body = {"command": command, **machine, "systems": systems, "skipped": [one._asdict() for one in skipped]}
    return msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n"


def findings(measured: Sequence[Measured]) -> list[str]:
    """What must hold and does not; empty when all is well."""
    return [f"({one.key}) {fault}" for one in measured for fault in one.faults]
