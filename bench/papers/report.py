"""The rows as a table: mean cost over its measure with standard errors, share captured, and who is ever worse."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bench.papers.experiments import DLP, FLOOR, LIVE, Row

ONE_SIDED = 1.645
"""Standard errors of a one-sided 95 % bound."""

MEAN_WORSE = 0.001
"""By how much a policy may be dearer than live-myopic in the mean of an instance."""


class Line(NamedTuple):
    """One policy or bound. `ratio`: mean over instances of (mean cost / mean measure), `error` its standard error.

    `captured`: of the distance from live-myopic to the floor. `worst_instance`, `worst_path`: by how much dearer than
    live-myopic at most, as a share; `worse_instances`: those whose one-sided 95 % bound of that lies above MEAN_WORSE
    (with one sequence: whose path does). `extra_removed`: part of live-myopic's parcels beyond one an order that is
    saved. None where a figure has no meaning.
    """

    name: str
    ratio: float
    error: float | None
    captured: float | None
    worst_instance: float | None
    worst_path: float | None
    worse_instances: int | None
    extra_removed: float | None


def lines(rows: Sequence[Row]) -> list[Line]:
    """Every policy and bound of an experiment; raises ValueError without rows."""
    if not rows:
        raise ValueError("no rows")
    measure = DLP if DLP in rows[0].base else FLOOR
    by_instance: dict[int, list[Row]] = {}
    for row in rows:
        by_instance.setdefault(row.instance, []).append(row)
    groups = [by_instance[at] for at in sorted(by_instance)]
    live = _ratios(groups, measure, LIVE).mean()
    floor = _ratios(groups, measure, FLOOR).mean()
    names = [*rows[0].cost, *(name for name in rows[0].base if name != measure)]
    return [_line(groups, measure, name, live, floor) for name in names]


def _value(row: Row, name: str) -> float:
    return row.cost[name] if name in row.cost else row.base[name]


def _ratios(groups: list[list[Row]], measure: str, name: str) -> np.ndarray:
    return np.array(
        [
            np.mean([_value(row, name) for row in rows]) / np.mean([_value(row, measure) for row in rows])
            for rows in groups
        ]
    )


def _line(groups: list[list[Row]], measure: str, name: str, live: float, floor: float) -> Line:
    ratios = _ratios(groups, measure, name)
    error = float(ratios.std(ddof=1) / np.sqrt(len(ratios))) if len(ratios) > 1 else None
    if name not in groups[0][0].cost:
        return Line(name, float(ratios.mean()), error, None, None, None, None, None)
    worse = [np.array([row.cost[name] / row.cost[LIVE] - 1 for row in rows]) for rows in groups]
    bound = [
        each.mean() + (ONE_SIDED * each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else 0.0) for each in worse
    ]
    return Line(
        name,
        float(ratios.mean()),
        error,
        float((live - ratios.mean()) / (live - floor)) if live > floor else None,
        max(float(each.mean()) for each in worse),
        max(float(each.max()) for each in worse),
        int(sum(one > MEAN_WORSE for one in bound)),
        _extra_removed([row for rows in groups for row in rows], name),
    )


def _extra_removed(rows: Sequence[Row], name: str) -> float | None:
    """Of live-myopic's parcels beyond one an order, the part that the policy does without."""
    if name not in rows[0].parcels:
        return None
    extra = sum(row.parcels[LIVE] - row.orders for row in rows)
    return sum(row.parcels[LIVE] - row.parcels[name] for row in rows) / extra if extra else None


def markdown(rows: Sequence[Row]) -> str:
    """The table of an experiment."""
    measure = DLP if DLP in rows[0].base else FLOOR
    told = [
        f"| policy | cost / {measure} | s.e. | captured | worst instance, path against live | instances worse "
        "| extra parcels removed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for line in lines(rows):
        worst = "" if line.worst_path is None else f"{line.worst_instance:+.2%}, {line.worst_path:+.2%}"
        told.append(
            f"| {line.name} | {line.ratio:.4f} | {_text(line.error, '.4f')} | {_text(line.captured, '.1%')} | {worst} "
            f"| {_text(line.worse_instances, 'd')} | {_text(line.extra_removed, '.1%')} |"
        )
    return "\n".join(told) + "\n"


def _text(value: float | int | None, form: str) -> str:
    return "" if value is None else format(value, form)


def document(name: str, rows: Sequence[Row], settings: dict[str, int]) -> bytes:
    """Everything, with the machine it was measured on."""
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    body = {
        "experiment": name,
        "machine": machine,
        **settings,
        "policies": [line._asdict() for line in lines(rows)],
        "rows": rows,
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n"
