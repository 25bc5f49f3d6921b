"""The figures as a markdown table and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.peers.run import Measured, Run, Skipped

REFERENCES = ("d", "a", "c")
HEAD = (
    "| | system | best connections | orders/s | to (d) | to (a) | to (c) | store us/order | client + service us/order "
    "| worker us/order | pricer us/order | archive us/order | CPU us/order "
    "| dominated by | cost/order | parcels/order | fill "
    "| decision B | others |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|"
)


def markdown(measured: Sequence[Measured], skipped: Sequence[Skipped]) -> str:
    """A row for each system; ratios of orders/s to the bare commit and to two peers.

    `worker`: what decides; `pricer`: what makes shadow prices beside it; `archive`: what feeds the archive. `others`:
    processors busy with other work meanwhile, the disk's included.
    """
    rows = [HEAD]
    for one in measured:
        run = one.run
        told = " | ".join("" if ratio is None else f"{ratio:.2f}" for ratio in _ratios(one, measured).values())
        quality = run.quality
        good = f"{quality.cost / 1000:.3f} | {quality.parcels:.3f} | {quality.fill:.2%}" if run.stores else " | | "
        used = run.cpu
        spent = (used.store, used.service + used.generator, used.worker, used.pricer, used.archive, sum(used))
        rows.append(
            f"| {one.key} | {one.name} | {run.width} | {run.orders_per_s:,.0f} | {told} "
            f"| {' | '.join(f'{part:.0f}' for part in spent)} | {run.dominant} | {good} | {run.bytes:.0f} "
            f"| {run.others:.1f} |"
        )
    notes = [f"({one.key}) {one.name}: skipped, {one.reason}" for one in skipped]
    return "\n".join([*rows, *([""] if notes else []), *notes]) + "\n"


def _ratios(one: Measured, measured: Sequence[Measured]) -> dict[str, float | None]:
    speeds = {other.key: other.run.orders_per_s for other in measured}
    return {key: one.run.orders_per_s / speeds[key] if key in speeds else None for key in REFERENCES}


def document(measured: Sequence[Measured], skipped: Sequence[Skipped], command: str) -> bytes:
    """Everything, as JSON: of each system the round reported, with the speed of all rounds. CPU in microseconds per
    order, money in mills."""
    systems = [
        {
            "key": one.key,
            "name": one.name,
            **_run(one.run),
            "faults": one.faults,
            "ratios": _ratios(one, measured),
            "rounds": [run.orders_per_s for run in one.rounds],
            "sweep": [point._asdict() for point in one.sweep],
        }
        for one in measured
    ]
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    body = {"command": command, **machine, "systems": systems, "skipped": [one._asdict() for one in skipped]}
    return msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n"


def _run(run: Run) -> dict[str, Any]:
    quality = run.quality._asdict() if run.stores else None
    derived = {"orders_per_s": run.orders_per_s, "waiting": run.waiting, "dominant": run.dominant}
    return {**run._asdict(), "cpu": run.cpu._asdict(), "quality": quality, **derived}


def findings(measured: Sequence[Measured]) -> list[str]:
    """What must hold and does not; empty when all is well."""
    return [f"({one.key}) {fault}" for one in measured for fault in one.faults]
