"""Scenarios beside the baseline: paired differences over seeds, and what changed for whom.

Runs of one seed share their orders, so differences are taken seed by seed. Their mean has a 95 % confidence interval by
Student's t over the seeds; one seed says nothing of chance, so it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from msgspec import Struct

from engine.simulation.bounding import MOVES_EACH, SHIFTS
from engine.simulation.figures import Flow, Kpis
from engine.simulation.trail import Columns

CONFIDENCE = 0.95


class Paired(Struct, frozen=True):
    """One indicator, means over seeds. `low`, `high`: the interval of the difference; None with one seed."""

    baseline: float
    scenario: float
    difference: float
    low: float | None
    high: float | None


def paired(baseline: Sequence[float], scenario: Sequence[float]) -> Paired:
    """Values of the same seeds in the same sequence, at least one."""
    differences = np.array(scenario, np.float64) - np.array(baseline, np.float64)
    mean, low, high = float(differences.mean()), None, None
    if len(differences) > 1:
        error = float(differences.std(ddof=1)) / len(differences) ** 0.5
        reach = _reach(len(differences) - 1) * error
        low, high = mean - reach, mean + reach
    return Paired(float(np.mean(baseline)), float(np.mean(scenario)), mean, low, high)


@lru_cache
def _reach(freedom: int) -> float:
    """How many standard errors the interval reaches to each side."""
    from scipy.special import stdtrit  # a third of a second to load, which a service's start does without

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def compared(baseline: Sequence[Kpis], scenario: Sequence[Kpis]) -> dict[str, Paired]:
    """Every indicator by name, of runs of the same seeds. One that some run does not have is left out."""
    ours, theirs = ([_plain(each) for each in runs] for runs in (scenario, baseline))
    names = [name for name in Kpis.__struct_fields__ if all(each[name] is not None for each in (*ours, *theirs))]
    return {name: paired([each[name] for each in theirs], [each[name] for each in ours]) for name in names}


def _plain(indicators: Kpis) -> dict[str, float]:
    return msgspec.structs.asdict(indicators)


class Shift(Struct, frozen=True):
    """Orders that ship from other nodes than in the baseline, and what they cost more (mills, below 0: less)."""

    before: str
    after: str
    orders: int
    mills: int


class Move(Struct, frozen=True):
    """One order that ships from other nodes."""

    order_id: str
    before: str
    after: str
    mills: int


class Moves(Struct, frozen=True):
    """What changed for whom. `only_baseline`, `only_scenario`: orders that the other run does not have.

    `shifts`: by nodes before and after, the most orders first; `shifts_left_off`: how many ways are not told.
    `cheapest`: the moves that save most.
    """

    orders: int
    moved: int
    only_baseline: int
    only_scenario: int
    shifts: tuple[Shift, ...]
    cheapest: tuple[Move, ...]
    dearest: tuple[Move, ...]
    shifts_left_off: int = 0


def moves(baseline: Columns, scenario: Columns, shifts_max: int = SHIFTS, top: int = MOVES_EACH) -> Moves:
    """Two runs of one seed, order by order; told are `shifts_max` ways, and `top` of the cheapest and dearest moves."""
    _, at, to = np.intersect1d(baseline.key, scenario.key, assume_unique=True, return_indices=True)
    names = {name: k for k, name in enumerate(sorted({*baseline.names, *scenario.names}))}
    before = np.array([names[name] for name in baseline.names], np.int64)[baseline.nodes[at]]
    after = np.array([names[name] for name in scenario.names], np.int64)[scenario.nodes[to]]
    mills = scenario.total[to] - baseline.total[at]
    changed = np.flatnonzero(before != after)
    told = list(names)
    pairs, which = np.unique(before[changed] * len(told) + after[changed], return_inverse=True)
    orders = np.bincount(which, minlength=len(pairs))
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, which, mills[changed])
    most = np.lexsort((pairs, -orders))[:shifts_max].tolist()
    shifts = tuple(
        Shift(told[pairs[k] // len(told)], told[pairs[k] % len(told)], int(orders[k]), int(sums[k])) for k in most
    )
    by_money = changed[np.argsort(mills[changed], kind="stable")]

    def move(k: int) -> Move:
        return Move(baseline.order_id[at[k]].decode(), told[before[k]], told[after[k]], int(mills[k]))

    cheapest = tuple(move(k) for k in by_money[:top].tolist() if mills[k] < 0)
    dearest = tuple(move(k) for k in by_money[::-1][:top].tolist() if mills[k] > 0)
    only = len(baseline.key) - len(at), len(scenario.key) - len(at)
    return Moves(len(at), len(changed), *only, shifts, cheapest, dearest, len(pairs) - len(shifts))


class FlowChange(Struct, frozen=True):
    """What of a node's flow to a region is more than in the baseline, or less."""

    node_id: str
    region: str
    parcels: int
    units: int
    mills: int


Flows = Mapping[str, Mapping[str, Flow]]
"""By node and region, as `Figures.flows`."""


def shifted_flows(baseline: Flows, scenario: Flows) -> tuple[FlowChange, ...]:
    """What goes from where to where now and did not before, or no more; flows that are the same are left out."""
    found = []
    for node_id in sorted(baseline.keys() | scenario.keys()):
        before, after = baseline.get(node_id, {}), scenario.get(node_id, {})
        for region in sorted(before.keys() | after.keys()):
            one, other = (_sums(flows.get(region)) for flows in (before, after))
            change = tuple(late - early for early, late in zip(one, other, strict=True))
            if any(change):
                found.append(FlowChange(node_id, region, *change))
    return tuple(found)


def _sums(flow: Struct | None) -> tuple[int, ...]:
    return (0, 0, 0) if flow is None else msgspec.structs.astuple(flow)
